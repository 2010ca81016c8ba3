//! Every language's audit trail (`guests/audit`) lives through the same, and writes the same: byte for byte what stands in
//! `guest_conformance/*.txt`, one file for each chapter. `UPDATE_EXPECT=1` writes down what is written now.
//!
//! A journal has what a handler's guest logged, and below it, indented, how each call ended. A uid is written as
//! `uid-1` and so on, in the order of appearance; why a guest trapped is left out, and so is what it printed
//! then, since languages say that in words of their own.

mod journal;
mod life;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use host::guest::{GuestLimits, StartedGuest};
use serde_json::{Value, json};
use tests::compiler;

use life::Life;

/// One test for each folder in `guests/audit`.
macro_rules! languages {
    ($($language:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $language() {
                conforms(stringify!($language), built(stringify!($language))).await;
            }
        )*

        const LANGUAGES: &[&str] = &[$(stringify!($language)),*];
    };
}

languages! {
    rust
    c
    cpp
    zig
    assemblyscript
    core_module
    javascript
    typescript
    python
    go
    stdin
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_may_be_a_component() {
    let module = built("stdin").with_file_name("audit_stdin_component.wasm");
    conforms("stdin_component", module).await;
}

#[test]
fn every_language_is_tested() {
    let mut languages = LANGUAGES.to_vec();
    languages.sort_unstable();
    assert_eq!(
        languages,
        toolchains::languages().unwrap(),
        "each folder in guests/audit has its name in `languages!`"
    );
}

fn built(language: &str) -> PathBuf {
    toolchains::build(&format!("audit/{language}")).unwrap_or_else(|error| panic!("{error}"))
}

async fn conforms(language: &str, module: PathBuf) {
    let chapters = [
        ("life", life(language, &module).await),
        ("resync", resync(language, &module).await),
        ("key_only", key_only(language, &module).await),
        ("selectors", selectors(language, &module).await),
        ("refusals", refusals(language, &module).await),
    ];
    let mut different = Vec::new();
    for (chapter, journal) in chapters {
        let path = root().join(format!("tests/guest_conformance/{chapter}.txt"));
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let expected = match WITHOUT_CACHE.contains(&language) {
            true if chapter == "selectors" => continue,
            true => without_cache(&expected),
            false => expected,
        };
        if env::var_os("UPDATE_EXPECT").is_some() && !WITHOUT_CACHE.contains(&language) {
            fs::write(&path, &journal).unwrap();
        } else if let Some(difference) = difference(&expected, &journal) {
            different.push(format!("{}: {difference}", path.display()));
        }
    }
    assert!(different.is_empty(), "{language} differs:\n{}", different.join("\n"));
}

/// Objects of a namespaced kind, and everything that can happen to them.
async fn life(language: &str, module: &Path) -> String {
    let mut life = Life::begin(format!("{}-life", language.replace('_', "-"))).await;
    let deployment = |namespace: &str, name: &str, rest: Value| {
        let mut object = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "namespace": namespace, "name": name } });
        json_patch(&mut object, rest);
        object
    };
    let plain = |rest| deployment("default", "plain", rest);
    let asked = |name: &str, request: Value| {
        let annotations = json!({ "audit.informerd.dev/fail": request });
        deployment("default", name, json!({ "metadata": { "annotations": annotations } }))
    };

    life.apply(plain(json!({ "spec": { "replicas": 1 } })));
    life.apply(deployment("default", "nothing", json!({ "spec": { "list": [null] } })));
    life.apply(deployment(
        "default",
        "unicode",
        json!({ "spec": {
        "text": "größe \u{1F600} \"quoted\" back\\slash / \n\t\u{1}\u{7f}\u{85}\u{2028}\u{FEFF}end",
        "größe": { "ü": ["é", 1.50, true, {}] } } }),
    ));
    // 256 and 257 bytes of JSON, and fewer UTF-16 units than that.
    life.apply(deployment("other", "fits", json!({ "spec": { "text": "é".repeat(127) } })));
    life.apply(deployment(
        "other",
        "long",
        json!({
        "metadata": { "labels": { "app": "web", "empty": "", "example.com/a": "b-c_d.e" } },
        "spec": { "text": format!("{}x", "é".repeat(127)) } }),
    ));
    let spec = "  config:\n    apiVersion: apps/v1\n    kind: Deployment\n    page: 2\n    report:\n      \
                - /spec/replicas\n      - /spec/list/0\n      - /spec/text\n      - /spec/größe/ü\n      \
                - /metadata/annotations/example.com~1a~0b\n  \
                delivery: { maxRetries: 2, backoff: 10ms }\n";
    life.chapter("five objects that are there, and the cache that has them");
    life.load(module, spec).await;
    life.told(6).await;

    life.chapter("a value changes, comes, and goes");
    life.apply(plain(json!({ "spec": { "replicas": 2 } })));
    life.told(1).await;
    let note = |note: Value| json!({ "metadata": { "annotations": { "example.com/a~b": note } } });
    life.apply(plain(note(json!("a \"note\""))));
    life.told(1).await;
    life.apply(plain(note(Value::Null)));
    life.told(1).await;
    life.apply(deployment("default", "nothing", json!({ "spec": { "list": [0] } })));
    life.told(1).await;
    life.apply(deployment("default", "nothing", json!({ "spec": { "list": [] } })));
    life.told(1).await;

    life.chapter("something changes that is not reported");
    life.apply(plain(json!({ "metadata": { "labels": { "größer": "x", "a": "{\":,}" } } })));
    life.told(1).await;

    life.chapter("text of every kind changes");
    life.apply(deployment(
        "default",
        "unicode",
        json!({ "spec": { "text": "\u{10FFFF}", "größe": null } }),
    ));
    life.told(1).await;
    life.apply(deployment(
        "other",
        "fits",
        json!({ "spec": { "text": format!("{}\n", "é".repeat(127)) } }),
    ));
    life.told(1).await;

    life.chapter("a megabyte comes, changes in its last character, and goes");
    let huge = |end: &str| {
        let text = format!("{}{end}", "0123456789abcde\n".repeat(1 << 16));
        deployment("default", "huge", json!({ "spec": { "text": text } }))
    };
    life.apply(huge("é"));
    life.told(1).await;
    life.apply(huge("è"));
    life.told(1).await;
    life.delete("apps/v1", "Deployment", "default", "huge");
    life.told(1).await;

    life.chapter("two changes, and the cache has both when the handler is told of the first");
    let first = deployment("other", "long", json!({ "metadata": { "labels": { "app": null } } }));
    let replicas = |replicas: u32| plain(json!({ "spec": { "replicas": replicas } }));
    life.apply_behind("deployments", first, &[replicas(3), replicas(2)]).await;
    life.told(3).await;

    life.chapter("a failure that is retried until it succeeds");
    life.apply(asked("plain", json!("retry 2")));
    life.told(3).await;

    life.chapter("a failure that is retried until it is given up, and a newer state after it");
    life.apply(asked("plain", json!("retry 3")));
    life.told(3).await;
    life.apply(asked("plain", json!("retry ten times")));
    life.told(1).await;

    life.chapter("a permanent failure, and a newer state after it");
    life.apply(asked("plain", json!("permanent")));
    life.told(1).await;
    life.apply(asked("plain", Value::Null));
    life.told(1).await;

    life.chapter("a trap costs the instance each time, until the state is one that it can handle");
    life.apply(asked("bug", json!("trap")));
    life.told(3).await;
    life.apply(asked("bug", Value::Null));
    life.told(1).await;

    life.chapter("a deletion that fails once");
    life.apply(asked("bug", json!("retry 1")));
    life.told(2).await;
    life.delete("apps/v1", "Deployment", "default", "bug");
    life.told(2).await;

    life.chapter("deleted and re-created at once: another uid");
    life.delete("apps/v1", "Deployment", "default", "plain");
    life.apply(plain(json!({ "spec": { "replicas": 9 } })));
    life.told(2).await;

    life.chapter("while nobody could watch: a deletion, a re-creation, a change and something new");
    life.disconnect();
    life.delete("apps/v1", "Deployment", "default", "nothing");
    life.delete("apps/v1", "Deployment", "default", "unicode");
    life.apply(deployment("default", "unicode", json!({ "spec": { "text": "again" } })));
    life.apply(plain(json!({ "spec": { "replicas": 10 } })));
    life.apply(deployment("other", "new", json!({ "spec": { "list": [{ "a": [1, "]"] }] } })));
    life.reconnect();
    life.told(5).await;
    life.end().await
}

/// A cluster-scoped kind, only the fields, and a resync.
async fn resync(language: &str, module: &Path) -> String {
    let mut life = Life::begin(format!("{}-resync", language.replace('_', "-"))).await;
    life.apply(json!({ "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": "n-1", "labels": { "a": "b" } }, "spec": { "podCIDR": "10.0.0.0/24" } }));
    let spec = "  config:\n    kind: Node\n    detail: fields\n    report: [/spec/podCIDR, /spec]\n  \
                delivery: { resyncPeriod: 1s }\n";
    life.chapter("one object, and the same again at the first resync");
    life.load(module, spec).await;
    life.told_at_least(3).await;
    life.end().await
}

/// What the cache counts for a selector, and what it says of one that is none.
async fn selectors(language: &str, module: &Path) -> String {
    let mut journals = Vec::new();
    for (name, selector, chapter) in [
        ("some", "app in (web, api)", "those that the selector selects, one a page"),
        ("wrong", "app in (größe)", "a selector that is none: the cache's error, and life goes on"),
    ] {
        let handler = format!("{}-selects-{name}", language.replace('_', "-"));
        let mut life = Life::begin(handler).await;
        let node = |name: &str, labels: Value| {
            json!({ "apiVersion": "v1", "kind": "Node",
                "metadata": { "name": name, "labels": labels } })
        };
        life.apply(node("n-1", json!({ "app": "web" })));
        life.apply(node("n-2", json!({ "app": "other" })));
        life.apply(node("n-3", json!({ "app": "web" })));
        life.chapter(chapter);
        let spec = format!(
            "  config:\n    kind: Node\n    detail: fields\n    page: 1\n    report: [/metadata/labels]\n    \
             labelSelector: {selector}\n"
        );
        life.load(module, &spec).await;
        life.told(4).await;
        life.apply(node("n-2", json!({ "app": "web" })));
        life.told(1).await;
        journals.push(life.end().await);
    }
    journals.join("\n")
}

/// Nothing is read but the key, and nothing obeyed.
async fn key_only(language: &str, module: &Path) -> String {
    let mut life = Life::begin(format!("{}-key-only", language.replace('_', "-"))).await;
    let pod = |request: &str| {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "default", "name": "a",
            "annotations": { "audit.informerd.dev/fail": request } } })
    };
    life.apply(pod("trap"));
    let spec = "  config: { detail: key, report: [/spec] }\n";
    life.chapter("a kind and a page size by default, and an object that is never read");
    life.load(module, spec).await;
    life.told(2).await;
    life.apply(pod("permanent"));
    life.told(1).await;
    life.delete("v1", "Pod", "default", "a");
    life.told(1).await;
    life.end().await
}

/// What `init` says about configurations that it does not take.
async fn refusals(language: &str, module: &Path) -> String {
    let module = compiler().compile(&fs::read(module).unwrap()).await.unwrap();
    let many = |count: usize| json!({ "report": vec!["/a"; count] });
    let configs = [
        json!({}),
        json!({ "report": "/status/phase" }),
        json!({ "report": [] }),
        many(16),
        many(17),
        json!({ "report": ["/a", 1] }),
        json!({ "report": ["/a", null] }),
        json!({ "report": [["/a"]] }),
        json!({ "report": { "/a": "/b" } }),
        json!({ "report": ["/a", "status.phase"] }),
        json!({ "report": [""] }),
        json!({ "report": ["/\""] }),
        json!({ "report": ["/a\\"] }),
        json!({ "report": ["/a\n"] }),
        json!({ "report": ["/größe/😀/,]["] }),
        json!({ "report": ["/a"], "detail": "everything" }),
        json!({ "report": ["/a"], "detail": 1 }),
        json!({ "report": ["/a"], "page": 0 }),
        json!({ "report": ["/a"], "page": 501 }),
        json!({ "report": ["/a"], "page": 500 }),
        json!({ "report": ["/a"], "page": 4_294_967_298_u64 }),
        json!({ "report": ["/a"], "page": -1 }),
        json!({ "report": ["/a"], "page": 1.5 }),
        json!({ "report": ["/a"], "page": "2" }),
    ];
    let mut journal = String::new();
    for config in configs {
        let limits = GuestLimits { memory: 256 << 20, ..GuestLimits::default() };
        let name = format!("{language}-refusals");
        let started = StartedGuest::start(module.clone(), &name, config.to_string(), limits).await;
        let answer = match started {
            Ok(guest) => {
                let watched =
                    |it: &host::guest::WatchDeclaration| format!("{} {}", it.api_version, it.kind);
                guest.watches().iter().map(watched).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        };
        journal.push_str(&format!("{config}\n  {answer}\n"));
    }
    journal
}

/// Merges maps, replaces everything else.
fn json_patch(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                json_patch(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// A journal without the lines that need the cache.
fn without_cache(journal: &str) -> String {
    let needs_cache = |line: &&str| {
        let name = line.trim_start().split(" = ").next();
        ["newest", "objects", "pages"].contains(&name.unwrap_or_default())
    };
    journal.split_inclusive('\n').filter(|line| !needs_cache(line)).collect()
}

/// The first line that differs, with the lines before it.
fn difference(expected: &str, journal: &str) -> Option<String> {
    let (expected, journal): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), journal.lines().collect());
    let lines = expected.len().max(journal.len());
    let line = (0..lines).find(|line| expected.get(*line) != journal.get(*line))?;
    let before =
        journal[line.saturating_sub(5).min(journal.len())..line.min(journal.len())].join("\n");
    let end = "(the end)";
    Some(format!(
        "line {}:\n{before}\n-{}\n+{}",
        line + 1,
        expected.get(line).unwrap_or(&end),
        journal.get(line).unwrap_or(&end)
    ))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Forms of modules that cannot read the cache.
const WITHOUT_CACHE: &[&str] = &["stdin", "stdin_component"];

const MINUTES: Duration = Duration::from_secs(180);

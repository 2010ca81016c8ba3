//! Core modules and commands: what compilers give, without component tools. Every example does the
//! same, so that one test tells whether it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::handlers::HandlerState;
use serde_json::json;
use tests::{Dev, Event, deliveries_of, eventually, fields_said_by, said_by};

const MINUTE: Duration = Duration::from_secs(60);
const RETRY_ONCE: &str = "  delivery: { maxRetries: 1, backoff: 10ms }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_core_module_by_hand_is_a_handler() {
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/core_module/wat/labels.wat");
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("labels.wasm");
    fs::write(&module, wat::parse_file(text).unwrap()).unwrap();
    reports_labels("core_module/wat", &module, None).await;
}

/// What the host passes and what it is answered is garbage once the call is over, 60 MB of it here.
#[tokio::test(flavor = "multi_thread")]
async fn a_module_with_a_collector_stays_within_its_memory() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let spec = "  config: { kind: ConfigMap, report: [/data] }\n  limits: { memory: 32Mi, cpuPerCall: 10s }\n";
    let module = built("audit/go");
    let state = host.load("collects", module.to_str().unwrap(), spec).await;
    assert_eq!(state, HandlerState::Running);
    host.synced("collects").await;
    for n in 0..300 {
        dev.apply(&format!("large-{n}"), &n.to_string().repeat(40_000));
    }
    let ended = || deliveries_of("collects").len() >= 301;
    eventually("all of it is told", MINUTE * 3, ended).await;
    let told = deliveries_of("collects");
    assert!(told.iter().all(|it| it.ok), "{:?}", told.iter().find(|it| !it.ok));
}

/// Core modules import standard error for nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_sdk_for_core_modules_prints_before_a_trap_is_the_reason() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let annotations = json!({ "audit.informerd.dev/fail": "trap" });
    let metadata = json!({ "name": "a", "namespace": "default", "annotations": annotations });
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    dev.storage().apply(object).unwrap();
    let spec = format!("  config: {{ kind: ConfigMap, report: [/data] }}\n{RETRY_ONCE}");
    for (language, reason) in [
        ("zig", "trapped: asked to trap"),
        ("assemblyscript", "trapped: asked to trap in assembly/failing.ts:"),
    ] {
        let module = built(&format!("audit/{language}"));
        let name = format!("{language}-says-why");
        let state = host.load(&name, module.to_str().unwrap(), &spec).await;
        assert_eq!(state, HandlerState::Running);
        host.synced(&name).await;
        let dead = host.status(&name).dead_letters.pop().unwrap();
        assert!(dead.reason.contains(reason) && dead.attempts == 2, "{}", dead.reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_says_why_it_aborts_and_keeps_nothing_of_a_call() {
    keeps_nothing_of_a_call("audit/c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cpp_says_why_it_aborts_and_keeps_nothing_of_a_call() {
    keeps_nothing_of_a_call("audit/cpp").await;
}

/// An audit trail that may have 2 MiB reads 30 MiB, then does what its language does with a bug.
async fn keeps_nothing_of_a_call(guest: &str) {
    let name = format!("{}-in-2-mib", guest.replace('/', "-"));
    let dev = Dev::start().await;
    let host = dev.host().await;
    let module = built(guest);
    let spec = "  config: { kind: ConfigMap, report: [/data/value] }\n  limits: { memory: 2Mi }\n";
    let state = host.load(&name, module.to_str().unwrap(), &format!("{spec}{RETRY_ONCE}")).await;
    assert_eq!(state, HandlerState::Running);
    host.synced(&name).await;
    for n in 0..50 {
        dev.apply(&format!("big-{n}"), &"x".repeat(300_000));
    }
    eventually("all of it is told", MINUTE, || deliveries_of(&name).len() > 50).await;
    assert!(deliveries_of(&name).iter().all(|it| it.ok), "{:?}", deliveries_of(&name));
    dev.storage()
        .apply(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "bad",
            "namespace": "default", "annotations": { "audit.informerd.dev/fail": "trap" } } }))
        .unwrap();
    eventually("it is given up", MINUTE, || !host.status(&name).dead_letters.is_empty()).await;
    let dead = host.status(&name).dead_letters.pop().unwrap();
    let trap = "asked to trap (wasm trap: wasm `unreachable` instruction executed)";
    assert!(dead.reason.contains(trap) && dead.attempts == 2, "{}", dead.reason);
}

/// What the SDK of C and that of C++ pass to the host, and make of what it answers.
#[tokio::test(flavor = "multi_thread")]
async fn every_function_of_c_and_cpp_does_what_it_says() {
    let name = "every-function";
    let module = built("core_module/cpp");
    let module = module.to_str().unwrap();
    let dev = Dev::start().await;
    let host = dev.host().await;
    let apply = |name: &str, labels: serde_json::Value, value: &str| {
        dev.storage()
            .apply(json!({ "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": name, "namespace": "default", "labels": labels },
                "data": { "value": value } }))
            .unwrap();
    };
    for n in 1..=3 {
        apply(["a", "b", "c"][n - 1], json!({ "n": n.to_string() }), "ä");
    }
    apply("unlabelled", json!(null), "ä");
    let spec = "  config: { text: ü, n: 1 }\n  limits: { memory: 2Mi, cpuPerCall: 1s }\n  \
                delivery: { maxRetries: 3, backoff: 10ms }\n";
    assert_eq!(host.load(name, module, spec).await, HandlerState::Running);
    host.synced(name).await;
    let told = async |count: usize| {
        let done = || deliveries_of(name).len() >= count && host.status(name).pending == 0;
        eventually("all of it is told", MINUTE, done).await;
    };
    told(4).await;
    apply("a", json!({ "n": "1" }), "\"ö\"");
    told(5).await;
    dev.delete("a");
    told(6).await;
    apply("big", json!({ "n": "4" }), &"é".repeat(150_000));
    told(7).await;
    assert_eq!(
        said_by(name),
        [
            "config",
            "cached",
            "all",
            "selected",
            "indexed",
            "no index",
            "updated a",
            "deleted default/a",
            "read 6000040 bytes",
        ]
    );
    let no_index = r#"there is no index \"colour\": there are \"namespace\" and \"owner\""#;
    assert_eq!(
        fields_said_by(name)[..7],
        [
            r#"{"c":"{\"n\":1,\"text\":\"ü\"}ü1","cpp":"{\"n\":1,\"text\":\"ü\"}none"}"#,
            r#"{"c":"10","cpp":"{\"value\":\"ä\"}"}"#,
            r#"{"c":"a b |c |","cpp":"a b |c |"}"#,
            r#"{"c":"a c |","cpp":"a c |"}"#,
            r#"{"c":"a b c |","cpp":"a b c |"}"#,
            &*format!(r#"{{"c":"{no_index}","cpp":"{no_index}"}}"#),
            r#"{"cpp":"ä -> \"ö\"","json":"{\"apiVersion\":"}"#,
        ]
    );
    assert!(deliveries_of(name).iter().all(|it| it.ok));

    apply("later", json!({ "n": "5" }), "");
    told(10).await;
    apply("refused", json!({ "n": "6" }), "");
    told(11).await;
    let reasons: Vec<String> =
        deliveries_of(name).into_iter().skip(7).map(|it| it.reason).collect();
    assert_eq!(reasons, ["later", "whenever you like", "", "asked \"for\" it"]);

    for n in 0..1100 {
        apply(&format!("many-{n}"), json!({ "n": "7" }), "");
    }
    told(1111).await;
    apply("count", json!({ "n": "8" }), "");
    told(1112).await;
    assert_eq!(said_by(name).last().unwrap(), "counted 1106 and 1106");

    let refuse = "  config: { refuse: because }\n";
    let HandlerState::Failed(problem) = host.load("refuses", module, refuse).await else {
        panic!()
    };
    assert!(problem.ends_with("refused: because"), "{problem}");
}

fn built(guest: &str) -> PathBuf {
    toolchains::build(guest).unwrap_or_else(|error| panic!("{error}"))
}

/// Plays the life of a few config maps to an example, which stands alone: it says itself what it
/// watches. `trap`: what is in the reason when it was asked to trap.
async fn reports_labels(guest: &str, module: &Path, trap: Option<&str>) {
    let name = guest.replace(['/', '_'], "-");
    let dev = Dev::start().await;
    let host = dev.host().await;
    let apply = |name: &str, labels: serde_json::Value, value: &str| {
        dev.storage()
            .apply(json!({ "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": name, "namespace": "default", "labels": labels },
                "data": { "value": value } }))
            .unwrap();
    };
    apply("before", json!({ "a": "1" }), "1");
    let state = host.load(&name, module.to_str().unwrap(), RETRY_ONCE).await;
    assert_eq!(state, HandlerState::Running);
    host.synced(&name).await;
    let told = async |count: usize| {
        let done = || deliveries_of(&name).len() >= count && host.status(&name).pending == 0;
        eventually("all of it is told", MINUTE, done).await;
    };
    apply("before", json!({ "a": "2", "ä": null }), "1");
    told(3).await;
    apply("before", json!({ "a": "2" }), "2");
    told(4).await;
    dev.delete("before");
    told(5).await;
    apply("bare", json!(null), &"x".repeat(300_000));
    told(6).await;
    assert_eq!(
        said_by(&name),
        [
            r#"added default/before {"a":"1"}"#,
            "synced",
            r#"relabelled default/before {"a":"2"}"#,
            "deleted default/before",
            "added default/bare none",
        ]
    );
    assert!(deliveries_of(&name).iter().all(|it| it.ok));

    apply("bad", json!({ "fail": "permanent" }), "1");
    told(7).await;
    let dead = host.status(&name).dead_letters.pop().unwrap();
    assert_eq!((dead.key.name(), &*dead.reason, dead.attempts), ("bad", "asked to fail", 1));
    if let Some(trap) = trap {
        apply("worse", json!({ "fail": "trap" }), "1");
        told(9).await;
        let dead = host.status(&name).dead_letters;
        let dead = dead.iter().find(|it| it.key.name() == "worse").unwrap();
        assert!(dead.reason.contains(trap) && dead.attempts == 2, "{}", dead.reason);
        // Whatever happened, the next call finds a guest that works.
        apply("after", json!(null), "1");
        told(10).await;
        assert!(said_by(&name).contains(&"added default/after none".to_owned()));
    }
    for n in 0..200 {
        apply(&format!("many-{n}"), json!(null), &"x".repeat(n * 100));
    }
    eventually("it keeps up", MINUTE, || {
        let told = deliveries_of(&name);
        told.iter().filter(|it| it.ok && it.key.contains("many-")).count() == 200
    })
    .await;
}

/// Each is a failed delivery, tried again in a fresh instance, with a reason that says what to change.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_misbehaves_is_told_what_is_wrong() {
    let module = built("stdin/misbehaves");
    let module = module.to_str().unwrap();
    let dev = Dev::start().await;
    let host = dev.host().await;
    let watches = "  watches: [{ apiVersion: v1, kind: ConfigMap }]\n";
    let spec = format!("{watches}{RETRY_ONCE}");
    assert_eq!(host.load("misbehaves", module, &spec).await, HandlerState::Running);
    let bad = [
        ("garbage", "it printed `Hello, world!`: expected value"),
        ("other-id", "the id is 4711, and that of the line was 1"),
        ("no-result", "missing field `result`"),
        ("twice", "it printed more than one line"),
        ("silent", "flush standard output"),
        ("unended", "before it ended its own"),
        ("too-long", "it printed more than 65536 bytes"),
        ("exits", "ended (exit status 0) instead of reading the next line: the "),
        ("fails", "ended (exit status 3) instead of reading the next line: no more of this"),
        ("loops", "CPU time"),
    ];
    for (name, _) in bad {
        dev.apply(name, "1");
    }
    dev.apply("fine", "1");
    eventually("all of it is told", MINUTE, || {
        let status = host.status("misbehaves");
        status.pending == 0 && status.dead_letters.len() == bad.len()
    })
    .await;
    let dead = host.status("misbehaves").dead_letters;
    for (name, expected) in bad {
        let dead = dead.iter().find(|it| it.key.name() == name).unwrap();
        assert!(dead.reason.contains(expected), "{name}: {}", dead.reason);
        assert_eq!(dead.attempts, 2, "{name}");
    }
    let told = deliveries_of("misbehaves");
    let ok = |name: &str| told.iter().any(|it| it.ok && it.key.ends_with(name));
    assert!(ok("fine"));
    assert!(told.iter().any(|it| it.event == Event::Synced && it.ok));

    dev.apply("retries", "1");
    let only = watches.replace(" }]", ", fieldSelector: metadata.name=retries }]");
    host.load("retries-once", module, &format!("{only}{RETRY_ONCE}")).await;
    host.synced("retries-once").await;
    let reasons: Vec<String> =
        deliveries_of("retries-once").into_iter().map(|it| it.reason).collect();
    assert_eq!(reasons, ["later", "", ""], "a retry in the same instance, and that it has synced");

    for (reason, expected) in [
        ("I do not like it", "refused its configuration: I do not like it"),
        ("unasked", "it printed more than one line"),
    ] {
        let name = reason.replace(' ', "-").to_lowercase();
        let spec = format!("{watches}  config: {{ refuse: {reason} }}\n");
        let HandlerState::Failed(problem) = host.load(&name, module, &spec).await else { panic!() };
        assert!(problem.contains(expected), "{problem}");
    }
}

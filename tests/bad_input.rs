//! What bad input gets: files, modules, kinds, servers.

use std::fs;
use std::time::Duration;

use artifacts::{RECORDER, REFUSES_CONFIG, TRAPS_AT_INIT};
use dev_api_server::{ApiServer, Settings};
use host::handlers::HandlerState;
use kube::{Client, Config};
use serde_json::json;
use tests::{TestHost, deliveries_of, eventually, later_kind, problems_of};

const MINUTE: Duration = Duration::from_secs(60);
const MAPS: &str = "  watches: [{ apiVersion: v1, kind: ConfigMap }]\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_module_gets_its_own_error_and_the_good_one_runs() {
    let server = dev_server().await;
    let host = TestHost::start(client(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let broken = |name: &str| {
        let text = fs::read(format!("{}/../guests/broken/{name}.wat", env!("CARGO_MANIFEST_DIR")));
        file(name, &wat::parse_bytes(&text.unwrap()).unwrap())
    };
    let recorder = fs::read(RECORDER).unwrap();
    let handler = |name: &str, changes: &[(&str, &str)]| file(name, &changed_handler(changes));
    for (name, module, expected) in [
        ("not-wasm", file("text", b"#!/bin/sh\n"), &["not a WebAssembly module", "#!/bin/sh"][..]),
        ("empty-file", file("empty", b""), &["not a WebAssembly module"]),
        ("truncated", file("cut", &recorder[..recorder.len() / 2]), &["not a valid component"]),
        (
            "core-module",
            broken("core_module"),
            &[
                "core module",
                "missing exports watches, init, on-update",
                "missing export cabi_realloc",
            ],
        ),
        (
            "other-world",
            broken("other_world"),
            &["missing exports", "#watches", "#on-add", "#on-synced", "example:greeter/greet"],
        ),
        (
            "newer-major",
            handler("newer-major", &[("@0.1.0", "@1.0.0")]),
            &["built against version 1.0.0", "runs version 0.1.0", "wit/"],
        ),
        (
            "newer-line",
            handler("newer-line", &[("@0.1.0", "@0.2.0")]),
            &["built against version 0.2.0"],
        ),
        (
            "no-on-synced",
            handler("no-on-synced", &[("(export \"on-synced\" (func $on-synced))", "")]),
            &["missing export informerd:handler/handler@0.1.0#on-synced"],
        ),
        (
            "newer-interface",
            handler(
                "newer-interface",
                &[import("informerd:handler/http@0.1.4", "(export \"fetch\" (func))")],
            ),
            &["imports informerd:handler/http@0.1.4", "use a newer informerd"],
        ),
        (
            "newer-function",
            handler(
                "newer-function",
                &[import("informerd:handler/log@0.1.4", "(export \"flush\" (func))")],
            ),
            &["informerd:handler/log@0.1.4", "flush", "use a newer informerd"],
        ),
        (
            "wasi-http",
            handler("wasi-http", &[import("wasi:http/types@0.2.6", "")]),
            &["imports wasi:http/types@0.2.6", "no handler may use"],
        ),
        (
            "other-import",
            handler("other-import", &[import("example:greeter/greet@1.0.0", "")]),
            &["imports example:greeter/greet@1.0.0", "no handler may use"],
        ),
        (
            "other-signature",
            handler(
                "other-signature",
                &[
                    ("(param \"is-in-initial-list\" bool)", "(param \"is-in-initial-list\" u32)"),
                    ("(start $start)", ""),
                ],
            ),
            &["handler@0.1.0#on-add", "expected `bool` found `u32`", "wit/"],
        ),
        (
            "watches-traps",
            handler("watches-traps", &[("(start $start)", "")]),
            &["failed to start: in `watches` it trapped", "unreachable"],
        ),
        (
            // Of the same line and without anything new, so that it is linked and runs.
            "newer-minor",
            handler("newer-minor", &[("@0.1.0", "@0.1.9"), ("(start $start)", "")]),
            &["failed to start: in `watches` it trapped", "unreachable"],
        ),
        (
            "not-utf-8",
            handler(
                "not-utf-8",
                &[
                    (
                        "(func (export \"watches\") (result i32) unreachable)",
                        "(func (export \"watches\") (result i32) (i32.const 8))
                     (data (i32.const 8) \"\\10\\00\\00\\00\\01\\00\\00\\00\")
                     (data (i32.const 16) \"\\40\\00\\00\\00\\01\\00\\00\\00\")
                     (data (i32.const 64) \"\\ff\")",
                    ),
                    ("(start $start)", ""),
                ],
            ),
            &["failed to start: in `watches` it broke the contract", "utf-8"],
        ),
        ("start-traps", broken("start_traps"), &["failed to start", "unreachable"]),
        ("refuses", REFUSES_CONFIG.to_owned(), &["refused its configuration"]),
        ("init-traps", TRAPS_AT_INIT.to_owned(), &["failed to start", "trapped"]),
        ("no-watches", RECORDER.to_owned(), &["watches nothing", "spec.watches"]),
    ] {
        let watches = if name == "no-watches" { "" } else { MAPS };
        let state = host.load(name, &module, watches).await;
        let HandlerState::Failed(problem) = state else { panic!("{name}: {state:?}") };
        for words in expected {
            assert!(problem.contains(words), "{name}: {problem:?} without {words:?}");
        }
        assert_eq!(problems_of(name), [problem], "{name}: reported once");
    }
    assert_eq!(host.load("good-one", RECORDER, MAPS).await, HandlerState::Running);
    host.synced("good-one").await;
    assert!(host.host.handlers().is_ready(), "broken handlers do not hold back the others");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind_is_named_with_the_closest_ones_and_waited_for() {
    let server = dev_server().await;
    let host = TestHost::start(client(&server)).await;
    let spec = "  watches: [{ apiVersion: apps/v1, kind: Deploymnet }]\n";
    host.begin_load("typo", RECORDER, spec);
    eventually("the problem is reported", MINUTE, || !problems_of("typo").is_empty()).await;
    let problem = &problems_of("typo")[0];
    assert!(problem.contains("Deploymnet of apps/v1"), "{problem}");
    assert!(problem.contains("closest: apps/v1 Deployment"), "{problem}");

    let spec = "  watches: [{ apiVersion: example.com/v1, kind: Later }]\n";
    host.begin_load("early", RECORDER, spec);
    eventually("it waits", MINUTE, || !problems_of("early").is_empty()).await;
    server.storage().apply(later_kind()).unwrap();
    assert_eq!(host.host.handlers().settled("early").await, Some(HandlerState::Running));

    let spec = "  watches: [{ apiVersion: v1, kind: Node, namespaces: [a] }]\n";
    let HandlerState::Failed(problem) = host.load("scope", RECORDER, spec).await else { panic!() };
    assert!(problem.contains("cluster-scoped"), "{problem}");
    let spec = "  watches: [{ apiVersion: v1, kind: Pod, namespaces: [\"\"] }]\n";
    let HandlerState::Failed(problem) = host.load("empty", RECORDER, spec).await else { panic!() };
    assert!(problem.contains("names the namespace \"\""), "{problem}");
    let spec =
        "  watches: [{ apiVersion: v1, kind: Pod, namespaces: ['x/services/y:80/proxy'] }]\n";
    let HandlerState::Failed(problem) = host.load("path", RECORDER, spec).await else { panic!() };
    assert!(problem.contains("cannot exist"), "{problem}");
    let spec = "  watches: [{ apiVersion: v1/namespaces/x, kind: Pod }]\n";
    let HandlerState::Failed(problem) = host.load("version", RECORDER, spec).await else {
        panic!()
    };
    assert!(problem.contains("v1/namespaces/x"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_waited_for() {
    let server = dev_server().await;
    let address = server.local_addr();
    let client = client(&server);
    server.shutdown().await;
    let host = TestHost::start(client).await;
    host.begin_load("patient", RECORDER, MAPS);
    eventually("it says so", MINUTE, || !problems_of("patient").is_empty()).await;
    assert!(!host.host.handlers().is_ready());

    let server = ApiServer::bind(address, Settings::default()).await.unwrap();
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
    server.storage().apply(map).unwrap();
    host.synced("patient").await;
    assert!(host.host.handlers().is_ready());
    assert_eq!(deliveries_of("patient").len(), 2, "the object, and that this was all");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_objects_are_delivered_and_do_not_hold_back_the_rest() {
    let server = dev_server().await;
    let mut deep = json!(1);
    for _ in 0..120 {
        deep = json!([deep]);
    }
    let object = |name: &str, data: serde_json::Value| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "default" }, "data": data })
    };
    let huge = "x".repeat(3 << 20);
    for object in [
        object("deep", deep),
        object("huge", json!({ "value": huge })),
        object("unicode", json!({ "🦀": "\u{0}\u{fffd}\u{10ffff}" })),
        object("plain", json!({})),
    ] {
        server.storage().apply(object).unwrap();
    }
    let host = TestHost::start(client(&server)).await;
    host.load("odd", RECORDER, MAPS).await;
    host.synced("odd").await;
    let deliveries = deliveries_of("odd");
    assert_eq!(deliveries.len(), 5);
    assert!(deliveries.iter().all(|it| it.ok), "{deliveries:?}");
}

/// `guests/broken/start_traps.wat` with these words replaced, compiled.
fn changed_handler(changes: &[(&str, &str)]) -> Vec<u8> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/broken/start_traps.wat");
    let mut text = fs::read_to_string(file).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in {file}");
        text = text.replace(from, to);
    }
    wat::parse_str(text).unwrap()
}

/// The change that adds an import.
fn import(name: &str, exports: &str) -> (&'static str, &'static str) {
    let import = format!("(component (import {name:?} (instance {exports}))");
    ("(component", Box::leak(import.into()))
}

async fn dev_server() -> ApiServer {
    ApiServer::bind(([127, 0, 0, 1], 0).into(), Settings::default()).await.unwrap()
}

fn client(server: &ApiServer) -> Client {
    let mut config = Config::new(server.url().parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

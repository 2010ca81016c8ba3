//! Every function of the contract, called by modules of every version of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use artifacts::{POD_OWNERS, TOUR};
use dev_api_server::{ApiServer, Settings, Storage};
use host::handlers::HandlerState;
use kube::{Client, Config};
use serde_json::{Value, json};
use tests::{
    TestHost, deliveries_of, eventually, fields_said_by, later_kind, problems_of, said_by,
};

const MINUTE: Duration = Duration::from_secs(60);

/// What the guest `tour` says, as long as there is a contract.
const TOUR_SAYS: [&str; 16] = [
    r#"init: config {"namespace":"default","number":7,"text":"hello \"you\""} number Some("7") text Some("hello \"you\"") absent None None; [] cached"#,
    r#"add /v1/ConfigMap default/a initial true: Some("\"1\"") Some("1") agree true"#,
    r#"cache: itself a; pages [a]; red [a]; by namespace [a]; by owner []; secrets []; bad selector (…); bad index (…)"#,
    "synced",
    r#"add /v1/ConfigMap default/b initial false: Some("\"1\"") Some("1") agree true"#,
    r#"cache: itself b; pages [a] [b]; red [a]; by namespace [a b]; by owner []; secrets []; bad selector (…); bad index (…)"#,
    r#"update /v1/ConfigMap default/a: Some("\"1\"") Some("1") agree true -> Some("\"2\"") Some("2") agree true"#,
    r#"add /v1/ConfigMap default/later initial false: Some("\"1\"") Some("1") agree true"#,
    r#"cache: itself later; pages [a] [b] [later]; red [a]; by namespace [a b later]; by owner []; secrets []; bad selector (…); bad index (…)"#,
    r#"add /v1/ConfigMap default/later initial false: Some("\"1\"") Some("1") agree true"#,
    r#"cache: itself later; pages [a] [b] [later]; red [a]; by namespace [a b later]; by owner []; secrets []; bad selector (…); bad index (…)"#,
    r#"add /v1/ConfigMap default/refused initial false: None None agree true"#,
    r#"cache: itself refused; pages [a] [b] [later] [refused]; red [a]; by namespace [a b later refused]; by owner []; secrets []; bad selector (…); bad index (…)"#,
    r#"delete /v1/ConfigMap default/a unknown false: Some("\"2\"") Some("2") agree true, not in the cache"#,
    r#"add /v1/ConfigMap default/a initial false: Some("\"3\"") Some("3") agree true"#,
    r#"cache: itself a; pages [a] [b] [later] [refused]; red [a]; by namespace [a b later refused]; by owner []; secrets []; bad selector (…); bad index (…)"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn modules_of_all_versions_see_the_same() {
    let mut modules = vec![("tour-now".to_owned(), TOUR.to_owned())];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract");
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|it| it == "wasm") {
            let version = file.file_stem().unwrap().to_str().unwrap().replace('.', "-");
            modules.push((format!("tour-{version}"), file.to_str().unwrap().to_owned()));
        }
    }
    assert!(modules.iter().any(|(name, _)| name == "tour-0-1-0"), "the first one is kept");

    let server = dev_server().await;
    let storage = server.storage();
    let host = TestHost::start(client(&server)).await;
    let map = |name: &str, value: Value| {
        let labels = json!({ "color": if name == "a" { "red" } else { "blue" } });
        let metadata = json!({ "name": name, "namespace": "default", "labels": labels });
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
            "data": { "value": value } });
        storage.apply(object).unwrap();
    };
    map("a", json!("1"));
    storage
        .apply(json!({ "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "s", "namespace": "default" } }))
        .unwrap();
    let spec = "  config: { number: 7, text: 'hello \"you\"', namespace: default }\n  \
                delivery: { maxRetries: 1 }\n";
    for (name, wasm) in &modules {
        assert_eq!(host.load(name, wasm, spec).await, HandlerState::Running, "{name}");
    }
    // Step by step, since the order of different objects is no promise.
    let said = async |lines: usize| {
        let all = || modules.iter().all(|(name, _)| said_by(name).len() >= lines);
        eventually(&format!("all say {lines} lines"), MINUTE, all).await;
    };
    said(4).await;
    map("b", json!("1"));
    said(6).await;
    map("a", json!("2"));
    said(7).await;
    map("later", json!("1"));
    said(11).await;
    map("refused", json!(null));
    said(13).await;
    storage.delete("v1", "ConfigMap", "default", "a").unwrap();
    said(14).await;
    map("a", json!("3"));
    said(16).await;
    for (name, _) in &modules {
        let said: Vec<String> = said_by(name).iter().map(|line| without_reasons(line)).collect();
        assert_eq!(said, TOUR_SAYS, "{name}");
        assert!(fields_said_by(name).iter().all(|it| it == r#"{"by":"tour"}"#), "{name}");
        let refused: Vec<_> = deliveries_of(name).into_iter().filter(|it| !it.ok).collect();
        let reasons: Vec<&str> = refused.iter().map(|it| &*it.reason).collect();
        assert_eq!(reasons, ["asked to retry", "asked to refuse"], "{name}");
        assert_eq!(problems_of(name).len(), 1, "that Secrets are not granted: {name}");
    }
}

/// The words of an error are no promise.
fn without_reasons(line: &str) -> String {
    let Some(start) = line.find("bad selector (") else { return line.to_owned() };
    let (head, errors) = line.split_at(start);
    assert!(errors.contains("color in red") && errors.contains("\"color\""), "{errors}");
    format!("{head}bad selector (…); bad index (…)")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_takes_asks_and_passes_so_much_and_no_more() {
    let server = dev_server().await;
    let host = TestHost::start(client(&server)).await;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
    server.storage().apply(map).unwrap();
    for (name, task, expected) in [
        ("many-tickets", "tickets", "broke the contract: asked for more than 1024 objects"),
        ("many-calls", "calls", "called its imports more than 10000 times"),
        ("many-bytes", "bytes", "too much data is being copied"),
    ] {
        let spec = format!(
            "  config: {{ task: {task} }}\n  delivery: {{ maxRetries: 1, backoff: 1ms }}\n  \
             limits: {{ cpuPerCall: 10s }}\n"
        );
        host.load(name, TOUR, &spec).await;
        host.synced(name).await;
        let failed = deliveries_of(name).into_iter().find(|it| !it.ok).unwrap();
        assert!(failed.reason.contains(expected), "{name}: {}", failed.reason);
        let inits: Vec<String> =
            said_by(name).into_iter().filter(|line| line.starts_with("init")).collect();
        assert_eq!(inits.len(), 3, "the instance is lost each time, and made anew for on-synced");
        assert!(inits.iter().all(|line| line.ends_with("; [] cached")), "{inits:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_can_be_read_and_its_informer_ends_with_the_handler() {
    let server = dev_server().await;
    let storage = server.storage();
    let host = TestHost::start(client(&server)).await;
    let deployment = apply_owned(&storage, "apps/v1", "Deployment", "web", None);
    let replica_set = apply_owned(&storage, "apps/v1", "ReplicaSet", "web-1", Some(&deployment));
    for pod in ["web-1-a", "web-1-b"] {
        apply_owned(&storage, "v1", "Pod", pod, Some(&replica_set));
    }
    let read = "  grants: { read: [{ apiVersion: apps/v1, kind: ReplicaSet, namespaces: [demo] }, \
                { apiVersion: apps/v1, kind: Deployment }] }\n";
    assert_eq!(host.load("granted", POD_OWNERS, read).await, HandlerState::Running);
    assert_eq!(host.load("denied", POD_OWNERS, "").await, HandlerState::Running);
    host.synced("granted").await;
    host.synced("denied").await;
    let owned = "; of ReplicaSet web-1 (0 of 3 available); of Deployment web (0 of 3 available)";
    for pod in ["web-1-a", "web-1-b"] {
        let line = |handler: &str| {
            let start = format!("demo/{pod} fails: Evicted, and 1 more of its owner's");
            let line = said_by(handler).into_iter().find(|line| line.starts_with(&start));
            line.expect("each failing pod is told of")[start.len()..].to_owned()
        };
        assert_eq!(line("granted"), owned);
        assert_eq!(line("denied"), "; of ReplicaSet web-1", "the pod itself says that much");
    }
    let fields: Value = serde_json::from_str(&fields_said_by("granted")[0]).unwrap();
    assert_eq!((&fields["deployment"], &fields["reason"]), (&json!("web"), &json!("Evicted")));
    assert!(problems_of("granted").is_empty());
    assert!(problems_of("denied")[0].contains("apps/v1 ReplicaSet in demo"));

    let kinds = || {
        let informers = host.host.handlers().informers().into_iter();
        let mut kinds: Vec<String> = informers.map(|(it, _)| it.kind.kind).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(), ["Deployment", "Pod", "ReplicaSet"]);
    host.host.handlers().remove("granted", MINUTE).await;
    eventually("only the watched kind is followed", MINUTE, || kinds() == ["Pod"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_waits_for_what_it_may_read() {
    let server = dev_server().await;
    let host = TestHost::start(client(&server)).await;
    apply_owned(&server.storage(), "v1", "Pod", "failing", None);
    let read = "  grants: { read: [{ apiVersion: example.com/v1, kind: Later }] }\n";
    host.begin_load("waiting", POD_OWNERS, read);
    eventually("it says so", MINUTE, || !problems_of("waiting").is_empty()).await;
    assert!(problems_of("waiting")[0].contains("Later of example.com/v1"));
    assert!(deliveries_of("waiting").is_empty(), "nothing is handled without the rest");
    server.storage().apply(later_kind()).unwrap();
    assert_eq!(host.host.handlers().settled("waiting").await, Some(HandlerState::Running));
    host.synced("waiting").await;
    assert_eq!(deliveries_of("waiting").len(), 2, "the pod, and that this was all");
}

/// Applies an object of three replicas, of which none is available; gives its owner reference.
fn apply_owned(
    storage: &Storage,
    api_version: &str,
    kind: &str,
    name: &str,
    owner: Option<&Value>,
) -> Value {
    let metadata = json!({ "name": name, "namespace": "demo",
        "ownerReferences": owner.into_iter().collect::<Vec<_>>() });
    let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata,
        "spec": { "replicas": 3 }, "status": { "phase": "Failed", "reason": "Evicted" } });
    let applied = storage.apply(object).unwrap();
    json!({ "apiVersion": api_version, "kind": kind, "name": name, "controller": true,
        "uid": applied["metadata"]["uid"] })
}

async fn dev_server() -> ApiServer {
    ApiServer::bind(([127, 0, 0, 1], 0).into(), Settings::default()).await.unwrap()
}

fn client(server: &ApiServer) -> Client {
    Client::try_from(Config::new(server.url().parse().unwrap())).unwrap()
}

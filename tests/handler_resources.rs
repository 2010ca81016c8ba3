//! Handlers that are custom resources: applied, changed and deleted; what they may see; what their statuses say.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use artifacts::{NO_OP, RECORDER};
use control_plane::ControlPlane;
use host::handlers::{HandlerState, ResourcePolicy};
use http::{Method, Request, StatusCode};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tests::{
    Dev, Event, Faults, Kind, ModulesFolder, TcpProxy, TestHost, apply, condition, config_map,
    config_maps, create, create_handler_kind, deliveries_of, eventually, handler_kind,
    handler_resource, handlers_in, holds, hostile_guest, reported,
};
use tokio::time::sleep;

/// What the server takes and what it refuses.
mod schema;

const MINUTE: Duration = Duration::from_secs(60);

fn maps(module: &str) -> Value {
    json!({ "module": { "path": module }, "watches": [{ "apiVersion": "v1", "kind": "ConfigMap" }] })
}

fn verdict(status: &Value, kind: &str) -> String {
    let condition = condition(status, kind);
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    format!("{} {}", text("status"), text("reason"))
}

async fn gone(host: &TestHost, name: &str) {
    let is_gone = || host.host.handlers().status(name).is_none();
    eventually(&format!("{name} is removed"), MINUTE, is_gone).await;
}

async fn delete(kind: &Kind, name: &str) {
    kind.delete(name, &DeleteParams::default()).await.unwrap();
}

/// The host with the rights of deploy/rbac.yaml, and of nothing more than what its handlers watch.
#[tokio::test(flavor = "multi_thread")]
async fn a_custom_resource_is_a_handler_and_its_status_says_how_it_goes() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_handler_kind(&client).await;
    grant_what_the_host_needs(&client).await;
    let restricted = control_plane.restricted_kubeconfig_path();
    let restricted = host::api_server::connect(Some(restricted), None).await.unwrap();
    let modules = ModulesFolder::of(&[("recorder.wasm", RECORDER)]);
    fs::write(modules.path().join("garbage.wasm"), "no wasm").unwrap();
    let (kind, objects) = (handlers_in(&client, "default"), config_maps(&client));
    apply(&objects, &config_map("a", "1")).await;
    let host = TestHost::start(restricted.clone()).await;
    host.host.follow_resources(modules.policy(&[]));

    // What its account may not do yet.
    apply(&kind, &handler_resource("life", maps("recorder.wasm"))).await;
    let name = "default/life";
    let is_forbidden = |status: &Value| verdict(status, "Ready") == "False Forbidden";
    let status = reported(&kind, "life", "what is forbidden", is_forbidden).await;
    let message = condition(&status, "Degraded")["message"].as_str().unwrap();
    assert!(message.contains("default/default may not list, watch configmaps"), "{message}");
    bind(&client, "maps", Some("default"), &default_account("default")).await;
    let status = reported(&kind, "life", "Ready", |status| holds(status, "Ready")).await;
    assert_eq!(verdict(&status, "Ready"), "True Running");
    assert_eq!(verdict(&status, "ModuleLoaded"), "True Loaded");
    assert_eq!(verdict(&status, "Synced"), "True InitialListsHandled");
    assert_eq!(verdict(&status, "Degraded"), "False AsExpected");
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["digest"].as_str(), host.status(name).digest.as_deref());
    let columns = columns(&client).await;
    assert_eq!(columns[..3], ["Name=life", "Ready=True", "Reason=Running"], "{columns:?}");
    let rest: Vec<&str> = columns[3..].iter().filter_map(|it| it.split('=').next()).collect();
    assert_eq!(rest, ["Digest", "Events", "Errors", "Age"]);

    // What is written makes nobody write again.
    let is_counted = |status: &Value| status["counters"]["delivered"].as_u64() > Some(0);
    reported(&kind, "life", "a delivery", is_counted).await;
    let version = kind.get("life").await.unwrap().resource_version();
    sleep(Duration::from_secs(2)).await;
    let now = kind.get("life").await.unwrap();
    assert_eq!((now.resource_version(), now.metadata.generation), (version, Some(1)));

    // The next generation.
    let mut spec = maps("recorder.wasm");
    spec["config"] = json!({ "fail": "retry", "failName": "none" });
    apply(&kind, &handler_resource("life", spec)).await;
    let is_second = |status: &Value| status["observedGeneration"] == 2;
    let status = reported(&kind, "life", "the second generation", is_second).await;
    assert!(holds(&status, "Ready") && !holds(&status, "Degraded"), "{status:#}");
    assert_eq!(host.status(name).generation, 2);

    // One that cannot be used: the one before goes on.
    for (module, generation, expected) in [
        ("garbage.wasm", 3, "not a WebAssembly module"),
        ("missing.wasm", 4, "spec.module.path missing.wasm: No such file"),
    ] {
        apply(&kind, &handler_resource("life", maps(module))).await;
        let is_it = |status: &Value| status["observedGeneration"] == generation;
        let status = reported(&kind, "life", module, is_it).await;
        assert_eq!(verdict(&status, "Ready"), "True Running");
        assert_eq!(verdict(&status, "Degraded"), "True LoadFailed");
        let message = condition(&status, "Degraded")["message"].as_str().unwrap();
        assert!(message.contains(expected) && message.contains("goes on"), "{message}");
        assert!(status["lastError"].as_str().unwrap().contains(expected), "{status:#}");
        assert_eq!(host.status(name).generation, 2);
        apply(&objects, &config_map("a", module)).await;
        let version = objects.get("a").await.unwrap().resource_version();
        let is_told = || deliveries_of(name).last().map(|it| it.rv.clone()) == version;
        eventually("the old one goes on", MINUTE, is_told).await;
    }
    // The file comes later.
    fs::copy(NO_OP, modules.path().join("missing.wasm")).unwrap();
    let is_better = |status: &Value| !holds(status, "Degraded");
    let is_third = || host.status(name).generation == 3;
    eventually("the module that came", MINUTE, is_third).await;
    let status = reported(&kind, "life", "that it is well again", is_better).await;
    assert!(status["lastError"].as_str().unwrap().contains("missing.wasm"), "it can still be read");

    // Another host: what has not changed keeps its time.
    let since = |status: &Value| condition(status, "Degraded")["lastTransitionTime"].clone();
    let before = since(&status);
    drop(host);
    sleep(Duration::from_secs(1)).await;
    let host = TestHost::start(restricted).await;
    host.host.follow_resources(modules.policy(&[]));
    eventually("it is there", MINUTE, || host.host.handlers().status(name).is_some()).await;
    host.synced(name).await;
    let status = reported(&kind, "life", "Ready", |status| holds(status, "Ready")).await;
    assert_eq!(since(&status), before);

    delete(&kind, "life").await;
    gone(&host, name).await;

    // A finalizer of somebody else keeps the object, and not the handler.
    let mut stuck = handler_resource("stuck", maps("recorder.wasm"));
    stuck.metadata.finalizers = Some(vec!["example.com/stuck".to_owned()]);
    apply(&kind, &stuck).await;
    reported(&kind, "stuck", "Ready", |status| holds(status, "Ready")).await;
    delete(&kind, "stuck").await;
    gone(&host, "default/stuck").await;
    let is_deleting = |status: &Value| verdict(status, "Ready") == "False Deleting";
    reported(&kind, "stuck", "that it is being deleted", is_deleting).await;
    let finalizers = json!({ "metadata": { "finalizers": null } });
    kind.patch("stuck", &PatchParams::default(), &Patch::Merge(finalizers)).await.unwrap();
    // The name is free.
    let is_free = async || kind.get_opt("stuck").await.unwrap().is_none();
    while !is_free().await {
        sleep(Duration::from_millis(100)).await;
    }
    apply(&kind, &handler_resource("stuck", maps("recorder.wasm"))).await;
    reported(&kind, "stuck", "Ready", |status| holds(status, "Ready")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_sees_its_own_namespace_and_is_removed_when_its_deletion_is_known() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_handler_kind(&client).await;
    let namespaces = ["team-a", "team-b", "team-c"];
    let modules = ModulesFolder::of(&[("recorder.wasm", RECORDER)]);
    create(&client, maps_role()).await;
    bind(&client, "maps", None, &default_account("team-c")).await;
    for namespace in namespaces {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": namespace } });
        create(&client, object).await;
        if namespace != "team-c" {
            bind(&client, "maps", Some(namespace), &default_account(namespace)).await;
        }
        let mut object = config_map(&format!("of-{namespace}"), "1");
        object.metadata.namespace = Some(namespace.to_owned());
        let maps: Kind = Api::namespaced_with(client.clone(), namespace, &config_map_kind());
        apply(&maps, &object).await;
    }
    let proxy = TcpProxy::before(&control_plane).await;
    let host = TestHost::start(proxy.client(&control_plane).await).await;
    host.host.follow_resources(modules.policy(&["team-c"]));

    // Of one name, in several namespaces.
    for namespace in namespaces {
        let kind = handlers_in(&client, namespace);
        apply(&kind, &handler_resource("same", maps("recorder.wasm"))).await;
    }
    for namespace in namespaces {
        let kind = handlers_in(&client, namespace);
        reported(&kind, "same", "Ready", |status| holds(status, "Ready")).await;
        let seen: BTreeSet<String> =
            deliveries_of(&format!("{namespace}/same")).into_iter().map(|it| it.key).collect();
        for other in namespaces {
            let is_seen = seen.contains(&format!("{other}/of-{other}"));
            let expected = other == namespace || namespace == "team-c";
            assert_eq!(is_seen, expected, "{namespace} and what is in {other}");
        }
    }
    let kind = handlers_in(&client, "team-a");
    let watch = |watch: Value| json!({ "module": { "path": "recorder.wasm" }, "watches": [watch] });
    for (name, watch, expected) in [
        (
            "reaches",
            watch(json!({ "apiVersion": "v1", "kind": "ConfigMap", "namespaces": ["team-b"] })),
            "names the namespace \"team-b\", and this handler sees only its own, \"team-a\"",
        ),
        (
            "cluster",
            watch(json!({ "apiVersion": "v1", "kind": "Node" })),
            "Node of v1 is cluster-scoped, and this handler sees only its own namespace",
        ),
    ] {
        apply(&kind, &handler_resource(name, watch)).await;
        let is_judged = |status: &Value| holds(status, "Degraded");
        let status = reported(&kind, name, "why not", is_judged).await;
        assert_eq!(verdict(&status, "Ready"), "False LoadFailed");
        let message = condition(&status, "Ready")["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
        assert!(deliveries_of(&format!("team-a/{name}")).is_empty());
    }

    // The server cannot be reached: nothing changes, and nothing that happens meanwhile is lost.
    proxy.cut();
    delete(&handlers_in(&client, "team-b"), "same").await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(host.status("team-b/same").state, HandlerState::Running);
    proxy.mend();
    gone(&host, "team-b/same").await;
    assert_eq!(host.status("team-a/same").state, HandlerState::Running);
    assert_eq!(host.status("team-a/same").generation, 1);
}

/// F58: many at once, half of them deleted while they are loaded.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_custom_resources_are_loaded_a_few_at_a_time() {
    const COUNT: usize = 1000;
    let dev = Dev::start().await;
    let storage = dev.storage();
    storage.apply(handler_kind()).unwrap();
    let modules = ModulesFolder::of(&[("no_op.wasm", NO_OP)]);
    let host = TestHost::start(dev.client()).await;
    host.host.follow_resources(modules.policy(&[]));
    let key = |n: usize| (format!("many-{}", n % 10), format!("handler-{n}"));
    for n in 0..COUNT {
        let (namespace, name) = key(n);
        let mut object = serde_json::to_value(handler_resource(&name, maps("no_op.wasm"))).unwrap();
        object["metadata"]["namespace"] = namespace.into();
        storage.apply(object).unwrap();
    }
    let handlers = host.host.handlers();
    let loading = || {
        let statuses = handlers.statuses().into_iter();
        statuses.filter(|status| status.state == HandlerState::Loading).count()
    };
    let mut loading_most = 0;
    eventually("some are loaded", MINUTE, || {
        loading_most = loading_most.max(loading());
        handlers.statuses().len() > 20
    })
    .await;
    for n in (1..COUNT).step_by(2) {
        let (namespace, name) = key(n);
        storage.delete("informerd.dev/v1alpha1", "Handler", &namespace, &name).unwrap();
    }
    let expected: BTreeSet<String> = (0..COUNT)
        .step_by(2)
        .map(|n| {
            let (namespace, name) = key(n);
            format!("{namespace}/{name}")
        })
        .collect();
    eventually("what is left runs, and nothing else", 5 * MINUTE, || {
        loading_most = loading_most.max(loading());
        let statuses = handlers.statuses();
        let names: BTreeSet<String> = statuses.iter().map(|it| it.name.clone()).collect();
        names == expected && statuses.iter().all(|it| it.state == HandlerState::Running)
    })
    .await;
    assert!((1..=16).contains(&loading_most), "{loading_most} were loaded at a time");
    let is_ready = |object: &Value| holds(&object["status"], "Ready");
    let is_all_reported = || {
        expected.iter().all(|key| {
            let (namespace, name) = key.split_once('/').unwrap();
            let object = storage.get("informerd.dev/v1alpha1", "Handler", namespace, name);
            object.is_some_and(|object| is_ready(&object))
        })
    };
    eventually("every status says so", 3 * MINUTE, is_all_reported).await;
}

/// More of them than are loaded at a time, each of which starts for as long as it may.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_whose_handlers_load_slowly_keeps_no_other_waiting() {
    let dev = Dev::start().await;
    let storage = dev.storage();
    storage.apply(handler_kind()).unwrap();
    let modules = ModulesFolder::of(&[("no_op.wasm", NO_OP)]);
    fs::write(modules.path().join("slow.wasm"), hostile_guest("says_at_start", &[])).unwrap();
    let host = TestHost::start(dev.client()).await;
    host.host.follow_resources(modules.policy(&[]));
    let create = |namespace: &str, name: &str, spec: Value| {
        let mut object = serde_json::to_value(handler_resource(name, spec)).unwrap();
        object["metadata"]["namespace"] = namespace.into();
        storage.apply(object).unwrap();
    };
    let mut slow = maps("slow.wasm");
    slow["limits"] = json!({ "cpuAtStart": "30s" });
    for n in 0..20 {
        create("slow", &format!("slow-{n}"), slow.clone());
    }
    let handlers = host.host.handlers();
    let loading = || handlers.statuses().len();
    eventually("as many are loaded as may be", MINUTE, || loading() == 8).await;
    create("other", "quick", maps("no_op.wasm"));
    let is_there = || handlers.status("other/quick").is_some();
    eventually("the other one is loaded", MINUTE / 6, is_there).await;
    host.synced("other/quick").await;
    assert_eq!(loading(), 8 + 1);
}

/// A server that does not serve the kind yet, and then takes what a later host would understand.
#[tokio::test(flavor = "multi_thread")]
async fn the_kind_is_waited_for_and_what_cannot_be_read_is_said_in_the_status() {
    let dev = Dev::start().await;
    let storage = dev.storage();
    let modules = ModulesFolder::of(&[("recorder.wasm", RECORDER)]);
    let host = TestHost::start(dev.client()).await;
    host.host.follow_resources(modules.policy(&[]));
    sleep(Duration::from_millis(500)).await;
    storage.apply(handler_kind()).unwrap();
    let client = dev.client();
    let kind = handlers_in(&client, "default");
    let of_later = json!({ "module": { "path": "recorder.wasm" }, "retired": true });
    apply(&kind, &handler_resource("later", of_later)).await;
    let is_judged = |status: &Value| holds(status, "Degraded");
    let status = reported(&kind, "later", "why not", is_judged).await;
    assert_eq!(verdict(&status, "Ready"), "False InvalidSpec");
    let message = condition(&status, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("unknown field `retired`"), "{message}");
    assert!(host.host.handlers().status("default/later").is_none());

    // What runs goes on when its resource becomes one that cannot be read.
    let replaced = |spec: Value| {
        let mut object = serde_json::to_value(handler_resource("later", spec)).unwrap();
        object["metadata"]["namespace"] = "default".into();
        storage.delete("informerd.dev/v1alpha1", "Handler", "default", "later").unwrap();
        storage.apply(object).unwrap();
    };
    replaced(maps("recorder.wasm"));
    reported(&kind, "later", "Ready", |status| holds(status, "Ready")).await;
    let unknown = json!({ "spec": { "retired": true } });
    kind.patch("later", &PatchParams::default(), &Patch::Merge(unknown)).await.unwrap();
    let status = reported(&kind, "later", "why not", is_judged).await;
    assert_eq!(verdict(&status, "Ready"), "True Running");
    assert_eq!(verdict(&status, "Degraded"), "True LoadFailed");
    dev.apply("a", "1");
    let is_told = || {
        let told = deliveries_of("default/later");
        told.iter().any(|it| it.event == Event::Add && it.key == "default/a")
    };
    eventually("it goes on", MINUTE, is_told).await;

    // Without a folder there are no modules by path; another host says so, and what it cannot load is not
    // what the first one runs.
    let other = TestHost::start(dev.client()).await;
    other.host.follow_resources(ResourcePolicy::default());
    apply(&handlers_in(&client, "other"), &handler_resource("x", maps("recorder.wasm"))).await;
    sleep(Duration::from_secs(1)).await;
    assert!(other.host.handlers().statuses().is_empty());
    drop(other);

    // The kind goes, and with it what it describes.
    let name = "handlers.informerd.dev";
    storage.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name).unwrap();
    gone(&host, "default/later").await;
}

/// Conflicts and errors of the server delay what is written, and are not answered with a storm of requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_the_server_does_not_take_is_written_later() {
    let dev = Dev::start().await;
    dev.storage().apply(handler_kind()).unwrap();
    let modules = ModulesFolder::of(&[("recorder.wasm", RECORDER)]);
    let refusals = [StatusCode::CONFLICT, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::CONFLICT];
    let faults = Faults::answering(Method::PATCH, "/handlers/unlucky/status", refusals);
    let host = TestHost::start(faults.before(dev.client())).await;
    host.host.follow_resources(modules.policy(&[]));
    let kind = handlers_in(&dev.client(), "default");
    apply(&kind, &handler_resource("unlucky", maps("recorder.wasm"))).await;
    reported(&kind, "unlucky", "Ready", |status| holds(status, "Ready")).await;
    let asked = faults.asked();
    assert!(asked.len() > refusals.len(), "{asked:?}");
    // A second, two and four, less a fifth.
    for (pair, wait_ms) in asked.windows(2).zip([800, 1600, 3200]) {
        let waited = pair[1] - pair[0];
        assert!(waited >= Duration::from_millis(wait_ms), "only {waited:?} in {asked:?}");
    }
    // Who was refused is no slower afterwards, and says nothing without a reason.
    let count = faults.asked().len();
    sleep(Duration::from_secs(3)).await;
    assert!(faults.asked().len() <= count + 1, "{:?}", faults.asked());
    assert!(holds(&kind.get("unlucky").await.unwrap().data["status"], "Ready"));
}

/// A host that does not know yet what it is to run must not get traffic; one in whose cluster nobody has installed
/// the kind serves its directory.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_not_ready_before_the_first_list_of_custom_resources_is_applied() {
    let dev = Dev::start().await;
    let modules = ModulesFolder::of(&[("recorder.wasm", RECORDER)]);
    let faults = Faults::holding(Method::GET, "/handlers");
    let host = TestHost::start(faults.before(dev.client())).await;
    assert!(host.get("/readyz").await.0, "nothing is asked of it");
    host.host.follow_resources(modules.policy(&[]));
    assert!(!host.host.handlers().is_ready(), "it does not know what the server has");
    let is_known = || host.host.handlers().is_ready();
    eventually("the server does not serve the kind", MINUTE, is_known).await;
    let (is_ready, body) = host.get("/readyz").await;
    assert!(
        is_ready && body.contains("custom resources: waiting: the server does not serve"),
        "{body}"
    );

    dev.storage().apply(handler_kind()).unwrap();
    let kind = handlers_in(&dev.client(), "default");
    apply(&kind, &handler_resource("early", maps("recorder.wasm"))).await;
    eventually("the list is asked for", MINUTE, || !faults.asked().is_empty()).await;
    let (is_ready, body) = host.get("/readyz").await;
    assert!(
        !is_ready && body.contains("custom resources: the first list is not applied"),
        "{body}"
    );
    assert!(host.host.handlers().statuses().is_empty());

    faults.release();
    eventually("it is ready", MINUTE, || host.host.handlers().is_ready()).await;
    assert!(host.status("default/early").has_synced, "ready without its handler");
    let (is_ready, body) = host.get("/readyz").await;
    assert!(is_ready && body.contains("custom resources: followed"), "{body}");
}

/// What `kubectl get handlers -o wide` shows of the first one.
async fn columns(client: &Client) -> Vec<String> {
    let request = Request::get("/apis/informerd.dev/v1alpha1/namespaces/default/handlers")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let table: Value = client.request(request.body(Vec::new()).unwrap()).await.unwrap();
    let names = table["columnDefinitions"].as_array().unwrap().iter();
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    names
        .zip(cells)
        .map(|(column, cell)| {
            let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
            format!("{}={}", text(&column["name"]), text(cell))
        })
        .collect()
}

fn config_map_kind() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"))
}

fn maps_role() -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "maps" },
        "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"] }] })
}

/// deploy/rbac.yaml, bound to the user of the restricted kubeconfig, and what the handlers watch.
async fn grant_what_the_host_needs(client: &Client) {
    let rbac = include_str!("../deploy/rbac.yaml");
    let documents =
        rbac.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    for document in documents {
        create(client, document).await;
    }
    create(client, maps_role()).await;
    let host = json!({ "kind": "User", "name": "restricted" });
    bind(client, "informerd-handler-resources", None, &host).await;
    bind(client, "maps", None, &host).await;
}

/// Binds a subject to a ClusterRole, in one namespace or in all.
async fn bind(client: &Client, role: &str, namespace: Option<&str>, subject: &Value) {
    let kind = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
    let mut subject = subject.clone();
    if subject["kind"] == "User" {
        subject["apiGroup"] = "rbac.authorization.k8s.io".into();
    }
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": { "name": format!("tests-{role}"), "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": role },
        "subjects": [subject] });
    create(client, binding).await;
}

/// The account that a custom resource has if it names none.
fn default_account(namespace: &str) -> Value {
    json!({ "kind": "ServiceAccount", "namespace": namespace, "name": "default" })
}

//! On a real kube-apiserver and etcd: the pipeline end to end, faults included.

use std::collections::HashSet;
use std::time::Duration;

use artifacts::RECORDER;
use control_plane::ControlPlane;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use host::handlers::HandlerState;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use tests::{
    Event, Kind, TcpProxy, TestHost, View, apply, assert_chain, config_map, config_maps,
    create_widget_kind, deliveries_of, eventually, final_view, pod, pods, server_view, storm,
    widget, widgets,
};
use tokio::time::sleep;

const CONFIG_MAPS: &str =
    "  watches: [{ apiVersion: v1, kind: ConfigMap, namespaces: [default] }]\n";
const THREE_KINDS: &str = "  watches:\n    - { apiVersion: v1, kind: Pod }\n    \
    - { apiVersion: v1, kind: ConfigMap, namespaces: [default] }\n    \
    - { apiVersion: test.informerd.dev/v1, kind: Widget }\n";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_object_of_three_kinds_is_added_once_and_then_synced() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_widget_kind(&client).await;
    let kinds = [pods(&client), config_maps(&client), widgets(&client)];
    let objects = (0..700)
        .map(|n| (0, pod(&format!("pod-{n}"))))
        .chain((0..700).map(|n| (1, config_map(&format!("map-{n}"), "x"))))
        .chain((0..600).map(|n| (2, widget(&format!("widget-{n}"), "x"))));
    stream::iter(objects)
        .for_each_concurrent(16, |(kind, object)| {
            let kind: &Kind = &kinds[kind];
            async move { apply(kind, &object).await }
        })
        .await;

    let host = TestHost::start(client.clone()).await;
    for name in ["three-kinds-a", "three-kinds-b"] {
        assert_eq!(host.load(name, RECORDER, THREE_KINDS).await, HandlerState::Running);
    }
    for name in ["three-kinds-a", "three-kinds-b"] {
        host.synced(name).await;
        let deliveries = deliveries_of(name);
        let (last, adds) = deliveries.split_last().unwrap();
        assert_eq!(last.event, Event::Synced, "on-synced comes after every initial object");
        assert!(adds.iter().all(|it| it.event == Event::Add && it.initial && it.ok));
        let keys: HashSet<_> = adds.iter().map(|it| (&it.resource, &it.key)).collect();
        assert_eq!(keys.len(), adds.len(), "exactly one OnAdd per object");
        for (kind, plural) in kinds.iter().zip(["pods", "configmaps", "widgets"]) {
            assert_eq!(final_view(&deliveries, plural), server_view(kind).await, "{plural}");
        }
    }
    for (kind, plural) in kinds.iter().zip(["pods", "configmaps", "widgets"]) {
        assert_eq!(cached(&host, plural), server_view(kind).await, "the cache of {plural}");
    }
    let pod = host.informer("pods").lister().list().pop().unwrap();
    assert!(
        !pod.json.text().unwrap().contains("managedFields"),
        "managedFields are cut at the door"
    );
    let informers = host.host.handlers().informers();
    assert_eq!(informers.len(), 3, "handlers of one resource share its informer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_writes_ends_in_the_servers_state_with_every_chain_intact() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let kind = config_maps(&client);
    let host = TestHost::start(client.clone()).await;
    host.load("storm", RECORDER, CONFIG_MAPS).await;
    host.synced("storm").await;

    join_all((0..6).map(|seed| storm(config_maps(&client), seed, 400, 40))).await;
    converged(&host, "storm", &kind).await;
    let deliveries = deliveries_of("storm");
    assert_chain(&deliveries);
    let count = |event| deliveries.iter().filter(|it| it.event == event).count();
    assert!(count(Event::Update) > 100 && count(Event::Delete) > 50, "the storm was one");
    assert!(deliveries.iter().all(|it| it.ok), "a recorder handles everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_and_a_compacted_etcd_lose_nothing() {
    let mut control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let kind = config_maps(&client);
    for n in 0..30 {
        apply(&kind, &config_map(&format!("kept-{n}"), "1")).await;
    }
    let proxy = TcpProxy::before(&control_plane).await;
    let host = TestHost::start(proxy.client(&control_plane).await).await;
    host.load("killed", RECORDER, CONFIG_MAPS).await;
    host.synced("killed").await;

    // Killed in the middle of a storm, and back at the same address.
    let storms = (0..4).map(|seed| storm(config_maps(&client), seed, 150, 20));
    let storms = tokio::spawn(join_all(storms.collect::<Vec<_>>()));
    sleep(Duration::from_millis(700)).await;
    control_plane.kill_apiserver();
    control_plane.start_apiserver().await.unwrap();
    storms.await.unwrap();
    converged(&host, "killed", &kind).await;

    // Away from the host alone: it misses deletions, and the history in which they stand is gone.
    proxy.cut();
    for n in 0..10 {
        kind.delete(&format!("kept-{n}"), &DeleteParams::default()).await.unwrap();
    }
    apply(&kind, &config_map("kept-20", "2")).await;
    control_plane.compact_etcd().await.unwrap();
    control_plane.start_apiserver().await.unwrap();
    let lists = host.informer("configmaps").counters().lists.get();
    proxy.mend();
    converged(&host, "killed", &kind).await;

    assert!(host.informer("configmaps").counters().lists.get() > lists, "it had to list again");
    let deliveries = deliveries_of("killed");
    assert_chain(&deliveries);
    let tombstones = deliveries.iter().filter(|it| it.final_state_unknown);
    let tombstones: HashSet<&str> = tombstones.map(|it| it.key.as_str()).collect();
    for n in 0..10 {
        let key = format!("default/kept-{n}");
        assert!(tombstones.contains(key.as_str()), "{key} was deleted unseen: a tombstone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_come_and_go_while_the_informer_runs() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let kind = config_maps(&client);
    let host = TestHost::start(client.clone()).await;
    host.load("stays", RECORDER, CONFIG_MAPS).await;
    host.synced("stays").await;
    let writer = tokio::spawn(storm(config_maps(&client), 7, 600, 30));
    sleep(Duration::from_millis(500)).await;

    for round in 0..5 {
        let name = format!("comes-{round}");
        host.load(&name, RECORDER, CONFIG_MAPS).await;
        host.synced(&name).await;
        sleep(Duration::from_millis(200)).await;
        let not_delivered = host.host.handlers().remove(&name, MINUTE).await;
        assert_eq!(not_delivered, Some(0), "what was queued is delivered");
        let deliveries = deliveries_of(&name);
        assert_chain(&deliveries);
        assert!(deliveries.iter().any(|it| it.event == Event::Synced));
    }
    host.load("comes-last", RECORDER, CONFIG_MAPS).await;
    writer.await.unwrap();
    converged(&host, "stays", &kind).await;
    converged(&host, "comes-last", &kind).await;
    assert_chain(&deliveries_of("stays"));
    assert_chain(&deliveries_of("comes-last"));
    let lists = host.informer("configmaps").counters().lists.get();
    assert_eq!(lists, 1, "one list served them all");

    for name in ["stays", "comes-last"] {
        host.host.handlers().remove(name, MINUTE).await;
    }
    assert!(host.host.handlers().informers().is_empty(), "nobody watches, nothing runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_is_reported_and_does_not_hold_back_the_rest() {
    let control_plane = ControlPlane::start().await.unwrap();
    let admin = control_plane.client().await.unwrap();
    let restricted = control_plane.restricted_kubeconfig_path();
    let client = host::api_server::connect(Some(restricted), None).await.unwrap();
    let user = "restricted";
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "maps" },
        "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"] }] });
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "maps" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "maps" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }] });
    for (kind, plural, object) in [
        ("ClusterRole", "clusterroles", role),
        ("ClusterRoleBinding", "clusterrolebindings", binding),
    ] {
        let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> = Api::all_with(admin.clone(), &resource);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let host = TestHost::start(client).await;
    host.load("permitted", RECORDER, CONFIG_MAPS).await;
    let pods = "  watches: [{ apiVersion: v1, kind: Pod }]\n";
    host.load("forbidden", RECORDER, pods).await;
    host.synced("permitted").await;

    let forbidden = host.informer("pods");
    let failure = || forbidden.status().borrow().failure.clone();
    eventually("the failure is reported", MINUTE, || failure().is_some()).await;
    let error = failure().unwrap().error.to_string();
    assert!(error.contains("403") && error.contains("pods"), "{error}");
    assert!(!host.host.handlers().is_ready(), "a handler without its list is not ready");
}

async fn converged(host: &TestHost, handler: &str, kind: &Kind) {
    let server = server_view(kind).await;
    let told = || final_view(&deliveries_of(handler), "configmaps");
    eventually(&format!("{handler} sees what the server has"), MINUTE, || told() == server).await;
    assert_eq!(cached(host, "configmaps"), server, "the cache");
}

fn cached(host: &TestHost, plural: &str) -> View {
    let objects = host.informer(plural).lister().list().into_iter();
    let entry = |object: std::sync::Arc<informer::Object>| {
        let state = (object.uid.to_string(), object.resource_version.to_string());
        (object.key.to_string(), state)
    };
    objects.map(entry).collect()
}

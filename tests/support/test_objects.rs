//! Objects of three kinds, and clients that change them at random.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::sleep;

/// A kind's API in the namespace `default`.
pub type Kind = Api<DynamicObject>;

/// Key → uid and resourceVersion.
pub type View = BTreeMap<String, (String, String)>;

/// ConfigMaps.
pub fn config_maps(client: &Client) -> Kind {
    kind(client, "", "ConfigMap", "configmaps")
}

/// Pods.
pub fn pods(client: &Client) -> Kind {
    kind(client, "", "Pod", "pods")
}

/// A custom resource; its CRD is `widget_crd.json`.
pub fn widgets(client: &Client) -> Kind {
    kind(client, "test.informerd.dev", "Widget", "widgets")
}

fn kind(client: &Client, group: &str, kind: &str, plural: &str) -> Kind {
    let gvk = GroupVersionKind::gvk(group, "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    Api::namespaced_with(client.clone(), "default", &resource)
}

/// A ConfigMap with one value.
pub fn config_map(name: &str, value: &str) -> DynamicObject {
    object(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "default" },
        "data": { "value": value },
    }))
}

/// A Pod as a user applies it.
pub fn pod(name: &str) -> DynamicObject {
    object(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "default", "labels": { "app": "web" } },
        "spec": { "containers": [{
            "name": "main", "image": "registry.test/web:1",
            "env": [{ "name": "A", "value": "1" }],
            "resources": { "requests": { "cpu": "100m" } },
        }] },
    }))
}

/// An object of the test's own kind, with one value.
pub fn widget(name: &str, value: &str) -> DynamicObject {
    object(json!({
        "apiVersion": "test.informerd.dev/v1", "kind": "Widget",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "value": value },
    }))
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("an object")
}

/// Has the server serve the test's own kind.
pub async fn create_widget_kind(client: &Client) {
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let kinds: Kind = Api::all_with(client.clone(), &ApiResource::from_gvk(&gvk));
    let crd = serde_json::from_str(include_str!("widget_crd.json")).expect("a CRD");
    kinds.create(&PostParams::default(), &crd).await.expect("the server takes the CRD");
    while widgets(client).list(&ListParams::default()).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Creates or changes an object.
pub async fn apply(kind: &Kind, object: &DynamicObject) {
    let params = PatchParams::apply("tests").force();
    let patch = Patch::Apply(object);
    kind.patch(&object.name_any(), &params, &patch).await.expect("the server takes the object");
}

/// What the server has, by a consistent list.
pub async fn server_view(kind: &Kind) -> View {
    let list = kind.list(&ListParams::default()).await.expect("the server lists");
    let entry = |object: DynamicObject| {
        let key = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        (key, (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default()))
    };
    list.items.into_iter().map(entry).collect()
}

/// One client's share of a storm: creates, updates, deletions and re-creations of the ConfigMaps
/// `storm-0` to `storm-<names>`. What fails (a conflict, a server that is down) is given up.
pub async fn storm(kind: Kind, seed: u64, operations: usize, names: usize) {
    storm_of(kind, config_map, seed, operations, names).await;
}

/// As [`storm`], with objects of another kind, each made from a name and a value.
pub async fn storm_of(
    kind: Kind,
    object: fn(&str, &str) -> DynamicObject,
    seed: u64,
    operations: usize,
    names: usize,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..operations {
        let name = format!("storm-{}", random.usize(..names));
        let object = object(&name, &format!("{seed}-{number}"));
        let apply = PatchParams::apply("storm").force();
        let failed = match random.u8(..10) {
            0..2 => kind.delete(&name, &DeleteParams::default()).await.is_err(),
            2..4 => kind.create(&PostParams::default(), &object).await.is_err(),
            4..5 => {
                // Deleted and re-created with nothing in between.
                let _ = kind.delete(&name, &DeleteParams::default()).await;
                kind.create(&PostParams::default(), &object).await.is_err()
            }
            _ => kind.patch(&name, &apply, &Patch::Apply(&object)).await.is_err(),
        };
        if failed {
            sleep(Duration::from_millis(random.u64(..20))).await;
        }
    }
}

/// The kind `Later` of `example.com/v1`, for a server that does not serve it at first.
pub fn later_kind() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "laters.example.com" },
        "spec": { "group": "example.com", "scope": "Namespaced",
            "names": { "kind": "Later", "plural": "laters" },
            "versions": [{ "name": "v1", "served": true, "storage": true }] },
    })
}

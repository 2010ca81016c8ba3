//! Handlers as custom resources, and what their statuses say.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use host::handlers::{HANDLER_CRD, ResourcePolicy};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::test_objects::Kind;

/// The custom resources of a namespace.
pub fn handlers_in(client: &Client, namespace: &str) -> Kind {
    let gvk = GroupVersionKind::gvk("informerd.dev", "v1alpha1", "Handler");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&gvk))
}

/// A custom resource.
pub fn handler_resource(name: &str, spec: Value) -> DynamicObject {
    let handler = json!({ "apiVersion": "informerd.dev/v1alpha1", "kind": "Handler",
        "metadata": { "name": name }, "spec": spec });
    serde_json::from_value(handler).expect("an object")
}

/// The CustomResourceDefinition, as `informerd crd` prints it.
pub fn handler_kind() -> Value {
    serde_saphyr::from_str(HANDLER_CRD).expect("YAML")
}

/// Has a server serve the kind.
pub async fn create_handler_kind(client: &Client) {
    create(client, handler_kind()).await;
    while handlers_in(client, "default").list(&ListParams::default()).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Creates an object of any kind.
pub async fn create(client: &Client, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let types = object.types.as_ref().expect("a kind");
    let gvk = GroupVersionKind::try_from(types).expect("a kind");
    let kind = ApiResource::from_gvk(&gvk);
    let api: Kind = match object.metadata.namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    api.create(&PostParams::default(), &object).await.expect("the server takes it");
}

/// What an object's status says as soon as it is as expected; panics if that is not so in time.
pub async fn reported(
    kind: &Kind,
    name: &str,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Value {
    let start = Instant::now();
    loop {
        let object = kind.get(name).await.expect("it is there");
        let status = &object.data["status"];
        if is_it(status) {
            return status.clone();
        }
        assert!(start.elapsed() < REPORTED_MAX, "{name} does not report {what}: {status:#}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// One condition of a status; null if it is not there.
pub fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().map_or(&[] as &[_], Vec::as_slice);
    conditions.iter().find(|it| it["type"] == kind).unwrap_or(&Value::Null)
}

/// Whether a condition is `True`.
pub fn holds(status: &Value, kind: &str) -> bool {
    condition(status, kind)["status"] == "True"
}

/// A folder of modules that custom resources name.
pub struct ModulesFolder(TempDir);

impl ModulesFolder {
    /// With copies of modules under other names.
    pub fn of(modules: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (name, module) in modules {
            fs::copy(module, folder.path().join(name)).expect("the guest was built");
        }
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Modules from here; handlers of these namespaces see everything.
    pub fn policy(&self, cluster_wide: &[&str]) -> ResourcePolicy {
        let cluster_wide = cluster_wide.iter().map(ToString::to_string);
        ResourcePolicy::new(Some(self.path()), cluster_wide).expect("it can be read")
    }
}

const REPORTED_MAX: Duration = Duration::from_secs(120);

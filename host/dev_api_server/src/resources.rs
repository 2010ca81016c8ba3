//! The kinds that are served: the built-in ones, and those of CustomResourceDefinitions.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

/// One kind in one version, as discovery describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) has_status: bool,
    pub(crate) is_custom: bool,
    /// `plural.group`: names the objects whatever the version, as they are stored once.
    pub(crate) group_resource: Arc<str>,
}

impl Resource {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Every served resource: built-in ones first, in the table's order, then custom ones.
pub(crate) struct Resources {
    served: Vec<Arc<Resource>>,
}

impl Resources {
    pub(crate) fn built_in() -> Resources {
        Resources { served: BUILT_IN.iter().map(|row| Arc::new(built_in(row))).collect() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.served.iter()
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let found =
            |it: &&Arc<Resource>| it.group == group && it.version == version && it.plural == plural;
        self.served.iter().find(found).cloned()
    }

    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let found = |it: &&Arc<Resource>| it.kind == kind && it.api_version() == api_version;
        self.served.iter().find(found).cloned()
    }

    /// Whether objects of this `plural.group` are still served in some version.
    pub(crate) fn serves(&self, group_resource: &str) -> bool {
        self.served.iter().any(|it| *it.group_resource == *group_resource)
    }

    /// Serves what a CustomResourceDefinition now defines, instead of what it defined before.
    pub(crate) fn define(&mut self, group_resource: &str, defined: Vec<Resource>) {
        self.withdraw(group_resource);
        self.served.extend(defined.into_iter().map(Arc::new));
    }

    pub(crate) fn withdraw(&mut self, group_resource: &str) {
        self.served.retain(|it| !it.is_custom || *it.group_resource != *group_resource);
    }
}

/// The resources that a CustomResourceDefinition defines, or the field that is wrong and why.
pub(crate) fn defined_by(definition: &Value) -> Result<Vec<Resource>, (&'static str, String)> {
    let spec =
        Spec::deserialize(&definition["spec"]).map_err(|error| ("spec", error.to_string()))?;
    let group_resource: Arc<str> = format!("{}.{}", spec.names.plural, spec.group).into();
    if spec.group.is_empty() || definition["metadata"]["name"] != *group_resource {
        return Err(("metadata.name", "must be spec.names.plural+\".\"+spec.group".to_owned()));
    }
    if BUILT_IN.iter().any(|(group, ..)| *group == spec.group) {
        return Err(("spec.group", "is a built-in group".to_owned()));
    }
    let namespaced = match spec.scope.as_str() {
        "Namespaced" => true,
        "Cluster" => false,
        _ => return Err(("spec.scope", "must be Namespaced or Cluster".to_owned())),
    };
    let names = &spec.names;
    let or = |name: &Option<String>, default: String| name.clone().unwrap_or(default);
    let served = spec.versions.iter().filter(|version| version.served);
    let resources = served.map(|version| Resource {
        group: spec.group.clone(),
        version: version.name.clone(),
        plural: names.plural.clone(),
        singular: or(&names.singular, names.kind.to_lowercase()),
        kind: names.kind.clone(),
        list_kind: or(&names.list_kind, format!("{}List", names.kind)),
        namespaced,
        short_names: names.short_names.clone(),
        categories: names.categories.clone(),
        has_status: version.subresources.get("status").is_some(),
        is_custom: true,
        group_resource: group_resource.clone(),
    });
    Ok(resources.collect())
}

#[derive(Deserialize)]
struct Spec {
    group: String,
    names: Names,
    scope: String,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    plural: String,
    kind: String,
    singular: Option<String>,
    list_kind: Option<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Deserialize)]
struct Version {
    name: String,
    served: bool,
    #[serde(default)]
    subresources: Value,
}

fn built_in(row: &BuiltIn) -> Resource {
    let &(group, version, plural, kind, scope, short_names, subresources) = row;
    let group_resource =
        if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let in_all = matches!(group, "apps" | "batch" | "autoscaling")
        || matches!(plural, "pods" | "services" | "replicationcontrollers");
    let in_all = in_all && plural != "controllerrevisions";
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        namespaced: scope == NAMESPACED,
        short_names: short_names.split_whitespace().map(str::to_owned).collect(),
        categories: if in_all { vec!["all".to_owned()] } else { Vec::new() },
        has_status: subresources == STATUS,
        is_custom: false,
        group_resource: group_resource.into(),
    }
}

/// group, version, plural, kind, scope, short names, subresources
type BuiltIn = (&'static str, &'static str, &'static str, &'static str, bool, &'static str, bool);

const NAMESPACED: bool = true;
const CLUSTER: bool = false;
const STATUS: bool = true;
const PLAIN: bool = false;

const BUILT_IN: &[BuiltIn] = &[
    ("", "v1", "configmaps", "ConfigMap", NAMESPACED, "cm", PLAIN),
    ("", "v1", "endpoints", "Endpoints", NAMESPACED, "ep", PLAIN),
    ("", "v1", "events", "Event", NAMESPACED, "ev", PLAIN),
    ("", "v1", "limitranges", "LimitRange", NAMESPACED, "limits", PLAIN),
    ("", "v1", "namespaces", "Namespace", CLUSTER, "ns", STATUS),
    ("", "v1", "nodes", "Node", CLUSTER, "no", STATUS),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", NAMESPACED, "pvc", STATUS),
    ("", "v1", "persistentvolumes", "PersistentVolume", CLUSTER, "pv", STATUS),
    ("", "v1", "pods", "Pod", NAMESPACED, "po", STATUS),
    ("", "v1", "podtemplates", "PodTemplate", NAMESPACED, "", PLAIN),
    ("", "v1", "replicationcontrollers", "ReplicationController", NAMESPACED, "rc", STATUS),
    ("", "v1", "resourcequotas", "ResourceQuota", NAMESPACED, "quota", STATUS),
    ("", "v1", "secrets", "Secret", NAMESPACED, "", PLAIN),
    ("", "v1", "serviceaccounts", "ServiceAccount", NAMESPACED, "sa", PLAIN),
    ("", "v1", "services", "Service", NAMESPACED, "svc", STATUS),
    ("apps", "v1", "controllerrevisions", "ControllerRevision", NAMESPACED, "", PLAIN),
    ("apps", "v1", "daemonsets", "DaemonSet", NAMESPACED, "ds", STATUS),
    ("apps", "v1", "deployments", "Deployment", NAMESPACED, "deploy", STATUS),
    ("apps", "v1", "replicasets", "ReplicaSet", NAMESPACED, "rs", STATUS),
    ("apps", "v1", "statefulsets", "StatefulSet", NAMESPACED, "sts", STATUS),
    ("batch", "v1", "cronjobs", "CronJob", NAMESPACED, "cj", STATUS),
    ("batch", "v1", "jobs", "Job", NAMESPACED, "", STATUS),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", CLUSTER, "", PLAIN),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", NAMESPACED, "ing", STATUS),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", NAMESPACED, "netpol", PLAIN),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", NAMESPACED, "pdb", STATUS),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        CLUSTER,
        "",
        PLAIN,
    ),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", CLUSTER, "", PLAIN),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", NAMESPACED, "", PLAIN),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", NAMESPACED, "", PLAIN),
    (
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        NAMESPACED,
        "hpa",
        STATUS,
    ),
    ("coordination.k8s.io", "v1", "leases", "Lease", NAMESPACED, "", PLAIN),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", NAMESPACED, "", PLAIN),
    ("events.k8s.io", "v1", "events", "Event", NAMESPACED, "ev", PLAIN),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", CLUSTER, "pc", PLAIN),
    ("storage.k8s.io", "v1", "csidrivers", "CSIDriver", CLUSTER, "", PLAIN),
    ("storage.k8s.io", "v1", "csinodes", "CSINode", CLUSTER, "", PLAIN),
    ("storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", NAMESPACED, "", PLAIN),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", CLUSTER, "sc", PLAIN),
    ("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", CLUSTER, "", STATUS),
    (
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        CLUSTER,
        "crd crds",
        STATUS,
    ),
];

/// The `plural.group` of the definitions themselves.
pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// The `plural.group` of namespaces.
pub(crate) const NAMESPACES: &str = "namespaces";

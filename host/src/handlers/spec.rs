//! A handler spec: the YAML document beside a module.

use std::path::PathBuf;
use std::time::Duration;

use informer::{BACKOFF_MAX, DeliveryPolicy, QueueKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use serde::Deserialize;

use super::limits_spec::LimitsSpec;
use super::quantity;
use crate::guest::{GuestLimits, WatchDeclaration};

/// The document as it stands in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: HandlerSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
}

/// What a handler spec says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandlerSpec {
    /// Where the wasm is.
    pub module: ModuleSpec,
    /// If there is any, these count and not what the module declares.
    #[serde(default)]
    pub watches: Vec<WatchSpec>,
    /// What the module reads as its configuration: a mapping.
    #[serde(default)]
    pub config: Option<serde_json::Value>,
    /// What the module may use.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// How it is served.
    #[serde(default)]
    pub delivery: DeliverySpec,
    /// What it may do beyond what every module may.
    #[serde(default)]
    pub grants: GrantsSpec,
}

/// Where the wasm is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleSpec {
    /// Relative to the spec's folder, and in it.
    pub path: PathBuf,
}

/// One resource to watch.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WatchSpec {
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// Empty: all of them, or a cluster-scoped kind.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Kubernetes' own form, with `matchLabels` and `matchExpressions`.
    #[serde(default)]
    pub label_selector: LabelSelector,
    /// In the server's syntax.
    #[serde(default)]
    pub field_selector: String,
    /// The order in which its changes come: `delta` (the default) or `in-order`.
    #[serde(default, with = "QueueSpec")]
    pub queue: QueueKind,
}

/// [`QueueKind`] in a document.
#[derive(Deserialize)]
#[serde(remote = "QueueKind", rename_all = "kebab-case")]
enum QueueSpec {
    Delta,
    InOrder,
}

/// How the handler is served; what is absent has the host's default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliverySpec {
    /// Retries after the first attempt.
    pub max_retries: Option<u32>,
    /// The wait before the first retry.
    #[serde(default, deserialize_with = "quantity::duration")]
    pub backoff: Option<Duration>,
    /// Queued notifications above which those of one object merge.
    pub buffer: Option<usize>,
    /// Every object comes again, as an update that changes nothing, this often.
    #[serde(default, deserialize_with = "quantity::duration")]
    pub resync_period: Option<Duration>,
}

/// What the module may do beyond what every module may.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantsSpec {
    /// What it may read from the cache beside what it watches.
    #[serde(default)]
    pub read: Vec<ReadGrant>,
}

/// A kind that may be read from the cache.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadGrant {
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// Empty: all of them, or a cluster-scoped kind.
    #[serde(default)]
    pub namespaces: Vec<String>,
}

impl HandlerSpec {
    /// Reads a document: the handler's name and what it says. Errors name the place and the field.
    pub fn from_yaml(text: &str) -> Result<(String, HandlerSpec), String> {
        let document: Document =
            serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
        let Document { api_version, kind, metadata, spec } = document;
        if (api_version.as_str(), kind.as_str()) != (API_VERSION, KIND) {
            return Err(format!(
                "this is {api_version} {kind}, and a handler spec is {API_VERSION} {KIND}"
            ));
        }
        validate_name(&metadata.name)?;
        spec.validate()?;
        Ok((metadata.name, spec))
    }

    /// What holds for a module without a document: nothing but defaults.
    pub fn of_module(path: PathBuf) -> Self {
        Self {
            module: ModuleSpec { path },
            watches: Vec::new(),
            config: None,
            limits: LimitsSpec::default(),
            delivery: DeliverySpec::default(),
            grants: GrantsSpec::default(),
        }
    }

    /// The configuration as JSON text.
    pub fn config_json(&self) -> String {
        self.config.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string)
    }

    /// What may be read beside the watches, in the form of a watch of everything in it.
    pub fn read_grants(&self) -> Vec<WatchDeclaration> {
        let grants = self.grants.read.iter().map(|grant| WatchDeclaration {
            api_version: grant.api_version.clone(),
            kind: grant.kind.clone(),
            namespaces: grant.namespaces.clone(),
            ..WatchDeclaration::default()
        });
        grants.collect()
    }

    /// The watches in the form that modules declare.
    pub fn watches(&self) -> Result<Vec<WatchDeclaration>, String> {
        self.watches.iter().enumerate().map(|(index, watch)| watch.declaration(index)).collect()
    }

    /// The limits, defaults filled in. An error names the field, and what this host allows.
    pub fn limits(&self, ceilings: &GuestLimits) -> Result<GuestLimits, String> {
        self.limits.within(ceilings).map_err(|problem| format!("spec.{problem}"))
    }

    /// Buffer and retries, defaults filled in.
    pub fn delivery(&self) -> DeliveryPolicy {
        let default = DeliveryPolicy::default();
        DeliveryPolicy {
            retries_max: self.delivery.max_retries.unwrap_or(default.retries_max),
            backoff: self.delivery.backoff.unwrap_or(default.backoff),
            buffer_max: self.delivery.buffer.unwrap_or(default.buffer_max),
            ..default
        }
    }

    fn validate(&self) -> Result<(), String> {
        self.limits(&GuestLimits::MAX)?;
        let delivery = self.delivery();
        if delivery.buffer_max == 0 {
            return Err("spec.delivery.buffer must be at least 1".to_owned());
        }
        if delivery.backoff > BACKOFF_MAX {
            return Err(format!("spec.delivery.backoff must be at most {BACKOFF_MAX:?}"));
        }
        if self.config.as_ref().is_some_and(|config| !config.is_object()) {
            return Err("spec.config must be a mapping".to_owned());
        }
        if self.config_json().len() > CONFIG_MAX {
            return Err(format!("spec.config must be at most {CONFIG_MAX} bytes as JSON"));
        }
        for (index, grant) in self.grants.read.iter().enumerate() {
            if grant.api_version.is_empty() || grant.kind.is_empty() {
                let at = format!("spec.grants.read[{index}].apiVersion");
                return Err(format!("{at} and kind must not be empty"));
            }
        }
        self.watches().map(drop)
    }
}

impl WatchSpec {
    fn declaration(&self, index: usize) -> Result<WatchDeclaration, String> {
        let at = |field: &str| format!("spec.watches[{index}].{field}");
        if self.api_version.is_empty() || self.kind.is_empty() {
            return Err(format!("{} and kind must not be empty", at("apiVersion")));
        }
        let selector = Selector::try_from(self.label_selector.clone())
            .map_err(|error| format!("{}: {error}", at("labelSelector")))?;
        Ok(WatchDeclaration {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespaces: self.namespaces.clone(),
            label_selector: selector.to_string(),
            field_selector: self.field_selector.clone(),
            queue: self.queue,
        })
    }
}

/// A handler's name is a DNS label, as it will be the name of a custom resource.
pub(crate) fn validate_name(name: &str) -> Result<(), String> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|byte| is_inner(byte) || byte == b'-')
        && name.bytes().next().is_some_and(is_inner)
        && name.bytes().last().is_some_and(is_inner);
    if is_name {
        return Ok(());
    }
    Err(format!(
        "metadata.name {name:?} must be a DNS label: at most 63 lower-case letters, digits and `-`"
    ))
}

const API_VERSION: &str = "informerd.dev/v1alpha1";
const KIND: &str = "Handler";

const CONFIG_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(spec: &str) -> Result<HandlerSpec, String> {
        let text = format!(
            "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: {{ name: a }}\nspec:\n  \
             module: {{ path: a.wasm }}\n{spec}"
        );
        HandlerSpec::from_yaml(&text).map(|(_, spec)| spec)
    }

    #[test]
    fn a_full_spec_is_read() {
        let spec = spec(
            "  watches:\n    - { apiVersion: v1, kind: Pod, namespaces: [prod], \
             labelSelector: { matchLabels: { app: web } }, queue: in-order }\n  \
             config: { greeting: hello }\n  \
             limits: { memory: 16Mi, cpuPerCall: 50ms, hostCallsPerDelivery: 20000 }\n  \
             delivery: { maxRetries: 2, backoff: 1s, buffer: 7, resyncPeriod: 10m }\n  \
             grants: { read: [{ apiVersion: apps/v1, kind: ReplicaSet, namespaces: [prod] }] }\n",
        )
        .unwrap();
        let watch = &spec.watches().unwrap()[0];
        assert_eq!((&*watch.kind, &*watch.label_selector), ("Pod", "app=web"));
        assert_eq!(watch.queue, QueueKind::InOrder);
        assert_eq!(watch.namespaces, ["prod"]);
        assert_eq!(spec.config_json(), r#"{"greeting":"hello"}"#);
        let granted = &spec.read_grants()[0];
        assert_eq!((&*granted.api_version, &*granted.kind), ("apps/v1", "ReplicaSet"));
        assert_eq!(granted.namespaces, ["prod"]);
        let limits = spec.limits(&GuestLimits::MAX).unwrap();
        assert_eq!(limits.memory, 16 << 20);
        assert_eq!(limits.cpu_per_call, Duration::from_millis(50));
        assert_eq!(limits.host_calls_per_delivery, 20_000);
        assert_eq!(spec.delivery().retries_max, 2);
        assert_eq!(spec.delivery().buffer_max, 7);
        assert_eq!(spec.delivery.resync_period, Some(Duration::from_secs(600)));
    }

    #[test]
    fn what_is_absent_has_the_defaults() {
        let spec = spec("").unwrap();
        assert_eq!(spec.limits(&GuestLimits::MAX).unwrap(), GuestLimits::default());
        assert_eq!(spec.delivery(), DeliveryPolicy::default());
        assert!(spec.watches().unwrap().is_empty() && spec.read_grants().is_empty());
        assert_eq!(spec.config_json(), "{}");
    }

    #[test]
    fn errors_name_the_field() {
        for (text, named) in [
            ("  limitz: {}\n", "limitz"),
            ("  limits: { memory: lots }\n", "lots"),
            ("  limits: { memory: 64G }\n", "spec.limits.memory"),
            ("  limits: { cpuPerCall: 0s }\n", "spec.limits.cpuPerCall"),
            ("  limits: { cpuPerCall: soon }\n", "soon"),
            ("  delivery: { buffer: 0 }\n", "spec.delivery.buffer"),
            ("  delivery: { backoff: 1h }\n", "spec.delivery.backoff"),
            ("  config: [1]\n", "spec.config"),
            ("  grants: { read: [{ apiVersion: v1, kind: \"\" }] }\n", "spec.grants.read[0]"),
            ("  grants: { write: [] }\n", "write"),
            ("  watches: [{ kind: Pod }]\n", "apiVersion"),
            (
                "  watches: [{ apiVersion: v1, kind: Pod, queue: fifo }]\n",
                "expected one of delta, in-order",
            ),
            ("  watches: [{ apiVersion: v1, kind: \"\" }]\n", "spec.watches[0]"),
            (
                "  watches: [{ apiVersion: v1, kind: Pod, labelSelector: { matchExpressions: \
                 [{ key: a, operator: Near }] } }]\n",
                "spec.watches[0].labelSelector",
            ),
        ] {
            let error = spec(text).unwrap_err();
            assert!(error.contains(named), "{text} gave {error}");
        }
    }

    #[test]
    fn other_documents_and_bad_names_are_refused() {
        let document = |kind: &str, name: &str| {
            HandlerSpec::from_yaml(&format!(
                "apiVersion: informerd.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\n\
                 spec: {{ module: {{ path: a.wasm }} }}\n"
            ))
        };
        assert!(document("Handler", "a-1").is_ok());
        assert!(document("Deployment", "a").unwrap_err().contains("Deployment"));
        for name in ["\"\"", "A", "-a", "a.b", "../a"] {
            assert!(document("Handler", name).unwrap_err().contains("metadata.name"), "{name}");
        }
    }
}

//! A handler spec: the YAML document beside a module.

use std::path::PathBuf;
use std::time::Duration;

use informer::{BACKOFF_MAX, DeliveryPolicy, QueueKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use serde::Deserialize;

use super::limits_spec::LimitsSpec;
use super::quantity;
use crate::access::{is_label, is_subdomain};
use crate::guest::{GuestLimits, WatchDeclaration};
use crate::modules::ModuleSource;

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
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandlerSpec {
    /// Where the wasm is. A path starts at the spec's folder, and stays in it.
    pub module: ModuleSource,
    /// If there is any, these count and not what the module declares.
    #[serde(default)]
    pub watches: Vec<WatchSpec>,
    /// What the module reads as its configuration: a mapping.
    #[serde(default)]
    pub config: Option<serde_json::Value>,
    /// What else it reads as its configuration: values of Secrets.
    #[serde(default)]
    pub secrets: Vec<SecretValue>,
    /// The ServiceAccount whose rights it has. Of a custom resource: one of its namespace, `default` if none
    /// is named. Of a file: `namespace/name`; if none is named, it may watch and read what the host may.
    #[serde(default)]
    pub service_account_name: Option<String>,
    /// What the module may use.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// How it is served.
    #[serde(default)]
    pub delivery: DeliverySpec,
    /// Without anything to do for so long, its instance is dropped, and with it what the module keeps in memory; none:
    /// never.
    #[serde(default, deserialize_with = "quantity::duration")]
    pub hibernate_after: Option<Duration>,
    /// What a new generation of it is told first.
    #[serde(default)]
    pub on_reload: OnReload,
    /// What it may do beyond what every module may.
    #[serde(default)]
    pub grants: GrantsSpec,
}

/// What a handler is told when its module or its spec has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnReload {
    /// It goes on where the generation before stood: what that one has handled does not come again.
    #[default]
    Continue,
    /// It gets everything that is cached again, as its initial list.
    Replay,
}

/// One resource to watch.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
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

/// A configuration value that a Secret has, always a string.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretValue {
    /// Under this name the module reads it.
    pub name: String,
    /// Where the value is.
    pub secret_key_ref: SecretKeyRef,
}

/// One value of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretKeyRef {
    /// The Secret's namespace. Of a custom resource its own, which need not be named.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The Secret's name.
    pub name: String,
    /// In its `data`.
    pub key: String,
}

/// What the module may do beyond what every module may. Nothing is granted by a wildcard: there are none.
/// Reserved, and refused until they mean something: `write` (changes on the server) and `http` (requests
/// to elsewhere).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantsSpec {
    /// What it may read from the cache beside what it watches. Also what it must have to watch Secrets.
    #[serde(default)]
    pub read: Vec<ReadGrant>,
}

/// A kind that may be read from the cache.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadGrant {
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// Empty: all of them, or a cluster-scoped kind.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Empty: objects of all names.
    #[serde(default)]
    pub names: Vec<String>,
}

impl ReadGrant {
    /// Whether it is about the core API's Secrets.
    pub fn is_of_secrets(&self) -> bool {
        (&*self.api_version, &*self.kind) == ("v1", "Secret")
    }

    /// What it grants, in the form of a watch of everything in it.
    pub(super) fn declaration(&self) -> WatchDeclaration {
        WatchDeclaration {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespaces: self.namespaces.clone(),
            ..WatchDeclaration::default()
        }
    }
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

    /// Reads the `spec` of a custom resource. Errors name the field.
    pub(super) fn from_json(text: &str) -> Result<HandlerSpec, String> {
        let spec: Self = serde_json::from_str(text).map_err(|error| {
            // Where in the JSON that is says nothing to whoever wrote YAML.
            let error = error.to_string();
            format!("spec: {}", error.split(" at line ").next().unwrap_or(&error))
        })?;
        spec.validate()?;
        Ok(spec)
    }

    /// What holds for a module without a document: nothing but defaults.
    pub fn of_module(path: PathBuf) -> Self {
        Self {
            module: ModuleSource::file(path),
            watches: Vec::new(),
            config: None,
            secrets: Vec::new(),
            service_account_name: None,
            limits: LimitsSpec::default(),
            delivery: DeliverySpec::default(),
            hibernate_after: None,
            on_reload: OnReload::default(),
            grants: GrantsSpec::default(),
        }
    }

    /// The configuration as JSON text.
    pub fn config_json(&self) -> String {
        self.config.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string)
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
        if self.hibernate_after.is_some_and(|after| after < HIBERNATE_AFTER_MIN) {
            return Err(format!(
                "spec.hibernateAfter must be at least {HIBERNATE_AFTER_MIN:?} (leave it out, and the module \
                 keeps what it has in memory)"
            ));
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
            if let Some(name) = grant.names.iter().find(|name| !is_object_name(name)) {
                return Err(format!(
                    "spec.grants.read[{index}].names has {name:?}, which is no object's name (leave `names` \
                     out for all of them)"
                ));
            }
        }
        self.validate_secrets()?;
        self.watches().map(drop)
    }

    fn validate_secrets(&self) -> Result<(), String> {
        if self.secrets.len() > SECRETS_MAX {
            return Err(format!("spec.secrets must be at most {SECRETS_MAX}"));
        }
        let config = self.config.as_ref().and_then(serde_json::Value::as_object);
        for (index, SecretValue { name, secret_key_ref }) in self.secrets.iter().enumerate() {
            let at = |field: &str| format!("spec.secrets[{index}].{field}");
            if name.is_empty() {
                return Err(format!("{} must not be empty", at("name")));
            }
            if config.is_some_and(|config| config.contains_key(name)) {
                return Err(format!("{} {name:?} is in spec.config, too: rename one", at("name")));
            }
            if self.secrets[..index].iter().any(|it| it.name == *name) {
                return Err(format!("{} {name:?} is there twice: rename one", at("name")));
            }
            let SecretKeyRef { namespace, name, key } = secret_key_ref;
            for (field, text) in [
                ("secretKeyRef.namespace", namespace.as_deref()),
                ("secretKeyRef.name", Some(&**name)),
            ] {
                if let Some(text) = text.filter(|text| !is_subdomain(text)) {
                    return Err(format!("{} {text:?} cannot be the name of one", at(field)));
                }
            }
            let is_in_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if key.is_empty() || !key.bytes().all(is_in_key) {
                return Err(format!("{} {key:?} cannot be a Secret's key", at("secretKeyRef.key")));
            }
        }
        Ok(())
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

/// Whether a name can stand in a path on the server. Some kinds' names are no DNS subdomains: those of Roles have
/// colons.
fn is_object_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && ![".", ".."].contains(&name)
        && !name.contains(['/', '%'])
}

/// A handler's name is a DNS label, also where it is the name of a custom resource.
pub(crate) fn validate_name(name: &str) -> Result<(), String> {
    match is_label(name) {
        true => Ok(()),
        false => Err(format!(
            "metadata.name {name:?} must be a DNS label: at most 63 lower-case letters, digits and `-`"
        )),
    }
}

pub(super) const API_VERSION: &str = "informerd.dev/v1alpha1";
pub(super) const KIND: &str = "Handler";

/// A module that is woken more often would be busier with that than with its work.
const HIBERNATE_AFTER_MIN: Duration = Duration::from_secs(1);

/// Of the configuration as JSON, Secrets' values included.
pub(super) const CONFIG_MAX: usize = 64 << 10;

const SECRETS_MAX: usize = 64;

#[cfg(test)]
mod tests;

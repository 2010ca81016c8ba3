//! Which objects are watched: a kind found by discovery, a namespace, selectors.

use std::fmt;

use informer::QueueKind;
use kube::Client;
use kube::core::{ApiResource, GroupVersion, GroupVersionKind};
use kube::discovery::{Discovery, Scope, oneshot, verbs};

use super::with_sources;

/// A collection on the server. Two watches that agree in all of it share one informer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatchedResource {
    /// The kind and its path on the server.
    pub kind: ApiResource,
    /// None: all namespaces, or a cluster-scoped kind.
    pub namespace: Option<String>,
    /// In the server's syntax; empty selects everything.
    pub label_selector: String,
    /// In the server's syntax; empty selects everything.
    pub field_selector: String,
    /// The order in which its changes come.
    pub queue: QueueKind,
}

impl WatchedResource {
    /// The objects are the same, also if their changes come in another order.
    pub fn is_same_collection(&self, other: &Self) -> bool {
        *self == Self { queue: self.queue, ..other.clone() }
    }
}

impl WatchedResource {
    /// The one name that its field selector leaves, if it does. The server takes it for the name of what is
    /// listed and watched when it asks what the caller may do; so `resourceNames` of a Role allow it.
    pub fn selected_name(&self) -> Option<&str> {
        let mut terms = self.field_selector.split(',');
        let name = terms.find_map(|term| term.strip_prefix("metadata.name="))?;
        let name = name.strip_prefix('=').unwrap_or(name);
        // What is escaped might end elsewhere.
        let is_plain = !self.field_selector.contains('\\');
        Some(name).filter(|name| is_plain && !name.is_empty() && !name.contains(['/', '%']))
    }
}

impl fmt::Display for WatchedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.api_version, self.kind.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in {namespace}")?;
        }
        if !self.label_selector.is_empty() {
            write!(f, " with labels {}", self.label_selector)?;
        }
        if !self.field_selector.is_empty() {
            write!(f, " with fields {}", self.field_selector)?;
        }
        match self.queue {
            QueueKind::Delta => Ok(()),
            QueueKind::InOrder => f.write_str(", in order"),
        }
    }
}

/// Why a kind could not be found.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// The server does not serve it, now.
    #[error("the server does not know the kind {kind} of {api_version}{}", known(.closest))]
    Unknown {
        /// As it was asked for.
        api_version: String,
        /// As it was asked for.
        kind: String,
        /// The most similar `apiVersion kind` that it serves, best first.
        closest: Vec<String>,
    },
    /// It exists, and cannot be watched in a namespace.
    #[error("{kind} of {api_version} is cluster-scoped: remove `namespaces` from the watch")]
    ClusterScoped {
        /// As it was asked for.
        api_version: String,
        /// As it was asked for.
        kind: String,
    },
    /// It exists, and the server does not let anybody list and watch it.
    #[error("{kind} of {api_version} cannot be listed and watched: it is not a stored resource")]
    NotWatchable {
        /// As it was asked for.
        api_version: String,
        /// As it was asked for.
        kind: String,
    },
    /// The server could not be asked; trying again may help.
    #[error("failed to ask the server for its kinds: {}", with_sources(.0))]
    Discovery(kube::Error),
}

fn known(closest: &[String]) -> String {
    match closest {
        [] => String::new(),
        closest => format!("; closest: {}", closest.join(", ")),
    }
}

/// Finds a kind by asking the server what it serves.
pub async fn find_kind(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespaced_watch: bool,
) -> Result<ApiResource, KindError> {
    let group_version: GroupVersion = api_version
        .parse()
        .unwrap_or_else(|_| GroupVersion { group: String::new(), version: api_version.to_owned() });
    let wanted = GroupVersionKind {
        group: group_version.group,
        version: group_version.version,
        kind: kind.to_owned(),
    };
    let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
    match oneshot::pinned_kind(client, &wanted).await {
        Ok((_, it))
            if !(it.supports_operation(verbs::LIST) && it.supports_operation(verbs::WATCH)) =>
        {
            Err(KindError::NotWatchable { api_version, kind })
        }
        Ok((_, capabilities)) if namespaced_watch && capabilities.scope == Scope::Cluster => {
            Err(KindError::ClusterScoped { api_version, kind })
        }
        Ok((found, _)) => Ok(found),
        Err(kube::Error::Discovery(_)) => Err(unknown(client, api_version, kind).await),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            Err(unknown(client, api_version, kind).await)
        }
        Err(error) => Err(KindError::Discovery(error)),
    }
}

async fn unknown(client: &Client, api_version: String, kind: String) -> KindError {
    // The suggestions are a courtesy: without them the kind is unknown all the same.
    let Ok(discovery) = Discovery::new(client.clone()).run_aggregated().await else {
        return KindError::Unknown { api_version, kind, closest: Vec::new() };
    };
    let served = discovery.groups().flat_map(|group| {
        group.versions().flat_map(|version| group.versioned_resources(version)).collect::<Vec<_>>()
    });
    let mut by_distance: Vec<(usize, String)> = served
        .map(|(served, _)| {
            let kinds =
                strsim::damerau_levenshtein(&kind.to_lowercase(), &served.kind.to_lowercase());
            let versions = strsim::damerau_levenshtein(&api_version, &served.api_version);
            (kinds * 10 + versions, format!("{} {}", served.api_version, served.kind))
        })
        .collect();
    by_distance.sort();
    by_distance.dedup();
    let closest = by_distance.into_iter().take(CLOSEST_KINDS).map(|(_, name)| name).collect();
    KindError::Unknown { api_version, kind, closest }
}

const CLOSEST_KINDS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_selector_may_leave_one_name() {
        let selected = |field_selector: &str| {
            let resource = WatchedResource {
                kind: ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&()),
                namespace: None,
                label_selector: String::new(),
                field_selector: field_selector.to_owned(),
                queue: QueueKind::Delta,
            };
            resource.selected_name().map(str::to_owned)
        };
        for selector in ["metadata.name=a", "metadata.name==a", "type=Opaque,metadata.name=a"] {
            assert_eq!(selected(selector).as_deref(), Some("a"), "{selector}");
        }
        for selector in [
            "",
            "metadata.name=",
            "metadata.name!=a",
            "metadata.namespace=a",
            "xmetadata.name=a",
            r"type=\,metadata.name=a",
            "metadata.name=a/b",
        ] {
            assert_eq!(selected(selector), None, "{selector}");
        }
    }
}

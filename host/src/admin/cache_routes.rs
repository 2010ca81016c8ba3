//! What the informers have: how each stands, and single objects of their caches.
//!
//! Over TCP, nobody sees more through a cache than the cluster would show: the caller must be allowed to
//! get that object itself. So Secrets need nothing of their own here.

use axum::extract::{Query, State};
use axum::{Extension, Json};
use informer::{ObjectKey, SharedInformer};
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::core::ApiResource;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::access::Caller;
use super::refusal::Refusal;
use super::routes::Admin;
use super::wire::{CachedObject, Informer, List};
use crate::api_server::WatchedResource;

pub(super) async fn informers(State(admin): State<Admin>) -> Json<List<Informer>> {
    let informers = admin.handlers().informers();
    let mut items: Vec<Informer> = informers.iter().map(Informer::from).collect();
    items.sort_by(|a, b| a.resource.cmp(&b.resource));
    Json(List { items, more: 0 })
}

/// Which object.
#[derive(Deserialize)]
pub(super) struct CacheQuery {
    /// A kind or plural, alone or after its group and version.
    kind: String,
    /// `namespace/name`, or `name` of a cluster-scoped object.
    key: String,
}

pub(super) async fn get(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Query(CacheQuery { kind, key }): Query<CacheQuery>,
) -> Result<Json<CachedObject>, Refusal> {
    let informers = admin.handlers().informers();
    let kinds = informers.iter().map(|(resource, _)| &resource.kind);
    let found = find_kind(kinds, &kind).map_err(Refusal::not_found)?;
    let (namespace, name) = match key.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, key.as_str()),
    };
    if name.is_empty() || name.contains('/') || namespace == Some("") {
        let problem = format!("{key:?} is no key: name NAMESPACE/NAME, or NAME alone");
        return Err(Refusal::bad_request(problem));
    }
    let asked = ResourceAttributes {
        group: Some(found.group.clone()),
        version: Some(found.version.clone()),
        resource: Some(found.plural.clone()),
        verb: Some("get".to_owned()),
        namespace: namespace.map(str::to_owned),
        name: Some(name.to_owned()),
        ..ResourceAttributes::default()
    };
    admin.check(&caller, asked).await?;
    let key = ObjectKey::new(namespace, name);
    let of_kind = informers.iter().filter(|(resource, _)| resource.kind == *found);
    let mut looked_at = Vec::new();
    for (resource, informer) in of_kind {
        if let Some(object) = informer.lister().get(&key) {
            let broken = |problem: String| {
                let problem = format!("{key} is cached, and not as JSON: {problem}");
                Refusal::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, problem)
            };
            let json = object.json.text().map_err(|error| broken(error.to_string()))?;
            let object = RawValue::from_string(json.into_string());
            let object = object.map_err(|error| broken(error.to_string()))?;
            return Ok(Json(CachedObject {
                resource: resource.to_string(),
                api_version: found.api_version.clone(),
                kind: found.kind.clone(),
                object,
            }));
        }
        looked_at.push(resource.to_string());
    }
    let hint = match namespace {
        None => ": an object of a namespace is NAMESPACE/NAME",
        Some(_) => "",
    };
    Err(Refusal::not_found(format!(
        "{} {key} is not in the cache (of {}){hint}",
        found.kind,
        looked_at.join("; ")
    )))
}

/// The one kind that is meant by `Pod`, `pods`, `deployments.apps`, `v1/Pod`, `apps/v1/Deployment` and the
/// like, in any case.
fn find_kind<'a>(
    kinds: impl Iterator<Item = &'a ApiResource>,
    asked: &str,
) -> Result<&'a ApiResource, String> {
    let mut kinds: Vec<_> = kinds.collect();
    kinds.sort_by_key(|kind| full_name(kind));
    kinds.dedup();
    let meant: Vec<_> = kinds.iter().filter(|kind| is_meant(kind, asked)).copied().collect();
    let names = |kinds: &[&ApiResource]| {
        let names: Vec<_> = kinds.iter().map(|kind| full_name(kind)).collect();
        names.join(", ")
    };
    match (meant.as_slice(), kinds.as_slice()) {
        ([one], _) => Ok(one),
        ([], []) => Err("no informer runs: no handler watches anything".to_owned()),
        ([], kinds) => {
            Err(format!("no informer watches {asked}; there are those of {}", names(kinds)))
        }
        (several, _) => Err(format!("{asked} is ambiguous: name one of {}", names(several))),
    }
}

fn is_meant(kind: &ApiResource, asked: &str) -> bool {
    let is_name = |asked: &str| {
        asked.eq_ignore_ascii_case(&kind.kind) || asked.eq_ignore_ascii_case(&kind.plural)
    };
    match (asked.rsplit_once('/'), asked.split_once('.')) {
        (Some((api_version, name)), _) => {
            api_version.eq_ignore_ascii_case(&kind.api_version) && is_name(name)
        }
        (None, Some((name, group))) => group.eq_ignore_ascii_case(&kind.group) && is_name(name),
        (None, None) => is_name(asked),
    }
}

fn full_name(kind: &ApiResource) -> String {
    format!("{}/{}", kind.api_version, kind.kind)
}

impl From<&(WatchedResource, SharedInformer)> for Informer {
    fn from((resource, informer): &(WatchedResource, SharedInformer)) -> Self {
        let status = informer.status().borrow().clone();
        let counters = informer.counters();
        Self {
            resource: resource.to_string(),
            api_version: resource.kind.api_version.clone(),
            kind: resource.kind.kind.clone(),
            namespace: resource.namespace.clone(),
            phase: status.phase.to_string(),
            synced: informer.has_synced(),
            failure: status.failure.map(|failure| failure.error.to_string()),
            objects: informer.lister().len(),
            events: counters.events.get(),
            lists: counters.lists.get(),
            watches: counters.watches.get(),
            failures: counters.failures.get(),
            rejected: counters.rejected.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::GroupVersionKind;

    fn kind(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    #[test]
    fn a_kind_is_found_by_all_its_names_and_ambiguity_is_told() {
        let kinds = [
            kind("", "v1", "Event", "events"),
            kind("events.k8s.io", "v1", "Event", "events"),
            kind("apps", "v1", "Deployment", "deployments"),
            kind("apps", "v1", "Deployment", "deployments"),
        ];
        let found = |asked: &str| find_kind(kinds.iter(), asked).map(full_name);
        for asked in ["Deployment", "deployments", "DEPLOYMENT", "deployments.apps"] {
            assert_eq!(found(asked).unwrap(), "apps/v1/Deployment", "{asked}");
        }
        assert_eq!(found("apps/v1/deployment").unwrap(), "apps/v1/Deployment");
        assert_eq!(found("v1/Event").unwrap(), "v1/Event");
        assert_eq!(found("events.events.k8s.io").unwrap(), "events.k8s.io/v1/Event");
        let said = found("event").unwrap_err();
        assert!(said.ends_with("name one of events.k8s.io/v1/Event, v1/Event"), "{said}");
        let said = found("pods").unwrap_err();
        assert!(said.contains("no informer watches pods") && said.contains("apps/v1"), "{said}");
        assert!(found("apps/v2/Deployment").is_err() && found("v1/Deployment").is_err());
        assert!(find_kind([].iter(), "Pod").unwrap_err().contains("no informer runs"));
    }
}

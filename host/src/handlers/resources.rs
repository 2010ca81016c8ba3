//! What a handler watches and may read, as resources of the server: kinds are looked up until the server
//! serves them.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::definition::HandlerDefinition;
use super::spec::ReadGrant;
use super::status::HandlerState;
use crate::access::Access;
use crate::api_server::{KindError, WatchedResource, find_kind};
use crate::guest::WatchDeclaration;

/// Looks up the resources of one handler.
pub(super) struct ResourceFinder<'a, N> {
    pub(super) client: &'a Client,
    pub(super) definition: &'a HandlerDefinition,
    /// To ask what the server serves: many handlers are loaded at once when the host starts.
    pub(super) turns: &'a Semaphore,
    /// Told why it takes longer.
    pub(super) waits: N,
}

/// What it may read of a collection that it does not watch.
#[derive(Debug)]
pub(super) struct GrantedResource {
    pub(super) resource: WatchedResource,
    /// None: objects of all names.
    pub(super) names: Option<BTreeSet<String>>,
}

impl<N: Fn(HandlerState)> ResourceFinder<'_, N> {
    /// What it watches. `declared` is what the module says, and counts if the spec says nothing.
    pub(super) async fn watched(
        &self,
        declared: &[WatchDeclaration],
    ) -> Result<Vec<WatchedResource>, String> {
        let in_spec = self.definition.spec.watches()?;
        let watches = if in_spec.is_empty() { declared } else { &in_spec };
        if watches.is_empty() {
            return Err("it watches nothing: name `spec.watches` in a handler spec, or return \
                        them from the module's `watches`"
                .to_owned());
        }
        if watches.len() > RESOURCES_MAX {
            let count = watches.len();
            return Err(format!("it names {count} watches, more than {RESOURCES_MAX}"));
        }
        let mut resources = Vec::<WatchedResource>::new();
        for watch in watches {
            for resource in self.find(watch).await? {
                self.check_secrets(&resource)?;
                // What is named twice is watched once.
                match resources.iter().find(|it| it.is_same_collection(&resource)) {
                    None => resources.push(resource),
                    Some(twin) if twin.queue == resource.queue => {}
                    Some(twin) => {
                        return Err(format!("it watches {twin} and {resource}: name one `queue`"));
                    }
                }
            }
        }
        Ok(resources)
    }

    /// What it may read from the cache and does not watch.
    pub(super) async fn granted(
        &self,
        watched: &[WatchedResource],
    ) -> Result<Vec<GrantedResource>, String> {
        let mut granted = Vec::<GrantedResource>::new();
        for grant in &self.definition.spec.grants.read {
            let names = || (!grant.names.is_empty()).then(|| grant.names.iter().cloned().collect());
            for resource in self.find(&grant.declaration()).await? {
                if watched.iter().any(|it| it.is_same_collection(&resource)) {
                    continue;
                }
                let twin = granted.iter_mut().find(|it| it.resource.is_same_collection(&resource));
                match twin {
                    None => granted.push(GrantedResource { resource, names: names() }),
                    Some(twin) => {
                        twin.names = twin.names.take().zip(names()).map(|(a, b)| &a | &b);
                    }
                }
            }
        }
        let names = granted.iter().map(|it| it.names.as_ref().map_or(1, BTreeSet::len));
        let count = watched.len() + names.sum::<usize>();
        match count > RESOURCES_MAX {
            true => Err(format!(
                "it watches or reads {count} resources, each granted name counted, more than {RESOURCES_MAX}"
            )),
            false => Ok(granted),
        }
    }

    /// Secrets are watched by whom `spec.grants.read` says so, too.
    fn check_secrets(&self, watched: &WatchedResource) -> Result<(), String> {
        if !watched.kind.group.is_empty() || watched.kind.kind != "Secret" {
            return Ok(());
        }
        let name = watched.selected_name();
        let covers = |grant: &ReadGrant| {
            let has = |texts: &[String], text: Option<&str>| {
                texts.is_empty() || text.is_some_and(|text| texts.iter().any(|it| it == text))
            };
            grant.is_of_secrets()
                && has(&grant.namespaces, watched.namespace.as_deref())
                && has(&grant.names, name)
        };
        if self.definition.spec.grants.read.iter().any(covers) {
            return Ok(());
        }
        let namespaces = watched.namespace.iter();
        let namespaces = namespaces.map(|it| format!(", namespaces: [{it}]")).collect::<String>();
        let names = name.iter().map(|it| format!(", names: [{it}]")).collect::<String>();
        Err(format!(
            "it watches {watched}, and Secrets are given only to whom its spec grants them: add `{{ apiVersion: \
             v1, kind: Secret{namespaces}{names} }}` to `spec.grants.read` of a handler spec"
        ))
    }

    /// The resources of one watch, as soon as the server serves them.
    async fn find(&self, watch: &WatchDeclaration) -> Result<Vec<WatchedResource>, String> {
        let WatchDeclaration { api_version, kind, .. } = watch;
        check_path_parts(watch)?;
        let namespaces = self.namespaces(watch)?;
        let mut wait = KIND_RETRY_MIN;
        let kind = loop {
            // Never closed.
            let turn = self.turns.acquire().await;
            let found = find_kind(self.client, api_version, kind, !namespaces.is_empty());
            let found = timeout(FIND_TIMEOUT, found).await;
            drop(turn);
            let state = match found {
                Err(_) => HandlerState::Unreachable(format!("no answer within {FIND_TIMEOUT:?}")),
                Ok(found) => match found {
                    Ok(kind) => break kind,
                    Err(KindError::ClusterScoped { .. })
                        if let Some(own) = &self.definition.namespace =>
                    {
                        return Err(format!(
                            "{kind} of {api_version} is cluster-scoped, and this handler sees only its \
                             own namespace, {own:?}"
                        ));
                    }
                    Err(
                        error @ (KindError::ClusterScoped { .. } | KindError::NotWatchable { .. }),
                    ) => {
                        return Err(error.to_string());
                    }
                    Err(error @ KindError::Unknown { .. }) => {
                        HandlerState::UnknownKind(error.to_string())
                    }
                    Err(error @ KindError::Discovery(_)) => {
                        HandlerState::Unreachable(error.to_string())
                    }
                },
            };
            (self.waits)(state);
            sleep(wait).await;
            wait = (wait * 2).min(KIND_RETRY_MAX);
        };
        let in_namespace = |namespace: Option<String>| WatchedResource {
            kind: kind.clone(),
            namespace,
            label_selector: watch.label_selector.clone(),
            field_selector: watch.field_selector.clone(),
            queue: watch.queue,
        };
        Ok(match namespaces.as_slice() {
            [] => vec![in_namespace(None)],
            namespaces => namespaces.iter().cloned().map(Some).map(in_namespace).collect(),
        })
    }

    /// Those that the watch names, or the one that the handler is confined to.
    fn namespaces(&self, watch: &WatchDeclaration) -> Result<Vec<String>, String> {
        let Some(own) = &self.definition.namespace else { return Ok(watch.namespaces.clone()) };
        match watch.namespaces.iter().find(|it| *it != own) {
            None => Ok(vec![own.clone()]),
            Some(other) => Err(format!(
                "the watch of {} names the namespace {other:?}, and this handler sees only its own, {own:?}",
                watch.kind
            )),
        }
    }
}

/// What the server asks of an account that lists and watches a resource.
pub(super) fn accesses_of_watched(resource: &WatchedResource) -> impl Iterator<Item = Access> {
    ["list", "watch"].into_iter().map(|verb| access(verb, resource, resource.selected_name()))
}

/// As much, and for single objects what it asks of who gets them.
pub(super) fn accesses_of_granted(granted: &GrantedResource) -> Vec<Access> {
    let GrantedResource { resource, names } = granted;
    match names {
        None => accesses_of_watched(resource).collect(),
        Some(names) => {
            let verbs =
                |name| ["get", "list", "watch"].map(|verb| access(verb, resource, Some(name)));
            names.iter().flat_map(|name| verbs(name)).collect()
        }
    }
}

fn access(verb: &'static str, resource: &WatchedResource, name: Option<&str>) -> Access {
    Access {
        verb,
        group: resource.kind.group.clone(),
        version: resource.kind.version.clone(),
        resource: resource.kind.plural.clone(),
        namespace: resource.namespace.clone(),
        name: name.map(str::to_owned),
    }
}

/// Version and namespaces become parts of a path on the server, and a module may have made them up.
fn check_path_parts(watch: &WatchDeclaration) -> Result<(), String> {
    let WatchDeclaration { api_version, kind, namespaces, .. } = watch;
    let is_path_part = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        !text.is_empty() && text.bytes().all(is_plain) && !text.contains("..")
    };
    if let Some(namespace) = namespaces.iter().find(|it| !is_path_part(it)) {
        return Err(format!(
            "the watch of {kind} names the namespace {namespace:?}, which cannot exist (leave \
             `namespaces` out for all of them)"
        ));
    }
    if api_version.split('/').count() > 2 || !api_version.split('/').all(is_path_part) {
        return Err(format!(
            "the watch of {kind} names the apiVersion {api_version:?}, which cannot exist"
        ));
    }
    Ok(())
}

/// Watches times namespaces of one handler. Each is a connection to the server.
const RESOURCES_MAX: usize = 64;

/// How many ask the server at the same time. Each asks by a connection of its own.
pub(super) const ASKING_MAX: usize = 16;

/// How long the server may take to tell what it serves.
const FIND_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the server is asked again for a kind that it does not serve.
const KIND_RETRY_MIN: Duration = Duration::from_secs(1);
const KIND_RETRY_MAX: Duration = Duration::from_secs(30);

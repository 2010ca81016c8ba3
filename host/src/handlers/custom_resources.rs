//! Handlers from custom resources: what the API server has of the kind `Handler` is what runs, and each
//! object's status says how it goes.
//!
//! in:   the host's own informer of that kind
//! out:  handlers applied to and removed from the registry; patches of `status`
//! runs: three tasks beside that informer: the handler that it tells ([`KnownHandlers`]), one that applies, one
//!       that writes statuses.

mod known;
mod object;
mod applying;
mod status;
mod status_writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use informer::{Delivery, Handled, HandlerOptions, Notification, QueueKind, ResourceEventHandler};
use kube::Client;
use kube::core::ApiResource;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::known::KnownHandlers;
use super::registry::HandlerRegistry;
use super::spec::{API_VERSION, KIND};
use super::status::HandlerState;
use crate::api_server::{KindError, WatchedResource, find_kind};

/// The CustomResourceDefinition, as YAML.
pub const HANDLER_CRD: &str = include_str!("../../../deploy/crd.yaml");

/// What the operator permits to custom resources.
#[derive(Clone, Debug, Default)]
pub struct ResourcePolicy {
    /// The folder to which `spec.module.path` is relative; none: no modules by path.
    module_dir: Option<PathBuf>,
    /// Handlers of these namespaces see whatever their specs name, those of others only their own.
    cluster_wide: BTreeSet<String>,
}

impl ResourcePolicy {
    /// An error means that `module_dir` is no folder that can be read.
    pub fn new(
        module_dir: Option<&Path>,
        cluster_wide: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<Self> {
        let canonical = |folder: &Path| {
            let canonical = folder.read_dir().and_then(|_| folder.canonicalize());
            canonical.with_context(|| {
                format!("cannot read the modules folder {} (--module-dir)", folder.display())
            })
        };
        let module_dir = module_dir.map(canonical).transpose()?;
        Ok(Self { module_dir, cluster_wide: cluster_wide.into_iter().collect() })
    }
}

/// The custom resources of one API server.
pub struct HandlerResources {
    client: Client,
    registry: Arc<HandlerRegistry>,
    policy: ResourcePolicy,
}

impl HandlerResources {
    /// [`HandlerResources::follow`] begins. The host is not ready until then.
    pub fn new(client: Client, registry: Arc<HandlerRegistry>, policy: ResourcePolicy) -> Self {
        registry.source_stands(SOURCE, Some(HandlerState::Loading));
        Self { client, registry, policy }
    }

    /// Applies what is there and what changes, and waits for the kind if the server does not serve it.
    pub async fn follow(self) {
        let Self { client, registry, policy } = self;
        let kind = served_kind(&client, &registry).await;
        registry.source_stands(SOURCE, Some(HandlerState::Loading));
        let resource = WatchedResource {
            kind: kind.clone(),
            namespace: None,
            label_selector: String::new(),
            field_selector: String::new(),
            queue: QueueKind::Delta,
        };
        let known = Arc::new(KnownHandlers::new(registry.clone()));
        let informer = registry.informer(&resource);
        let told = EventHandler(known.clone());
        let _registration = informer.add_event_handler(told, HandlerOptions::default()).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(applying::apply(known.clone(), registry, Arc::new(policy)));
        tasks.spawn(status_writer::write_statuses(known, client, kind));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "custom resources are not followed any more");
            }
        }
    }
}

/// Keeps what the informer tells for those who act on it, so that nothing waits for them.
struct EventHandler(Arc<KnownHandlers>);

impl ResourceEventHandler for EventHandler {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        match &delivery.notification {
            Notification::Added { object, .. } | Notification::Updated { new: object, .. } => {
                self.0.told(object);
            }
            Notification::Deleted { last, .. } => self.0.gone(&last.key),
            Notification::Synced => self.0.listed(),
        }
        Handled::Done
    }
}

/// The kind, as soon as the server serves it.
async fn served_kind(client: &Client, registry: &HandlerRegistry) -> ApiResource {
    let mut wait = KIND_RETRY_MIN;
    let mut said = String::new();
    loop {
        let found = timeout(FIND_TIMEOUT, find_kind(client, API_VERSION, KIND, true)).await;
        let state = match found {
            Ok(Ok(kind)) => return kind,
            Ok(Err(KindError::Unknown { .. })) => HandlerState::UnknownKind(format!(
                "the server does not serve {KIND} of {API_VERSION}: install it with `informerd crd \
                 | kubectl apply -f -`"
            )),
            Ok(Err(error)) => HandlerState::Unreachable(error.to_string()),
            Err(_) => HandlerState::Unreachable(format!("no answer within {FIND_TIMEOUT:?}")),
        };
        let problem = state.problem().unwrap_or_default().to_owned();
        registry.source_stands(SOURCE, Some(state));
        if said != problem {
            tracing::warn!(problem, "custom resources wait; the server is asked again");
            said = problem;
        }
        sleep(wait).await;
        wait = (wait * 2).min(KIND_RETRY_MAX);
    }
}

/// What is waited for, as `/readyz` says it.
const SOURCE: &str = "custom resources";

/// How long the server may take to tell what it serves.
const FIND_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked again.
const KIND_RETRY_MIN: Duration = Duration::from_secs(1);
const KIND_RETRY_MAX: Duration = Duration::from_secs(30);

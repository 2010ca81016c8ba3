//! Applies custom resources to the registry, one after the other, and no more than can be loaded at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use informer::ObjectKey;
use tokio::task::{Id, JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::known::KnownHandlers;
use super::{ResourcePolicy, ResourcesState};
use crate::handlers::registry::HandlerRegistry;

/// Applies whatever is queued, until it is aborted.
pub(super) async fn apply(
    known: Arc<KnownHandlers>,
    registry: Arc<HandlerRegistry>,
    policy: Arc<ResourcePolicy>,
) {
    let mut loading = Loading::default();
    let mut rescan = interval_at(Instant::now() + RESCAN_PERIOD, RESCAN_PERIOD);
    rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        loading.forget_ended();
        let Some(object) = known.next(|namespace| loading.has_room(namespace)) else {
            // What was taken from the queue has been applied by now.
            if known.is_first_list_applied() {
                registry.set_custom_resources(ResourcesState::Following);
            }
            tokio::select! {
                () = known.queued() => {}
                () = loading.one_ended() => {}
                _ = rescan.tick() => known.apply_all_again(),
            }
            continue;
        };
        let definition = {
            let (object, policy) = (object.clone(), policy.clone());
            spawn_blocking(move || object.definition(&policy)).await
        };
        let definition =
            definition.unwrap_or_else(|error| Err(format!("it was not read: {error}")));
        if known.apply(&object, definition) {
            loading.begin(registry.clone(), object.key.clone());
        }
    }
}

/// The handlers that are being loaded.
#[derive(Default)]
struct Loading {
    tasks: JoinSet<()>,
    namespaces: HashMap<Id, String>,
}

impl Loading {
    fn has_room(&self, namespace: &str) -> bool {
        let of_namespace = self.namespaces.values().filter(|it| *it == namespace).count();
        self.tasks.len() < LOADING_MAX && of_namespace < LOADING_OF_NAMESPACE_MAX
    }

    fn begin(&mut self, registry: Arc<HandlerRegistry>, key: ObjectKey) {
        let namespace = key.namespace().unwrap_or_default().to_owned();
        let task = self.tasks.spawn(async move { registry.loading_ended(key.as_str()).await });
        self.namespaces.insert(task.id(), namespace);
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended);
        }
    }

    /// Never, if none is being loaded.
    async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.ended(ended),
            None => std::future::pending().await,
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.namespaces.remove(&id);
    }
}

/// Handlers that are loaded at a time because of custom resources: each holds its module in memory (32 MiB
/// at most) until it is compiled, and two are compiled at a time.
const LOADING_MAX: usize = 16;

/// Of one namespace: modules that take long are not in the way of everybody else's.
const LOADING_OF_NAMESPACE_MAX: usize = 8;

/// Modules are files that may change; so often they are looked at.
const RESCAN_PERIOD: Duration = Duration::from_secs(30);

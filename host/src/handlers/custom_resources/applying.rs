//! Applies custom resources to the registry, one after the other, and no more than can be loaded at a time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use informer::ObjectKey;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
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
    /// Each gives its namespace.
    tasks: JoinSet<String>,
    /// How many, by namespace.
    of_namespace: BTreeMap<String, usize>,
}

impl Loading {
    fn has_room(&self, namespace: &str) -> bool {
        let of_namespace = self.of_namespace.get(namespace).copied().unwrap_or_default();
        self.tasks.len() < LOADING_MAX && of_namespace < LOADING_OF_NAMESPACE_MAX
    }

    fn begin(&mut self, registry: Arc<HandlerRegistry>, key: ObjectKey) {
        let namespace = key.namespace().unwrap_or_default().to_owned();
        *self.of_namespace.entry(namespace.clone()).or_default() += 1;
        self.tasks.spawn(async move {
            registry.loading_ended(key.as_str()).await;
            namespace
        });
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            self.ended(ended);
        }
    }

    /// Never, if none is being loaded.
    async fn one_ended(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.ended(ended),
            None => std::future::pending().await,
        }
    }

    fn ended(&mut self, ended: Result<String, JoinError>) {
        let Ok(namespace) = ended else { return };
        if let Entry::Occupied(mut count) = self.of_namespace.entry(namespace) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Handlers that are loaded at a time because of custom resources: each holds its module in memory (32 MiB
/// at most) until it is compiled, and two are compiled at a time.
const LOADING_MAX: usize = 16;

/// Of one namespace: modules that take long are not in the way of everybody else's.
const LOADING_OF_NAMESPACE_MAX: usize = 8;

/// Modules are files that may change; so often they are looked at.
const RESCAN_PERIOD: Duration = Duration::from_secs(30);

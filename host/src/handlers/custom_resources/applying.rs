//! Applies custom resources to the registry, one after the other, and no more than can be loaded at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
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
    let mut loading = JoinSet::new();
    let mut rescan = interval_at(Instant::now() + RESCAN_PERIOD, RESCAN_PERIOD);
    rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        while loading.len() >= LOADING_MAX {
            loading.join_next().await;
        }
        while loading.try_join_next().is_some() {}
        let Some(object) = known.next() else {
            // What was taken from the queue has been applied by now.
            if known.is_first_list_applied() {
                registry.set_custom_resources(ResourcesState::Following);
            }
            tokio::select! {
                () = known.queued() => {}
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
            let (registry, object) = (registry.clone(), object.clone());
            loading.spawn(async move { registry.loading_ended(object.key.as_str()).await });
        }
    }
}

/// Handlers that are loaded at a time because of custom resources: each holds its module in memory (32 MiB
/// at most) until it is compiled, and two are compiled at a time.
const LOADING_MAX: usize = 16;

/// Modules are files that may change; so often they are looked at.
const RESCAN_PERIOD: Duration = Duration::from_secs(30);

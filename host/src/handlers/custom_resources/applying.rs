//! Applies custom resources to the registry, one after the other, and no more than can be loaded at a time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::ResourcePolicy;
use super::known::KnownHandlers;
use crate::handlers::registry::HandlerRegistry;

/// Applies whatever is queued, until it is aborted.
pub(super) async fn apply(
    known: Arc<KnownHandlers>,
    registry: Arc<HandlerRegistry>,
    policy: Arc<ResourcePolicy>,
) {
    let mut loading = JoinSet::<String>::new();
    let mut of_namespace = BTreeMap::<String, usize>::new();
    let mut rescan = interval_at(Instant::now() + RESCAN_PERIOD, RESCAN_PERIOD);
    rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        while let Some(ended) = loading.try_join_next() {
            ended_of(&mut of_namespace, ended);
        }
        let has_room = loading.len() < LOADING_MAX;
        let may_load = |namespace: &str| {
            let loading = of_namespace.get(namespace).copied().unwrap_or_default();
            has_room && loading < LOADING_OF_NAMESPACE_MAX
        };
        let Some(object) = known.next(may_load) else {
            tokio::select! {
                () = known.queued() => {}
                Some(ended) = loading.join_next() => ended_of(&mut of_namespace, ended),
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
            let namespace = object.key.namespace().unwrap_or_default().to_owned();
            *of_namespace.entry(namespace.clone()).or_default() += 1;
            loading.spawn(async move {
                registry.loading_ended(object.key.as_str()).await;
                namespace
            });
        }
    }
}

fn ended_of(of_namespace: &mut BTreeMap<String, usize>, ended: Result<String, JoinError>) {
    let Ok(namespace) = ended else { return };
    if let Entry::Occupied(mut loading) = of_namespace.entry(namespace) {
        *loading.get_mut() -= 1;
        if *loading.get() == 0 {
            loading.remove();
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

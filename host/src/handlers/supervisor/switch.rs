//! The step from one generation to the next: what both watch is handed over so that nothing is lost or told twice, and
//! calls of the two never overlap.
//!
//! in:   the generation that runs, and one that is ready
//! out:  registrations of the next one

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use informer::HandlerOptions;

use super::SupervisedHandler;
use crate::guest::{GuestHandler, SharedGuest};
use crate::handlers::generation::{Generation, NextGeneration, Place};
use crate::handlers::registry::Surroundings;
use crate::handlers::spec::OnReload;
use crate::handlers::status::HandlerState;

/// The next generation takes over. Is not cut off in the middle.
pub(super) async fn switch(
    handler: &SupervisedHandler,
    at: &Surroundings,
    current: Option<Generation>,
    next: NextGeneration,
    version: u64,
) {
    let NextGeneration { definition, digest, guest, watched, granted, authority } = next;
    let name = &*handler.name;
    let replays = definition.spec.on_reload == OnReload::Replay;
    let current_places = current.as_ref().map_or(&[] as &[_], |it| &it.places);
    let is_kept = |place: &&Arc<Place>| watched.iter().any(|(it, _)| *it == place.resource);
    let (kept, gone): (Vec<_>, Vec<_>) = current_places.iter().partition(is_kept);
    // What the next one does not watch, the one before gets to know to the end.
    join_all(gone.iter().map(|place| place.registration.remove(HANDOVER_MAX))).await;

    let mut free = current_places.iter().map(|place| place.number + 1).max().unwrap_or(0)..;
    let mut numbered = Vec::new();
    for (resource, informer) in watched {
        let old = kept.iter().find(|place| place.resource == resource).copied();
        let number = old.map(|place| place.number).or_else(|| free.next()).unwrap_or_default();
        numbered.push((number, resource, informer, old));
    }
    let numbers: BTreeSet<usize> = numbered.iter().map(|(number, ..)| *number).collect();
    let guest = match &current {
        Some(current) if !replays => {
            current.guest.replace(guest, numbers, HANDOVER_MAX).await;
            current.guest.clone()
        }
        _ => SharedGuest::new(guest, numbers),
    };
    let mut places = Vec::new();
    let mut replaced = Vec::new();
    let delivery = &definition.spec.delivery;
    for (number, resource, informer, old) in numbered {
        let policy = definition.spec.delivery();
        if let Some(place) = old.filter(|_| !replays) {
            place.registration.set_policy(policy, delivery.resync_period).await;
            // `on-synced` is told to each generation.
            place.registration.sync_again();
            places.push(place.clone());
            continue;
        }
        let new = GuestHandler::new(name, resource.kind.clone(), guest.clone(), number);
        let options = HandlerOptions {
            delivery: policy,
            resync_period: delivery.resync_period,
            runtime: Some(at.guests.clone()),
            // Until all of the old ones have ended.
            paused: true,
        };
        let registration = match old {
            Some(old) => {
                replaced.push(old);
                old.registration.replace(new, options, HANDOVER_MAX).await
            }
            None => informer.add_event_handler(new, options).await,
        };
        places.push(Arc::new(Place { number, resource, registration }));
    }
    // None of the new ones is told anything before; one that cannot be replaced any more ends, too.
    join_all(replaced.iter().map(|place| place.registration.remove(HANDOVER_MAX))).await;

    let number = handler.running().generations + 1;
    let watches = places.iter().map(|it| it.resource.to_string()).collect::<Vec<_>>().join("; ");
    let source = &definition.source;
    tracing::info!(handler = name, generation = number, %digest, %source, watches, "handler loaded");
    let mut running = handler.running();
    for place in gone.iter().chain(&replaced) {
        running.past += place.registration.counts();
    }
    let since = SystemTime::now();
    running.generations = number;
    running.generation = Some(Generation {
        number,
        definition,
        digest,
        since,
        guest,
        places,
        authority,
        _granted: granted,
    });
    running.quarantined = false;
    running.apply_pause();
    drop(running);
    handler.stand.send_modify(|stand| {
        stand.version = version;
        stand.state = HandlerState::Running;
        stand.replacement = None;
    });
}

/// How long the generation before may take for what it has begun, and for what only it is to be told.
const HANDOVER_MAX: Duration = Duration::from_secs(5);

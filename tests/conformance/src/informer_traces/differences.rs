//! What is different on purpose: removed from what happened on one side, so that all the rest must
//! be equal. One function per row of the table of differences; `differences/tests.rs` shows
//! each of them, and those that no trace of the comparison meets.

use std::collections::HashSet;

use super::server::WatchList;
use super::{Fifo, InformerTrace, Observation, Told, uid_of};

pub(super) fn remove(
    trace: &InformerTrace,
    ours: &mut [Observation],
    client_go: &mut [Observation],
) {
    end_of_the_initial_list(ours);
    transformed_twice(client_go);
    version_of_the_cache(trace, ours);
    version_of_the_cache(trace, client_go);
    updates_that_change_nothing(trace, client_go);
    another_uid(client_go);
    deletions_of_unknown_objects(client_go);
    if trace.watch_list == WatchList::Refused {
        refused_watch_lists(ours);
        refused_watch_lists(client_go);
    }
}

/// Ours: a handler is told once, when it has handled its initial list. client-go: the registration
/// can be asked, which is compared.
fn end_of_the_initial_list(ours: &mut [Observation]) {
    let mut synced = HashSet::new();
    for observation in ours {
        for (handler, told) in observation.told.iter_mut().enumerate() {
            let Some(position) = told.iter().position(|told| *told == Told::Synced) else {
                continue;
            };
            let is_initial = |told: &Told| matches!(told, Told::Added { initial: true, .. });
            let is_last_initial = !told[position..].iter().any(is_initial);
            // What remains is an error, and becomes a mismatch.
            if is_last_initial && synced.insert(handler) {
                told.remove(position);
            }
        }
    }
}

/// ST-10, ST-11. client-go: with `DeltaFIFO` the cache has no version, so that of the reflector is
/// compared, which stays at 0 while a watch from 0 may still be at its beginning. Ours: the cache has
/// one with both queues.
fn version_of_the_cache(trace: &InformerTrace, observations: &mut [Observation]) {
    if trace.queue == Fifo::Delta && trace.first_version == 0 {
        for observation in observations {
            observation.resource_version.clear();
        }
    }
}

/// RP-9, RP-10. client-go: when a relist finds an object unchanged, handlers get an update that
/// changes nothing until the resync timer has ticked once since they joined, so always if the
/// informer has no resync period; afterwards those that were due at the last tick. Ours: only those
/// that asked for a resync period and were due when resyncs were last due.
fn updates_that_change_nothing(trace: &InformerTrace, client_go: &mut [Observation]) {
    let ticks = |length: f64| trace.default_resync.is_some_and(|period| length >= period);
    let mut ticked = Vec::new();
    for (step, observation) in trace.steps.iter().zip(client_go) {
        let tick = ticks(step.length());
        ticked.resize(observation.told.len(), false);
        for (ticked, told) in ticked.iter_mut().zip(&mut observation.told) {
            *ticked |= tick;
            if !*ticked {
                told.retain(|told| !matches!(told, Told::Updated { old, new } if old == new));
            }
        }
    }
}

/// PD-9. client-go: an object with another uid under the same key is an update of the old one. Ours:
/// the old one is deleted and the new one is added.
fn another_uid(client_go: &mut [Observation]) {
    for told in client_go.iter_mut().flat_map(|observation| &mut observation.told) {
        *told = std::mem::take(told).into_iter().flat_map(apart).collect();
    }
}

fn apart(told: Told) -> Vec<Told> {
    match told {
        Told::Updated { old, new } if uid_of(&old) != uid_of(&new) => vec![
            Told::Deleted { object: old, final_state_unknown: true },
            Told::Added { object: new, initial: false },
        ],
        told => vec![told],
    }
}

/// PD-3. client-go, with the in-order queue: a DELETED event is told, whether the object was known
/// or not. Ours: a handler is told of a deletion only after it was told of the object.
fn deletions_of_unknown_objects(client_go: &mut [Observation]) {
    let mut known: Vec<HashSet<String>> = Vec::new();
    for observation in client_go {
        known.resize_with(observation.told.len(), HashSet::new);
        for (known, told) in known.iter_mut().zip(&mut observation.told) {
            told.retain(|told| match told {
                Told::Deleted { .. } => known.remove(told.key()),
                _ => {
                    known.insert(told.key().to_owned());
                    true
                }
            });
        }
    }
}

/// WL-10. client-go: what a watch-list streams is transformed twice. Ours: every object once.
fn transformed_twice(client_go: &mut [Observation]) {
    let once = |object: &mut String| *object = object.replace("++", "+");
    for observation in client_go {
        observation.store.iter_mut().for_each(once);
        for told in observation.told.iter_mut().flatten() {
            match told {
                Told::Added { object, .. } | Told::Deleted { object, .. } => once(object),
                Told::Updated { old, new } => [old, new].into_iter().for_each(once),
                Told::Synced => {}
            }
        }
    }
}

/// WL-6. client-go: tries a watch-list before every list. Ours: remembers for half an hour that it
/// was refused.
fn refused_watch_lists(observations: &mut [Observation]) {
    for observation in observations {
        observation.requests.retain(|request| !request.starts_with("watch-list "));
    }
}

#[cfg(test)]
mod tests;

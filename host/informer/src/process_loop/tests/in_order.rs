//! What the queue in the server's order is for: at every step, the cache is one state that the
//! collection had.

use std::collections::BTreeMap;

use super::*;
use crate::real_fifo::{RealFifo, RealFifoOptions};

/// A collection, each of its states by version, and a reflector's way of following it.
struct Collection {
    rng: fastrand::Rng,
    version: u64,
    objects: BTreeMap<String, Arc<Object>>,
    states: HashMap<String, Vec<String>>,
}

impl Collection {
    fn new(seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        let (objects, states) = (BTreeMap::new(), HashMap::new());
        let mut collection = Self { rng, version: 0, objects, states };
        collection.remember();
        collection
    }

    fn remember(&mut self) {
        let objects = texts(self.objects.values().cloned());
        self.states.insert(self.version.to_string(), objects);
    }

    /// One change, and what a watch says of it.
    fn change(&mut self) -> Reflected {
        self.version += 1;
        let name = format!("o{}", self.rng.u8(0..5));
        let state = object(&format!("{name}@{}", self.version));
        let reflected = match self.objects.remove(&name) {
            Some(_) if self.rng.u8(0..3) == 0 => Reflected::Deleted(state),
            Some(_) => {
                self.objects.insert(name, state.clone());
                Reflected::Updated(state)
            }
            None => {
                self.objects.insert(name, state.clone());
                Reflected::Added(state)
            }
        };
        self.remember();
        reflected
    }

    fn next(&mut self) -> Reflected {
        match self.rng.u8(0..10) {
            0 => {
                (0..self.rng.u8(0..4)).for_each(|_| drop(self.change()));
                let objects = self.objects.values().cloned().collect();
                let resource_version = self.version.to_string();
                Reflected::Replaced { objects, left_out: LeftOut::default(), resource_version }
            }
            1 => Reflected::Bookmark { resource_version: self.version.to_string() },
            _ => self.change(),
        }
    }
}

/// Queues random changes, pops them in turn, and gives each cache that is no state of the
/// collection.
fn torn_states(queue: impl Queue, seed: u64) -> Vec<String> {
    let mut collection = Collection::new(seed);
    let mut process_loop = unstarted(queue);
    process_loop.indexer.set_resource_version("0".to_owned());
    let mut torn = Vec::new();
    for _ in 0..30 {
        for _ in 0..collection.rng.u8(1..8) {
            process_loop.take_in(collection.next());
        }
        while !process_loop.queue.is_empty() && collection.rng.u8(0..8) > 0 {
            let ProcessLoop { queue, indexer, .. } = &mut process_loop;
            queue.pop_batch(|deltas, in_initial_list| {
                // As if each change moved the version, whatever the queue.
                handle_deltas(indexer, deltas, true, in_initial_list, &mut Vec::new());
                Ok(())
            });
            let (objects, version) = indexer.lister().snapshot();
            let cached = texts(objects);
            if collection.states[&version] != cached {
                torn.push(format!("seed {seed}: {cached:?} at {version}"));
            }
        }
    }
    torn
}

#[test]
fn the_cache_is_always_one_state_of_the_collection() {
    for seed in 0..200 {
        let queue = RealFifo::new(RealFifoOptions::default(), None);
        assert_eq!(torn_states(queue, seed), nothing());
    }
    // That takes the order, and lists that are one item.
    let tears = |seed| !torn_states(DeltaFifo::new(None), seed).is_empty();
    assert!((0..20).any(tears));
    let options = RealFifoOptions { atomic_events: false, batch_size: 2 };
    let tears = |seed| !torn_states(RealFifo::new(options, None), seed).is_empty();
    assert!((0..20).any(tears));
}

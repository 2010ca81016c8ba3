//! Every change in the server's order, one by one.
//!
//! in:   what the reflector saw
//! out:  [`Deltas`]: one change, or a batch of changes of different objects
//! runs: owned by the process loop; a plain struct.
//!
//! With atomic events, which is what an informer uses, a list, a resync and a bookmark are one item
//! each, and the process loop finds out what a list changed: so whenever a change is told, the cache is
//! one state that the collection had on the server, but for objects that could not be read. Without
//! them, a list becomes one item for each object as in [`DeltaFifo`](crate::DeltaFifo), but the
//! deletions come first.
//!
//! client-go: `RealFIFO` (rules RQ, AT and BT), the queue of its informers since 1.36. Unlike there,
//! objects whose transform fails are left out of a list, which stays in force for all others.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::hash::{HashMap, HashSet};
use crate::indexer::Lister;
use crate::object::{Object, ObjectKey};
use crate::queue::{
    Delta, Deltas, LeftOut, Popped, ProcessError, Queue, ReplacedList, TransformFunc, transformed,
};

/// How a [`RealFifo`] gives what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealFifoOptions {
    /// A list, a resync and a bookmark are one item each: `ReplacedAll`, `SyncAll`, `Bookmark`.
    pub atomic_events: bool,
    /// The most changes that [`Queue::pop_batch`] gives at once; at least one.
    pub batch_size: usize,
}

impl Default for RealFifoOptions {
    /// As client-go's informers have it.
    fn default() -> Self {
        Self { atomic_events: true, batch_size: 1000 }
    }
}

/// The queue in the server's order.
pub struct RealFifo {
    items: VecDeque<Delta>,
    options: RealFifoOptions,
    transform: Option<TransformFunc>,
    /// The first list, or the first change, has arrived.
    populated: bool,
    /// Items of the first list, at the front, that have not been popped yet.
    initial_population_count: usize,
    closed: bool,
}

impl RealFifo {
    /// An empty queue.
    pub fn new(options: RealFifoOptions, transform: Option<TransformFunc>) -> Self {
        Self {
            items: VecDeque::new(),
            options,
            transform,
            populated: false,
            initial_population_count: 0,
            closed: false,
        }
    }

    fn transformed(&self, object: Arc<Object>) -> Result<Arc<Object>, String> {
        transformed(self.transform.as_ref(), object)
    }

    /// What is queued last of a key, if anything: its state, or that a list does not have it.
    fn newest(&self, key: &ObjectKey) -> Option<Option<&Arc<Object>>> {
        let of_key = |object: &&Arc<Object>| object.key == *key;
        self.items.iter().rev().find_map(|delta| match delta {
            Delta::ReplacedAll(list) if list.left_out.contains(key) => None,
            Delta::ReplacedAll(list) => Some(list.objects.iter().rev().find(of_key)),
            delta => delta.object().filter(of_key).map(Some),
        })
    }

    /// Every object that the consumer knows or may come to know by what is queued.
    fn queued_or_known(&self, known_objects: &Lister) -> Vec<ObjectKey> {
        let queued = self.items.iter().flat_map(|delta| match delta {
            Delta::ReplacedAll(list) => list.objects.as_slice(),
            delta => delta.object().map(std::slice::from_ref).unwrap_or_default(),
        });
        let known = known_objects.list();
        queued.chain(&known).map(|object| object.key.clone()).collect()
    }

    /// Deletions for what is queued or known and not listed, in this order; nothing for what is
    /// queued as deleted.
    ///
    /// client-go: `reconcileReplacement`.
    fn push_deletions(&mut self, listed: &HashSet<ObjectKey>, known_objects: &Lister) {
        let mut queued = Vec::new();
        let mut newest = HashMap::default();
        for delta in &self.items {
            let Some(key) = delta.key() else { continue };
            if newest.insert(key, delta).is_none() {
                queued.push(key);
            }
        }
        let gone = queued.iter().filter(|key| !listed.contains(**key));
        let mut missing: Vec<Arc<Object>> = gone
            .filter_map(|key| newest.get(*key).filter(|delta| !delta.is_deletion())?.object())
            .cloned()
            .collect();
        let is_gone = |key: &ObjectKey| !listed.contains(key) && !newest.contains_key(key);
        missing.extend(known_objects.objects_where(is_gone));
        self.items.extend(missing.into_iter().map(Delta::DeletedFinalStateUnknown));
    }

    /// How many items at the front can be given together: of different objects, all or none of them
    /// of the first list.
    fn batch_len(&self) -> usize {
        let end = match self.initial_population_count {
            0 => self.options.batch_size,
            initial => self.options.batch_size.min(initial),
        };
        let mut keys = HashSet::default();
        let items = self.items.iter().take(end);
        let batch = items.take_while(|delta| delta.key().is_some_and(|key| keys.insert(key)));
        // An item that is about all objects is given alone.
        batch.count().max(1)
    }

    fn pop_up_to(
        &mut self,
        count: usize,
        process: impl FnOnce(&mut Deltas, bool) -> Result<(), ProcessError>,
    ) -> Popped {
        if self.items.is_empty() {
            return if self.closed { Popped::Closed } else { Popped::Empty };
        }
        let in_initial_list = !self.has_synced();
        let mut deltas: Deltas = self.items.drain(..count.min(self.items.len())).collect();
        let taken = deltas.len();
        let processed = process(&mut deltas, in_initial_list);
        if processed.is_ok() {
            deltas.clear();
        }
        let is_initial = self.initial_population_count > 0;
        self.initial_population_count = self.initial_population_count.saturating_sub(taken);
        self.put_back(deltas, is_initial);
        Popped::Processed(processed)
    }

    /// Puts back what could not be applied. The first, which failed, must not hold up the others: it
    /// goes behind them, or away if something newer of its object is queued. What is about all
    /// objects stays in front, since what follows builds on it.
    fn put_back(&mut self, mut deltas: Deltas, is_initial: bool) {
        let Some(failed) = deltas.pop_front() else { return };
        let queued = self.items.len();
        for delta in deltas.into_iter().rev() {
            self.items.push_front(delta);
        }
        let initial = self.items.len() - queued + self.initial_population_count;
        match failed.key() {
            None => self.items.push_front(failed),
            Some(key) if self.newest(key).is_some() => {}
            Some(_) if is_initial => self.items.insert(initial, failed),
            Some(_) => self.items.push_back(failed),
        }
        if is_initial {
            self.initial_population_count += self.items.len() - queued;
        }
    }
}

impl Queue for RealFifo {
    fn add(&mut self, object: Arc<Object>) -> Result<(), String> {
        self.populated = true;
        let object = self.transformed(object)?;
        self.items.push_back(Delta::Added(object));
        Ok(())
    }

    fn update(&mut self, object: Arc<Object>) -> Result<(), String> {
        self.populated = true;
        let object = self.transformed(object)?;
        self.items.push_back(Delta::Updated(object));
        Ok(())
    }

    /// Queued whether the object is known or not.
    fn delete(&mut self, object: Arc<Object>, known_objects: &Lister) -> Result<(), String> {
        self.populated = true;
        let key = object.key.clone();
        match self.transformed(object) {
            Ok(object) => {
                self.items.push_back(Delta::Deleted(object));
                Ok(())
            }
            Err(error) => {
                let last = match self.newest(&key) {
                    Some(queued) => queued.cloned(),
                    None => known_objects.get(&key),
                };
                self.items.extend(last.map(Delta::DeletedFinalStateUnknown));
                Err(error)
            }
        }
    }

    fn replace_leaving_out(
        &mut self,
        objects: Vec<Arc<Object>>,
        LeftOut { keys: mut left_out, others }: LeftOut,
        resource_version: &str,
        known_objects: &Lister,
    ) -> Vec<String> {
        let mut errors = Vec::new();
        let mut listed = Vec::with_capacity(objects.len());
        for object in objects {
            let key = object.key.clone();
            match self.transformed(object) {
                Ok(object) => listed.push(object),
                Err(error) => {
                    errors.push(error);
                    left_out.push(key);
                }
            }
        }
        if others {
            left_out.extend(self.queued_or_known(known_objects));
        }
        let mut keys = HashSet::default();
        if !self.options.atomic_events || !left_out.is_empty() {
            keys.extend(listed.iter().map(|object| object.key.clone()));
        }
        // What could be read is newer than what is cached.
        left_out.retain(|key| keys.insert(key.clone()));
        if self.options.atomic_events {
            let resource_version = resource_version.to_owned();
            let list = ReplacedList { resource_version, objects: listed, left_out };
            self.items.push_back(Delta::ReplacedAll(list.into()));
        } else {
            self.push_deletions(&keys, known_objects);
            self.items.extend(listed.into_iter().map(Delta::Replaced));
        }
        if !self.populated {
            self.populated = true;
            self.initial_population_count = self.items.len();
        }
        errors
    }

    fn resync(&mut self, known_objects: &Lister) {
        if self.options.atomic_events {
            self.items.push_back(Delta::SyncAll);
            return;
        }
        let queued: HashSet<&ObjectKey> = self.items.iter().filter_map(Delta::key).collect();
        let idle = known_objects.objects_where(|key| !queued.contains(key));
        self.items.extend(idle.into_iter().map(Delta::Sync));
    }

    /// Queued with atomic events only: without them the items are not in the order of versions.
    fn bookmark(&mut self, resource_version: &str) {
        if self.options.atomic_events {
            let resource_version = resource_version.to_owned();
            self.items.push_back(Delta::Bookmark { resource_version });
        }
    }

    fn pop(
        &mut self,
        process: impl FnOnce(&mut Deltas, bool) -> Result<(), ProcessError>,
    ) -> Popped {
        self.pop_up_to(1, process)
    }

    fn pop_batch(
        &mut self,
        process: impl FnOnce(&mut Deltas, bool) -> Result<(), ProcessError>,
    ) -> Popped {
        self.pop_up_to(self.batch_len(), process)
    }

    fn has_synced(&self) -> bool {
        self.populated && self.initial_population_count == 0
    }

    /// Without atomic events, the objects of a list and of a resync come one by one.
    fn is_in_order(&self) -> bool {
        self.options.atomic_events
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests;

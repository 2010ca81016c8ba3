//! What happened to each object since the process loop last looked, in the order in which the
//! objects were first touched.
//!
//! in:   what the reflector saw
//! out:  [`Deltas`], all that happened to one object, oldest first
//! runs: owned by the process loop; a plain struct.
//!
//! A key is in `queue` if and only if it is in `items`.
//!
//! client-go: `DeltaFIFO` (rules DF), with `EmitDeltaTypeReplaced` on.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::hash::{HashMap, HashSet};
use crate::indexer::Lister;
use crate::object::{Object, ObjectKey};
use crate::queue::{
    Delta, Deltas, LeftOut, Popped, ProcessError, Queue, TransformFunc, transformed,
};

/// The queue between reflector and cache.
#[derive(Default)]
pub struct DeltaFifo {
    items: HashMap<ObjectKey, Deltas>,
    queue: VecDeque<ObjectKey>,
    /// Room of those that were popped, for the next ones.
    emptied: Vec<Deltas>,
    transform: Option<TransformFunc>,
    /// The first list, or the first change, has arrived.
    populated: bool,
    /// Items of the first list that have not been popped yet.
    initial_population_count: usize,
    closed: bool,
}

impl DeltaFifo {
    /// An empty queue.
    pub fn new(transform: Option<TransformFunc>) -> Self {
        Self { transform, ..Self::default() }
    }

    /// Puts an item back, unless newer deltas of its key are queued or nothing is left of it.
    ///
    /// client-go: `AddIfNotPresent`.
    fn add_if_not_present(&mut self, key: ObjectKey, deltas: Deltas) {
        if !deltas.is_empty() && !self.items.contains_key(&key) {
            self.queue.push_back(key.clone());
            self.items.insert(key, deltas);
        }
    }

    fn transformed(&self, object: Arc<Object>) -> Result<Arc<Object>, String> {
        transformed(self.transform.as_ref(), object)
    }

    fn newest(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.items.get(key)?.back()?.object().cloned()
    }

    /// Appends in place: a key keeps its position in the line.
    fn push(&mut self, object: Arc<Object>, delta: fn(Arc<Object>) -> Delta) {
        let key = object.key.clone();
        let deltas = self.items.entry(key.clone()).or_insert_with(|| {
            self.queue.push_back(key);
            // Of most objects only one is ever queued.
            self.emptied.pop().unwrap_or_else(|| Deltas::with_capacity(1))
        });
        deltas.push_back(delta(object));
        merge_deletions(deltas);
    }
}

impl Queue for DeltaFifo {
    fn add(&mut self, object: Arc<Object>) -> Result<(), String> {
        self.populated = true;
        let object = self.transformed(object)?;
        self.push(object, Delta::Added);
        Ok(())
    }

    fn update(&mut self, object: Arc<Object>) -> Result<(), String> {
        self.populated = true;
        let object = self.transformed(object)?;
        self.push(object, Delta::Updated);
        Ok(())
    }

    /// Dropped if neither the queue nor the consumer knows the object.
    fn delete(&mut self, object: Arc<Object>, known_objects: &Lister) -> Result<(), String> {
        self.populated = true;
        let is_known =
            |key: &ObjectKey| self.items.contains_key(key) || known_objects.contains(key);
        let key = object.key.clone();
        match self.transformed(object) {
            Ok(object) if is_known(&object.key) => self.push(object, Delta::Deleted),
            Ok(_) => {}
            Err(error) => match self.newest(&key).or_else(|| known_objects.get(&key)) {
                Some(last) => {
                    self.push(last, Delta::DeletedFinalStateUnknown);
                    return Err(error);
                }
                None => return Ok(()),
            },
        }
        Ok(())
    }

    /// `Replaced` for each object in the list, `DeletedFinalStateUnknown` for each that is queued
    /// or known and not in it.
    ///
    /// client-go: `DeltaFIFO.Replace`.
    fn replace_leaving_out(
        &mut self,
        objects: Vec<Arc<Object>>,
        left_out: LeftOut,
        _resource_version: &str,
        known_objects: &Lister,
    ) -> Vec<String> {
        let mut errors = Vec::new();
        let mut listed = HashSet::default();
        listed.reserve(objects.len());
        for object in objects {
            listed.insert(object.key.clone());
            match self.transformed(object) {
                Ok(object) => {
                    listed.insert(object.key.clone());
                    self.push(object, Delta::Replaced);
                }
                Err(error) => errors.push(error),
            }
        }
        listed.extend(left_out.keys);
        let gone = |key: &ObjectKey| !left_out.others && !listed.contains(key);
        let gone_while_queued = self.queue.iter().filter(|key| gone(key));
        let mut missing: Vec<Arc<Object>> =
            gone_while_queued.filter_map(|key| self.newest(key)).collect();
        let queued = |key: &ObjectKey| self.items.contains_key(key);
        missing.extend(known_objects.objects_where(|key| gone(key) && !queued(key)));
        if !self.populated {
            self.populated = true;
            self.initial_population_count =
                self.queue.len() + missing.iter().filter(|object| !queued(&object.key)).count();
        }
        for object in missing {
            self.push(object, Delta::DeletedFinalStateUnknown);
        }
        errors
    }

    /// `Sync` for each known object that has nothing queued: an older state must not follow a newer
    /// one.
    fn resync(&mut self, known_objects: &Lister) {
        for object in known_objects.objects_where(|key| !self.items.contains_key(key)) {
            self.push(object, Delta::Sync);
        }
    }

    /// Not queued: the deltas are not in the order of versions.
    fn bookmark(&mut self, _resource_version: &str) {}

    /// The oldest key's deltas. What is put back goes to the end of the line, unless newer deltas
    /// of that key are there already.
    fn pop(
        &mut self,
        process: impl FnOnce(&mut Deltas, bool) -> Result<(), ProcessError>,
    ) -> Popped {
        let in_initial_list = !self.has_synced();
        let Some(key) = self.queue.pop_front() else {
            return if self.closed { Popped::Closed } else { Popped::Empty };
        };
        self.initial_population_count = self.initial_population_count.saturating_sub(1);
        let mut deltas = self.items.remove(&key).expect("a queued key has deltas");
        let processed = process(&mut deltas, in_initial_list);
        if processed.is_err() && !deltas.is_empty() {
            // What goes back still belongs to the first list.
            self.initial_population_count += usize::from(in_initial_list);
            self.add_if_not_present(key, deltas);
        } else if self.emptied.len() < EMPTIED_MAX && deltas.capacity() <= EMPTIED_CAPACITY_MAX {
            deltas.clear();
            self.emptied.push(deltas);
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            // A list has passed.
            (self.items, self.queue) = Default::default();
        }
        Popped::Processed(processed)
    }

    fn has_synced(&self) -> bool {
        self.populated && self.initial_population_count == 0
    }

    fn is_in_order(&self) -> bool {
        false
    }

    fn len(&self) -> usize {
        self.queue.len()
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

/// What is kept of emptied [`Deltas`], in a queue that may never be long again: 8 KiB.
const EMPTIED_MAX: usize = 64;
const EMPTIED_CAPACITY_MAX: usize = 4;

/// Room for so many objects is kept while none is queued.
const KEPT_CAPACITY: usize = 4096;

/// Two deletions in a row are one: the one that knows the final state, else the older.
fn merge_deletions(deltas: &mut Deltas) {
    let [.., older, newer] = deltas.make_contiguous() else { return };
    if !older.is_deletion() || !newer.is_deletion() {
        return;
    }
    if matches!(older, Delta::DeletedFinalStateUnknown(_)) {
        std::mem::swap(older, newer);
    }
    deltas.pop_back();
}

#[cfg(test)]
mod tests;

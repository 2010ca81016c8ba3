//! What happened to each object since the process loop last looked, in the order in which the
//! objects were first touched.
//!
//! in:   what the reflector saw
//! out:  [`Deltas`], all that happened to one object, oldest first
//! runs: owned by the process loop; a plain struct.
//!
//! A key is in `queue` if and only if it is in `items`. Because queue and cache have one owner, a
//! relist is compared with a cache that nobody else is changing.
//!
//! client-go: `DeltaFIFO` (rules DF and QU), with `EmitDeltaTypeReplaced` on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::indexer::Lister;
use crate::object::{Object, ObjectKey};

/// One change of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// The server said that it appeared.
    Added(Arc<Object>),
    /// The server said that it changed.
    Updated(Arc<Object>),
    /// The server said that it is gone.
    Deleted(Arc<Object>),
    /// It was in a list.
    Replaced(Arc<Object>),
    /// A periodic resync; the object is the cached one.
    Sync(Arc<Object>),
    /// It was missing from a list, so its deletion was missed; this is the last state known here.
    DeletedFinalStateUnknown(Arc<Object>),
}

impl Delta {
    /// The object's state that came with the change.
    pub fn object(&self) -> &Arc<Object> {
        match self {
            Self::Added(object)
            | Self::Updated(object)
            | Self::Deleted(object)
            | Self::Replaced(object)
            | Self::Sync(object)
            | Self::DeletedFinalStateUnknown(object) => object,
        }
    }

    fn is_deletion(&self) -> bool {
        matches!(self, Self::Deleted(_) | Self::DeletedFinalStateUnknown(_))
    }
}

/// All that happened to one object, oldest first; never empty while queued.
pub type Deltas = VecDeque<Delta>;

/// Shrinks or changes an object before it is queued. Runs once per object that the server sent,
/// in the process loop; an error or a panic leaves the object out.
///
/// client-go: `TransformFunc`.
pub type TransformFunc = Arc<dyn Fn(Arc<Object>) -> Result<Arc<Object>, String> + Send + Sync>;

/// Why a popped item goes back into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessError {
    /// The consumer asked for it. client-go: `ErrRequeue`.
    Requeue,
    /// Processing failed. client-go: `RetryOnError`.
    Failed(String),
}

/// What [`DeltaFifo::pop`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Popped {
    /// One item was taken; with the error, what was left of it was put back.
    Processed(Result<(), ProcessError>),
    /// Nothing is queued, but something may come.
    Empty,
    /// Nothing is queued and nothing will come.
    Closed,
}

/// The queue between reflector and cache.
#[derive(Default)]
pub struct DeltaFifo {
    items: HashMap<ObjectKey, Deltas>,
    queue: VecDeque<ObjectKey>,
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

    /// An object appeared. An error is the transform's; nothing is queued then.
    pub fn add(&mut self, object: Arc<Object>) -> Result<(), String> {
        let object = self.transformed(object)?;
        self.populated = true;
        self.push(Delta::Added(object));
        Ok(())
    }

    /// An object changed. Errors as in [`DeltaFifo::add`].
    pub fn update(&mut self, object: Arc<Object>) -> Result<(), String> {
        let object = self.transformed(object)?;
        self.populated = true;
        self.push(Delta::Updated(object));
        Ok(())
    }

    /// An object is gone. Dropped if neither the queue nor the consumer knows it. A deletion cannot
    /// be left out: with an error, which is the transform's, the last known state is queued as
    /// `DeletedFinalStateUnknown`.
    pub fn delete(&mut self, object: Arc<Object>, known_objects: &Lister) -> Result<(), String> {
        self.populated = true;
        let key = object.key.clone();
        let (delta, transformed) = match self.transformed(object) {
            Ok(object) => (Delta::Deleted(object), Ok(())),
            Err(error) => match self.newest(&key).or_else(|| known_objects.get(&key)) {
                Some(last) => (Delta::DeletedFinalStateUnknown(last), Err(error)),
                None => return Ok(()),
            },
        };
        let key = &delta.object().key;
        if self.items.contains_key(key) || known_objects.contains(key) {
            self.push(delta);
        }
        transformed
    }

    /// A whole list: `Replaced` for each object in it, `DeletedFinalStateUnknown` for each that is
    /// queued or known and not in it. Gives the transform's errors; those objects are left out of
    /// the queue, and nothing is deleted because of them.
    ///
    /// client-go: `DeltaFIFO.Replace`.
    pub fn replace(&mut self, objects: Vec<Arc<Object>>, known_objects: &Lister) -> Vec<String> {
        let mut errors = Vec::new();
        let mut listed = HashSet::with_capacity(objects.len());
        for object in objects {
            listed.insert(object.key.clone());
            match self.transformed(object) {
                Ok(object) => {
                    listed.insert(object.key.clone());
                    self.push(Delta::Replaced(object));
                }
                Err(error) => errors.push(error),
            }
        }
        let gone = |key: &ObjectKey| !listed.contains(key);
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
            self.push(Delta::DeletedFinalStateUnknown(object));
        }
        errors
    }

    /// `Sync` for each known object that has nothing queued: an older state must not follow a newer
    /// one.
    pub fn resync(&mut self, known_objects: &Lister) {
        for object in known_objects.objects_where(|key| !self.items.contains_key(key)) {
            self.push(Delta::Sync(object));
        }
    }

    /// Takes the oldest key and gives its deltas to `process`, with whether the queue had not
    /// synced yet. `process` removes from the front what it has applied; if it fails, the rest goes
    /// back to the end of the line, unless newer deltas of that key are there already.
    pub fn pop(
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
        }
        Popped::Processed(processed)
    }

    /// Puts an item back, unless newer deltas of its key are queued or nothing is left of it.
    ///
    /// client-go: `AddIfNotPresent`.
    pub fn add_if_not_present(&mut self, key: ObjectKey, deltas: Deltas) {
        if !deltas.is_empty() && !self.items.contains_key(&key) {
            self.queue.push_back(key.clone());
            self.items.insert(key, deltas);
        }
    }

    /// The first list has been popped completely.
    pub fn has_synced(&self) -> bool {
        self.populated && self.initial_population_count == 0
    }

    /// Keys that are queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Nothing more will come; what is queued can still be popped.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// [`DeltaFifo::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn transformed(&self, object: Arc<Object>) -> Result<Arc<Object>, String> {
        match &self.transform {
            Some(transform) => catch_unwind(AssertUnwindSafe(|| transform(object)))
                .unwrap_or_else(|_| Err("the transform panicked".to_owned())),
            None => Ok(object),
        }
    }

    fn newest(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.items.get(key)?.back().map(|delta| delta.object().clone())
    }

    /// Appends in place: a key keeps its position in the line.
    fn push(&mut self, delta: Delta) {
        let key = delta.object().key.clone();
        let deltas = self.items.entry(key.clone()).or_insert_with(|| {
            self.queue.push_back(key);
            Deltas::new()
        });
        deltas.push_back(delta);
        merge_deletions(deltas);
    }
}

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

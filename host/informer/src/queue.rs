//! What both queues between reflector and cache have in common: what goes in, what comes out, and
//! when the first list has passed.
//!
//! [`DeltaFifo`] keeps the changes of one object together, [`RealFifo`] keeps all changes in the
//! server's order. Either is owned by the process loop; because queue and cache have one owner, a
//! relist is compared with a cache that nobody else is changing.
//!
//! client-go: `Queue`, `QueueWithBatch` (rules QU). Unlike there, popping does not wait and nothing
//! is locked: the process loop waits for the reflector instead.
//!
//! [`DeltaFifo`]: crate::DeltaFifo
//! [`RealFifo`]: crate::RealFifo

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::indexer::Lister;
use crate::object::{Object, ObjectKey};

/// Takes in what the reflector saw, and gives it to one consumer. `known_objects` is what the
/// consumer has applied so far.
pub trait Queue: Send + 'static {
    /// An object appeared. An error is the transform's; nothing is queued then.
    fn add(&mut self, object: Arc<Object>) -> Result<(), String>;

    /// An object changed. Errors as in [`Queue::add`].
    fn update(&mut self, object: Arc<Object>) -> Result<(), String>;

    /// An object is gone. A deletion cannot be left out: with an error, which is the transform's,
    /// the last known state is queued as `DeletedFinalStateUnknown`.
    fn delete(&mut self, object: Arc<Object>, known_objects: &Lister) -> Result<(), String>;

    /// A whole list, which is at `resource_version`: what is queued or known and not in it has been
    /// deleted. Gives the transform's errors; those objects stay as they are known.
    fn replace(
        &mut self,
        objects: Vec<Arc<Object>>,
        resource_version: &str,
        known_objects: &Lister,
    ) -> Vec<String> {
        self.replace_leaving_out(objects, LeftOut::default(), resource_version, known_objects)
    }

    /// As [`Queue::replace`], of a list that could not be read completely.
    fn replace_leaving_out(
        &mut self,
        objects: Vec<Arc<Object>>,
        left_out: LeftOut,
        resource_version: &str,
        known_objects: &Lister,
    ) -> Vec<String>;

    /// Every known object once more, unless something newer of it is queued.
    fn resync(&mut self, known_objects: &Lister);

    /// Nothing happened up to this version.
    fn bookmark(&mut self, resource_version: &str);

    /// Takes the oldest item and gives its deltas to `process`, with whether the queue had not
    /// synced yet. `process` removes from the front what it has applied; if it fails, the rest goes
    /// back into the queue, and nothing is lost.
    fn pop(
        &mut self,
        process: impl FnOnce(&mut Deltas, bool) -> Result<(), ProcessError>,
    ) -> Popped;

    /// As [`Queue::pop`], with as many items at once as the queue can give together.
    fn pop_batch(
        &mut self,
        process: impl FnOnce(&mut Deltas, bool) -> Result<(), ProcessError>,
    ) -> Popped {
        self.pop(process)
    }

    /// The first list has been popped completely, or a change came before any list.
    fn has_synced(&self) -> bool;

    /// Whether what is popped comes in the order of versions.
    fn is_in_order(&self) -> bool;

    /// Items that are queued.
    fn len(&self) -> usize;

    /// Nothing is queued.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing more will come; what is queued can still be popped.
    fn close(&mut self);

    /// [`Queue::close`] was called.
    fn is_closed(&self) -> bool;
}

/// What a list has and nobody could read. It stays as it is known.
///
/// A deletion that is told by mistake makes a handler destroy what belongs to an object that lives;
/// one that is told late costs little. So if in doubt, an object is there. That holds up
/// nothing: a `Deleted` event, or the next list that can be read, removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The objects that are known by their key.
    pub keys: Vec<ObjectKey>,
    /// There are others, of which not even the key could be read: nothing that is missing from the
    /// list counts as deleted.
    pub others: bool,
}

/// Which queue an informer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueueKind {
    /// [`DeltaFifo`](crate::DeltaFifo): the changes of one object together, in the order in which
    /// the objects were first touched.
    #[default]
    Delta,
    /// [`RealFifo`](crate::RealFifo): all changes in the server's order, a list as one of them. At
    /// every change the cache is one state that the collection had on the server.
    InOrder,
}

/// One change: of one object, or, in the last three, of all of them.
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
    /// A whole list. What is cached and not in it was deleted.
    ReplacedAll(Box<ReplacedList>),
    /// A periodic resync of everything that is cached when it is processed.
    SyncAll,
    /// Nothing happened up to this version.
    Bookmark {
        /// The version.
        resource_version: String,
    },
}

/// What [`Delta::ReplacedAll`] puts in the place of everything. Not in the enum itself, since there are
/// as many deltas as objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedList {
    /// The list's version.
    pub resource_version: String,
    /// In the server's order.
    pub objects: Vec<Arc<Object>>,
    /// In the list too, but they could not be read or their transform failed: they stay as they are
    /// cached.
    pub left_out: Vec<ObjectKey>,
}

impl Delta {
    /// The state of the one object that it is about; none if it is about all of them.
    pub fn object(&self) -> Option<&Arc<Object>> {
        match self {
            Self::Added(object)
            | Self::Updated(object)
            | Self::Deleted(object)
            | Self::Replaced(object)
            | Self::Sync(object)
            | Self::DeletedFinalStateUnknown(object) => Some(object),
            Self::ReplacedAll(_) | Self::SyncAll | Self::Bookmark { .. } => None,
        }
    }

    /// The key of [`Delta::object`].
    pub fn key(&self) -> Option<&ObjectKey> {
        self.object().map(|object| &object.key)
    }

    pub(crate) fn is_deletion(&self) -> bool {
        matches!(self, Self::Deleted(_) | Self::DeletedFinalStateUnknown(_))
    }
}

/// What is popped at once, oldest first; never empty while queued.
pub type Deltas = VecDeque<Delta>;

/// Shrinks or changes an object before it is queued. Runs once per object that the server sent,
/// in the process loop; an error or a panic leaves the object out.
///
/// client-go: `TransformFunc`.
pub type TransformFunc = Arc<dyn Fn(Arc<Object>) -> Result<Arc<Object>, String> + Send + Sync>;

pub(crate) fn transformed(
    transform: Option<&TransformFunc>,
    object: Arc<Object>,
) -> Result<Arc<Object>, String> {
    match transform {
        Some(transform) => catch_unwind(AssertUnwindSafe(|| transform(object)))
            .unwrap_or_else(|_| Err("the transform panicked".to_owned())),
        None => Ok(object),
    }
}

/// Why a popped item goes back into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessError {
    /// The consumer asked for it. client-go: `ErrRequeue`.
    Requeue,
    /// Processing failed. client-go: `RetryOnError`.
    Failed(String),
}

/// What [`Queue::pop`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Popped {
    /// Something was taken; with the error, what was left of it was put back.
    Processed(Result<(), ProcessError>),
    /// Nothing is queued, but something may come.
    Empty,
    /// Nothing is queued and nothing will come.
    Closed,
}

#[cfg(test)]
pub(crate) mod fixture;

//! The way out: what a handler is told, and what it may answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::object::{Object, ObjectKey};

/// Receives the notifications of one informer, one at a time.
///
/// client-go: `ResourceEventHandler`. Unlike there, a handler may say that it failed.
pub trait ResourceEventHandler: Send + 'static {
    /// Handles one delivery. The next one of this handler waits until the answer is there; no
    /// other handler does. A panic counts as [`Handled::Retry`].
    fn handle(&mut self, delivery: &Delivery) -> impl Future<Output = Handled> + Send;
}

/// One attempt to hand one notification to one handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What happened.
    pub notification: Notification,
    /// 1 for the first attempt.
    pub attempt: u32,
}

/// What a handler is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// client-go: `OnAdd`.
    Added {
        /// The object as it is now.
        object: Arc<Object>,
        /// It was there when the informer, or this handler, began.
        in_initial_list: bool,
    },
    /// client-go: `OnUpdate`. `old` and `new` are the same on a resync.
    Updated {
        /// The state that this handler was given last.
        old: Arc<Object>,
        /// The object as it is now.
        new: Arc<Object>,
    },
    /// client-go: `OnDelete`.
    Deleted {
        /// The last known state.
        last: Arc<Object>,
        /// The deletion itself was missed and found by a relist (client-go:
        /// `DeletedFinalStateUnknown`), so `last` may not be the last state there was.
        final_state_unknown: bool,
    },
    /// Every object of the initial list has been handled, or has failed for good. Once per
    /// handler. client-go: `HasSynced` of the registration turns true.
    Synced,
}

impl Notification {
    /// The object that this is about; none for `Synced`.
    pub fn object(&self) -> Option<&Arc<Object>> {
        match self {
            Self::Added { object, .. } => Some(object),
            Self::Updated { new, .. } => Some(new),
            Self::Deleted { last, .. } => Some(last),
            Self::Synced => None,
        }
    }

    /// The key of [`Notification::object`].
    pub fn key(&self) -> Option<&ObjectKey> {
        self.object().map(|object| &object.key)
    }

    /// Bytes of JSON that a queued notification keeps alive.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Added { object, .. } => object.json.len(),
            Self::Updated { old, new } => old.json.len() + new.json.len(),
            Self::Deleted { last, .. } => last.json.len(),
            Self::Synced => 0,
        }
    }
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is done; this state will not be delivered again.
    Done,
    /// Deliver it again, unless it failed too often already.
    Retry {
        /// How long to wait; none leaves it to the listener's exponential backoff.
        after: Option<Duration>,
        /// For the log and the dead letters.
        reason: String,
    },
    /// It will never succeed: to the dead letters, until a newer state of the object comes.
    Failed {
        /// For the log and the dead letters.
        reason: String,
    },
}

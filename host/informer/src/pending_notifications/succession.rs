//! What passes from a handler to the one that replaces it.
//!
//! The new one is told of everything that is cached, so what the old one was not told of objects
//! that are there need not pass. Deletions must: nothing else tells the new one of objects that are
//! gone.
//!
//! The old one ends after the new one's queue has begun to fill. Until then nobody knows which of the
//! cached objects the old one was told of, so additions of all of them merge with a deletion into that
//! deletion; those that turn out not to be owed are dropped when the old one has ended.

use tokio::time::Instant;

use super::{Parked, PendingNotifications};
use crate::event_handler::Notification;
use crate::hash::HashMap;
use crate::object::ObjectKey;

/// What a handler that has ended was not told, by object. What it was told of the others is what is
/// cached.
pub(crate) type Left = HashMap<ObjectKey, LeftObject>;

/// One object of which a handler that has ended was not told everything.
pub(crate) struct LeftObject {
    arrival: u64,
    /// The handler was told that it is there, or a handler before.
    told: bool,
    /// The first deletion after that.
    deletion: Option<Notification>,
}

impl PendingNotifications {
    /// How much has arrived; a successor counts on from there.
    pub(crate) fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Nothing has arrived yet: what comes stands after all that `arrivals` counts.
    pub(crate) fn count_on_from(&mut self, arrivals: u64) {
        self.arrivals = arrivals;
    }

    /// What has been queued so far are additions of objects that another handler may know.
    pub(crate) fn expect_told(&mut self) {
        self.inherited = self.ready.newest().clone();
    }

    /// What the handler was not told. It must have ended, and the queue be closed.
    pub(crate) fn left(&self) -> Left {
        let mut left = Left::default();
        let mut leave = |arrival, attempted, notification: &Notification| {
            let Some(key) = notification.key() else { return };
            let object = left.entry(key.clone()).or_insert_with(|| LeftObject {
                arrival,
                told: attempted || !matches!(notification, Notification::Added { .. }),
                deletion: None,
            });
            if object.told
                && object.deletion.is_none()
                && matches!(notification, Notification::Deleted { .. })
            {
                object.deletion = Some(notification.clone());
            }
        };
        if let Some(delivering) = &self.delivering {
            delivering.given_back.iter().for_each(|it| leave(delivering.arrival, true, it));
            delivering.followers.iter().for_each(|it| leave(delivering.arrival, false, it));
        }
        for parked in self.parked.values().chain(self.purged.values()) {
            parked.notifications.iter().for_each(|it| leave(parked.arrival, parked.attempted, it));
        }
        for (arrival, notification) in self.ready.iter() {
            leave(arrival, self.is_inherited(notification, arrival), notification);
        }
        left
    }

    /// Begins with the deletions that were left, before anything else of their objects.
    pub(crate) fn inherit(&mut self, left: Left, now: Instant) {
        let mut first = HashMap::default();
        for (arrival, notification) in self.ready.iter() {
            let key = notification.key().filter(|key| left.contains_key(key));
            key.map(|key| first.entry(key.clone()).or_insert(arrival));
        }
        for (key, LeftObject { arrival, told, deletion }) in left {
            if told && deletion.is_none() {
                // It was there when this queue began, and still is, or its deletion is queued here.
                continue;
            }
            self.inherited.remove(&key);
            if let Some(first) = first.get(&key)
                && let Some(Notification::Deleted { .. }) = self.ready.get(*first)
            {
                // Merged with the addition of an object that no handler was told of.
                self.ready.remove(*first);
            }
            if let Some(deletion) = deletion {
                let parked = Parked {
                    notifications: [deletion].into(),
                    arrival,
                    attempts: 0,
                    attempted: false,
                    due: Some(now),
                    reason: String::new(),
                };
                self.insert_parked(key, parked);
            }
        }
    }

    /// It is an addition of an object that a handler before this one may have been told of.
    pub(super) fn is_inherited(&self, notification: &Notification, arrival: u64) -> bool {
        notification.key().is_some_and(|key| self.inherited.get(key) == Some(&arrival))
    }
}

//! What one handler has still to be told, bounded by the number of objects and not by the number
//! of events.
//!
//! in:   notifications from the shared processor, outcomes from the listener's task
//! out:  one [`Delivery`] at a time
//! runs: a plain struct behind the listener's lock; takes the time as an argument.
//!
//! Three places: `ready` in order of arrival; `parked`, objects whose delivery failed, waiting for
//! their next attempt or, as dead letters, for a newer state; and what follows the one that the
//! listener's task delivers. Newer notifications of a parked object merge into it, so the order per
//! object always holds. A handler that replaces another one begins with what that one was not told
//! (`succession`).
//!
//! client-go: the ring in `processorListener`, which has no bound and no retries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::AddAssign;
use std::time::Duration;

use tokio::time::Instant;

use crate::delivery_waits::DeliveryWaits;
use crate::event_handler::{Delivery, Handled, Notification};
use crate::hash::HashMap;
use crate::object::ObjectKey;

mod dead_letters;
mod ready_notifications;
mod succession;

use ready_notifications::{Ready, ReadyNotifications};

pub use dead_letters::{DeadLetter, GONE_DEAD_LETTERS_MAX};

/// How one handler is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Above this many queued notifications, those of one object merge.
    pub buffer_max: usize,
    /// Above this many bytes of queued JSON, they merge as well.
    pub buffer_bytes_max: usize,
    /// Retries after the first attempt; then the object is a dead letter.
    pub retries_max: u32,
    /// The wait before the first retry; it doubles up to [`BACKOFF_MAX`].
    pub backoff: Duration,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            buffer_max: 10_000,
            buffer_bytes_max: 64 << 20,
            retries_max: 5,
            backoff: Duration::from_millis(100),
        }
    }
}

/// The longest wait before a retry that nobody asked for explicitly.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The longest wait that a handler can ask for: a day. Beyond it, times would not be representable.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Room for so many objects is kept while none is queued: an idle handler costs the same however many
/// objects there are.
const KEPT_CAPACITY: usize = 4096;

/// What the listener's task should do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Deliver(Delivery),
    /// Nothing until then, or until something is pushed.
    Wait(Option<Instant>),
    /// Closed and drained.
    Closed,
}

#[derive(Default)]
pub(crate) struct PendingNotifications {
    policy: DeliveryPolicy,
    ready: ReadyNotifications,
    arrivals: u64,
    parked: HashMap<ObjectKey, Parked>,
    /// The dead letters of objects that are gone, by arrival: no newer state will come for them.
    gone: BTreeMap<u64, ObjectKey>,
    /// What was told last of the objects whose dead letters were purged, until they are told of again.
    purged: HashMap<ObjectKey, Parked>,
    /// Objects that the handler before this one may have been told of, and this one not yet: the
    /// arrival of their additions.
    inherited: HashMap<ObjectKey, u64>,
    /// The parked objects that will be tried again, by time.
    due: BTreeSet<(Instant, ObjectKey)>,
    delivering: Option<Delivering>,
    /// Where `Synced` stands: after everything that arrived before it.
    synced: Option<SyncedMarker>,
    /// It was handled once, or has failed for good.
    has_synced: bool,
    paused: bool,
    closed: bool,
    counts: DeliveryCounts,
}

/// What has become of one handler's notifications so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Handled.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Notifications that became part of another one.
    pub merged: u64,
    /// Dead letters of deleted objects that were given up, the oldest first, above
    /// [`GONE_DEAD_LETTERS_MAX`].
    pub forgotten: u64,
    /// How long they waited.
    pub waits: DeliveryWaits,
}

struct Delivering {
    arrival: u64,
    is_synced: bool,
    /// What was delivered, and cut off. Until then the listener's task has it: a copy for each delivery of what all
    /// handlers share would be a good part of what a handler costs.
    given_back: Option<Notification>,
    /// What follows on this object waits for the outcome.
    followers: VecDeque<Notification>,
}

impl AddAssign for DeliveryCounts {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.merged += other.merged;
        self.forgotten += other.forgotten;
        self.waits += other.waits;
    }
}

struct Parked {
    /// In order, at least one.
    notifications: VecDeque<Notification>,
    arrival: u64,
    /// How often the first was tried since it was parked or re-armed.
    attempts: u32,
    /// The handler has seen the first, however long ago.
    attempted: bool,
    /// None for a dead letter.
    due: Option<Instant>,
    reason: String,
}

struct SyncedMarker {
    arrival: u64,
    attempts: u32,
    due: Option<Instant>,
}

impl PendingNotifications {
    pub(crate) fn new(policy: DeliveryPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Takes a notification in; false if the listener is closed.
    pub(crate) fn push(&mut self, notification: Notification, now: Instant) -> bool {
        if self.closed {
            return false;
        }
        self.arrivals += 1;
        let Some(key) = notification.key() else {
            self.synced = Some(SyncedMarker { arrival: self.arrivals, attempts: 0, due: None });
            return true;
        };
        let over = self.ready.len() >= self.policy.buffer_max
            || self.ready.bytes() >= self.policy.buffer_bytes_max;
        match over.then(|| self.ready.newest().get(key).copied()).flatten() {
            Some(arrival) => self.merge_ready(arrival, notification, now),
            None => self.ready.insert(self.arrivals, Ready { notification, since: now }),
        }
        true
    }

    /// The next delivery; [`PendingNotifications::finish`] or [`PendingNotifications::give_back`] must follow it.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        debug_assert!(self.delivering.is_none(), "one delivery at a time");
        if self.paused {
            return if self.closed { Next::Closed } else { Next::Wait(None) };
        }
        loop {
            if let Some(delivery) = self.next_due(now).or_else(|| self.next_synced(now)) {
                return Next::Deliver(delivery);
            }
            if self.ready.is_empty() {
                break;
            }
            if let Some(delivery) = self.next_ready(now) {
                return Next::Deliver(delivery);
            }
        }
        let synced_due = self.synced.as_ref().and_then(|marker| marker.due);
        let due = self.due.first().map(|(due, _)| *due).into_iter().chain(synced_due).min();
        if self.closed && due.is_none() { Next::Closed } else { Next::Wait(due) }
    }

    /// How the delivery given last ended. Gives the wait until the next attempt, if there is one.
    pub(crate) fn finish(
        &mut self,
        delivery: &Delivery,
        handled: Handled,
        now: Instant,
    ) -> Option<Duration> {
        let delivering = self.delivering.take().expect("a delivery is running");
        let (after, reason, retryable) = match handled {
            Handled::Done => {
                match delivery.notification.key() {
                    Some(key) => {
                        self.counts.delivered += 1;
                        self.unblock(key, delivering, now);
                    }
                    None => self.has_synced = true,
                }
                return None;
            }
            Handled::Retry { after, reason } => (after, reason, true),
            Handled::Failed { reason } => (None, reason, false),
        };
        self.counts.failed += 1;
        let attempt = delivery.attempt;
        let wait = (retryable && attempt <= self.policy.retries_max)
            .then(|| after.map_or_else(|| self.backoff(attempt), |it| it.min(RETRY_AFTER_MAX)));
        self.park(delivery, delivering, wait.map(|wait| now + wait), reason);
        wait
    }

    /// The delivery given last was cut off, and no other one follows.
    pub(crate) fn give_back(&mut self, delivery: Delivery) {
        if let Some(delivering) = &mut self.delivering {
            delivering.given_back = Some(delivery.notification);
        }
    }

    /// While paused, nothing more is delivered; if closed too, never again.
    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// For what comes from now on: what is queued stays, what waits for a retry keeps its time.
    pub(crate) fn set_policy(&mut self, policy: DeliveryPolicy) {
        self.policy = policy;
    }

    /// Another `Synced` after everything that is queued, unless one is to come anyway.
    pub(crate) fn sync_again(&mut self, now: Instant) {
        let is_delivered = self.delivering.as_ref().is_some_and(|it| it.is_synced);
        let comes = self.synced.is_some() || is_delivered;
        if self.has_synced && !comes {
            self.push(Notification::Synced, now);
        }
    }

    /// Nothing more is taken in; what is there is still delivered.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn counts(&self) -> DeliveryCounts {
        self.counts
    }

    /// Notifications that wait, those that failed and wait for another attempt included.
    pub(crate) fn len(&self) -> usize {
        let due = self.parked.values().filter(|parked| parked.due.is_some());
        let delivering = self.delivering.as_ref().map_or(0, |it| 1 + it.followers.len());
        self.ready.len() + due.map(|parked| parked.notifications.len()).sum::<usize>() + delivering
    }

    fn merge_ready(&mut self, arrival: u64, notification: Notification, now: Instant) {
        let Some(Ready { notification: waiting, since }) = self.ready.remove(arrival) else {
            return;
        };
        let attempted = self.is_inherited(&waiting, arrival);
        match merge(waiting, notification, attempted) {
            Merged::Into(merged) => {
                if attempted && let Notification::Deleted { last, .. } = &merged {
                    // It is owed by itself now.
                    self.inherited.remove(&last.key);
                }
                self.ready.insert(arrival, Ready { notification: merged, since });
            }
            Merged::Cancelled => {}
            Merged::Apart(waiting, notification) => {
                self.ready.insert(arrival, Ready { notification: waiting, since });
                return self.ready.insert(self.arrivals, Ready { notification, since: now });
            }
        }
        self.counts.merged += 1;
    }

    /// The next notification in order, unless its object is parked: then it merges there.
    fn next_ready(&mut self, now: Instant) -> Option<Delivery> {
        let (arrival, Ready { notification, since }) = self.ready.pop_first()?;
        let key = notification.key()?;
        if !self.purged.is_empty()
            && let Some(told) = self.purged.remove(key)
        {
            self.parked.insert(key.clone(), told);
        }
        if !self.parked.contains_key(key) {
            if !matches!(notification, Notification::Added { in_initial_list: true, .. }) {
                self.counts.waits.record(now.duration_since(since));
            }
            return Some(self.start(arrival, notification, 1, VecDeque::new()));
        }
        let key = key.clone();
        let parked = self.parked.get_mut(&key)?;
        self.counts.merged += u64::from(parked.append(notification));
        if parked.due.is_some() {
            return None;
        }
        // A dead letter is alive again: there is a newer state.
        parked.attempts = 0;
        self.start_parked(&key)
    }

    fn next_due(&mut self, now: Instant) -> Option<Delivery> {
        if self.due.first()?.0 > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.start_parked(&key)
    }

    fn start_parked(&mut self, key: &ObjectKey) -> Option<Delivery> {
        let Parked { mut notifications, arrival, attempts, .. } = self.parked.remove(key)?;
        self.gone.remove(&arrival);
        let notification = notifications.pop_front()?;
        Some(self.start(arrival, notification, attempts + 1, notifications))
    }

    fn start(
        &mut self,
        arrival: u64,
        notification: Notification,
        attempt: u32,
        followers: VecDeque<Notification>,
    ) -> Delivery {
        // Not looked up in a map without entries, which would take the hash of the key.
        if let Some(key) = notification.key().filter(|_| !self.inherited.is_empty()) {
            self.inherited.remove(key);
        }
        if self.inherited.is_empty() && self.inherited.capacity() > KEPT_CAPACITY {
            self.inherited = HashMap::default();
        }
        let is_synced = notification == Notification::Synced;
        self.delivering = Some(Delivering { arrival, is_synced, given_back: None, followers });
        Delivery { notification, attempt }
    }

    /// What followed a notification that has now been delivered is next.
    fn unblock(&mut self, key: &ObjectKey, delivered: Delivering, now: Instant) {
        let Delivering { arrival, followers: notifications, .. } = delivered;
        if !notifications.is_empty() {
            let (attempted, due, reason) = (false, Some(now), String::new());
            let parked = Parked { notifications, arrival, attempts: 0, attempted, due, reason };
            self.insert_parked(key.clone(), parked);
        }
    }

    fn park(
        &mut self,
        failed: &Delivery,
        delivering: Delivering,
        due: Option<Instant>,
        reason: String,
    ) {
        let Delivering { arrival, followers: mut notifications, .. } = delivering;
        let Delivery { notification, attempt: attempts } = failed.clone();
        let Some(key) = notification.key().cloned() else {
            self.synced = due.is_some().then_some(SyncedMarker { arrival, attempts, due });
            self.has_synced |= due.is_none();
            return;
        };
        notifications.push_front(notification);
        let parked = Parked { notifications, arrival, attempts, attempted: true, due, reason };
        self.insert_parked(key, parked);
    }

    fn insert_parked(&mut self, key: ObjectKey, parked: Parked) {
        match (parked.due, parked.notifications.back()) {
            (Some(due), _) => {
                self.due.insert((due, key.clone()));
            }
            (None, Some(Notification::Deleted { .. })) => {
                self.gone.insert(parked.arrival, key.clone());
            }
            (None, _) => {}
        }
        self.parked.insert(key, parked);
        if self.gone.len() > GONE_DEAD_LETTERS_MAX
            && let Some((_, oldest)) = self.gone.pop_first()
        {
            self.parked.remove(&oldest);
            self.counts.forgotten += 1;
        }
    }

    /// `Synced`, if nothing that arrived before it is left, except dead letters. Once it was tried,
    /// nothing holds it up any more: a dead letter that lives again is not what it waits for.
    fn next_synced(&mut self, now: Instant) -> Option<Delivery> {
        let marker =
            self.synced.as_ref().filter(|marker| marker.due.is_none_or(|due| due <= now))?;
        let (arrival, attempt) = (marker.arrival, marker.attempts + 1);
        let is_after = |other: u64| other > arrival;
        let is_first = || {
            self.ready.first_arrival().is_none_or(is_after)
                && self.due.iter().all(|(_, key)| is_after(self.parked[key].arrival))
        };
        if marker.attempts == 0 && !is_first() {
            return None;
        }
        self.synced = None;
        Some(self.start(arrival, Notification::Synced, attempt, VecDeque::new()))
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let factor = 2u32.saturating_pow(attempt.saturating_sub(1));
        self.policy.backoff.saturating_mul(factor).min(BACKOFF_MAX)
    }
}

impl Parked {
    /// Appends in order; true if it merged.
    fn append(&mut self, notification: Notification) -> bool {
        let attempted = self.notifications.len() == 1 && self.attempted;
        let Some(waiting) = self.notifications.pop_back() else {
            self.notifications.push_back(notification);
            return false;
        };
        match merge(waiting, notification, attempted) {
            Merged::Into(merged) => self.notifications.push_back(merged),
            Merged::Cancelled => {}
            Merged::Apart(waiting, notification) => {
                self.notifications.extend([waiting, notification]);
                return false;
            }
        }
        true
    }
}

enum Merged {
    Into(Notification),
    Cancelled,
    Apart(Notification, Notification),
}

/// Two successive notifications of one object as one. A handler that was never told of an object
/// need not be told that it is gone; one that has `attempted` the add must be.
fn merge(waiting: Notification, next: Notification, attempted: bool) -> Merged {
    use Notification::{Added, Deleted, Updated};
    match (waiting, next) {
        (Added { in_initial_list, .. }, Updated { new, .. }) => {
            Merged::Into(Added { object: new, in_initial_list })
        }
        (Updated { old, .. }, Updated { new, .. }) => Merged::Into(Updated { old, new }),
        (Added { .. }, Deleted { .. }) if !attempted => Merged::Cancelled,
        (Added { .. } | Updated { .. }, deleted @ Deleted { .. }) => Merged::Into(deleted),
        (waiting, next) => Merged::Apart(waiting, next),
    }
}

#[cfg(test)]
mod tests;

//! Hands each notification to every listener, or only to those whose resync is due.
//!
//! in:   notifications from the process loop
//! out:  each listener's queue
//! runs: owned by the process loop; a plain struct.
//!
//! client-go: `sharedProcessor` (rules SP and RP). Unlike there, a handler gets updates
//! that change nothing only if it asked for a resync period, and it gets them whatever the others
//! asked for.

use std::time::Duration;

use tokio::time::Instant;

use crate::event_handler::Notification;
use crate::processor_listener::ListenerQueue;

#[derive(Default)]
pub(crate) struct SharedProcessor {
    listeners: Vec<Listener>,
}

struct Listener {
    queue: ListenerQueue,
    resync: Option<Resync>,
}

struct Resync {
    period: Duration,
    /// None while the last one is being processed: a period begins when that is done (RS-3), so
    /// that resyncs alone cannot keep the process loop busy.
    next: Option<Instant>,
    /// It was due when the process loop last looked.
    syncing: bool,
}

impl Resync {
    /// None if the period is zero.
    fn every(asked: Duration) -> Option<Self> {
        let period = asked.clamp(RESYNC_PERIOD_MIN, RESYNC_PERIOD_MAX);
        (!asked.is_zero()).then(|| Self {
            period,
            next: Some(Instant::now() + period),
            syncing: false,
        })
    }
}

impl SharedProcessor {
    /// Adds one, and forgets those that have been closed: nothing else may come that finds them.
    pub(crate) fn add_listener(&mut self, queue: ListenerQueue, resync_period: Option<Duration>) {
        self.listeners.retain(|listener| !listener.queue.is_closed());
        let resync = resync_period.and_then(Resync::every);
        self.listeners.push(Listener { queue, resync });
    }

    /// Another period, which begins now; the same one goes on.
    pub(crate) fn set_resync_period(
        &mut self,
        queue: &ListenerQueue,
        resync_period: Option<Duration>,
    ) {
        let resync = resync_period.and_then(Resync::every);
        if let Some(listener) = self.listeners.iter_mut().find(|it| it.queue.is_same(queue)) {
            let period = |resync: &Option<Resync>| resync.as_ref().map(|it| it.period);
            if period(&resync) != period(&listener.resync) {
                listener.resync = resync;
            }
        }
    }

    /// Tells everybody, or with `is_sync` (old and new are the same state) those whose resync is
    /// due. Forgets the listeners that have been closed.
    pub(crate) fn distribute(&mut self, notification: &Notification, is_sync: bool) {
        let now = Instant::now();
        self.listeners.retain(|listener| {
            let concerned = !is_sync || listener.resync.as_ref().is_some_and(|it| it.syncing);
            !concerned || listener.queue.push(notification.clone(), now)
        });
    }

    /// When the next resync is due; none if nobody asked for one. What was due has been processed.
    pub(crate) fn next_resync(&mut self, now: Instant) -> Option<Instant> {
        let resyncs = self.listeners.iter_mut().filter_map(|it| it.resync.as_mut());
        resyncs.map(|it| *it.next.get_or_insert(now + it.period)).min()
    }

    /// Marks the listeners that are due now; true if there is one. The marks stay until the next
    /// call.
    pub(crate) fn resync_due(&mut self, now: Instant) -> bool {
        let mut due = false;
        for resync in self.listeners.iter_mut().filter_map(|it| it.resync.as_mut()) {
            resync.syncing = resync.next.is_some_and(|next| next <= now);
            if resync.syncing {
                resync.next = None;
                due = true;
            }
        }
        due
    }

    /// Nothing more will come: the listeners deliver what they have and end.
    pub(crate) fn close(&mut self) {
        for listener in self.listeners.drain(..) {
            listener.queue.close();
        }
    }
}

/// client-go: RP-2.
const RESYNC_PERIOD_MIN: Duration = Duration::from_secs(1);

/// A year: longer is never, and a time that is not representable would end the informer.
const RESYNC_PERIOD_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pending_notifications::DeliveryPolicy;

    const SECOND: Duration = Duration::from_secs(1);

    /// client-go: RS-3.
    #[tokio::test(start_paused = true)]
    async fn a_resync_period_begins_when_the_last_resync_is_processed() {
        let mut shared_processor = SharedProcessor::default();
        let start = Instant::now();
        assert_eq!(shared_processor.next_resync(start), None);
        shared_processor.add_listener(ListenerQueue::new(DeliveryPolicy::default()), Some(SECOND));
        assert_eq!(shared_processor.next_resync(start), Some(start + SECOND));
        assert!(!shared_processor.resync_due(start));
        assert!(shared_processor.resync_due(start + SECOND));
        // Processing it takes longer than the period.
        let processed = start + 4 * SECOND;
        assert_eq!(shared_processor.next_resync(processed), Some(processed + SECOND));
        assert!(!shared_processor.resync_due(processed));
    }
}

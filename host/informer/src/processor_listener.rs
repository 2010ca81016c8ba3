//! One handler's queue, and the task that empties it.
//!
//! in:   notifications from the shared processor
//! out:  one call of the handler at a time
//! runs: one task per handler, until it is removed or the informer ends.
//!
//! The shared processor only takes the queue's lock for a moment, so a slow handler delays nobody.
//!
//! client-go: `processorListener`.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use scopeguard::{ScopeGuard, guard};
use tokio::sync::{Notify, watch};
use tokio::task::consume_budget;
use tokio::time::{Instant, sleep_until};

use crate::event_handler::{Delivery, Handled, Notification, ResourceEventHandler};
use crate::pending_notifications::{DeliveryPolicy, Next, PendingNotifications};

/// The end of a listener that the shared processor and the registration hold.
#[derive(Clone)]
pub(crate) struct ListenerQueue(Arc<Shared>);

struct Shared {
    pending: Mutex<PendingNotifications>,
    changed: Notify,
    /// One channel for all of it, since a channel is a good part of what an idle handler costs.
    progress: watch::Sender<Progress>,
    /// Whom this one replaces, until it has taken over what was left.
    predecessor: Mutex<Option<ListenerQueue>>,
}

/// How far a listener's task has come, and when it must end.
#[derive(Default)]
struct Progress {
    /// `Synced` has been handled.
    has_synced: bool,
    /// When it ends, whatever is left.
    cut_off_at: Option<Instant>,
    /// It has ended, however it did.
    ended: bool,
}

impl ListenerQueue {
    pub(crate) fn new(policy: DeliveryPolicy) -> Self {
        Self::succeeding(None, policy)
    }

    pub(crate) fn succeeding(predecessor: Option<Self>, policy: DeliveryPolicy) -> Self {
        Self(Arc::new(Shared {
            pending: Mutex::new(PendingNotifications::new(policy)),
            changed: Notify::new(),
            progress: watch::Sender::default(),
            predecessor: Mutex::new(predecessor),
        }))
    }

    /// Takes a notification in; false if the listener is closed. [`ListenerQueue::wake`] must follow the
    /// last of several.
    pub(crate) fn push(&self, notification: Notification, now: Instant) -> bool {
        self.pending().push(notification, now)
    }

    /// Nothing more is taken in; the task ends when the rest is delivered.
    pub(crate) fn close(&self) {
        self.pending().close();
        self.0.changed.notify_one();
    }

    /// As [`ListenerQueue::close`], and after this long the task ends all the same.
    pub(crate) fn close_within(&self, drain: Duration) {
        self.close();
        // A time that no clock can show never comes.
        let Some(at) = Instant::now().checked_add(drain) else { return };
        self.0.progress.send_modify(|progress| {
            progress.cut_off_at = Some(progress.cut_off_at.map_or(at, |nearer| nearer.min(at)));
        });
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pending().is_closed()
    }

    /// Whether `Synced` has been handled.
    pub(crate) fn has_synced(&self) -> bool {
        self.0.progress.borrow().has_synced
    }

    /// Waits until `Synced` has been handled, or the task has ended; gives whether it has been handled.
    pub(crate) async fn wait_for_sync(&self) -> bool {
        self.wait_for(|progress| progress.has_synced || progress.ended).await;
        self.has_synced()
    }

    /// The task has ended: it delivers nothing more, and what it holds is freed.
    pub(crate) fn set_ended(&self) {
        self.0.progress.send_modify(|progress| progress.ended = true);
    }

    /// Waits until the task has ended.
    pub(crate) async fn wait_for_end(&self) {
        self.wait_for(|progress| progress.ended).await;
    }

    async fn wait_for(&self, is_so: impl FnMut(&Progress) -> bool) {
        // Fails only without a sender, and that is held here.
        let _ = self.0.progress.subscribe().wait_for(is_so).await;
    }

    /// Wakes the task, after something that it waits for was changed through `pending`.
    pub(crate) fn wake(&self) {
        self.0.changed.notify_one();
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Waits until the listener before this one has ended, and takes over what it left. If that
    /// one was itself still waiting, this begins with the one before it: a task may be cut off
    /// while it waits, and what it would have taken over must not end with it.
    pub(crate) async fn succeed(&self) {
        let mut successors = vec![self.clone()];
        while let Some(predecessor) = successors.last().and_then(Self::predecessor) {
            successors.push(predecessor);
        }
        for successor in successors.iter().rev() {
            let Some(predecessor) = successor.predecessor() else { continue };
            predecessor.wait_for_end().await;
            successor.take_over();
        }
    }

    fn take_over(&self) {
        // Held to the end: whoever finds nobody here finds what was left in the queue.
        let mut predecessor = self.0.predecessor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(predecessor) = predecessor.take() {
            let left = predecessor.pending().left();
            self.pending().inherit(left, Instant::now());
        }
    }

    fn predecessor(&self) -> Option<Self> {
        self.0.predecessor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn cut_off(&self) {
        self.wait_for(|progress| progress.cut_off_at.is_some()).await;
        let at = self.0.progress.borrow().cut_off_at;
        if let Some(at) = at {
            // In a box, as all that is rare: the tasks of handlers that have nothing to do are small without it.
            Box::pin(sleep_until(at)).await;
        }
    }

    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    pub(crate) fn pending(&self) -> MutexGuard<'_, PendingNotifications> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers what is queued until the queue is closed and drained, or cut off.
pub(crate) async fn run<H: ResourceEventHandler>(queue: ListenerQueue, mut handler: H) {
    // In this order: a handler that is always ready would leave no turn to the clock.
    tokio::select! {
        biased;
        () = queue.cut_off() => {}
        () = deliver_each(&queue, &mut handler) => {}
    }
}

async fn deliver_each<H: ResourceEventHandler>(queue: &ListenerQueue, handler: &mut H) {
    let mut now = Instant::now();
    loop {
        let next = queue.pending().next(now);
        now = match next {
            Next::Deliver(delivery) => deliver(queue, handler, delivery).await,
            Next::Wait(due) => {
                wait(queue, due).await;
                Instant::now()
            }
            Next::Closed => return,
        };
        // A handler that is always ready must not keep its thread to itself.
        consume_budget().await;
    }
}

/// Until then, or until something is pushed.
async fn wait(queue: &ListenerQueue, due: Option<Instant>) {
    let changed = queue.0.changed.notified();
    match due {
        None => changed.await,
        Some(due) => tokio::select! {
            () = changed => {}
            () = Box::pin(sleep_until(due)) => {}
        },
    }
}

/// Gives when it was done.
async fn deliver<H: ResourceEventHandler>(
    queue: &ListenerQueue,
    handler: &mut H,
    delivery: Delivery,
) -> Instant {
    // For whoever takes over, where this is cut off.
    let delivery = guard(delivery, |delivery| queue.pending().give_back(delivery));
    // The call stands inside, since it can panic before there is a future. In a box, which is made in nanoseconds: the
    // tasks of handlers that have nothing to do would be ten times as large with it.
    let handled = Box::pin(async { handler.handle(&delivery).await });
    let handled = AssertUnwindSafe(handled).catch_unwind().await;
    let handled = handled.unwrap_or_else(|_| Handled::Retry {
        after: None,
        reason: "the handler panicked".to_owned(),
    });
    let delivery = ScopeGuard::into_inner(delivery);
    let now = Instant::now();
    let waits = queue.pending().finish(&delivery, handled, now).is_some();
    // Synced even if it failed for good: a broken handler must not keep others waiting.
    if delivery.notification == Notification::Synced && !waits {
        queue.0.progress.send_modify(|progress| progress.has_synced = true);
    }
    now
}

#[cfg(test)]
mod tests;

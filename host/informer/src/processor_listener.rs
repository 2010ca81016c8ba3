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

use futures_util::FutureExt;
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
    has_synced: watch::Sender<bool>,
}

impl ListenerQueue {
    pub(crate) fn new(policy: DeliveryPolicy) -> Self {
        Self(Arc::new(Shared {
            pending: Mutex::new(PendingNotifications::new(policy)),
            changed: Notify::new(),
            has_synced: watch::Sender::new(false),
        }))
    }

    /// Takes a notification in; false if the listener is closed.
    pub(crate) fn push(&self, notification: Notification) -> bool {
        let open = self.pending().push(notification);
        self.0.changed.notify_one();
        open
    }

    /// Nothing more is taken in; the task ends when the rest is delivered.
    pub(crate) fn close(&self) {
        self.pending().close();
        self.0.changed.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pending().is_closed()
    }

    /// Whether `Synced` has been handled.
    pub(crate) fn has_synced(&self) -> watch::Receiver<bool> {
        self.0.has_synced.subscribe()
    }

    /// Wakes the task, after something that it waits for was changed through `pending`.
    pub(crate) fn wake(&self) {
        self.0.changed.notify_one();
    }

    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    pub(crate) fn pending(&self) -> MutexGuard<'_, PendingNotifications> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers what is queued until the queue is closed and drained.
pub(crate) async fn run<H: ResourceEventHandler>(queue: ListenerQueue, mut handler: H) {
    loop {
        let next = queue.pending().next(Instant::now());
        match next {
            Next::Deliver(delivery) => deliver(&queue, &mut handler, &delivery).await,
            Next::Wait(None) => queue.0.changed.notified().await,
            Next::Wait(Some(due)) => tokio::select! {
                () = queue.0.changed.notified() => {}
                () = sleep_until(due) => {}
            },
            Next::Closed => return,
        }
        // A handler that is always ready must not keep its thread to itself.
        consume_budget().await;
    }
}

async fn deliver<H: ResourceEventHandler>(
    queue: &ListenerQueue,
    handler: &mut H,
    delivery: &Delivery,
) {
    // The call stands inside, since it can panic before there is a future.
    let handled = async { handler.handle(delivery).await };
    let handled = AssertUnwindSafe(handled).catch_unwind().await;
    let handled = handled.unwrap_or_else(|_| Handled::Retry {
        after: None,
        reason: "the handler panicked".to_owned(),
    });
    let waits = queue.pending().finish(handled, Instant::now()).is_some();
    // Synced even if it failed for good: a broken handler must not keep others waiting.
    if delivery.notification == Notification::Synced && !waits {
        queue.0.has_synced.send_replace(true);
    }
}

#[cfg(test)]
mod tests;

//! One handler's place at one informer: how it is served, paused, replaced and removed.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scopeguard::guard;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::{HandlerOptions, SharedInformer};
use crate::event_handler::ResourceEventHandler;
use crate::object::ObjectKey;
use crate::pending_notifications::{DeadLetter, DeliveryCounts, DeliveryPolicy};
use crate::process_loop::Command;
use crate::processor_listener::{self, ListenerQueue};

/// One handler's place at one informer. Dropping it cuts the handler off without a drain.
///
/// client-go: `ResourceEventHandlerRegistration`.
pub struct HandlerRegistration {
    pub(super) queue: ListenerQueue,
    pub(super) task: AbortHandle,
    /// The process loop closes the queue, in the step in which the next handler joins.
    is_replaced: AtomicBool,
    /// The informer runs while somebody is registered.
    informer: SharedInformer,
}

impl HandlerRegistration {
    pub(super) fn start(
        informer: &SharedInformer,
        queue: ListenerQueue,
        options: &HandlerOptions,
        listener: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        queue.pending().set_paused(options.paused);
        let runtime = options.runtime.clone().unwrap_or_else(Handle::current);
        let ended = guard(queue.clone(), |queue| queue.set_ended());
        let task = runtime.spawn(async move {
            listener.await;
            // Named last, so that a task that is cut off, or never began, drops it last.
            drop(ended);
        });
        let (task, informer) = (task.abort_handle(), informer.clone());
        Self { queue, task, is_replaced: AtomicBool::new(false), informer }
    }

    /// Puts another handler in the place of this one, so that no notification falls between: in one
    /// step, this one takes in nothing more, and the new one gets every cached object, then
    /// [`Synced`], then what follows.
    ///
    /// This one delivers what it has for `drain`, then it is cut off, in the middle of a call if need
    /// be. The new one is told nothing before this one's task has ended. It begins with the deletions
    /// that this one was not told or has not handled, dead letters included; what this one was not
    /// told of objects that are there is superseded by the cache. A deletion may be of an object that
    /// only a handler before was told of. Counts start at zero.
    ///
    /// To replace several handlers that must not run beside their successors, let those start
    /// [paused](HandlerOptions::paused), and wait for [`HandlerRegistration::wait_for_end`] of all the
    /// old ones. This registration may be dropped when this returns, which cuts the handler off
    /// without a drain. A new one may itself be replaced before it has begun.
    ///
    /// If this call is given up, nothing has happened. If the new registration is dropped, the handler
    /// is replaced by none, and what it was not told is told to nobody. If the informer has stopped, or
    /// stops before, nothing is replaced: the new handler is told nothing, and its registration has
    /// ended. If this one was removed before, the changes in between are not known, only what it left.
    /// Replace a handler once.
    ///
    /// client-go has no such thing.
    ///
    /// [`Synced`]: crate::Notification::Synced
    pub async fn replace<H: ResourceEventHandler>(
        &self,
        handler: H,
        options: HandlerOptions,
        drain: Duration,
    ) -> HandlerRegistration {
        let predecessor = Some(self.queue.clone());
        let new = ListenerQueue::succeeding(predecessor, options.delivery.clone());
        let (replaced, is_replaced) = oneshot::channel();
        let queue = new.clone();
        let listener = async move {
            if is_replaced.await.is_ok() {
                queue.succeed().await;
                processor_listener::run(queue, handler).await;
            }
        };
        let registration = Self::start(&self.informer, new.clone(), &options, listener);
        let (old, resync_period) = (self.queue.clone(), options.resync_period);
        let replace = Command::ReplaceListener { old, new, resync_period, drain, replaced };
        match self.informer.0.commands.send(replace).await {
            Ok(()) => self.is_replaced.store(true, Ordering::Release),
            Err(_) => registration.queue.close(),
        }
        registration
    }

    /// Whether the handler has handled its initial list, failures included.
    pub fn has_synced(&self) -> bool {
        self.queue.has_synced()
    }

    /// Waits for [`HandlerRegistration::has_synced`]; false if the handler ends before, since it
    /// was removed or the informer has stopped.
    pub async fn wait_for_sync(&self) -> bool {
        self.queue.wait_for_sync().await
    }

    /// Waits until the handler is called no more and is freed: it was removed or replaced, or the
    /// informer has stopped, and what was queued is delivered or cut off.
    pub async fn wait_for_end(&self) {
        self.queue.wait_for_end().await;
    }

    /// Tells the handler [`Synced`] once more, after everything that is queued now. Without effect
    /// before it was told the first time, and while it is still to be told. `has_synced` stays true.
    ///
    /// [`Synced`]: crate::Notification::Synced
    pub fn sync_again(&self) {
        self.queue.pending().sync_again(Instant::now());
        self.queue.wake();
    }

    /// While paused, the handler is not called; a call that runs ends as it does. What comes is taken
    /// in, and merges beyond the buffer's bound. A handler that is removed or replaced, or whose
    /// informer stops, while it is paused is told nothing more.
    pub fn set_paused(&self, paused: bool) {
        self.queue.pending().set_paused(paused);
        self.queue.wake();
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.queue.pending().is_paused()
    }

    /// Serves the handler differently from now on. What waits for a retry keeps its time; what is
    /// queued already does not merge. Another resync period begins now; the same one goes on.
    pub async fn set_policy(&self, delivery: DeliveryPolicy, resync_period: Option<Duration>) {
        self.queue.pending().set_policy(delivery);
        let queue = self.queue.clone();
        let command = Command::SetResyncPeriod { queue, resync_period };
        // If that fails, there is nothing left to resync.
        let _ = self.informer.0.commands.send(command).await;
    }

    /// What has become of the notifications so far.
    pub fn counts(&self) -> DeliveryCounts {
        self.queue.pending().counts()
    }

    /// Notifications that have not been handled yet, dead letters not included.
    pub fn pending(&self) -> usize {
        self.queue.pending().len()
    }

    /// How many objects are dead letters.
    pub fn dead_letter_count(&self) -> usize {
        self.queue.pending().dead_letter_count()
    }

    /// The objects whose delivery has failed for good, sorted by key.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.queue.pending().dead_letters()
    }

    /// Tries dead letters again, of one object or of all; gives how many.
    pub fn retry_dead_letters(&self, key: Option<&ObjectKey>) -> usize {
        let count = self.queue.pending().retry_dead_letters(key, Instant::now());
        self.queue.wake();
        count
    }

    /// Gives dead letters up, of one object or of all; gives how many. A deletion that is given up is
    /// never told, and the object counts as gone.
    ///
    /// A newer state, or a resync, is delivered so that it continues what the handler has handled: as an
    /// addition if it has not handled the object's addition, otherwise as an update from the state that
    /// it handled last. The deletion is told if the handler has seen the object, handled or not.
    pub fn purge_dead_letters(&self, key: Option<&ObjectKey>) -> usize {
        self.queue.pending().purge_dead_letters(key)
    }

    /// Removes the handler: nothing new is queued, what is queued is delivered until the deadline,
    /// then it is cut off, in the middle of a call if need be. A paused one only ends the call that
    /// runs. Gives how many were not delivered. One that is replaced ends by the nearer deadline.
    pub async fn remove(&self, deadline: Duration) -> usize {
        self.close();
        let _ = timeout(deadline, self.wait_for_end()).await;
        self.task.abort();
        self.queue.pending().len()
    }

    fn close(&self) {
        if !self.is_replaced.load(Ordering::Acquire) {
            self.queue.close();
        }
    }
}

impl Drop for HandlerRegistration {
    fn drop(&mut self) {
        self.close();
        self.task.abort();
    }
}

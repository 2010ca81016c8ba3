//! Who may run on the guests' threads: whoever is quick, at once; whoever has used up an epoch, in turns.
//!
//! Slow calls have all threads but one, for an epoch at a time, first come, first served. So there is always a
//! thread for the calls that take microseconds, as nearly all do, whatever the others do with theirs. A
//! handler whose last call was slow begins its next one in the slow lane.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// How many threads guests run on.
pub(crate) fn guest_threads() -> usize {
    available_parallelism().map_or(2, NonZeroUsize::get).max(2)
}

/// Of one engine. Clones are the same one.
#[derive(Clone)]
pub(super) struct SlowLane(Arc<Semaphore>);

/// One handler's place. Clones are the same one.
#[derive(Clone)]
pub(super) struct Lane {
    slow: SlowLane,
    is_slow: Arc<AtomicBool>,
}

/// One call's place.
pub(super) struct Turns {
    lane: Lane,
    /// Once it is in the slow lane.
    slow: Option<PollSemaphore>,
}

impl SlowLane {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(guest_threads() - 1)))
    }

    /// For a handler that begins as a quick one.
    pub(super) fn lane(&self) -> Lane {
        Lane { slow: self.clone(), is_slow: Arc::default() }
    }
}

impl Lane {
    /// A call begins.
    pub(super) fn turns(&self) -> Turns {
        let mut turns = Turns { lane: self.clone(), slow: None };
        if self.is_slow.load(Ordering::Relaxed) {
            turns.enter_slow_lane();
        }
        turns
    }

    /// A call has ended.
    pub(super) fn ended(&self, was_slow: bool) {
        self.is_slow.store(was_slow, Ordering::Relaxed);
    }
}

impl Turns {
    pub(super) fn enter_slow_lane(&mut self) {
        let semaphore = || PollSemaphore::new(self.lane.slow.0.clone());
        self.slow.get_or_insert_with(semaphore);
    }

    /// The guest may run while it has this. Ready at once, unless it is slow.
    pub(super) fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<OwnedSemaphorePermit>> {
        match &mut self.slow {
            None => Poll::Ready(None),
            // Never closed.
            Some(slow) => Poll::Ready(ready!(slow.poll_acquire(context))),
        }
    }
}

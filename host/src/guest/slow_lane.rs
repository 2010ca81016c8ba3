//! Who may run on the guests' threads: whoever is quick, at once; whoever has used up an epoch, in turns.
//!
//! Slow calls have all threads but one, for an epoch at a time, first come, first served. So there is always a
//! thread for the calls that take microseconds, as nearly all do, whatever the others do with theirs. A
//! handler with a call that was slow, or failed, begins its next ones in the slow lane, until enough of them were quick.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use super::epoch_clock::EpochClock;

/// How many threads guests run on.
pub(crate) fn guest_threads() -> usize {
    available_parallelism().map_or(2, NonZeroUsize::get).max(2)
}

/// Of one engine. Clones are the same one.
#[derive(Clone)]
pub(super) struct SlowLane {
    threads: Arc<Semaphore>,
    clock: EpochClock,
}

/// One handler's place. Clones are the same one.
#[derive(Clone)]
pub(super) struct Lane {
    slow: SlowLane,
    /// So many calls, starts included, until it leaves the slow lane.
    slow_calls: Arc<AtomicU32>,
}

/// One call's place.
pub(super) struct Turns<'l> {
    lane: &'l Lane,
    /// Once it is in the slow lane.
    slow: Option<PollSemaphore>,
}

impl SlowLane {
    pub(super) fn new(clock: EpochClock) -> Self {
        Self { threads: Arc::new(Semaphore::new(guest_threads() - 1)), clock }
    }

    /// For a handler that begins as a quick one.
    pub(super) fn lane(&self) -> Lane {
        Lane { slow: self.clone(), slow_calls: Arc::default() }
    }
}

impl Lane {
    /// A call begins.
    pub(super) fn turns(&self) -> Turns<'_> {
        let mut turns = Turns { lane: self, slow: None };
        if self.slow_calls.load(Ordering::Relaxed) > 0 {
            turns.enter_slow_lane();
        }
        turns
    }

    /// A call has ended. One that was not `good` took its time, or left an instance to be made anew.
    pub(super) fn ended(&self, good: bool) {
        match self.slow_calls.load(Ordering::Relaxed) {
            0 if good => {}
            // Calls of one handler never overlap.
            left if good => self.slow_calls.store(left - 1, Ordering::Relaxed),
            _ => self.slow_calls.store(SLOW_CALLS, Ordering::Relaxed),
        }
    }
}

impl Turns<'_> {
    pub(super) fn enter_slow_lane(&mut self) {
        let semaphore = || PollSemaphore::new(self.lane.slow.threads.clone());
        self.slow.get_or_insert_with(semaphore);
    }

    /// The guest may run while it has this. Ready at once, unless it is slow.
    pub(super) fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<OwnedSemaphorePermit>> {
        let turn = match &mut self.slow {
            None => None,
            // Never closed.
            Some(slow) => ready!(slow.poll_acquire(context)),
        };
        self.lane.slow.clock.guest_runs();
        Poll::Ready(turn)
    }
}

/// A guest that has to be started again has three quick calls each time: two to start it, and the next one.
const SLOW_CALLS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_slow_or_failed_is_in_the_slow_lane_until_enough_calls_were_good() {
        let lane = SlowLane::new(EpochClock::default()).lane();
        let is_slow = || lane.turns().slow.is_some();
        assert!(!is_slow());
        lane.ended(true);
        assert!(!is_slow());
        lane.ended(false);
        for _ in 1..SLOW_CALLS {
            lane.ended(true);
            assert!(is_slow());
        }
        lane.ended(false);
        for _ in 0..SLOW_CALLS {
            assert!(is_slow(), "it counts from the last one");
            lane.ended(true);
        }
        assert!(!is_slow());
    }
}

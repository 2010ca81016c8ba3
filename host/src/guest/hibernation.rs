//! Which guests have had nothing to do for as long as their specs say: their instances are dropped, and made anew for the
//! next notification. Their modules stay mapped.
//!
//! in:   every guest that was put to work
//! out:  guests that hibernate
//! runs: one task of the host, which looks at all of them every now and then. So a call costs nothing more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::shared_guest::Shared;

/// The guests of one engine. Clones are the same ones.
#[derive(Clone, Default)]
pub(super) struct Hibernation(Arc<Mutex<Vec<Weak<Shared>>>>);

/// Whether a guest hibernates, and what waking it took so far.
#[derive(Default)]
pub(super) struct Sleep {
    asleep: AtomicBool,
    wakes: AtomicU64,
    wake_nanos: AtomicU64,
}

/// What is known of a guest's hibernation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SleepStatus {
    /// It has no instance, since it has had nothing to do.
    pub hibernating: bool,
    /// How often it was woken.
    pub wakes: u64,
    /// The time until it was ready to be called, of all wakes: instantiation and `init`, waits included.
    pub wake_time: Duration,
}

impl Hibernation {
    pub(super) fn watch(&self, guest: &Arc<Shared>) {
        self.guests().push(Arc::downgrade(guest));
    }

    /// For ever.
    pub(super) async fn run(&self) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            self.guests().retain(|guest| guest.strong_count() > 0);
            let mut next = 0;
            while let Some(guest) = self.next(&mut next) {
                // Outside of the lock, and in turns with others: dropping an instance takes 25 µs.
                if guest.hibernate_if_idle(now) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// The next one that is alive; `next` is where to look.
    fn next(&self, next: &mut usize) -> Option<Arc<Shared>> {
        let guests = self.guests();
        let rest = guests.get(*next..)?;
        let (ahead, guest) =
            rest.iter().enumerate().find_map(|(ahead, it)| Some((ahead, it.upgrade()?)))?;
        *next += ahead + 1;
        Some(guest)
    }

    fn guests(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Shared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleep {
    pub(super) fn begins(&self) {
        self.asleep.store(true, Ordering::Relaxed);
    }

    /// There is something to do; gives whether it slept.
    pub(super) fn ends(&self) -> bool {
        self.asleep.swap(false, Ordering::Relaxed)
    }

    /// It is ready to be called.
    pub(super) fn woken_within(&self, time: Duration) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.wake_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn status(&self) -> SleepStatus {
        SleepStatus {
            hibernating: self.asleep.load(Ordering::Relaxed),
            wakes: self.wakes.load(Ordering::Relaxed),
            wake_time: Duration::from_nanos(self.wake_nanos.load(Ordering::Relaxed)),
        }
    }
}

/// When an instance was used last, as exactly as it is looked at.
pub(super) struct LastUse {
    used: bool,
    seen: Instant,
}

impl LastUse {
    pub(super) fn now() -> Self {
        Self { used: false, seen: Instant::now() }
    }

    pub(super) fn used(&mut self) {
        self.used = true;
    }

    /// For how long it was not used, or less.
    pub(super) fn idle_for(&mut self, now: Instant) -> Duration {
        if std::mem::take(&mut self.used) {
            self.seen = now;
        }
        now.saturating_duration_since(self.seen)
    }
}

/// An instance lives so much longer than it has to.
const PERIOD: Duration = Duration::from_secs(1);

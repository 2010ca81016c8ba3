//! What time means to a guest: the CPU time that one call has used, and the clocks that it may read.
//!
//! The clocks stand still from when the guest looks at one, and go on when it has waited: what it could measure
//! with them is how long others have run. Whoever wants times finds them in the objects.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use super::instance::CallError;
use super::slow_lane::{Lane, Turns};

/// Of one instance. Reading the CPU clock costs as much as a call, so it is read at every epoch, and
/// what passes before the first one is not counted. Clones are the same one.
#[derive(Clone)]
pub(super) struct CallMeter(Arc<Meter>);

struct Meter {
    metered: Mutex<Metered>,
    /// The call has used up an epoch.
    is_slow: AtomicBool,
    made: Instant,
    lane: Lane,
}

/// Of the call that runs.
#[derive(Default)]
struct Metered {
    budget: Duration,
    used: Duration,
    /// The thread that runs the guest, and its CPU time when it began to or was last asked.
    running: Option<(ThreadId, Duration)>,
    /// The guest did not wait by itself: it lets others run.
    yields: bool,
    /// What the clocks show, once the guest has looked: since the instance was made, and since 1970.
    shown: Option<(Duration, Duration)>,
}

impl CallMeter {
    pub(super) fn new(lane: Lane) -> Self {
        let (metered, is_slow) = (Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Meter { metered, is_slow, made: Instant::now(), lane }))
    }

    /// A call begins.
    pub(super) fn start(&self, budget: Duration) {
        *self.metered() = Metered { budget, ..Metered::default() };
        self.0.is_slow.store(false, Ordering::Relaxed);
    }

    /// When the guest may run, in the call that began.
    pub(super) fn turns(&self) -> Turns<'_> {
        self.0.lane.turns()
    }

    /// It has used up an epoch.
    pub(super) fn is_slow(&self) -> bool {
        self.0.is_slow.load(Ordering::Relaxed)
    }

    /// The call has ended, with an answer or because it failed.
    pub(super) fn end(&self, failed: bool) {
        self.0.lane.ended(!failed && !self.is_slow());
    }

    /// The guest goes on after waiting, maybe on another thread.
    pub(super) fn resume(&self) {
        let mut metered = self.metered();
        metered.running = Some(thread_cpu_time());
        if !std::mem::take(&mut metered.yields) {
            metered.shown = None;
        }
    }

    /// An epoch has passed: the guest ends here, or lets others run and goes on.
    pub(super) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        let (thread, now) = thread_cpu_time();
        let mut metered = self.metered();
        if let Some((running_on, since)) = metered.running.replace((thread, now))
            && running_on == thread
        {
            metered.used += now.saturating_sub(since);
            self.0.is_slow.store(true, Ordering::Relaxed);
        }
        metered.yields = true;
        match metered.used >= metered.budget {
            true => Err(CallError::CpuExceeded(metered.budget).into()),
            false => Ok(UpdateDeadline::Yield(1)),
        }
    }

    fn metered(&self) -> MutexGuard<'_, Metered> {
        self.0.metered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the clocks show: since the instance was made, and since 1970.
    fn shown(&self) -> (Duration, Duration) {
        let coarse = |time: Duration| {
            time - Duration::from_nanos(u64::from(time.subsec_nanos()) % MILLISECOND)
        };
        *self.metered().shown.get_or_insert_with(|| {
            let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            (coarse(self.0.made.elapsed()), coarse(wall.unwrap_or_default()))
        })
    }
}

impl HostMonotonicClock for CallMeter {
    fn resolution(&self) -> u64 {
        MILLISECOND
    }

    fn now(&self) -> u64 {
        // 584 years.
        u64::try_from(self.shown().0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl HostWallClock for CallMeter {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(MILLISECOND)
    }

    fn now(&self) -> Duration {
        self.shown().1
    }
}

fn thread_cpu_time() -> (ThreadId, Duration) {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    (std::thread::current().id(), Duration::new(time.tv_sec.unsigned_abs(), nanoseconds))
}

/// The step of the clocks, in nanoseconds.
const MILLISECOND: u64 = 1_000_000;

//! What time means to a guest: the CPU time that one call has used, and the clocks that it may read.
//!
//! The clocks stand still while the guest runs, and go on when it has waited: what it could measure with them
//! is how long others have run. Whoever wants times finds them in the objects.

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
pub(super) struct CallMeter {
    metered: Arc<Mutex<Metered>>,
    lane: Lane,
}

struct Metered {
    budget: Duration,
    used: Duration,
    /// The thread that runs the guest, and its CPU time when it began to or was last asked.
    running: Option<(ThreadId, Duration)>,
    /// The guest did not wait by itself: it lets others run.
    yields: bool,
    made: Instant,
    /// What the clocks show: since the instance was made, and since 1970.
    monotonic: Duration,
    wall: Duration,
}

impl CallMeter {
    pub(super) fn new(lane: Lane) -> Self {
        let metered = Metered {
            budget: Duration::ZERO,
            used: Duration::ZERO,
            running: None,
            yields: false,
            made: Instant::now(),
            monotonic: Duration::ZERO,
            wall: Duration::ZERO,
        };
        Self { metered: Arc::new(Mutex::new(metered)), lane }
    }

    /// A call begins.
    pub(super) fn start(&self, budget: Duration) {
        let mut metered = self.metered();
        metered.budget = budget;
        metered.used = Duration::ZERO;
        metered.running = None;
        metered.yields = false;
        metered.set_clocks();
    }

    /// When the guest may run, in the call that began.
    pub(super) fn turns(&self) -> Turns {
        self.lane.turns()
    }

    /// It has used up an epoch.
    pub(super) fn is_slow(&self) -> bool {
        !self.metered().used.is_zero()
    }

    /// The call has ended, with an answer or because it failed.
    pub(super) fn end(&self, failed: bool) {
        self.lane.ended(!failed && !self.is_slow());
    }

    /// The guest goes on after waiting, maybe on another thread.
    pub(super) fn resume(&self) {
        let mut metered = self.metered();
        metered.running = Some(thread_cpu_time());
        if !std::mem::take(&mut metered.yields) {
            metered.set_clocks();
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
        }
        metered.yields = true;
        match metered.used >= metered.budget {
            true => Err(CallError::CpuExceeded(metered.budget).into()),
            false => Ok(UpdateDeadline::Yield(1)),
        }
    }

    fn metered(&self) -> MutexGuard<'_, Metered> {
        self.metered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metered {
    fn set_clocks(&mut self) {
        let coarse = |time: Duration| {
            time - Duration::from_nanos(u64::from(time.subsec_nanos()) % MILLISECOND)
        };
        self.monotonic = coarse(self.made.elapsed());
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.wall = coarse(wall.unwrap_or_default());
    }
}

impl HostMonotonicClock for CallMeter {
    fn resolution(&self) -> u64 {
        MILLISECOND
    }

    fn now(&self) -> u64 {
        // 584 years.
        u64::try_from(self.metered().monotonic.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl HostWallClock for CallMeter {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(MILLISECOND)
    }

    fn now(&self) -> Duration {
        self.metered().wall
    }
}

fn thread_cpu_time() -> (ThreadId, Duration) {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    (std::thread::current().id(), Duration::new(time.tv_sec.unsigned_abs(), nanoseconds))
}

/// The step of the clocks, in nanoseconds.
const MILLISECOND: u64 = 1_000_000;

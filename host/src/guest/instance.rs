//! One store and one instance of a handler module, and calls into it within the limits.
//!
//! Whatever a call ends with other than a value, the instance is not to be used again.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, UpdateDeadline};

use super::bindings::HandlerModule;
use super::imports::{GuestLog, GuestState};
use super::limits::{CPU_AT_START, GuestLimits, HANDLES_MAX, HOSTCALL_FUEL};
use super::module::GuestModule;

/// Why a call gave no answer. The instance is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call used more CPU time than it may.
    #[error("used more than its {0:?} of CPU time (raise limits.cpuPerCall if that is right)")]
    CpuExceeded(Duration),
    /// The call took longer than it may, waiting included.
    #[error("took longer than {0:?}, waiting included (ten times limits.cpuPerCall)")]
    DeadlineExceeded(Duration),
    /// The guest trapped after it was refused more memory.
    #[error(
        "ran out of its {memory} bytes of memory (raise limits.memory if that is right): {trap}"
    )]
    OutOfMemory {
        /// The limit.
        memory: usize,
        /// What wasmtime said.
        trap: String,
    },
    /// The guest trapped, or answered what it may not answer.
    #[error("trapped: {0}")]
    Trapped(String),
    /// The guest refused its configuration.
    #[error("refused its configuration: {0}")]
    ConfigRefused(String),
}

pub(super) struct Instance {
    pub(super) store: Store<GuestState>,
    pub(super) bindings: HandlerModule,
    limits: GuestLimits,
}

impl Instance {
    pub(super) async fn new(
        module: &GuestModule,
        limits: &GuestLimits,
        log: GuestLog,
    ) -> Result<Self, CallError> {
        let mut store = Store::new(&module.engine.engine, GuestState::new(limits, log));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(HANDLES_MAX);
        store.epoch_deadline_callback(|mut store| store.data_mut().cpu.tick());
        arm(&mut store, CPU_AT_START);
        let instantiated = module.pre.instantiate_async(&mut store);
        let bindings = within(CPU_AT_START * 10, instantiated).await;
        let bindings = bindings.map_err(|error| call_error(error, &store, limits))?;
        Ok(Self { store, bindings, limits: limits.clone() })
    }

    /// Makes one call. After an error the instance must be dropped.
    pub(super) async fn call<T>(
        &mut self,
        at_start: bool,
        call: impl AsyncFnOnce(&HandlerModule, &mut Store<GuestState>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let (cpu, wall) = match at_start {
            true => (CPU_AT_START, CPU_AT_START * 10),
            false => (self.limits.cpu_per_call, self.limits.wall_per_call()),
        };
        arm(&mut self.store, cpu);
        let answer = within(wall, call(&self.bindings, &mut self.store)).await;
        self.store.data_mut().call_objects.clear();
        answer.map_err(|error| call_error(error, &self.store, &self.limits))
    }
}

/// Before everything that runs guest code.
fn arm(store: &mut Store<GuestState>, cpu: Duration) {
    store.data_mut().cpu = CpuMeter::new(cpu);
    store.set_epoch_deadline(1);
}

async fn within<T>(
    wall: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    match tokio::time::timeout(wall, call).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::DeadlineExceeded(wall).into()),
    }
}

fn call_error(
    error: wasmtime::Error,
    store: &Store<GuestState>,
    limits: &GuestLimits,
) -> CallError {
    if let Some(error) = error.downcast_ref::<CallError>() {
        return error.clone();
    }
    // The message is "error while executing at wasm backtrace"; what went wrong is behind it.
    let trap = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    match store.data().limiter.memory_was_refused {
        true => CallError::OutOfMemory { memory: limits.memory, trap },
        false => CallError::Trapped(trap),
    }
}

/// Counts the CPU time of one call, at every epoch. What passes before the first epoch, and
/// while the guest waits for its turn, is not counted.
#[derive(Default)]
pub(super) struct CpuMeter {
    budget: Duration,
    used: Duration,
    /// Since when this thread has been running the guest.
    running: Arc<Mutex<Option<(ThreadId, Duration)>>>,
}

impl CpuMeter {
    fn new(budget: Duration) -> Self {
        Self { budget, ..Self::default() }
    }

    /// An epoch has passed: the guest ends here, or lets others run and goes on.
    fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let (thread, now) = thread_cpu_time();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((running_on, since)) = running
            && running_on == thread
        {
            self.used += now.saturating_sub(since);
        }
        if self.used >= self.budget {
            return Err(CallError::CpuExceeded(self.budget).into());
        }
        let running = self.running.clone();
        let turn = async move {
            tokio::task::yield_now().await;
            *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread_cpu_time());
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(turn)))
    }
}

fn thread_cpu_time() -> (ThreadId, Duration) {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    (std::thread::current().id(), Duration::new(time.tv_sec.unsigned_abs(), nanoseconds))
}

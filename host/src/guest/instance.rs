//! One store and one instance of a handler module, and calls into it within the limits.
//!
//! Whatever a call ends with other than a value, the instance is not to be used again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use super::bindings::{HandlerModule, HandlerModulePre};
use super::contract::mistyped_export;
use super::engine::GuestEngine;
use super::imports::GuestState;
use super::limits::{CPU_AT_START, GuestLimits, HANDLES_MAX, HOST_CALLS_MAX, HOSTCALL_FUEL};
use super::module::GuestModule;

/// Why a call gave no answer. The instance is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call used more CPU time than it may.
    #[error("used more than its {0:?} of CPU time (limits.cpuPerCall; 1s while it starts)")]
    CpuExceeded(Duration),
    /// The call took longer than it may, waiting included.
    #[error("took longer than {0:?}, waiting included (ten times its CPU time)")]
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
    /// The guest called its imports without end.
    #[error("called its imports more than {HOST_CALLS_MAX} times in one call")]
    TooManyHostCalls,
    /// The guest trapped.
    #[error("trapped: {0}")]
    Trapped(String),
    /// The guest answered, or asked, what it may not: text that is not UTF-8, a ticket of another call.
    #[error("broke the contract: {0}")]
    ContractBroken(String),
    /// An export takes or returns other types than the contract's.
    #[error(
        "has an export of other types than the contract's (generate its bindings anew from wit/): {export}: {problem}"
    )]
    Mistyped {
        /// Which.
        export: String,
        /// The difference.
        problem: String,
    },
    /// The instance that was to be called could not be made.
    #[error("failed to start again: {0}")]
    NotStarted(String),
    /// The next generation of the handler is there, and the call had its time to end.
    #[error("was cut off: the next generation of the handler takes over")]
    Replaced,
    /// A command ended, although there is more to come.
    #[error("ended (exit status {status}) instead of reading the next line{last_words}")]
    Ended {
        /// Its exit status.
        status: i32,
        /// What it said last on standard error, after a colon; or nothing.
        last_words: String,
    },
    /// A command answered something else than it was asked, or nothing.
    #[error("did not answer as wit/STDIN.md says: {0}")]
    NoAnswer(String),
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
        handler: &HandlerModulePre<GuestState>,
        limits: &GuestLimits,
        state: GuestState,
    ) -> Result<Self, CallError> {
        let mut store = new_store(&module.engine, state);
        arm(&mut store, true, CPU_AT_START);
        let cpu = store.data().cpu.clone();
        let instantiated = handler.instance_pre().instantiate_async(&mut store);
        let instance = within(CPU_AT_START * 10, cpu, instantiated).await;
        let instance = instance.map_err(|error| call_error(error, &store, limits))?;
        let bindings = HandlerModule::new(&mut store, &instance).map_err(|error| {
            let export = mistyped_export(&mut store, &instance, module.interfaces().handler());
            CallError::Mistyped {
                export: export.unwrap_or_default(),
                problem: error.root_cause().to_string(),
            }
        })?;
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
        arm(&mut self.store, at_start, cpu);
        let meter = self.store.data().cpu.clone();
        let answer = within(wall, meter, call(&self.bindings, &mut self.store)).await;
        self.store.data_mut().call_objects.clear();
        answer.map_err(|error| call_error(error, &self.store, &self.limits))
    }
}

/// Limits and all; to be armed before it runs guest code.
pub(super) fn new_store(engine: &GuestEngine, state: GuestState) -> Store<GuestState> {
    let mut store = Store::new(&engine.engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    store.set_max_component_handles(HANDLES_MAX);
    store.epoch_deadline_callback(|mut store| store.data_mut().cpu.tick());
    store
}

/// Before everything that runs guest code.
pub(super) fn arm(store: &mut Store<GuestState>, at_start: bool, cpu: Duration) {
    store.data_mut().begin_call(at_start, cpu);
    store.set_epoch_deadline(1);
}

/// Runs guest code, and notes since when this thread does so each time it goes on after waiting.
pub(super) async fn within<T, E: From<CallError>>(
    wall: Duration,
    cpu: CpuMeter,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut call = pin!(call);
    let mut waited = false;
    let timed = poll_fn(|context| {
        if waited {
            cpu.resume();
        }
        waited = true;
        call.as_mut().poll(context)
    });
    match tokio::time::timeout(wall, timed).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::DeadlineExceeded(wall).into()),
    }
}

pub(super) fn call_error(
    error: wasmtime::Error,
    store: &Store<GuestState>,
    limits: &GuestLimits,
) -> CallError {
    if let Some(error) = error.downcast_ref::<CallError>() {
        return error.clone();
    }
    let exit = error.downcast_ref::<I32Exit>().map(|exit| format!("it exited with {}", exit.0));
    let trap = exit.or_else(|| error.downcast_ref::<Trap>().map(Trap::to_string));
    let is_trap = trap.is_some();
    let mut text = trap.unwrap_or_else(|| {
        // Where in the wasm it was says nothing to whoever wrote the guest.
        let causes = error.chain().map(ToString::to_string);
        let causes: Vec<String> = causes.filter(|it| !it.contains("wasm backtrace")).collect();
        causes.join(": ")
    });
    let last_words = store.data().log.take_last_words();
    if !last_words.is_empty() {
        text = format!("{last_words} ({text})");
    }
    match store.data().limiter.memory_was_refused {
        true => CallError::OutOfMemory { memory: limits.memory, trap: text },
        false if is_trap => CallError::Trapped(text),
        false => CallError::ContractBroken(text),
    }
}

/// Counts the CPU time of one call, at every epoch. Reading the clock costs as much as a call, so what
/// passes before the first epoch is not counted. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct CpuMeter(Arc<Mutex<Metered>>);

#[derive(Default)]
struct Metered {
    budget: Duration,
    used: Duration,
    /// The thread that runs the guest, and its CPU time when it began to or was last asked.
    running: Option<(ThreadId, Duration)>,
}

impl CpuMeter {
    pub(super) fn start(&self, budget: Duration) {
        *self.metered() = Metered { budget, ..Metered::default() };
    }

    /// The guest goes on after waiting, maybe on another thread.
    fn resume(&self) {
        self.metered().running = Some(thread_cpu_time());
    }

    /// An epoch has passed: the guest ends here, or lets others run and goes on.
    fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        let (thread, now) = thread_cpu_time();
        let mut metered = self.metered();
        if let Some((running_on, since)) = metered.running.replace((thread, now))
            && running_on == thread
        {
            metered.used += now.saturating_sub(since);
        }
        match metered.used >= metered.budget {
            true => Err(CallError::CpuExceeded(metered.budget).into()),
            false => Ok(UpdateDeadline::Yield(1)),
        }
    }

    fn metered(&self) -> MutexGuard<'_, Metered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn thread_cpu_time() -> (ThreadId, Duration) {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    (std::thread::current().id(), Duration::new(time.tv_sec.unsigned_abs(), nanoseconds))
}

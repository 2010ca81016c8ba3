//! One store and one instance of a handler module, and calls into it within the limits.
//!
//! Whatever a call ends with other than a value, the instance is not to be used again.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use super::bindings::informerd::handler::types::ObjectKey;
use super::bindings::{HandlerModule, HandlerModulePre};
use super::call_meter::CallMeter;
use super::contract::mistyped_export;
use super::engine::GuestEngine;
use super::imports::GuestState;
use super::limits::{GuestLimits, HANDLES_MAX, HOSTCALL_FUEL};
use super::log_budget::{REASON_BYTES_MAX, one_line};
use super::mappings::NoRoom;
use super::module::GuestModule;

/// Why a call gave no answer. The instance is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call used more CPU time than it may.
    #[error(
        "used more than its {0:?} of CPU time (limits.cpuPerCall; while it starts, limits.cpuAtStart)"
    )]
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
    #[error("called its imports more than {0} times in one call (limits.hostCallsPerDelivery)")]
    TooManyHostCalls(u32),
    /// The guest passed more data to the host than it may, with one call of an import or as a result.
    #[error("passed more than {HOSTCALL_FUEL} bytes to the host at once: {0}")]
    PassedTooMuch(String),
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
    /// There is no room for the instance that was to be called.
    #[error(transparent)]
    NoRoom(NoRoom),
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
    /// The host's own code panicked while it served the guest, or what it has cached is damaged.
    #[error("ran into a bug of informerd, which is to be reported: {0}")]
    HostBug(String),
    /// The guest refused its configuration.
    #[error("refused its configuration: {0}")]
    ConfigRefused(String),
}

pub(super) struct Instance {
    pub(super) store: Store<GuestState>,
    pub(super) bindings: HandlerModule,
    /// The key that was passed last, for the room that it takes.
    pub(super) key: Option<ObjectKey>,
    limits: GuestLimits,
    /// The store's, at hand without counting a reference for each call.
    meter: CallMeter,
}

impl Instance {
    pub(super) async fn new(
        module: &GuestModule,
        handler: &HandlerModulePre<GuestState>,
        limits: &GuestLimits,
        state: GuestState,
    ) -> Result<Self, CallError> {
        let mut store = new_store(&module.engine, state);
        arm(&mut store, true, limits.cpu_at_start);
        let meter = store.data().meter.clone();
        let instantiated = handler.instance_pre().instantiate_async(&mut store);
        let instance = within(limits.wall_at_start(), &meter, instantiated).await;
        let instance = instance.map_err(|error| call_error(error, &store, limits))?;
        let bindings = HandlerModule::new(&mut store, &instance).map_err(|error| {
            let export = mistyped_export(&mut store, &instance, module.interfaces().handler());
            CallError::Mistyped {
                export: export.unwrap_or_default(),
                problem: error.root_cause().to_string(),
            }
        })?;
        Ok(Self { store, bindings, key: None, limits: limits.clone(), meter })
    }

    /// Makes one call. After an error the instance must be dropped.
    pub(super) async fn call<T>(
        &mut self,
        at_start: bool,
        call: impl AsyncFnOnce(&HandlerModule, &mut Store<GuestState>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let (cpu, wall) = match at_start {
            true => (self.limits.cpu_at_start, self.limits.wall_at_start()),
            false => (self.limits.cpu_per_call, self.limits.wall_per_call()),
        };
        arm(&mut self.store, at_start, cpu);
        let answer = within(wall, &self.meter, call(&self.bindings, &mut self.store)).await;
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
    store.epoch_deadline_callback(|mut store| store.data_mut().meter.tick());
    store
}

/// Before everything that runs guest code.
pub(super) fn arm(store: &mut Store<GuestState>, at_start: bool, cpu: Duration) {
    store.data_mut().begin_call(at_start, cpu);
    store.set_epoch_deadline(1);
}

/// Runs guest code when it has its turn, which does not count as time that it takes. A panic of the host
/// functions that it calls ends here; wasmtime would let the instance be called again.
pub(super) async fn within<T, E: From<CallError>>(
    wall: Duration,
    meter: &CallMeter,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut call = pin!(call);
    // Begins when the call waits for the first time: nearly all calls end before, and a timer would cost them as
    // much as a good part of what they do. One that does not wait by itself is made to, after an epoch.
    let mut deadline = pin!(None::<Sleep>);
    let mut turns = meter.turns();
    let mut without_turn = None;
    let mut waited = false;
    let turn_by_turn = poll_fn(|context| {
        if meter.is_slow() {
            turns.enter_slow_lane();
        }
        let Poll::Ready(_turn) = turns.poll_turn(context) else {
            without_turn.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        if let Some(since) = without_turn.take()
            && let Some(deadline) = deadline.as_mut().as_pin_mut()
        {
            let later = deadline.deadline() + since.elapsed();
            deadline.reset(later);
        }
        if waited {
            meter.resume();
        }
        waited = true;
        match call.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(answer),
            Poll::Pending => {
                if deadline.is_none() {
                    deadline.set(Some(sleep(wall)));
                }
                let deadline = deadline.as_mut().as_pin_mut();
                let exceeded = deadline.map_or(Poll::Pending, |deadline| deadline.poll(context));
                exceeded.map(|()| Err(CallError::DeadlineExceeded(wall).into()))
            }
        }
    });
    let answer = AssertUnwindSafe(turn_by_turn).catch_unwind().await;
    let answer = answer.unwrap_or_else(|panic| Err(host_bug(&*panic).into()));
    meter.end(answer.is_err());
    answer
}

fn host_bug(panic: &(dyn Any + Send)) -> CallError {
    HOST_BUGS.fetch_add(1, Ordering::Relaxed);
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    CallError::HostBug(one_line(text.unwrap_or("a panic"), REASON_BYTES_MAX))
}

/// How often the host's own code has panicked while it served a guest, in this process.
pub fn host_bugs() -> u64 {
    HOST_BUGS.load(Ordering::Relaxed)
}

static HOST_BUGS: AtomicU64 = AtomicU64::new(0);

pub(super) fn call_error(
    error: wasmtime::Error,
    store: &Store<GuestState>,
    limits: &GuestLimits,
) -> CallError {
    if let Some(error) = error.downcast_ref::<CallError>() {
        return error.clone();
    }
    // wasmtime does not export the error's type.
    let too_much = error.chain().map(ToString::to_string).find(|it| it.contains(FUEL_EXHAUSTED));
    if let Some(too_much) = too_much {
        return CallError::PassedTooMuch(too_much);
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

/// What wasmtime says when [`HOSTCALL_FUEL`] is used up.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls";

#[cfg(test)]
mod tests;

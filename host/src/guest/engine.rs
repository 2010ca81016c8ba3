//! The one wasmtime engine of the process: which wasm is accepted, how it is compiled, and the clock
//! that interrupts guests.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

use super::bindings::HandlerModule;
use super::handler_logs::HandlerLogs;
use super::hibernation::Hibernation;
use super::imports::GuestState;
use super::limits::{BACKTRACE_FRAMES_MAX, FIBER_STACK, WASM_STACK};
use super::mappings::Mappings;
use super::slow_lane::SlowLane;

/// Runs handler modules. Clones are the same engine.
#[derive(Clone)]
pub struct GuestEngine {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<GuestState>>,
    pub(super) slow_lane: SlowLane,
    pub(super) hibernation: Hibernation,
    pub(super) mappings: Mappings,
    logs: HandlerLogs,
}

impl GuestEngine {
    /// Fails only on a platform that wasmtime does not support.
    pub fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&config())?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        HandlerModule::add_to_linker::<_, GuestState>(&mut linker, |state| state)?;
        let ticking = engine.weak();
        thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            // Ends with the engine.
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(EPOCH);
            }
        })?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            slow_lane: SlowLane::new(),
            hibernation: Hibernation::default(),
            mappings: Mappings::of_this_process(),
            logs: HandlerLogs::default(),
        })
    }

    /// Lets guests hibernate that have had nothing to do for as long as they are to, for ever. Without it, none does.
    pub async fn let_hibernate(&self) {
        self.hibernation.run().await;
    }

    /// What all guests of this engine say.
    pub fn logs(&self) -> &HandlerLogs {
        &self.logs
    }
}

/// Of the child that compiles, too: it must come to what runs here.
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .memory_init_cow(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX))
        // With component-model async every call costs two to three times as much.
        .concurrency_support(false)
        .wasm_component_model(true)
        // Off by decision, whatever wasmtime's defaults become.
        .wasm_memory64(false)
        .wasm_tail_call(true)
        .wasm_relaxed_simd(false)
        .shared_memory(false);
    config
}

/// A guest is asked how long it has run, and others get their turn, this often. Whoever comes when all threads are at work
/// waits for so long.
pub(super) const EPOCH: Duration = Duration::from_millis(2);

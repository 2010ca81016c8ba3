//! The one wasmtime engine of the process: which wasm is accepted, and how it is compiled.

use std::num::NonZeroUsize;
use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

use super::bindings::HandlerModule;
use super::epoch_clock::EpochClock;
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
        let slow_lane = SlowLane::new(EpochClock::start(&engine)?);
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            slow_lane,
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

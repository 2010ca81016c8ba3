//! What a guest may call, and the state behind it: the objects of the running call, the log, and
//! WASI without any authority.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use informer::Object;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::informerd::handler::log::Level;
use super::bindings::informerd::handler::{log, objects, types};
use super::instance::CpuMeter;
use super::limits::{GuestLimits, HANDLES_MAX, StoreLimiter};
use super::log_budget::{LogBudget, REASON_BYTES_MAX, one_line};
use crate::json_pointer;

/// What one instance's host functions work on.
pub(super) struct GuestState {
    pub(super) limiter: StoreLimiter,
    pub(super) cpu: CpuMeter,
    pub(super) call_objects: CallObjects,
    pub(super) log: GuestLog,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl GuestState {
    pub(super) fn new(limits: &GuestLimits, log: GuestLog) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let wasi = WasiCtx::builder()
            .stdout(GuestOutput { log: log.clone(), level: Level::Info })
            .stderr(GuestOutput { log: log.clone(), level: Level::Warn })
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(64 << 10)
            .build();
        Self {
            limiter: StoreLimiter::new(limits),
            cpu: CpuMeter::default(),
            call_objects: CallObjects::default(),
            log,
            wasi,
            table,
        }
    }
}

impl HasData for GuestState {
    type Data<'a> = &'a mut GuestState;
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The objects that the running call may read, by ticket. Tickets are never given twice to one
/// instance, so one that was kept from an earlier call is recognised.
#[derive(Default)]
pub(super) struct CallObjects {
    next_ticket: u32,
    objects: Vec<(u32, Arc<Object>)>,
}

impl CallObjects {
    pub(super) fn ticket(&mut self, object: &Arc<Object>) -> u32 {
        let ticket = self.next_ticket;
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.objects.push((ticket, object.clone()));
        ticket
    }

    /// The call has returned.
    pub(super) fn clear(&mut self) {
        self.objects.clear();
    }

    fn get(&self, ticket: u32) -> wasmtime::Result<&Object> {
        let found = self.objects.iter().find(|(it, _)| *it == ticket);
        found.map(|(_, object)| &**object).ok_or_else(|| {
            wasmtime::format_err!("ticket {ticket} is not of this call: tickets must not be kept")
        })
    }
}

impl types::Host for GuestState {}

impl objects::Host for GuestState {
    fn get(&mut self, object: u32, pointer: String) -> wasmtime::Result<Option<String>> {
        let object = self.call_objects.get(object)?;
        Ok(json_pointer::get(&object.json, &pointer).map(str::to_owned))
    }

    fn text(&mut self, object: u32) -> wasmtime::Result<String> {
        Ok(self.call_objects.get(object)?.json.to_string())
    }
}

impl log::Host for GuestState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.log.write(level, &message);
        Ok(())
    }
}

/// The host's log under one handler's name.
#[derive(Clone)]
pub(super) struct GuestLog {
    handler: Arc<str>,
    budget: Arc<Mutex<LogBudget>>,
    /// The last line on standard error: where a trap's reason is.
    last_words: Arc<Mutex<String>>,
}

impl GuestLog {
    pub(super) fn new(handler: &str) -> Self {
        let budget = Arc::new(Mutex::new(LogBudget::new(Instant::now())));
        Self { handler: handler.into(), budget, last_words: Arc::default() }
    }

    /// What the guest printed last on standard error, once.
    pub(super) fn take_last_words(&self) -> String {
        std::mem::take(&mut self.last_words.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn printed(&self, level: Level, line: &str) {
        let line = line.trim();
        // Rust's advice after a panic is for somebody who could set a variable.
        if line.is_empty() || line.starts_with("note: run with `RUST_BACKTRACE") {
            return;
        }
        if level == Level::Warn {
            let last_words = one_line(line, REASON_BYTES_MAX);
            *self.last_words.lock().unwrap_or_else(PoisonError::into_inner) = last_words;
        }
        self.write(level, line);
    }

    fn write(&self, level: Level, message: &str) {
        let now = Instant::now();
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let handler = &*self.handler;
        if let Some(dropped) = budget.take_dropped(now) {
            tracing::warn!(target: GUEST_LOG, handler, dropped, "log lines dropped: too many");
        }
        let Some(message) = budget.admit(message, now) else { return };
        match level {
            Level::Trace => tracing::trace!(target: GUEST_LOG, handler, "{message}"),
            Level::Debug => tracing::debug!(target: GUEST_LOG, handler, "{message}"),
            Level::Info => tracing::info!(target: GUEST_LOG, handler, "{message}"),
            Level::Warn => tracing::warn!(target: GUEST_LOG, handler, "{message}"),
            Level::Error => tracing::error!(target: GUEST_LOG, handler, "{message}"),
        }
    }
}

/// What guests print goes to their log too: a Rust panic says there why it happened.
#[derive(Clone)]
struct GuestOutput {
    log: GuestLog,
    level: Level,
}

impl StdoutStream for GuestOutput {
    /// Written at once, and not by a task in the background: after a trap, its reason is there.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines { output: self.clone(), line: Vec::new() })
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it, which is not linked.
        Box::new(tokio::io::sink())
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

struct Lines {
    output: GuestOutput,
    line: Vec<u8>,
}

impl Lines {
    fn end_line(&mut self) {
        let GuestOutput { log, level } = &self.output;
        log.printed(*level, &String::from_utf8_lossy(&self.line));
        self.line.clear();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = OUTPUT_LINE_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_LINE_MAX)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end_line();
    }
}

/// The log target of everything that guests say.
const GUEST_LOG: &str = "guest";

/// A printed line is cut here; the log cuts it again.
const OUTPUT_LINE_MAX: usize = 8 << 10;

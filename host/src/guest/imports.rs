//! What a guest may call, and the state behind it: the objects of the running call, the log, and
//! WASI without any authority.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use informer::Object;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::informerd::handler::log::Level;
use super::bindings::informerd::handler::{log, objects, types};
use super::instance::CpuMeter;
use super::limits::{GuestLimits, HANDLES_MAX, StoreLimiter};
use super::log_budget::LogBudget;
use crate::json_pointer;

/// What one instance's host functions work on.
pub(super) struct GuestState {
    pub(super) limiter: StoreLimiter,
    pub(super) cpu: CpuMeter,
    pub(super) call_objects: CallObjects,
    log: GuestLog,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl GuestState {
    pub(super) fn new(limits: &GuestLimits, log: GuestLog) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let wasi = WasiCtx::builder()
            .stdout(log.clone())
            .stderr(log.clone())
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
}

impl GuestLog {
    pub(super) fn new(handler: &str) -> Self {
        let budget = Arc::new(Mutex::new(LogBudget::new(Instant::now())));
        Self { handler: handler.into(), budget }
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
impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(GuestOutput { log: self.clone(), line: Vec::new() })
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

struct GuestOutput {
    log: GuestLog,
    line: Vec<u8>,
}

impl GuestOutput {
    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if !line.trim().is_empty() {
            self.log.write(Level::Info, line.trim_end());
        }
        self.line.clear();
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = OUTPUT_LINE_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end_line();
        Poll::Ready(Ok(()))
    }
}

impl Drop for GuestOutput {
    fn drop(&mut self) {
        self.end_line();
    }
}

/// The log target of everything that guests say.
const GUEST_LOG: &str = "guest";

/// A printed line is cut here; the log cuts it again.
const OUTPUT_LINE_MAX: usize = 8 << 10;

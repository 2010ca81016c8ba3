//! What a guest may call, and the state behind it: the objects of the running call, the log, and
//! WASI without any authority.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::informerd::handler::cache::Page;
use super::bindings::informerd::handler::log::{Field, Level};
use super::bindings::informerd::handler::{cache, config, log, objects, types};
use super::call_objects::{CallObjects, TICKETS_MAX};
use super::handler_logs::HandlerLog;
use super::instance::{CallError, CpuMeter};
use super::limits::{GuestLimits, HANDLES_MAX, HOST_CALLS_MAX, StoreLimiter};
use super::log_budget::{LINE_BYTES_MAX, LogBudget, REASON_BYTES_MAX, fields_json, one_line};
use super::readable_cache::{CachePage, ReadableCache};
use super::standard_streams::StandardStreams;
use crate::json_pointer;

/// What one instance's host functions work on.
pub(super) struct GuestState {
    pub(super) limiter: StoreLimiter,
    pub(super) cpu: CpuMeter,
    pub(super) call_objects: CallObjects,
    pub(super) log: GuestLog,
    /// The handler spec's `config` as JSON text.
    config: Arc<str>,
    /// Set when the handler's informers are known.
    cache: Arc<OnceLock<ReadableCache>>,
    /// The running call is not about a notification.
    at_start: bool,
    /// Of the running call.
    host_calls: u32,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl GuestState {
    /// Without `streams`, what it prints goes to the log.
    pub(super) fn new(
        limits: &GuestLimits,
        log: GuestLog,
        config: Arc<str>,
        cache: Arc<OnceLock<ReadableCache>>,
        streams: Option<&StandardStreams>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let mut wasi = WasiCtx::builder();
        match streams {
            Some(streams) => wasi.stdin(streams.clone()).stdout(streams.clone()),
            None => wasi.stdout(GuestOutput { log: log.clone(), level: Level::Info }),
        };
        let wasi = wasi
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
            config,
            cache,
            at_start: true,
            host_calls: 0,
            wasi,
            table,
        }
    }

    /// Before everything that runs guest code.
    pub(super) fn begin_call(&mut self, at_start: bool, cpu: Duration) {
        self.at_start = at_start;
        self.cpu.start(cpu);
        self.limiter.memory_was_refused = false;
        self.host_calls = 0;
    }

    /// A page of what `read` gives, no longer than there is room for tickets.
    fn list(
        &mut self,
        limit: u32,
        read: impl FnOnce(&ReadableCache, usize) -> Result<CachePage, String>,
    ) -> wasmtime::Result<Result<Page, String>> {
        self.count_host_call()?;
        let limit = match usize::try_from(limit) {
            Ok(limit @ 1..PAGE_MAX) => limit,
            _ => PAGE_MAX,
        };
        let limit = limit.min(self.call_objects.room());
        if limit == 0 {
            return Ok(Err(format!(
                "this call has {TICKETS_MAX} tickets already: release those that are done with"
            )));
        }
        let (objects, cursor) = match self.readable_cache().map(|cache| read(cache, limit)) {
            None => (Vec::new(), None),
            Some(Ok(page)) => page,
            Some(Err(problem)) => return Ok(Err(problem)),
        };
        let tickets = objects.into_iter().map(|object| self.call_objects.ticket(object));
        Ok(Ok(Page { objects: tickets.collect::<Result<_, _>>()?, cursor }))
    }

    /// None in `watches` and `init`.
    fn readable_cache(&self) -> Option<&ReadableCache> {
        self.cache.get().filter(|_| !self.at_start)
    }

    fn count_host_call(&mut self) -> Result<(), CallError> {
        self.host_calls += 1;
        match self.host_calls > HOST_CALLS_MAX {
            true => Err(CallError::TooManyHostCalls),
            false => Ok(()),
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

impl types::Host for GuestState {}

impl objects::Host for GuestState {
    fn key(&mut self, object: u32) -> wasmtime::Result<types::ObjectKey> {
        self.count_host_call()?;
        Ok(self.call_objects.get(object)?.key())
    }

    fn get(&mut self, object: u32, pointer: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        let json = &self.call_objects.get(object)?.object.json;
        Ok(json_pointer::get(json, &pointer).map(str::to_owned))
    }

    fn get_string(&mut self, object: u32, pointer: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        let json = &self.call_objects.get(object)?.object.json;
        Ok(json_pointer::get(json, &pointer).and_then(json_pointer::string))
    }

    fn json(&mut self, object: u32) -> wasmtime::Result<String> {
        self.count_host_call()?;
        Ok(self.call_objects.get(object)?.object.json.to_string())
    }
}

impl log::Host for GuestState {
    fn log(&mut self, level: Level, message: String, fields: Vec<Field>) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.log.write(level, &message, &fields);
        Ok(())
    }
}

impl config::Host for GuestState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(json_pointer::child(&self.config, &name).map(str::to_owned))
    }

    fn get_string(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(json_pointer::child(&self.config, &name).and_then(json_pointer::string))
    }

    fn json(&mut self) -> wasmtime::Result<String> {
        self.count_host_call()?;
        Ok(self.config.to_string())
    }
}

impl cache::Host for GuestState {
    fn get(
        &mut self,
        api_version: String,
        kind: String,
        namespace: Option<String>,
        name: String,
    ) -> wasmtime::Result<Option<u32>> {
        self.count_host_call()?;
        let found = self
            .readable_cache()
            .and_then(|cache| cache.get(&api_version, &kind, namespace.as_deref(), &name));
        Ok(found.map(|object| self.call_objects.ticket(object)).transpose()?)
    }

    fn list_objects(
        &mut self,
        api_version: String,
        kind: String,
        namespace: Option<String>,
        label_selector: String,
        limit: u32,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<Page, String>> {
        self.list(limit, |cache, limit| {
            let after = (limit, cursor.as_deref());
            cache.list(&api_version, &kind, namespace.as_deref(), &label_selector, after)
        })
    }

    fn list_by_index(
        &mut self,
        api_version: String,
        kind: String,
        index: String,
        value: String,
        limit: u32,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<Page, String>> {
        self.list(limit, |cache, limit| {
            cache.list_by_index(&api_version, &kind, &index, &value, (limit, cursor.as_deref()))
        })
    }

    fn release(&mut self, objects: Vec<u32>) -> wasmtime::Result<()> {
        self.count_host_call()?;
        Ok(self.call_objects.release(&objects)?)
    }
}

/// The host's log under one handler's name.
#[derive(Clone)]
pub(super) struct GuestLog {
    handler: Arc<str>,
    budget: Arc<Mutex<LogBudget>>,
    /// The last line on standard error: where a trap's reason is.
    last_words: Arc<Mutex<String>>,
    /// What was said last, for whoever asks for it.
    kept: Arc<HandlerLog>,
}

impl GuestLog {
    pub(super) fn new(handler: &str, kept: Arc<HandlerLog>) -> Self {
        let budget = Arc::new(Mutex::new(LogBudget::new(Instant::now())));
        Self { handler: handler.into(), budget, last_words: Arc::default(), kept }
    }

    pub(super) fn handler(&self) -> &str {
        &self.handler
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
            let mut last_words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
            // Go says first why it ends, and then where.
            if !last_words.starts_with("panic: ") && !last_words.starts_with("fatal error: ") {
                *last_words = one_line(line, REASON_BYTES_MAX);
            }
        }
        self.write(level, line, &[]);
    }

    pub(super) fn write(&self, level: Level, message: &str, fields: &[Field]) {
        let now = Instant::now();
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let handler = &*self.handler;
        if let Some(dropped) = budget.take_dropped(now) {
            tracing::warn!(target: GUEST_LOG, handler, dropped, "log lines dropped: too many");
            self.kept.write("warn", &format!("{dropped} log lines dropped: too many"), None);
        }
        let message = one_line(message, LINE_BYTES_MAX);
        let fields = fields.iter().map(|field| (&*field.name, &*field.value));
        let fields = fields_json(fields, LINE_BYTES_MAX - message.len());
        if !budget.admit(message.len() + fields.as_ref().map_or(0, String::len), now) {
            return;
        }
        self.kept.write(level_name(level), &message, fields.as_deref());
        // Displayed, since a text of quotes is hard to read with each of them escaped.
        let fields = fields.as_ref().map(tracing::field::display);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(target: GUEST_LOG, handler, fields, "{message}")
            };
        }
        match level {
            Level::Trace => line!(trace),
            Level::Debug => line!(debug),
            Level::Info => line!(info),
            Level::Warn => line!(warn),
            Level::Error => line!(error),
        }
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
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

/// Objects in one page of the cache.
const PAGE_MAX: usize = 500;

/// The log target of everything that guests say.
const GUEST_LOG: &str = "guest";

/// A printed line is cut here; the log cuts it again.
const OUTPUT_LINE_MAX: usize = 8 << 10;

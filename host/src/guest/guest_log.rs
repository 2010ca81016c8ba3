//! What a guest says: through the contract's `log`, and on standard output and error.
//!
//! in:   text, from anybody
//! out:  lines of the host's log under the handler's name, as many as its budget allows; and the same,
//!       with those that the host's log does not show, in its [`HandlerLog`]
//! runs: where the guest runs; and a task that sums up what was dropped, while there is something.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::bindings::informerd::handler::log::{Field, Level};
use super::handler_logs::HandlerLog;
use super::limits::GuestLimits;
use super::log_budget::{
    LINE_BYTES_MAX, LogRates, REASON_BYTES_MAX, SUMMARY_PERIOD, fields_json, one_line,
};

/// The host's log under one handler's name. Neither a fresh instance nor the next generation gets a fresh
/// budget. Clones are the same one.
#[derive(Clone)]
pub(super) struct GuestLog(Arc<Shared>);

struct Shared {
    handler: Box<str>,
    rates: LogRates,
    /// What was said last, for whoever asks for it; and the budgets.
    kept: Arc<HandlerLog>,
    /// The last line on standard error: where a trap's reason is.
    last_words: Mutex<String>,
    /// Will sum up what was dropped since the last time.
    summary: Mutex<JoinSet<()>>,
}

impl GuestLog {
    pub(super) fn new(handler: &str, limits: &GuestLimits, kept: Arc<HandlerLog>) -> Self {
        Self(Arc::new(Shared {
            handler: handler.into(),
            rates: LogRates::of(limits),
            kept,
            last_words: Mutex::default(),
            summary: Mutex::default(),
        }))
    }

    pub(super) fn handler(&self) -> &str {
        &self.0.handler
    }

    /// What the guest printed last on standard error, once.
    pub(super) fn take_last_words(&self) -> String {
        std::mem::take(&mut lock(&self.0.last_words))
    }

    fn printed(&self, level: Level, line: &str) {
        let line = line.trim();
        // Rust's advice after a panic is for somebody who could set a variable.
        if line.is_empty() || line.starts_with("note: run with `RUST_BACKTRACE") {
            return;
        }
        if level == Level::Warn {
            let mut last_words = lock(&self.0.last_words);
            // Go says first why it ends, and then where.
            if !last_words.starts_with("panic: ") && !last_words.starts_with("fatal error: ") {
                *last_words = one_line(line, REASON_BYTES_MAX);
            }
        }
        self.write(level, line, &[]);
    }

    pub(super) fn write(&self, level: Level, message: &str, fields: &[Field]) {
        let handler = self.handler();
        macro_rules! line {
            ($level:ident, $shown:ident) => {{
                let is_shown = tracing::enabled!(target: GUEST_LOG, tracing::Level::$shown);
                if let Some((message, fields)) = self.admit(is_shown, message, fields) {
                    self.0.kept.write(stringify!($level), &message, fields.as_deref());
                    // Displayed, since a text of quotes is hard to read with each of them escaped.
                    let fields = fields.as_ref().map(tracing::field::display);
                    tracing::$level!(target: GUEST_LOG, handler, fields, "{message}");
                }
            }};
        }
        match level {
            Level::Trace => line!(trace, TRACE),
            Level::Debug => line!(debug, DEBUG),
            Level::Info => line!(info, INFO),
            Level::Warn => line!(warn, WARN),
            Level::Error => line!(error, ERROR),
        }
    }

    /// The line as it is to be written; none if it is too much.
    fn admit(
        &self,
        is_shown: bool,
        message: &str,
        fields: &[Field],
    ) -> Option<(String, Option<String>)> {
        let message = one_line(message, LINE_BYTES_MAX);
        let fields = fields.iter().map(|field| (&*field.name, &*field.value));
        let fields = fields_json(fields, LINE_BYTES_MAX - message.len());
        let bytes = message.len() + fields.as_ref().map_or(0, String::len);
        let mut budget = self.0.kept.budget(is_shown);
        if budget.admit(self.0.rates, bytes, Instant::now()) {
            return Some((message, fields));
        }
        if is_shown && budget.dropped() == 1 {
            self.sum_up_later();
        }
        None
    }

    fn sum_up_later(&self) {
        let log = Arc::downgrade(&self.0);
        let mut summary = JoinSet::new();
        summary.spawn(async move {
            sleep(SUMMARY_PERIOD).await;
            if let Some(log) = log.upgrade() {
                log.sum_up();
            }
        });
        *lock(&self.0.summary) = summary;
    }
}

impl Shared {
    fn sum_up(&self) {
        let dropped = self.kept.budget(true).take_dropped();
        if dropped > 0 {
            let handler = &*self.handler;
            tracing::warn!(target: GUEST_LOG, handler, dropped, "log lines dropped: too many");
            self.kept.write("warn", &format!("{dropped} log lines dropped: too many"), None);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.sum_up();
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What guests print goes to their log too: a Rust panic says there why it happened.
#[derive(Clone)]
pub(super) struct GuestOutput {
    log: GuestLog,
    level: Level,
}

impl GuestOutput {
    pub(super) fn new(log: &GuestLog, level: Level) -> Self {
        Self { log: log.clone(), level }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::HandlerLogs;

    #[tokio::test(start_paused = true)]
    async fn the_next_generation_gets_no_fresh_budget() {
        let (logs, limits) = (HandlerLogs::default(), GuestLimits::default());
        let flood = || {
            let log = GuestLog::new("a", &limits, logs.open("a"));
            (0..2_000).for_each(|_| log.write(Level::Info, "again", &[]));
            logs.open("a").read_from(usize::MAX).read().1.len()
        };
        assert_eq!(flood(), 500);
        assert_eq!(flood(), 500);
        sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(flood(), 600);
    }
}

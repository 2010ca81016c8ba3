//! The two ends of a conversation with a command: its standard input, a line at a time, and the lines
//! that it prints on standard output.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamResult};

use super::guest_log::GuestLog;
use super::instance::CallError;
use super::stdin_protocol::LogLine;

/// Clones are the same streams.
#[derive(Clone)]
pub(super) struct StandardStreams {
    log: GuestLog,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What the program has not read yet.
    input: Bytes,
    /// The program waits for its input: whoever is to be woken when there is some.
    waits: Option<Waker>,
    /// Complete lines that are no log lines.
    lines: Vec<String>,
    /// The line that has not ended yet.
    line: Vec<u8>,
    is_too_long: bool,
}

impl StandardStreams {
    pub(super) fn new(log: GuestLog) -> Self {
        Self { log, state: Arc::default() }
    }

    /// The line that the program reads next. To be called when it waits for it.
    pub(super) fn give(&self, line: String) {
        let mut state = self.state();
        state.input = line.into();
        if let Some(waker) = state.waits.take() {
            waker.wake();
        }
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.state().waits.is_some()
    }

    /// What the program has printed, if these are whole lines of a reasonable length.
    pub(super) fn take_lines(&self) -> Result<Vec<String>, CallError> {
        let mut state = self.state();
        if state.is_too_long {
            let problem = format!("it printed more than {OUTPUT_BYTES_MAX} bytes");
            return Err(CallError::NoAnswer(problem));
        }
        if !state.line.is_empty() {
            let problem = "it asked for the next line before it ended its own";
            return Err(CallError::NoAnswer(problem.to_owned()));
        }
        Ok(std::mem::take(&mut state.lines))
    }

    fn printed(&self, bytes: &[u8]) {
        let mut state = self.state();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let kept = state.line.len() + state.lines.iter().map(String::len).sum::<usize>();
            if kept + piece.len() > OUTPUT_BYTES_MAX {
                state.is_too_long = true;
                return;
            }
            state.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut state.line);
                let line = String::from_utf8_lossy(line.trim_ascii()).into_owned();
                match LogLine::parse(&line) {
                    Some(LogLine { level, message, fields }) => {
                        self.log.write(level, &message, &fields);
                    }
                    None if state.lines.len() < LINES_MAX => state.lines.push(line),
                    None => {}
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StdinStream for StandardStreams {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Input(self.clone()))
    }

    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Only WASI 0.3 asks for it, which is not linked.
        Box::new(tokio::io::empty())
    }
}

impl StdoutStream for StandardStreams {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Output(self.clone()))
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

impl IsTerminal for StandardStreams {
    fn is_terminal(&self) -> bool {
        false
    }
}

struct Input(StandardStreams);

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        poll_fn(|context| {
            let mut state = self.0.state();
            if !state.input.is_empty() {
                return Poll::Ready(());
            }
            state.waits = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut state = self.0.state();
        let size = size.min(state.input.len());
        Ok(state.input.split_to(size))
    }
}

struct Output(StandardStreams);

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.printed(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_BYTES_MAX)
    }
}

/// An answer is far shorter, even one that names 64 watches.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// More than one is wrong, and two are shown.
const LINES_MAX: usize = 2;

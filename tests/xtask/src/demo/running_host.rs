//! The host as a child process: its log, line by line, and the user's Ctrl-C.
//!
//! in: the child's standard error, signals. out: every line on standard output. runs: one thread
//! reads, one waits for signals; the caller's prints, so that lines and narration do not mix.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::expectations::Expectations;

/// A running host. Killed when it is dropped before its end.
pub(crate) struct RunningHost {
    child: Child,
    events: Receiver<Event>,
    is_stopping: bool,
    api_server: Option<String>,
    http_address: Option<String>,
}

enum Event {
    Line(String),
    /// No more lines.
    Ended,
    /// The user wants the end of it.
    Interrupted,
}

impl RunningHost {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let (sender, events) = sync_channel(EVENTS_MAX);
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot wait for ^C")?;
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let log = child.stderr.take().context("the host has no log")?;
        let lines = sender.clone();
        thread::spawn(move || read_lines(log, &lines));
        thread::spawn(move || signals.forever().try_for_each(|_| sender.send(Event::Interrupted)));
        Ok(Self { child, events, is_stopping: false, api_server: None, http_address: None })
    }

    /// Prints lines until all that are expected have come, or the user stops the host.
    pub(crate) fn wait_for(&mut self, expected: &mut Expectations) -> Result<()> {
        let deadline = Instant::now() + LINE_MAX;
        while !expected.are_met() && !self.is_stopping {
            match self.next(deadline)? {
                Some(Event::Line(line)) => expected.see(&line),
                Some(Event::Interrupted) => {}
                Some(Event::Ended) => {
                    let status = self.child.wait()?;
                    bail!("the host ended ({status}) before a line with {}", expected.missing());
                }
                None => {
                    bail!("not within {LINE_MAX:?}: a line of the host with {}", expected.missing())
                }
            }
        }
        Ok(())
    }

    /// Prints lines for a while, or until the user stops the host.
    pub(crate) fn pause(&mut self, duration: Duration) -> Result<()> {
        let deadline = Instant::now() + duration;
        while !self.is_stopping {
            match self.next(deadline)? {
                Some(Event::Line(_) | Event::Interrupted) => {}
                Some(Event::Ended) => bail!("the host ended ({})", self.child.wait()?),
                None => break,
            }
        }
        Ok(())
    }

    /// Prints lines until the host ends, however long that takes unless it was stopped.
    pub(crate) fn wait(&mut self, expected: &mut Expectations) -> Result<ExitStatus> {
        loop {
            match self.next(Instant::now() + LINE_MAX)? {
                Some(Event::Line(line)) => expected.see(&line),
                Some(Event::Ended) => return Ok(self.child.wait()?),
                Some(Event::Interrupted) => {}
                None if self.is_stopping => bail!("the host did not stop within {LINE_MAX:?}"),
                None => {}
            }
        }
    }

    /// Asks the host to end; kills it when it was asked before.
    pub(crate) fn stop(&mut self) {
        let signal = if self.is_stopping { Signal::KILL } else { Signal::TERM };
        self.is_stopping = true;
        // Not a failure: after ^C, which the terminal sends to both, it may have ended already.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Where the embedded API server is, once the host has said so.
    pub(crate) fn api_server(&self) -> Option<&str> {
        self.api_server.as_deref()
    }

    /// Where health and metrics are, once the host has said so.
    pub(crate) fn http_address(&self) -> Option<&str> {
        self.http_address.as_deref()
    }

    /// The next event, already printed or acted upon; nothing if there is none until then.
    fn next(&mut self, deadline: Instant) -> Result<Option<Event>> {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let event = match self.events.recv_timeout(remaining) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the host's log is not read any more"),
        };
        match &event {
            Event::Line(line) => {
                println!("{line}");
                self.note_addresses(line);
            }
            Event::Interrupted => self.stop(),
            Event::Ended => {}
        }
        Ok(Some(event))
    }

    fn note_addresses(&mut self, line: &str) {
        if line.contains("embedded API server") {
            self.api_server = word_after(line, "http://").map(|it| format!("http://{it}"));
        } else if line.contains("/readyz") {
            self.http_address = word_after(line, "address=").map(str::to_owned);
        }
    }
}

impl Drop for RunningHost {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read_lines(log: ChildStderr, events: &SyncSender<Event>) {
    for line in BufReader::new(log).split(b'\n') {
        let Ok(line) = line else { break };
        if events.send(Event::Line(String::from_utf8_lossy(&line).into_owned())).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Ended);
}

/// What follows `mark`, up to a space or a quote.
fn word_after<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(mark)?;
    rest.split([' ', '"', '`']).next().filter(|word| !word.is_empty())
}

/// Far more than any line takes: the slowest one comes when a debug build has compiled the guests.
const LINE_MAX: Duration = Duration::from_secs(60);

/// Enough for a burst; more than that waits in the pipe.
const EVENTS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_ends_at_a_quote_or_a_space() {
        let line = "INFO embedded API server url=\"http://127.0.0.1:8001\"";
        assert_eq!(word_after(line, "http://"), Some("127.0.0.1:8001"));
        assert_eq!(word_after("address=127.0.0.1:1 more", "address="), Some("127.0.0.1:1"));
        assert_eq!(word_after("address=", "address="), None);
    }
}

//! What each handler's guest said last, in memory, for whoever asks.
//!
//! in:   every line that a guest's log budget admits
//! out:  readers, each at a place of its own
//!
//! Bounded per handler. A reader that is too slow loses lines and is told how many; who writes never
//! waits for one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::log_budget::LogBudget;

/// The logs of all handlers, by name. Clones are the same logs.
#[derive(Clone, Default)]
pub struct HandlerLogs(Arc<Mutex<BTreeMap<String, Arc<HandlerLog>>>>);

/// The newest lines of one handler, whatever generation of it said them.
#[derive(Default)]
pub struct HandlerLog {
    lines: Mutex<Lines>,
    /// For lines that the host's log shows, and for those that it does not: what nobody sees there takes nothing
    /// from what they do.
    budgets: [Mutex<LogBudget>; 2],
    /// There is another line.
    changed: Notify,
}

#[derive(Default)]
struct Lines {
    /// The number that the next one gets.
    end: u64,
    kept: VecDeque<Arc<LogLine>>,
    bytes: usize,
    written: Option<Timestamp>,
}

/// One line of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When the host got it.
    pub at: Timestamp,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// Without control characters.
    pub message: String,
    /// A JSON object.
    pub fields: Option<String>,
}

/// Reads one handler's lines in order.
pub struct LogReader {
    log: Arc<HandlerLog>,
    /// The number of the line to be read next.
    next: u64,
}

impl HandlerLogs {
    /// The log of the handler, if a guest of that name has been started and its lines are kept still.
    pub fn get(&self, handler: &str) -> Option<Arc<HandlerLog>> {
        self.logs().get(handler).cloned()
    }

    /// To write to. A handler that ends keeps its lines, since it may have said why, until more than
    /// [`ENDED_MAX`] have ended after it.
    pub(super) fn open(&self, handler: &str) -> Arc<HandlerLog> {
        let mut logs = self.logs();
        if let Some(log) = logs.get(handler) {
            return log.clone();
        }
        let log = Arc::new(HandlerLog::default());
        logs.insert(handler.to_owned(), log.clone());
        let ended = logs.iter().filter(|(_, log)| Arc::strong_count(log) == 1);
        let mut ended: Vec<_> =
            ended.map(|(name, log)| (log.lines().written, name.clone())).collect();
        ended.sort();
        for (_, name) in ended.iter().take(ended.len().saturating_sub(ENDED_MAX)) {
            logs.remove(name);
        }
        log
    }

    fn logs(&self) -> MutexGuard<'_, BTreeMap<String, Arc<HandlerLog>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandlerLog {
    /// What may be written yet of what the host's log shows, or of the rest.
    pub(super) fn budget(&self, is_shown: bool) -> MutexGuard<'_, LogBudget> {
        self.budgets[usize::from(is_shown)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, level: &'static str, message: &str, fields: Option<&str>) {
        let line = LogLine {
            at: Timestamp::now(),
            level,
            message: message.to_owned(),
            fields: fields.map(str::to_owned),
        };
        let mut lines = self.lines();
        lines.written = Some(line.at);
        lines.bytes += line.bytes();
        lines.kept.push_back(Arc::new(line));
        while lines.kept.len() > LINES_MAX || lines.bytes > BYTES_MAX {
            let Some(oldest) = lines.kept.pop_front() else { break };
            lines.bytes -= oldest.bytes();
        }
        lines.end += 1;
        drop(lines);
        self.changed.notify_waiters();
    }

    /// Reads the last `tail` lines that are kept, and those after them.
    pub fn read_from(self: &Arc<Self>, tail: usize) -> LogReader {
        let lines = self.lines();
        let next = lines.end - tail.min(lines.kept.len()) as u64;
        LogReader { log: self.clone(), next }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogReader {
    /// What there is, and how many lines before it were lost because they were not read in time.
    pub fn read(&mut self) -> (u64, Vec<Arc<LogLine>>) {
        let lines = self.log.lines();
        let oldest = lines.end - lines.kept.len() as u64;
        let lost = oldest.saturating_sub(self.next);
        let skipped = self.next.saturating_sub(oldest);
        self.next = lines.end;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        (lost, lines.kept.iter().skip(skipped).cloned().collect())
    }

    /// Until there is something to read.
    pub async fn wait(&self) {
        loop {
            // Made before looking, so that no line is missed in between.
            let changed = self.log.changed.notified();
            if self.log.lines().end > self.next {
                return;
            }
            changed.await;
        }
    }
}

impl LogLine {
    /// An empty line costs something, too.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.message.len() + self.fields.as_ref().map_or(0, String::len)
    }
}

/// Of one handler, whichever comes first: 200 screens, or as much as it may say in four seconds.
const LINES_MAX: usize = 1_000;
const BYTES_MAX: usize = 256 << 10;

/// Handlers that have ended, or failed, and whose lines are kept: 16 MiB at most.
const ENDED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(read: (u64, Vec<Arc<LogLine>>)) -> (u64, Vec<String>) {
        (read.0, read.1.iter().map(|line| line.message.clone()).collect())
    }

    #[test]
    fn a_reader_gets_the_tail_and_then_each_line_once() {
        let log = HandlerLogs::default().open("a");
        for n in 0..5 {
            log.write("info", &n.to_string(), None);
        }
        let mut reader = log.read_from(2);
        assert_eq!(messages(reader.read()), (0, vec!["3".to_owned(), "4".to_owned()]));
        assert_eq!(messages(reader.read()), (0, vec![]));
        log.write("warn", "5", Some("{}"));
        assert_eq!(messages(reader.read()), (0, vec!["5".to_owned()]));
        assert_eq!(messages(log.read_from(100).read()).1.len(), 6);
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_lines_and_is_told_how_many() {
        let log = HandlerLogs::default().open("a");
        let mut reader = log.read_from(0);
        for n in 0..LINES_MAX + 7 {
            log.write("info", &n.to_string(), None);
        }
        let (lost, lines) = messages(reader.read());
        assert_eq!((lost, lines.len(), &*lines[0]), (7, LINES_MAX, "7"));
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let log = HandlerLogs::default().open("a");
        for _ in 0..200 {
            log.write("info", &"x".repeat(4 << 10), None);
        }
        let lines = log.lines();
        assert!(lines.bytes <= BYTES_MAX && lines.kept.len() < 64, "{} kept", lines.kept.len());
    }

    #[test]
    fn the_lines_of_handlers_that_ended_are_kept_up_to_a_bound() {
        let logs = HandlerLogs::default();
        let runs = logs.open("runs");
        for n in 0..ENDED_MAX + 10 {
            logs.open(&format!("ended-{n}")).write("error", "why", None);
        }
        assert_eq!(logs.logs().len(), ENDED_MAX + 2, "and the one that was opened last");
        assert!(logs.get("ended-0").is_none() && logs.get("ended-70").is_some());
        runs.write("info", "it is not forgotten, though it said nothing for long", None);
        assert!(Arc::ptr_eq(&logs.open("runs"), &runs));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_the_next_line() {
        let log = HandlerLogs::default().open("a");
        log.write("info", "old", None);
        let mut reader = log.read_from(0);
        let write = async { log.write("info", "new", None) };
        let read = async {
            reader.wait().await;
            messages(reader.read())
        };
        assert_eq!(tokio::join!(read, write).0, (0, vec!["new".to_owned()]));
    }
}

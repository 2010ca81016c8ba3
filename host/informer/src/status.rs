//! What an informer is doing and why it is not doing better: read by health checks, metrics
//! and the progress display, without stopping anything.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::lister_watcher::ListerWatcherError;

/// Where the reflector stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Reads the initial state as a stream.
    #[default]
    WatchList,
    /// Reads the initial state in pages.
    List,
    /// Opens or follows a watch.
    Watch,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WatchList => "watch-list",
            Self::List => "list",
            Self::Watch => "watch",
        })
    }
}

/// The reflector's state, replaced as it goes on.
#[derive(Clone, Debug, Default)]
pub struct ReflectorStatus {
    /// What it does, or will do again after the wait.
    pub phase: Phase,
    /// Objects read so far by the list that is going on, or by the last one.
    pub listed: usize,
    /// A complete list has been read at least once.
    pub has_listed: bool,
    /// The failure it has not recovered from yet.
    pub failure: Option<ReflectorFailure>,
}

/// Something went wrong in the reflector; it tries again by itself.
#[derive(Clone, Debug)]
pub struct ReflectorFailure {
    /// What it did.
    pub phase: Phase,
    /// What went wrong.
    pub error: ListerWatcherError,
    /// When the first failure of this series was seen.
    pub since: Instant,
    /// When it tries again.
    pub next_try: Instant,
}

/// Counts since the informer was started.
#[derive(Debug, Default)]
pub struct InformerCounters {
    /// Complete lists that were read, watch-lists included.
    pub lists: Counter,
    /// Watches that were opened.
    pub watches: Counter,
    /// Objects that came over a watch.
    pub events: Counter,
    /// Objects and events that could not be read, transformed or applied.
    pub rejected: Counter,
    /// Failures of the reflector.
    pub failures: Counter,
    /// Times the process loop had to be started again.
    pub process_loop_restarts: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}

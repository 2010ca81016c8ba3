//! What one handler may use. Every limit of wasmtime that has a default is set here on purpose.

use std::fmt::Display;
use std::time::Duration;

use humantime::format_duration;
use wasmtime::ResourceLimiter;

/// The limits that a handler spec may change. Also what an operator sets as the most of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    /// Linear memory of one instance, in bytes. It bounds time as well: filling memory cannot be
    /// interrupted, and touches about 1 MiB in a millisecond.
    pub memory: usize,
    /// CPU time of one call. Not wall time, which a busy machine would take from innocent guests.
    pub cpu_per_call: Duration,
    /// CPU time of instantiation, of `watches` and of `init`, each: they may build tables once.
    pub cpu_at_start: Duration,
    /// Calls of imports while one call of an export runs: a guest must not keep the host busy for
    /// nothing.
    pub host_calls_per_delivery: u32,
    /// Log lines a second; five times as many at once.
    pub log_lines_per_second: u32,
    /// Bytes of log lines a second; five times as many at once.
    pub log_bytes_per_second: usize,
}

impl GuestLimits {
    /// The most that a handler spec may ask for, and that an operator may allow.
    pub const MAX: Self = Self {
        memory: 1 << 30,
        cpu_per_call: Duration::from_secs(10),
        cpu_at_start: Duration::from_secs(30),
        host_calls_per_delivery: 1_000_000,
        log_lines_per_second: 1_000,
        log_bytes_per_second: 1 << 20,
    };

    /// Below these no module can do anything.
    const MIN: Self = Self {
        memory: 64 << 10,
        cpu_per_call: Duration::from_millis(1),
        cpu_at_start: Duration::from_millis(10),
        host_calls_per_delivery: 1,
        log_lines_per_second: 1,
        // A burst is longer than the longest line.
        log_bytes_per_second: 1 << 10,
    };

    /// A call ends after this long in any case: ten times its CPU time.
    pub fn wall_per_call(&self) -> Duration {
        self.cpu_per_call * 10
    }

    /// As [`GuestLimits::wall_per_call`], while it starts.
    pub(super) fn wall_at_start(&self) -> Duration {
        self.cpu_at_start * 10
    }

    /// The defaults, where the operator allows as much.
    pub fn default_below(ceilings: &Self) -> Self {
        let default = Self::default();
        Self {
            memory: default.memory.min(ceilings.memory),
            cpu_per_call: default.cpu_per_call.min(ceilings.cpu_per_call),
            cpu_at_start: default.cpu_at_start.min(ceilings.cpu_at_start),
            host_calls_per_delivery: default
                .host_calls_per_delivery
                .min(ceilings.host_calls_per_delivery),
            log_lines_per_second: default.log_lines_per_second.min(ceilings.log_lines_per_second),
            log_bytes_per_second: default.log_bytes_per_second.min(ceilings.log_bytes_per_second),
        }
    }

    /// Whether each is in its range. The error names the field, as handler specs do, and the range.
    pub fn check(&self, ceilings: &Self) -> Result<(), String> {
        let all = [self, &Self::MIN, ceilings];
        in_range("memory", all.map(|it| it.memory), bytes)?;
        in_range("cpuPerCall", all.map(|it| it.cpu_per_call), format_duration)?;
        in_range("cpuAtStart", all.map(|it| it.cpu_at_start), format_duration)?;
        in_range("hostCallsPerDelivery", all.map(|it| it.host_calls_per_delivery), |it| it)?;
        in_range("logLinesPerSecond", all.map(|it| it.log_lines_per_second), |it| it)?;
        in_range("logBytesPerSecond", all.map(|it| it.log_bytes_per_second), bytes)
    }
}

impl Default for GuestLimits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            cpu_per_call: Duration::from_millis(100),
            cpu_at_start: Duration::from_secs(1),
            host_calls_per_delivery: 10_000,
            log_lines_per_second: 100,
            log_bytes_per_second: 64 << 10,
        }
    }
}

fn in_range<T: PartialOrd, D: Display>(
    field: &str,
    [value, min, max]: [T; 3],
    shown: impl Fn(T) -> D,
) -> Result<(), String> {
    if (&min..=&max).contains(&&value) {
        return Ok(());
    }
    let (value, min, max) = (shown(value), shown(min), shown(max));
    Err(format!("limits.{field} is {value}, and must be from {min} to {max}"))
}

/// In the largest unit without a remainder.
fn bytes(bytes: usize) -> String {
    let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
    let unit = units.into_iter().find(|(bits, _)| bytes != 0 && bytes.trailing_zeros() >= *bits);
    unit.map_or_else(|| bytes.to_string(), |(bits, name)| format!("{}{name}", bytes >> bits))
}

/// Bytes that a guest may pass to the host with one call of an import, or as the result of an export
/// (wasmtime: 128 MiB): more than an object. Counted before the host copies anything.
pub(super) const HOSTCALL_FUEL: usize = 2 << 20;

/// Live handles of one instance (wasmtime: 100,000). The contract has none; WASI needs a few.
pub(super) const HANDLES_MAX: usize = 1024;

/// Of a trap in a deep recursion, as many frames are looked up (20 is wasmtime's default, too).
pub(super) const BACKTRACE_FRAMES_MAX: usize = 20;

/// Random bytes that a guest may ask for at once (wasmtime: 64 MiB).
pub(super) const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// Stack of the wasm code itself, and of the fiber that it runs on.
pub(super) const WASM_STACK: usize = 512 << 10;
pub(super) const FIBER_STACK: usize = 2 << 20;

/// Core modules, tables and memories that one component may consist of.
const INSTANCES_MAX: usize = 30;
const TABLES_MAX: usize = 10;
const MEMORIES_MAX: usize = 2;
const TABLE_ELEMENTS_MAX: usize = 10_000;

/// Refuses what goes beyond the limits, and remembers it: the guest's own report of it is usually no more
/// than "unreachable".
pub(super) struct StoreLimiter {
    memory_max: usize,
    memory_used: usize,
    /// The growth that was admitted last; it can still fail.
    memory_admitted: usize,
    pub(super) memory_was_refused: bool,
}

impl StoreLimiter {
    pub(super) fn new(limits: &GuestLimits) -> Self {
        Self {
            memory_max: limits.memory,
            memory_used: 0,
            memory_admitted: 0,
            memory_was_refused: false,
        }
    }
}

impl ResourceLimiter for StoreLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.memory_used + desired.saturating_sub(current);
        if used > self.memory_max {
            self.memory_was_refused = true;
            return Ok(false);
        }
        self.memory_admitted = used - self.memory_used;
        self.memory_used = used;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_used -= std::mem::take(&mut self.memory_admitted);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

//! What one handler may use. Every limit of wasmtime that has a default is set here on purpose.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The limits that a handler spec may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    /// Linear memory of one instance, in bytes. It bounds time as well: filling memory cannot be
    /// interrupted, and touches about 1 MiB in a millisecond.
    pub memory: usize,
    /// CPU time of one call. Not wall time, which a busy machine would take from innocent guests.
    pub cpu_per_call: Duration,
}

impl GuestLimits {
    /// The most that a handler spec may ask for.
    pub const MAX: Self = Self { memory: 1 << 30, cpu_per_call: Duration::from_secs(10) };

    /// A call ends after this long in any case: ten times its CPU time.
    pub fn wall_per_call(&self) -> Duration {
        self.cpu_per_call * 10
    }
}

impl Default for GuestLimits {
    fn default() -> Self {
        Self { memory: 64 << 20, cpu_per_call: Duration::from_millis(100) }
    }
}

/// CPU time of instantiation, of `watches` and of `init`: they may build tables once.
pub(super) const CPU_AT_START: Duration = Duration::from_secs(1);

/// Bytes that a guest may pass to the host in one call (wasmtime: 128 MiB): more than an object.
pub(super) const HOSTCALL_FUEL: usize = 2 << 20;

/// Calls of imports while one call of an export runs: a guest must not keep the host busy for nothing.
pub(super) const HOST_CALLS_MAX: u32 = 10_000;

/// Live handles of one instance (wasmtime: 100,000). The contract has none; WASI needs a few.
pub(super) const HANDLES_MAX: usize = 1024;

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

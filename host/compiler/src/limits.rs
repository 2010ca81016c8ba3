//! What compiling one module may take.

use std::time::Duration;

/// Of one compilation. A Python runtime, the largest module that was tried, takes a quarter of each in a
/// release build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What the child sees to itself.
    pub child: ChildLimits,
    /// From start to end: a busy machine gives the child less than a core.
    pub wall: Duration,
    /// Bytes of native code.
    pub output: usize,
}

/// What the kernel holds the child to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildLimits {
    /// Seconds of CPU time.
    pub cpu_seconds: u64,
    /// Bytes of address space, the program itself included.
    pub address_space: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { child: ChildLimits::default(), wall: Duration::from_secs(300), output: 512 << 20 }
    }
}

impl Default for ChildLimits {
    fn default() -> Self {
        Self { cpu_seconds: 120, address_space: 2 << 30 }
    }
}

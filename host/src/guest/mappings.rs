//! The memory mappings of this process. Linux allows each process `vm.max_map_count` of them; beyond that nothing can be
//! allocated any more, and the process dies. So whatever is mapped for guests is counted before it is mapped.
//!
//! Who loads a module is refused when there are too few; who wakes waits until others have given some back.

use std::fs;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What guests may have mapped. Clones are the same.
#[derive(Clone)]
pub(super) struct Mappings {
    free: Arc<Semaphore>,
    /// What the kernel allows; none where it does not count.
    allowed: Option<usize>,
}

/// Some mappings. Given back when this is dropped.
pub(super) struct Mapped {
    _permit: OwnedSemaphorePermit,
}

/// There are no more mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may have no more memory mappings for guests (vm.max_map_count is {allowed}): raise it with `sysctl -w \
     vm.max_map_count=262144` and restart the host, or let handlers hibernate (spec.hibernateAfter)"
)]
pub struct NoRoom {
    allowed: usize,
}

impl Mappings {
    /// As many as the kernel allows, but those that the host itself needs.
    pub(super) fn of_this_process() -> Self {
        let said = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let allowed = said.and_then(|it| it.trim().parse().ok());
        Self::of(allowed)
    }

    fn of(allowed: Option<usize>) -> Self {
        let free = allowed.map_or(UNCOUNTED, |it| it.saturating_sub(OF_THE_HOST)).min(UNCOUNTED);
        Self { free: Arc::new(Semaphore::new(free)), allowed }
    }

    pub(super) fn try_take(&self, count: u32) -> Result<Mapped, NoRoom> {
        let permit = self.free.clone().try_acquire_many_owned(count);
        let permit = permit.map_err(|_| NoRoom { allowed: self.allowed.unwrap_or(UNCOUNTED) })?;
        Ok(Mapped { _permit: permit })
    }

    /// Waits for its turn until there are as many.
    pub(super) async fn take(&self, count: u32) -> Result<Mapped, NoRoom> {
        if let Ok(mapped) = self.try_take(count) {
            return Ok(mapped);
        }
        let no_room = NoRoom { allowed: self.allowed.unwrap_or(UNCOUNTED) };
        tracing::warn!(problem = %no_room, "a guest waits until others hibernate or end");
        let permit = self.free.clone().acquire_many_owned(count).await;
        // Never closed.
        Ok(Mapped { _permit: permit.map_err(|_| no_room)? })
    }
}

/// Of a module's code, with one in reserve: a file that is mapped, and made read-only and executable in parts.
pub(super) const OF_MODULE: u32 = 4;

/// Of an instance with so many memories: each is an image between what is before and after it, with guards around them
/// and what it can grow to; and a stack with its guard.
pub(super) fn of_instance(memories: u32) -> u32 {
    memories.saturating_mul(5).saturating_add(2)
}

/// The program and its libraries, threads, the allocator's arenas and large allocations.
const OF_THE_HOST: usize = 5_000;

/// More than can be had.
const UNCOUNTED: usize = Semaphore::MAX_PERMITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_loads_is_refused_and_who_wakes_waits() {
        let mappings = Mappings::of(Some(OF_THE_HOST + 7));
        let first = mappings.try_take(5).unwrap();
        let refused = mappings.try_take(5).err().unwrap().to_string();
        assert!(refused.contains("vm.max_map_count is 5007"), "{refused}");
        let mut waits = std::pin::pin!(mappings.take(5));
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(first);
        assert!(waits.await.is_ok());
    }
}

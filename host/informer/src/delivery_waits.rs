//! How long notifications waited in one handler's queue: whether the handler keeps up.

use std::ops::AddAssign;
use std::time::Duration;

/// A histogram of the time from when a notification was queued until its first attempt began. Those of initial
/// lists are not in it: they wait for each other. One that merged has waited since the first of them.
///
/// client-go has none; its work queues call it `queue_duration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryWaits {
    /// In each bucket, and above all of them.
    counts: [u64; BOUNDS_US.len() + 1],
    sum: Duration,
}

impl DeliveryWaits {
    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The buckets by their upper bounds in seconds, the last of which is infinite: how many waited at most
    /// so long, and longer than the bound before.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS_US.iter().map(|bound| f64::from(*bound) / 1e6);
        bounds.chain([f64::INFINITY]).zip(self.counts)
    }

    pub(crate) fn record(&mut self, wait: Duration) {
        let is_below = |bound: &u32| Duration::from_micros((*bound).into()) < wait;
        self.counts[BOUNDS_US.partition_point(is_below)] += 1;
        self.sum += wait;
    }
}

impl AddAssign for DeliveryWaits {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }
}

/// In microseconds: fine where a queue should be, coarse where it should not.
const BOUNDS_US: [u32; 15] = [
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    1_000_000,
    10_000_000,
    60_000_000,
    600_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_the_first_bucket_that_is_large_enough() {
        let mut waits = DeliveryWaits::default();
        for micros in [0, 50, 51, 1_000, 1_000_000_000] {
            waits.record(Duration::from_micros(micros));
        }
        waits += waits;
        let filled: Vec<_> = waits.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(5e-5, 4), (1e-4, 2), (1e-3, 2), (f64::INFINITY, 2)]);
        assert_eq!(waits.sum(), 2 * Duration::from_micros(1_000_001_101));
    }
}

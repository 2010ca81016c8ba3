//! How often a module fails to start or traps, and when that is enough.
//!
//! A plain struct; takes the time as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What one module has done lately.
#[derive(Debug, Default)]
pub(crate) struct CrashLoop {
    failed_starts: u32,
    failed_last: Option<Instant>,
    /// Not longer ago than [`TRAPS_WITHIN`].
    traps: VecDeque<Instant>,
}

/// What follows a failed start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// The next one may be tried after this long.
    Wait(Duration),
    /// There is no next one; why.
    Quarantine(String),
}

impl CrashLoop {
    /// An instance could not be made ready.
    pub(crate) fn failed_start(&mut self, now: Instant) -> AfterFailure {
        let quiet = self.failed_last.map(|last| now.saturating_duration_since(last));
        if quiet.is_some_and(|quiet| quiet > FORGIVEN_AFTER) {
            self.failed_starts = 0;
        }
        self.failed_last = Some(now);
        self.failed_starts += 1;
        if self.failed_starts >= FAILED_STARTS_MAX {
            return AfterFailure::Quarantine(format!(
                "it failed to start {FAILED_STARTS_MAX} times in a row"
            ));
        }
        let wait = START_WAIT_MIN * 2u32.saturating_pow(self.failed_starts - 1);
        let jitter = 1.0 + JITTER * (2.0 * fastrand::f64() - 1.0);
        AfterFailure::Wait(wait.min(START_WAIT_MAX).mul_f64(jitter))
    }

    /// A call ended without an answer. Gives why that was one too many.
    pub(crate) fn trapped(&mut self, now: Instant) -> Option<String> {
        self.traps.push_back(now);
        while self.traps.front().is_some_and(|first| now - *first > TRAPS_WITHIN) {
            self.traps.pop_front();
        }
        (self.traps.len() >= TRAPS_MAX).then(|| {
            let minutes = TRAPS_WITHIN.as_secs() / 60;
            format!("{TRAPS_MAX} of its calls trapped or were cut off within {minutes} minutes")
        })
    }
}

/// After the first failed start; it doubles.
const START_WAIT_MIN: Duration = Duration::from_secs(1);
const START_WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// So that handlers that failed together do not start together.
const JITTER: f64 = 0.2;
/// So long after the last failed start, the next one is the first again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(10 * 60);
const FAILED_STARTS_MAX: u32 = 10;
const TRAPS_MAX: usize = 100;
const TRAPS_WITHIN: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn starts_are_tried_less_and_less_often_and_then_not_any_more() {
        let (mut crash_loop, mut now) = (CrashLoop::default(), Instant::now());
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256] {
            let AfterFailure::Wait(wait) = crash_loop.failed_start(now) else { panic!() };
            let about = SECOND * expected;
            assert!((about.mul_f64(0.8)..=about.mul_f64(1.2)).contains(&wait), "{wait:?}");
            now += wait;
        }
        let AfterFailure::Quarantine(why) = crash_loop.failed_start(now) else { panic!() };
        assert!(why.contains("10 times"), "{why}");
    }

    #[test]
    fn a_failed_start_is_forgiven_after_ten_minutes() {
        let (mut crash_loop, now) = (CrashLoop::default(), Instant::now());
        for _ in 1..FAILED_STARTS_MAX {
            assert!(matches!(crash_loop.failed_start(now), AfterFailure::Wait(_)));
        }
        let later = now + FORGIVEN_AFTER + SECOND;
        let AfterFailure::Wait(wait) = crash_loop.failed_start(later) else { panic!() };
        assert!(wait < 2 * SECOND, "{wait:?}");
    }

    #[test]
    fn traps_count_only_while_they_are_recent() {
        let (mut crash_loop, mut now) = (CrashLoop::default(), Instant::now());
        // One in 7 s is 85 in ten minutes.
        for _ in 0..3 * TRAPS_MAX {
            assert_eq!(crash_loop.trapped(now), None);
            now += 7 * SECOND;
        }
        let mut verdicts = (0..TRAPS_MAX).map(|_| crash_loop.trapped(now));
        assert!(verdicts.any(|verdict| verdict.is_some()));
    }
}

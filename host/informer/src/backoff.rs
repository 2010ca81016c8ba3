//! How long the reflector waits before it tries again.

use std::time::Duration;

/// Exponential delays with jitter: base 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, ... seconds, each
/// multiplied by a random factor in [1, 2).
///
/// client-go: RF-2. Unlike there, only success resets it, so that a long outage does not bring
/// the short delays back.
#[derive(Debug)]
pub(crate) struct Backoff {
    next_base: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next_base: BASE_MIN }
    }

    /// The next delay, in [0.8, 60) seconds.
    pub(crate) fn next(&mut self) -> Duration {
        let base = self.next_base;
        self.next_base = (base * 2).min(BASE_MAX);
        base.mul_f64(1.0 + fastrand::f64())
    }

    /// What a server asked for, kept within sane bounds and spread by up to 20 %; the exponential
    /// delay where it asked for nothing.
    pub(crate) fn next_or(&mut self, retry_after: Option<Duration>) -> Duration {
        match retry_after {
            Some(asked) => {
                asked.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX).mul_f64(1.0 + 0.2 * fastrand::f64())
            }
            None => self.next(),
        }
    }

    pub(crate) fn reset(&mut self) {
        self.next_base = BASE_MIN;
    }
}

const BASE_MIN: Duration = Duration::from_millis(800);
const BASE_MAX: Duration = Duration::from_secs(30);
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_start_anew_after_a_success() {
        let mut backoff = Backoff::new();
        for base in [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0] {
            let delay = backoff.next().as_secs_f64();
            assert!((base..2.0 * base).contains(&delay), "{delay} for base {base}");
        }
        backoff.reset();
        assert!(backoff.next() < Duration::from_millis(1600));
    }

    #[test]
    fn what_the_server_asks_for_is_clamped() {
        let mut backoff = Backoff::new();
        let ask = |backoff: &mut Backoff, s| backoff.next_or(Some(Duration::from_secs(s)));
        assert!((1.0..1.2).contains(&ask(&mut backoff, 0).as_secs_f64()));
        assert!((30.0..36.0).contains(&ask(&mut backoff, 30).as_secs_f64()));
        assert!((60.0..72.0).contains(&ask(&mut backoff, 1_000_000_000).as_secs_f64()));
    }
}

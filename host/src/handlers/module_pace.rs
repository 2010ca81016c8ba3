//! How often a handler may come with another module: each has to be compiled, which costs far more than whoever
//! sends it pays.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::modules::Digest;

/// The modules of one handler that were begun with lately.
#[derive(Default)]
pub(super) struct ModulePace {
    /// The oldest first.
    begun: VecDeque<Begun>,
}

struct Begun {
    digest: Digest,
    at: Instant,
    /// To its end, so that it is in the compile cache.
    is_compiled: bool,
}

impl ModulePace {
    /// Waits until a module may be made ready. One that had its turn in the last [`PERIOD`], and was compiled
    /// then, has it. Whoever gives up waiting has had no turn.
    pub(super) async fn turn(&mut self, digest: Digest, mut waits: impl FnMut()) {
        loop {
            let now = Instant::now();
            self.begun.retain(|it| now.duration_since(it.at) < PERIOD);
            if self.begun.iter().any(|it| it.is_compiled && it.digest == digest) {
                return;
            }
            match self.begun.front() {
                Some(oldest) if self.begun.len() >= MODULES_MAX => {
                    waits();
                    sleep_until(oldest.at + PERIOD).await;
                }
                _ => {
                    return self.begun.push_back(Begun { digest, at: now, is_compiled: false });
                }
            }
        }
    }

    /// A module that had its turn has been compiled. One that was not, since something newer was wanted, takes another
    /// turn: else who goes back and forth between two would have the host begin with them all the time.
    pub(super) fn compiled(&mut self, digest: Digest) {
        for begun in self.begun.iter_mut().filter(|it| it.digest == digest) {
            begun.is_compiled = true;
        }
    }
}

/// Different modules in one period. People, and what rolls versions out, need fewer.
pub(super) const MODULES_MAX: usize = 10;
pub(super) const PERIOD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_module_every_second_gets_ten_turns_a_minute() {
        let (mut pace, start) = (ModulePace::default(), Instant::now());
        let mut turns = Vec::new();
        for second in 0..290u32 {
            let digest = Digest::of(&second.to_le_bytes());
            // The next one comes, and nobody wants this one any more.
            if timeout(Duration::from_secs(1), pace.turn(digest, || {})).await.is_ok() {
                turns.push(start.elapsed());
            }
            sleep_until(start + Duration::from_secs(1) * (second + 1)).await;
        }
        assert_eq!(turns.len(), 5 * MODULES_MAX, "{turns:?}");
        for (first, eleventh) in turns.iter().zip(&turns[MODULES_MAX..]) {
            assert!(*eleventh - *first >= PERIOD, "{turns:?}");
        }
        // The last one comes to its turn.
        let mut held_up = 0;
        pace.turn(Digest::of(b"last"), || held_up += 1).await;
        assert_eq!(held_up, 1);
        assert_eq!(start.elapsed(), Duration::from_secs(300));
    }

    #[tokio::test(start_paused = true)]
    async fn modules_that_were_there_lately_come_and_go_as_they_like() {
        let (mut pace, start) = (ModulePace::default(), Instant::now());
        for number in 0..100u8 {
            let digest = Digest::of(&[number % 2]);
            pace.turn(digest, || {}).await;
            pace.compiled(digest);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn modules_that_were_never_compiled_to_the_end_are_counted_each_time() {
        let (mut pace, start) = (ModulePace::default(), Instant::now());
        for number in 0..=MODULES_MAX {
            pace.turn(Digest::of(&[(number % 2) as u8]), || {}).await;
        }
        assert_eq!(start.elapsed(), PERIOD);
    }
}

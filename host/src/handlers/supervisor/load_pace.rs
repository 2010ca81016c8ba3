//! How often a handler may come with another module: each one is compiled, which takes up to two minutes of CPU
//! time. What changes faster is loaded in its newest state when it is due.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::modules::Digest;

/// Of one handler.
#[derive(Default)]
pub(in crate::handlers) struct LoadPace {
    /// Compiled to the end not long ago, the newest last: they are in the compile cache.
    compiled: VecDeque<Digest>,
    /// When the others were begun, the newest last.
    begun: VecDeque<Instant>,
    /// It has been said that the handler changes too often.
    is_said: bool,
}

impl LoadPace {
    /// Waits until this module may be compiled. Whoever stops waiting has used up nothing.
    pub(in crate::handlers) async fn turn(&mut self, handler: &str, digest: Digest) {
        if self.compiled.contains(&digest) {
            return;
        }
        let now = Instant::now();
        let due = self.due(now);
        if due > now + APART_MIN && !self.is_said {
            let wait = format!("{}s", (due - now).as_secs());
            tracing::warn!(
                handler,
                wait,
                "{BEGUN_MAX} other modules within a minute: the next one waits"
            );
            self.is_said = true;
        }
        sleep_until(due).await;
        self.is_said = false;
        self.begun.push_back(Instant::now());
        if self.begun.len() > BEGUN_MAX {
            self.begun.pop_front();
        }
    }

    /// The module has been compiled: to load it again costs nothing.
    pub(in crate::handlers) fn compiled(&mut self, digest: Digest) {
        if self.compiled.contains(&digest) {
            return;
        }
        self.compiled.push_back(digest);
        if self.compiled.len() > COMPILED_MAX {
            self.compiled.pop_front();
        }
    }

    /// An operator wants it now.
    pub(in crate::handlers) fn forget(&mut self) {
        self.begun.clear();
    }

    fn due(&self, now: Instant) -> Instant {
        let apart = self.begun.back().map(|last| *last + APART_MIN);
        let full = self.begun.len() == BEGUN_MAX;
        let minute = self.begun.front().filter(|_| full).map(|first| *first + MINUTE);
        [apart, minute].into_iter().flatten().fold(now, Instant::max)
    }
}

/// A module is compiled no sooner than this after the one before.
const APART_MIN: Duration = Duration::from_secs(2);

/// And so many within a minute.
const BEGUN_MAX: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// Modules that are known to be in the compile cache: more than anybody goes back and forth between.
const COMPILED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn module(n: usize) -> Digest {
        Digest::of(&n.to_le_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn modules_are_two_seconds_apart_and_ten_in_a_minute() {
        let (mut pace, start) = (LoadPace::default(), Instant::now());
        let mut begun = Vec::new();
        for n in 0..25 {
            pace.turn("h", module(n)).await;
            begun.push(start.elapsed().as_secs());
        }
        assert_eq!(begun[..10], [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
        assert_eq!(begun[10..20], [60, 62, 64, 66, 68, 70, 72, 74, 76, 78]);
        assert_eq!(begun[20], 120);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_module_each_second_is_begun_no_more_often_and_the_newest_one_is() {
        let (mut pace, mut begun) = (LoadPace::default(), Vec::new());
        for n in 0..600 {
            // As the supervisor does: what is newer ends the wait for what it replaces.
            if timeout(Duration::from_secs(1), async {
                pace.turn("h", module(n)).await;
                begun.push(n);
                std::future::pending::<()>().await;
            })
            .await
            .is_err()
            {
                continue;
            }
        }
        assert!((95..=101).contains(&begun.len()), "{} in ten minutes", begun.len());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_compiled_before_and_what_an_operator_wants_does_not_wait() {
        let (mut pace, start) = (LoadPace::default(), Instant::now());
        for _ in 0..100 {
            for n in 0..2 {
                pace.turn("h", module(n)).await;
                pace.compiled(module(n));
            }
        }
        assert_eq!(start.elapsed().as_secs(), 2, "the second one waited, the first time");
        pace.forget();
        pace.turn("h", module(2)).await;
        assert_eq!(start.elapsed().as_secs(), 2);
        // One that was begun and did not come to its end counts again.
        pace.turn("h", module(2)).await;
        assert_eq!(start.elapsed().as_secs(), 4);
    }
}

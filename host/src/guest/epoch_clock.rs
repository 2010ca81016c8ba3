//! The clock that interrupts guests: a thread that begins an epoch every few milliseconds, while guests run.
//!
//! While none does it stands still. A thread that wakes so often takes up to 2 % of a processor, on a host that has nothing to do.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::Engine;

/// Of one engine. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct EpochClock(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// A guest was let run since the thread looked last.
    guests_run: AtomicBool,
    /// Held while that becomes true, and while the thread looks.
    look: Mutex<()>,
    begun: Condvar,
}

impl EpochClock {
    /// Its thread ends with the engine.
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let clock = Self::default();
        let (ticking, engine) = (clock.clone(), engine.weak());
        thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            while engine.upgrade().is_some() {
                let epochs = if ticking.guests_run() { EPOCHS_PER_LOOK } else { 0 };
                for _ in 0..epochs {
                    thread::sleep(EPOCH);
                    let Some(engine) = engine.upgrade() else { return };
                    engine.increment_epoch();
                }
            }
        })?;
        Ok(clock)
    }

    /// To be called each time before a guest goes on. One that runs for longer than an epoch is interrupted and comes back
    /// here, so the clock never stands still while a guest runs.
    pub(super) fn guest_runs(&self) {
        let Shared { guests_run, look, begun } = &*self.0;
        if !guests_run.load(Ordering::Relaxed) {
            let _look = look.lock().unwrap_or_else(PoisonError::into_inner);
            guests_run.store(true, Ordering::Relaxed);
            begun.notify_one();
        }
    }

    /// Whether a guest was let run since the last time; if none was, waits for one for a while.
    fn guests_run(&self) -> bool {
        let Shared { guests_run, look, begun } = &*self.0;
        let none_runs = |_: &mut ()| !guests_run.load(Ordering::Relaxed);
        let look = look.lock().unwrap_or_else(PoisonError::into_inner);
        let _look = begun
            .wait_timeout_while(look, LOOK_PERIOD, none_runs)
            .unwrap_or_else(PoisonError::into_inner);
        guests_run.swap(false, Ordering::Relaxed)
    }
}

/// A guest is asked how long it has run, and others get their turn, this often. Whoever comes when all threads are at work
/// waits for so long.
const EPOCH: Duration = Duration::from_millis(2);

/// So that what happens now and then does not stop and start the clock each time.
const EPOCHS_PER_LOOK: u32 = 500;

/// Without guests, the thread looks so often whether the engine is still there.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_for_whoever_was_let_run_and_stands_still_for_nobody() {
        let clock = EpochClock::default();
        clock.guest_runs();
        clock.guest_runs();
        assert!(clock.guests_run());
        assert!(!clock.guests_run());
        let waits = thread::spawn({
            let clock = clock.clone();
            // Until it is told, however long that takes.
            move || while !clock.guests_run() {}
        });
        clock.guest_runs();
        waits.join().unwrap();
    }
}

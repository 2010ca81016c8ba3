//! One handler's guest: its module, its configuration, and the instance that is alive.
//!
//! A handler that watches several resources has one listener for each, and one guest for all of them:
//! calls into an instance never overlap. The next generation of a handler takes the place of the one before
//! between two calls, so calls of old and new never overlap either.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::bindings::informerd::handler::types::Failure;
use super::call_objects::CallObject;
use super::crash_loop::{AfterFailure, CrashLoop};
use super::guest_log::GuestLog;
use super::hibernation::{LastUse, Sleep, SleepStatus};
use super::instance::CallError;
use super::limits::GuestLimits;
use super::live_guest::LiveGuest;
use super::mappings::Mapped;
use super::module::{GuestModule, ModuleError, WatchDeclaration};
use super::readable_cache::{ReadableCache, ReadableCollection};
use super::slow_lane::Lane;

/// A guest that is ready for its first notification.
pub struct StartedGuest {
    recipe: Recipe,
    alive: Alive,
    watches: Vec<WatchDeclaration>,
}

/// A guest at work. Clones are the same one.
#[derive(Clone)]
pub struct SharedGuest(Arc<Shared>);

pub(super) struct Shared {
    generation: Mutex<Generation>,
    /// Ends the running call.
    cut: Notify,
    /// Why the guest is not to be called any more.
    crashed: watch::Sender<Option<String>>,
    sleep: Sleep,
}

/// What [`SharedGuest::replace`] exchanges.
struct Generation {
    recipe: Recipe,
    /// None after a call that failed, and while it hibernates, until the next one.
    alive: Option<Alive>,
    last_use: LastUse,
    /// The places whose initial list has not been handled yet.
    unsynced: BTreeSet<usize>,
    crashes: CrashLoop,
    /// It has failed too often: `crashed` says why. Here, since each call has this lock anyway.
    is_over: bool,
    /// After a failed start, when the next one may be tried.
    start_at: Option<Instant>,
}

struct Alive {
    guest: LiveGuest,
    _mapped: Mapped,
}

/// All that it takes to make an instance.
struct Recipe {
    module: GuestModule,
    limits: GuestLimits,
    /// Without anything to do for so long, it has no instance; none: it always has one.
    hibernate_after: Option<Duration>,
    /// The handler spec's `config` as JSON text.
    config: Arc<str>,
    log: GuestLog,
    cache: Arc<OnceLock<ReadableCache>>,
    lane: Lane,
}

/// Why an instance could not be made ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("in {at} it {error}")]
pub struct StartError {
    /// What was going on: an export, or instantiation.
    pub(super) at: &'static str,
    pub(super) error: CallError,
}

/// What one notification asks of the guest.
pub(super) enum Call {
    Add { object: CallObject, in_initial_list: bool },
    Update { old: CallObject, new: CallObject },
    Delete { last: CallObject, final_state_unknown: bool },
    Synced,
}

impl StartedGuest {
    /// Makes the first instance, asks it what it watches and configures it.
    pub async fn start(
        module: GuestModule,
        handler_name: &str,
        config: String,
        limits: GuestLimits,
    ) -> Result<Self, ModuleError> {
        let log = GuestLog::new(handler_name, &limits, module.engine.logs().open(handler_name));
        let (config, cache) = (config.into(), Arc::default());
        let lane = module.engine.slow_lane.lane();
        let mapped = module.engine.mappings.try_take(module.mappings())?;
        let recipe = Recipe { module, limits, hibernate_after: None, config, log, cache, lane };
        let mut guest = recipe.instantiate().await?;
        let watches = guest.watches().await?;
        guest.init().await?;
        Ok(Self { recipe, alive: Alive { guest, _mapped: mapped }, watches })
    }

    /// What the module watches when it has no configuration. It is not started.
    pub async fn declared_watches(
        module: GuestModule,
        limits: GuestLimits,
    ) -> Result<Vec<WatchDeclaration>, ModuleError> {
        let log = GuestLog::new("inspect", &limits, module.engine.logs().open("inspect"));
        let (config, cache) = ("{}".into(), Arc::default());
        let lane = module.engine.slow_lane.lane();
        let recipe = Recipe { module, limits, hibernate_after: None, config, log, cache, lane };
        Ok(recipe.instantiate().await?.watches().await?)
    }

    /// When it has had nothing to do for so long, its instance is dropped, with all that it keeps in memory, and the next
    /// notification makes another one; none: never.
    pub fn hibernate_after(mut self, idle: Option<Duration>) -> Self {
        self.recipe.hibernate_after = idle;
        self
    }

    /// What the module says that it watches.
    pub fn watches(&self) -> &[WatchDeclaration] {
        &self.watches
    }

    /// Whether the module imports the cache.
    pub fn reads_cache(&self) -> bool {
        self.recipe.module.interfaces().imports("cache")
    }

    /// From now on the guest may read these. Only the first time counts.
    pub fn let_read(&self, collections: Vec<ReadableCollection>) {
        let handler = self.recipe.log.handler().into();
        let _ = self.recipe.cache.set(ReadableCache::new(handler, collections));
    }

    fn generation(self, places: BTreeSet<usize>) -> Generation {
        let Self { recipe, alive, .. } = self;
        Generation {
            recipe,
            alive: Some(alive),
            last_use: LastUse::now(),
            unsynced: places,
            crashes: CrashLoop::default(),
            is_over: false,
            start_at: None,
        }
    }
}

impl SharedGuest {
    /// Puts it to work for these places, one for each thing that it watches.
    pub fn new(started: StartedGuest, places: BTreeSet<usize>) -> Self {
        let hibernation = started.recipe.module.engine.hibernation.clone();
        let shared = Arc::new(Shared {
            generation: Mutex::new(started.generation(places)),
            cut: Notify::new(),
            crashed: watch::Sender::new(None),
            sleep: Sleep::default(),
        });
        hibernation.watch(&shared);
        Self(shared)
    }

    /// Puts another one in its place. The running call may end until the deadline, and is cut off then; what
    /// it was about is delivered again, to the new one.
    pub async fn replace(&self, next: StartedGuest, places: BTreeSet<usize>, deadline: Duration) {
        // Keeps its turn when it has waited too long.
        let mut turn = pin!(self.0.generation.lock());
        let mut generation = match timeout(deadline, &mut turn).await {
            Ok(generation) => generation,
            Err(_) => {
                self.0.cut.notify_waiters();
                turn.await
            }
        };
        *generation = next.generation(places);
        self.0.sleep.ends();
        self.0.crashed.send_replace(None);
    }

    /// Whether it hibernates, and what became of that so far.
    pub fn sleep_status(&self) -> SleepStatus {
        self.0.sleep.status()
    }

    #[cfg(test)]
    pub(super) fn has_instance(&self) -> bool {
        self.0.generation.try_lock().is_ok_and(|generation| generation.alive.is_some())
    }

    /// Why the guest is not to be called any more, as soon as it has failed too often.
    pub fn crashed(&self) -> watch::Receiver<Option<String>> {
        self.0.crashed.subscribe()
    }

    /// Makes one call for a place, in a fresh instance if the call before failed. None if that is not the
    /// guest's business: it is told that it has synced once, for the last of its places.
    pub(super) async fn call(
        &self,
        place: usize,
        call: Call,
    ) -> Result<Option<Result<(), Failure>>, CallError> {
        let mut generation = self.usable().await;
        let is_synced = matches!(call, Call::Synced);
        if is_synced && (!generation.unsynced.remove(&place) || !generation.unsynced.is_empty()) {
            return Ok(None);
        }
        let answer = tokio::select! {
            biased;
            answer = generation.deliver(call, &self.0.sleep) => answer,
            () = self.0.cut.notified() => Err(CallError::Replaced),
        };
        if is_synced && !matches!(answer, Ok(Ok(()))) {
            generation.unsynced.insert(place);
        }
        let crashed = match &answer {
            Ok(_) | Err(CallError::Replaced | CallError::NoRoom(_)) => None,
            Err(CallError::NotStarted(problem)) => {
                let why = generation.failed_start();
                why.map(|why| format!("{why}; the last time it {problem}"))
            }
            Err(error) => {
                let why = generation.crashes.trapped(Instant::now());
                why.map(|why| format!("{why}; the last one {error}"))
            }
        };
        if crashed.is_some() {
            generation.is_over = true;
            self.0.crashed.send_replace(crashed);
        }
        answer.map(Some)
    }

    /// The generation that may be called: after one that has failed too often, the next one.
    async fn usable(&self) -> MutexGuard<'_, Generation> {
        loop {
            let generation = self.0.generation.lock().await;
            if !generation.is_over {
                return generation;
            }
            drop(generation);
            // The sender is in `self`.
            let _ = self.crashed().wait_for(Option::is_none).await;
        }
    }
}

impl Shared {
    /// Drops the instance if it was not used for long enough; gives whether it did. One that is at work is not idle.
    pub(super) fn hibernate_if_idle(&self, now: Instant) -> bool {
        let Ok(mut generation) = self.generation.try_lock() else { return false };
        let Some(after) = generation.recipe.hibernate_after else { return false };
        if generation.alive.is_none() || generation.last_use.idle_for(now) < after {
            return false;
        }
        generation.alive = None;
        self.sleep.begins();
        true
    }
}

impl Generation {
    async fn deliver(
        &mut self,
        call: Call,
        sleep: &Sleep,
    ) -> Result<Result<(), Failure>, CallError> {
        self.last_use.used();
        // Taken out, so that a guest whose call fails, or is cut off, is not used again.
        let mut alive = match self.alive.take() {
            Some(alive) => alive,
            // In a box, since it is rare and large.
            None => Box::pin(self.recipe.start(self.start_at, sleep)).await?,
        };
        let answer = alive.guest.deliver(call).await?;
        self.alive = Some(alive);
        Ok(answer)
    }

    /// Gives why that was one too many.
    fn failed_start(&mut self) -> Option<String> {
        let now = Instant::now();
        match self.crashes.failed_start(now) {
            AfterFailure::Wait(wait) => {
                self.start_at = Some(now + wait);
                None
            }
            AfterFailure::Quarantine(why) => Some(why),
        }
    }
}

impl Recipe {
    /// Makes an instance that is ready to be called, not before it may be.
    async fn start(&self, start_at: Option<Instant>, sleep: &Sleep) -> Result<Alive, CallError> {
        let began = sleep.ends().then(Instant::now);
        if let Some(start_at) = start_at {
            sleep_until(start_at).await;
        }
        let mapped = self.module.engine.mappings.take(self.module.mappings()).await;
        let mapped = mapped.map_err(CallError::NoRoom)?;
        let not_started = |error: StartError| CallError::NotStarted(error.to_string());
        let mut guest = self.instantiate().await.map_err(not_started)?;
        guest.init().await.map_err(not_started)?;
        if let Some(began) = began {
            sleep.woken_within(began.elapsed());
        }
        Ok(Alive { guest, _mapped: mapped })
    }

    async fn instantiate(&self) -> Result<LiveGuest, StartError> {
        let (log, config, cache) = (self.log.clone(), self.config.clone(), self.cache.clone());
        let lane = self.lane.clone();
        let guest = LiveGuest::new(&self.module, &self.limits, log, config, cache, lane).await;
        guest.map_err(|error| StartError { at: "its instantiation", error })
    }
}

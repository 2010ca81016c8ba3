//! One handler's guest: its module, its configuration, and the instance that is alive.
//!
//! A handler that watches several resources has one listener for each, and one guest for all of them:
//! calls into an instance never overlap.

use std::sync::{Arc, OnceLock};

use tokio::sync::Mutex;

use super::bindings::informerd::handler::types::Failure;
use super::call_objects::CallObject;
use super::guest_log::GuestLog;
use super::instance::CallError;
use super::limits::GuestLimits;
use super::live_guest::LiveGuest;
use super::module::{GuestModule, ModuleError, WatchDeclaration};
use super::readable_cache::{ReadableCache, ReadableCollection};
use super::slow_lane::Lane;

/// A started guest. Clones are the same one.
#[derive(Clone)]
pub struct SharedGuest {
    recipe: Arc<Recipe>,
    /// None after a call that failed, until the next one.
    alive: Arc<Mutex<Option<LiveGuest>>>,
}

/// All that it takes to make an instance.
struct Recipe {
    module: GuestModule,
    limits: GuestLimits,
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

impl SharedGuest {
    /// Makes the first instance, asks it what it watches and configures it.
    pub async fn start(
        module: GuestModule,
        handler_name: &str,
        config: String,
        limits: GuestLimits,
    ) -> Result<(Self, Vec<WatchDeclaration>), ModuleError> {
        let log = GuestLog::new(handler_name, &limits);
        let (config, cache) = (config.into(), Arc::default());
        let lane = module.engine.slow_lane.lane();
        let recipe = Recipe { module, limits, config, log, cache, lane };
        let mut guest = recipe.instantiate().await?;
        let watches = guest.watches().await?;
        guest.init().await?;
        let alive = Arc::new(Mutex::new(Some(guest)));
        Ok((Self { recipe: Arc::new(recipe), alive }, watches))
    }

    /// What the module watches when it has no configuration. It is not started.
    pub async fn declared_watches(
        module: GuestModule,
        limits: GuestLimits,
    ) -> Result<Vec<WatchDeclaration>, ModuleError> {
        let log = GuestLog::new("inspect", &limits);
        let (config, cache) = ("{}".into(), Arc::default());
        let lane = module.engine.slow_lane.lane();
        let recipe = Recipe { module, limits, config, log, cache, lane };
        Ok(recipe.instantiate().await?.watches().await?)
    }

    /// Whether the module imports the cache.
    pub fn reads_cache(&self) -> bool {
        self.recipe.module.interfaces().imports("cache")
    }

    #[cfg(test)]
    pub(super) fn has_instance(&self) -> bool {
        self.alive.try_lock().is_ok_and(|alive| alive.is_some())
    }

    /// From now on the guest may read these. Only the first time counts.
    pub fn let_read(&self, collections: Vec<ReadableCollection>) {
        let handler = self.recipe.log.handler().into();
        let _ = self.recipe.cache.set(ReadableCache::new(handler, collections));
    }

    /// Makes one call, in a fresh instance if the call before failed.
    pub(super) async fn call(&self, call: Call) -> Result<Result<(), Failure>, CallError> {
        let mut alive = self.alive.lock().await;
        // Taken out, so that a guest whose call fails, or is cut off, is not used again.
        let mut guest = match alive.take() {
            Some(guest) => guest,
            None => {
                let not_started = |error: StartError| CallError::NotStarted(error.to_string());
                let mut guest = self.recipe.instantiate().await.map_err(not_started)?;
                guest.init().await.map_err(not_started)?;
                guest
            }
        };
        let answer = guest.deliver(&call).await?;
        *alive = Some(guest);
        Ok(answer)
    }
}

impl Recipe {
    async fn instantiate(&self) -> Result<LiveGuest, StartError> {
        let (log, config, cache) = (self.log.clone(), self.config.clone(), self.cache.clone());
        let lane = self.lane.clone();
        let guest = LiveGuest::new(&self.module, &self.limits, log, config, cache, lane).await;
        guest.map_err(|error| StartError { at: "its instantiation", error })
    }
}

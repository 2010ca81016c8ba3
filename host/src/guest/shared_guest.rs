//! One handler's guest: its module, its configuration, and the instance that is alive.
//!
//! A handler that watches several resources has one listener for each, and one guest for all of them:
//! calls into an instance never overlap.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::bindings::informerd::handler::types::Failure;
use super::call_objects::CallObject;
use super::imports::GuestLog;
use super::instance::CallError;
use super::limits::GuestLimits;
use super::live_guest::LiveGuest;
use super::module::{GuestModule, ModuleError, WatchDeclaration};

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
        let log = GuestLog::new(handler_name);
        let recipe = Recipe { module, limits, config: config.into(), log };
        let mut guest = recipe.instantiate().await?;
        let watches = guest.watches().await?;
        guest.init().await?;
        let alive = Arc::new(Mutex::new(Some(guest)));
        Ok((Self { recipe: Arc::new(recipe), alive }, watches))
    }

    /// Makes one call, in a fresh instance if the call before failed.
    pub(super) async fn call(&self, call: Call) -> Result<Result<(), Failure>, CallError> {
        let mut alive = self.alive.lock().await;
        // Taken out, so that a guest whose call fails, or is cut off, is not used again.
        let mut guest = match alive.take() {
            Some(guest) => guest,
            None => {
                let mut guest = self.recipe.instantiate().await?;
                guest.init().await?;
                guest
            }
        };
        let answer = guest.deliver(&call).await?;
        *alive = Some(guest);
        Ok(answer)
    }
}

impl Recipe {
    async fn instantiate(&self) -> Result<LiveGuest, CallError> {
        let Self { module, limits, config, log } = self;
        LiveGuest::new(module, limits, config.clone(), log.clone()).await
    }
}

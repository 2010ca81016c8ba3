//! One handler's guest: its module, its configuration, and the instance that is alive.
//!
//! A handler that watches several resources has one listener for each, and one guest for all of them:
//! calls into an instance never overlap.

use std::sync::{Arc, OnceLock};

use informer::QueueKind;
use tokio::sync::Mutex;
use wasmtime::Store;

use super::bindings::HandlerModule;
use super::bindings::informerd::handler::types::{Failure, Watch};
use super::call_objects::CallObject;
use super::imports::{GuestLog, GuestState};
use super::instance::{CallError, Instance};
use super::limits::GuestLimits;
use super::log_budget::{REASON_BYTES_MAX, one_line};
use super::module::{GuestModule, ModuleError, WatchDeclaration};
use super::readable_cache::{ReadableCache, ReadableCollection};

/// A started guest. Clones are the same one.
#[derive(Clone)]
pub struct SharedGuest {
    recipe: Arc<Recipe>,
    /// None after a call that failed, until the next one.
    instance: Arc<Mutex<Option<Instance>>>,
}

/// All that it takes to make an instance.
struct Recipe {
    module: GuestModule,
    limits: GuestLimits,
    /// The handler spec's `config` as JSON text.
    config: Arc<str>,
    log: GuestLog,
    cache: Arc<OnceLock<ReadableCache>>,
}

/// Why an instance could not be made ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("in {at} it {error}")]
pub struct StartError {
    /// What was going on: an export, or instantiation.
    at: &'static str,
    error: CallError,
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
        let (config, cache) = (config.into(), Arc::default());
        let recipe = Recipe { module, limits, config, log, cache };
        let mut instance = recipe.instantiate().await?;
        let watches = recipe.watches(&mut instance).await?;
        recipe.init(&mut instance).await?;
        let instance = Arc::new(Mutex::new(Some(instance)));
        Ok((Self { recipe: Arc::new(recipe), instance }, watches))
    }

    /// What the module watches when it has no configuration. It is not started.
    pub async fn declared_watches(
        module: GuestModule,
        limits: GuestLimits,
    ) -> Result<Vec<WatchDeclaration>, ModuleError> {
        let log = GuestLog::new("inspect");
        let recipe = Recipe { module, limits, config: "{}".into(), log, cache: Arc::default() };
        let mut instance = recipe.instantiate().await?;
        Ok(recipe.watches(&mut instance).await?)
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

    /// Makes one call, in a fresh instance if the call before failed.
    pub(super) async fn call(&self, call: Call) -> Result<Result<(), Failure>, CallError> {
        let mut alive = self.instance.lock().await;
        // Taken out, so that an instance whose call fails, or is cut off, is not used again.
        let mut instance = match alive.take() {
            Some(instance) => instance,
            None => {
                let not_started = |error: StartError| CallError::NotStarted(error.to_string());
                let mut instance = self.recipe.instantiate().await.map_err(not_started)?;
                self.recipe.init(&mut instance).await.map_err(not_started)?;
                instance
            }
        };
        let answer =
            instance.call(false, async |guest, store| call.make(guest, store).await).await?;
        *alive = Some(instance);
        Ok(answer)
    }
}

impl Recipe {
    async fn instantiate(&self) -> Result<Instance, StartError> {
        let (log, config, cache) = (self.log.clone(), self.config.clone(), self.cache.clone());
        let state = GuestState::new(&self.limits, log, config, cache);
        let instance = Instance::new(&self.module, &self.limits, state).await;
        instance.map_err(|error| StartError { at: "its instantiation", error })
    }

    async fn watches(&self, instance: &mut Instance) -> Result<Vec<WatchDeclaration>, StartError> {
        let watches = instance.call(true, async |guest, store| {
            guest.informerd_handler_handler().call_watches(store).await
        });
        let watches = watches.await.map_err(|error| StartError { at: "`watches`", error })?;
        let declaration = |watch: Watch| WatchDeclaration {
            api_version: watch.api_version,
            kind: watch.kind,
            namespaces: watch.namespaces,
            label_selector: watch.label_selector,
            field_selector: watch.field_selector,
            queue: QueueKind::default(),
        };
        Ok(watches.into_iter().map(declaration).collect())
    }

    async fn init(&self, instance: &mut Instance) -> Result<(), StartError> {
        let init = instance.call(true, async |guest, store| {
            guest.informerd_handler_handler().call_init(store).await
        });
        let refused =
            |reason: String| CallError::ConfigRefused(one_line(&reason, REASON_BYTES_MAX));
        let answer = init.await.and_then(|answer| answer.map_err(refused));
        answer.map_err(|error| StartError { at: "`init`", error })
    }
}

impl Call {
    async fn make(
        &self,
        guest: &HandlerModule,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<Result<(), Failure>> {
        let handler = guest.informerd_handler_handler();
        let mut ticket = |object: &CallObject| store.data_mut().call_objects.ticket(object.clone());
        match self {
            Self::Add { object, in_initial_list } => {
                let (key, object) = (object.key(), ticket(object)?);
                handler.call_on_add(store, &key, object, *in_initial_list).await
            }
            Self::Update { old, new } => {
                let (key, old, new) = (new.key(), ticket(old)?, ticket(new)?);
                handler.call_on_update(store, &key, old, new).await
            }
            Self::Delete { last, final_state_unknown } => {
                let (key, last) = (last.key(), ticket(last)?);
                handler.call_on_delete(store, &key, last, *final_state_unknown).await
            }
            Self::Synced => handler.call_on_synced(store).await,
        }
    }
}

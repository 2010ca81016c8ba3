//! One handler's guest: its module, its configuration, and the instance that is alive.
//!
//! A handler that watches several resources has one listener for each, and one guest for all of them:
//! calls into an instance never overlap.

use std::sync::Arc;

use informer::QueueKind;
use tokio::sync::Mutex;
use wasmtime::Store;
use wasmtime::error::Context as _;

use super::bindings::HandlerModule;
use super::bindings::informerd::handler::types::Failure;
use super::call_objects::CallObject;
use super::imports::{GuestLog, GuestState};
use super::instance::{CallError, Instance};
use super::limits::GuestLimits;
use super::log_budget::{REASON_BYTES_MAX, one_line};
use super::module::{GuestModule, ModuleError, WatchDeclaration};

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
        let mut instance = recipe.instantiate().await?;
        let watches = instance
            .call(true, async |guest, store| {
                guest.informerd_handler_handler().call_watches(store).await
            })
            .await?;
        recipe.init(&mut instance).await?;
        let watches = watches.into_iter().map(|watch| WatchDeclaration {
            api_version: watch.api_version,
            kind: watch.kind,
            namespaces: watch.namespaces,
            label_selector: watch.label_selector,
            field_selector: watch.field_selector,
            queue: QueueKind::default(),
        });
        let watches = watches.collect();
        let instance = Arc::new(Mutex::new(Some(instance)));
        Ok((Self { recipe: Arc::new(recipe), instance }, watches))
    }

    /// Makes one call, in a fresh instance if the call before failed.
    pub(super) async fn call(&self, call: Call) -> Result<Result<(), Failure>, CallError> {
        let mut alive = self.instance.lock().await;
        // Taken out, so that an instance whose call fails, or is cut off, is not used again.
        let mut instance = match alive.take() {
            Some(instance) => instance,
            None => {
                let mut instance = self.recipe.instantiate().await?;
                self.recipe.init(&mut instance).await?;
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
    async fn instantiate(&self) -> Result<Instance, CallError> {
        let state = GuestState::new(&self.limits, self.log.clone(), self.config.clone());
        Instance::new(&self.module, &self.limits, state).await
    }

    async fn init(&self, instance: &mut Instance) -> Result<(), CallError> {
        let init = instance.call(true, async |guest, store| {
            guest.informerd_handler_handler().call_init(store).await
        });
        let refused =
            |reason: String| CallError::ConfigRefused(one_line(&reason, REASON_BYTES_MAX));
        init.await?.map_err(refused)
    }
}

impl Call {
    async fn make(
        &self,
        guest: &HandlerModule,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<Result<(), Failure>> {
        let handler = guest.informerd_handler_handler();
        // There is always room for the first two.
        let mut ticket = |object: &CallObject| {
            let given = store.data_mut().call_objects.ticket(object.clone());
            given.context("tickets were left over from the call before")
        };
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

//! A guest that is alive, of either form: a component whose exports are called, or a command that is
//! written to and answers. Whoever delivers sees no difference.

use std::sync::Arc;

use informer::QueueKind;
use wasmtime::Store;
use wasmtime::error::Context as _;

use super::bindings::HandlerModule;
use super::bindings::informerd::handler::types::{Failure, Watch};
use super::call_objects::CallObject;
use super::command::Command;
use super::imports::{GuestLog, GuestState};
use super::instance::{CallError, Instance};
use super::limits::GuestLimits;
use super::log_budget::{REASON_BYTES_MAX, one_line};
use super::module::{GuestModule, Linked, WatchDeclaration};
use super::shared_guest::Call;

/// After an error it is not to be used again.
pub(super) enum LiveGuest {
    Handler(Box<Instance>),
    Command(Box<Command>),
}

impl LiveGuest {
    pub(super) async fn new(
        module: &GuestModule,
        limits: &GuestLimits,
        config: Arc<str>,
        log: GuestLog,
    ) -> Result<Self, CallError> {
        let engine = &module.engine;
        Ok(match &*module.linked {
            Linked::Handler(handler) => {
                let state = GuestState::new(limits, log, config);
                let instance = Instance::new(engine, handler, limits, state).await?;
                Self::Handler(Box::new(instance))
            }
            Linked::Command(command) => {
                Self::Command(Box::new(Command::new(engine, command, limits, config, log)))
            }
        })
    }

    /// What it says that it watches. Called before `init`, and of the first instance only.
    pub(super) async fn watches(&mut self) -> Result<Vec<WatchDeclaration>, CallError> {
        let watches = match self {
            Self::Handler(instance) => {
                let watches = instance.call(true, async |guest, store| {
                    guest.informerd_handler_handler().call_watches(store).await
                });
                watches.await?
            }
            Self::Command(command) => command.introduce().await?.to_vec(),
        };
        Ok(watches.into_iter().map(WatchDeclaration::from).collect())
    }

    /// Called once, before the first delivery.
    pub(super) async fn init(&mut self) -> Result<(), CallError> {
        match self {
            Self::Handler(instance) => {
                let init = instance.call(true, async |guest, store| {
                    guest.informerd_handler_handler().call_init(store).await
                });
                let refused =
                    |reason: String| CallError::ConfigRefused(one_line(&reason, REASON_BYTES_MAX));
                init.await?.map_err(refused)
            }
            Self::Command(command) => command.introduce().await.map(drop),
        }
    }

    pub(super) async fn deliver(&mut self, call: &Call) -> Result<Result<(), Failure>, CallError> {
        match self {
            Self::Handler(instance) => {
                instance.call(false, async |guest, store| call.make(guest, store).await).await
            }
            Self::Command(command) => command.deliver(call).await,
        }
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

impl From<Watch> for WatchDeclaration {
    fn from(watch: Watch) -> Self {
        Self {
            api_version: watch.api_version,
            kind: watch.kind,
            namespaces: watch.namespaces,
            label_selector: watch.label_selector,
            field_selector: watch.field_selector,
            queue: QueueKind::default(),
        }
    }
}

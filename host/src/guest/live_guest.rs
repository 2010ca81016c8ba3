//! A guest that is alive, of either form: a component whose exports are called, or a command that is
//! written to and answers. Whoever delivers sees no difference.

use std::sync::{Arc, OnceLock};

use informer::QueueKind;
use wasmtime::Store;

use super::bindings::HandlerModule;
use super::bindings::informerd::handler::types::{Failure, ObjectKey, Watch};
use super::call_objects::CallObject;
use super::command::Command;
use super::guest_log::GuestLog;
use super::imports::GuestState;
use super::instance::{CallError, Instance, new_store};
use super::limits::GuestLimits;
use super::log_budget::{REASON_BYTES_MAX, one_line};
use super::module::{GuestModule, Linked, WatchDeclaration};
use super::readable_cache::ReadableCache;
use super::shared_guest::{Call, StartError};
use super::slow_lane::Lane;
use super::standard_streams::StandardStreams;

/// After an error it is not to be used again.
pub(super) enum LiveGuest {
    Handler(Box<Instance>),
    Command(Box<Command>),
}

impl LiveGuest {
    pub(super) async fn new(
        module: &GuestModule,
        limits: &GuestLimits,
        log: GuestLog,
        config: Arc<str>,
        cache: Arc<OnceLock<ReadableCache>>,
        lane: Lane,
    ) -> Result<Self, CallError> {
        Ok(match module.linked() {
            Linked::Handler(handler) => {
                let state = GuestState::new(limits, log, config, cache, lane, None);
                let instance = Instance::new(module, handler, limits, state).await?;
                Self::Handler(Box::new(instance))
            }
            Linked::Command(command) => {
                let streams = StandardStreams::new(log.clone());
                let (said, read) = (log.clone(), config.clone());
                let state = GuestState::new(limits, said, read, cache, lane, Some(&streams));
                let store = new_store(&module.engine, state);
                let limits = limits.clone();
                Self::Command(Box::new(Command::new(command, store, streams, limits, config, log)))
            }
        })
    }

    /// What it says that it watches. Called before `init`, and of the first instance only.
    pub(super) async fn watches(&mut self) -> Result<Vec<WatchDeclaration>, StartError> {
        let (at, watches) = match self {
            Self::Handler(instance) => {
                let watches = instance.call(true, async |guest, store| {
                    guest.informerd_handler_handler().call_watches(store).await
                });
                ("`watches`", watches.await)
            }
            // It is asked for both at once.
            Self::Command(command) => ("`init`", command.introduce().await.map(<[Watch]>::to_vec)),
        };
        let watches = watches.map_err(|error| StartError { at, error })?;
        Ok(watches.into_iter().map(WatchDeclaration::from).collect())
    }

    /// Called once, before the first delivery.
    pub(super) async fn init(&mut self) -> Result<(), StartError> {
        let answer = match self {
            Self::Handler(instance) => {
                let init = instance.call(true, async |guest, store| {
                    guest.informerd_handler_handler().call_init(store).await
                });
                let refused =
                    |reason: String| CallError::ConfigRefused(one_line(&reason, REASON_BYTES_MAX));
                init.await.and_then(|answer| answer.map_err(refused))
            }
            Self::Command(command) => command.introduce().await.map(drop),
        };
        answer.map_err(|error| StartError { at: "`init`", error })
    }

    pub(super) async fn deliver(&mut self, call: Call) -> Result<Result<(), Failure>, CallError> {
        match self {
            Self::Handler(instance) => {
                let mut key = instance.key.take();
                let made = async |guest: &_, store: &mut _| call.make(guest, store, &mut key).await;
                let answer = instance.call(false, made).await;
                instance.key = key;
                answer
            }
            Self::Command(command) => command.deliver(&call).await,
        }
    }
}

impl Call {
    /// `key` is where the key is put.
    async fn make(
        self,
        guest: &HandlerModule,
        store: &mut Store<GuestState>,
        key: &mut Option<ObjectKey>,
    ) -> wasmtime::Result<Result<(), Failure>> {
        let handler = guest.informerd_handler_handler();
        let mut ticket = |object: CallObject| store.data_mut().call_objects.ticket(object);
        match self {
            Self::Add { object, in_initial_list } => {
                let (key, object) = (object.key_in(key), ticket(object)?);
                handler.call_on_add(store, key, object, in_initial_list).await
            }
            Self::Update { old, new } => {
                let (key, old, new) = (new.key_in(key), ticket(old)?, ticket(new)?);
                handler.call_on_update(store, key, old, new).await
            }
            Self::Delete { last, final_state_unknown } => {
                let (key, last) = (last.key_in(key), ticket(last)?);
                handler.call_on_delete(store, key, last, final_state_unknown).await
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

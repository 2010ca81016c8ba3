//! All handlers of this host, loaded, replaced and removed while it runs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use informer::{SharedInformer, SharedInformerFactory};
use kube::Client;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::compile_turns::CompileTurns;
use super::custom_resources::ResourcesState;
use super::definition::{DefinitionSource, HandlerDefinition};
use super::generation::informer;
use super::quarantine::Quarantine;
use super::resources::ASKING_MAX;
use super::status::{HandlerState, HandlerStatus};
use super::supervisor::{SupervisedHandler, supervise};
use crate::access::{AccessPeriods, AccessReviewer};
use crate::api_server::WatchedResource;
use crate::guest::{Compiler, Counts, GuestLimits};
use crate::modules::ModuleFetcher;

/// What all handlers share.
pub(super) struct Surroundings {
    pub(super) client: Client,
    pub(super) compiler: Compiler,
    pub(super) compile_turns: CompileTurns,
    pub(super) modules: ModuleFetcher,
    pub(super) informers: SharedInformerFactory<WatchedResource>,
    /// Guests run on threads of their own, so that one that burns its CPU time delays other guests
    /// by an epoch at most, and the informers not at all.
    pub(super) guests: Handle,
    /// The most that a handler may use.
    pub(super) ceilings: GuestLimits,
    pub(super) quarantine: Arc<Quarantine>,
    pub(super) access: AccessReviewer,
    /// See [`ASKING_MAX`].
    pub(super) turns_to_ask: Semaphore,
}

/// The handlers by name.
pub struct HandlerRegistry {
    surroundings: Arc<Surroundings>,
    handlers: Mutex<Handlers>,
    custom_resources: Mutex<Option<ResourcesState>>,
}

#[derive(Default)]
struct Handlers {
    by_name: BTreeMap<String, Entry>,
    /// Removed, and still busy with what was queued. What takes the name of one waits until it has ended.
    leaving: BTreeMap<String, Arc<SupervisedHandler>>,
}

/// A handler is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name {name:?} is taken by {by}: rename one of them")]
pub struct NameTaken {
    /// Which name.
    pub name: String,
    /// What describes the handler that has it.
    pub by: DefinitionSource,
}

struct Entry {
    handler: Arc<SupervisedHandler>,
    /// None once the host stops.
    supervisor: Option<JoinHandle<()>>,
}

impl HandlerRegistry {
    /// Without handlers. `guests` is the runtime on which guests run, `ceilings` the most that each may
    /// use.
    pub fn new(
        client: Client,
        compiler: Compiler,
        modules: ModuleFetcher,
        guests: Handle,
        ceilings: GuestLimits,
    ) -> Self {
        let informers = SharedInformerFactory::new();
        let quarantine = Arc::new(Quarantine::default());
        let access = AccessReviewer::new(client.clone());
        let surroundings = Surroundings {
            client,
            compiler,
            compile_turns: CompileTurns::default(),
            modules,
            informers,
            guests,
            ceilings,
            quarantine,
            access,
            turns_to_ask: Semaphore::new(ASKING_MAX),
        };
        let (handlers, custom_resources) = (Mutex::default(), Mutex::default());
        Self { surroundings: Arc::new(surroundings), handlers, custom_resources }
    }

    /// Notes in a folder which module is being started, so that one that a host died of is in quarantine for the
    /// next one. To be called before anything is loaded.
    pub fn remember_in(&self, folder: &Path) -> io::Result<()> {
        self.surroundings.quarantine.remember_in(folder)
    }

    /// How long what the server said of ServiceAccounts' rights counts. To be called before anything is loaded.
    pub fn set_access_periods(&self, periods: AccessPeriods) {
        self.surroundings.access.set_periods(periods);
    }

    /// Loads a handler, or replaces what runs under its name as soon as the new one is ready. Returns at
    /// once; how it goes is in [`HandlerRegistry::status`]. Must be called in a tokio runtime.
    /// An error if something of another kind describes a handler of that name.
    pub fn apply(&self, definition: HandlerDefinition) -> Result<(), NameTaken> {
        let mut handlers = self.handlers();
        let name = definition.name.clone();
        if let Some(entry) = handlers.by_name.get(&name) {
            let by = entry.handler.source();
            if !by.is_of_the_kind_of(&definition.source) {
                return Err(NameTaken { name, by });
            }
            entry.handler.want(definition);
            return Ok(());
        }
        let before = handlers.leaving.get(&name).cloned();
        let handler = Arc::new(SupervisedHandler::new(definition));
        let (supervised, at) = (handler.clone(), self.surroundings.clone());
        let supervisor = tokio::spawn(async move {
            if let Some(before) = before {
                before.gone().await;
            }
            supervise(supervised, at).await;
        });
        handlers.by_name.insert(name, Entry { handler, supervisor: Some(supervisor) });
        Ok(())
    }

    /// What a handler's source says now cannot be used. What runs goes on; false if nothing of that name
    /// is there.
    pub fn refuse(&self, name: &str, problem: &str) -> bool {
        self.with(name, |handler| handler.refuse(problem)).is_some()
    }

    /// Loads a handler anew, although nothing has changed, and out of quarantine too; false if there is no
    /// such handler.
    pub fn reload(&self, name: &str) -> bool {
        self.with(name, SupervisedHandler::reload).is_some()
    }

    /// Makes no new calls into a handler, or does so again; what happens meanwhile waits. False if there is
    /// no such handler.
    pub fn set_paused(&self, name: &str, paused: bool) -> bool {
        self.with(name, |handler| handler.set_paused(paused)).is_some()
    }

    /// Tries a handler's dead letters again, those of one object (`namespace/name`) or all. Gives how many;
    /// none if there is no such handler.
    pub fn retry_dead_letters(&self, name: &str, key: Option<&str>) -> Option<usize> {
        self.with(name, |handler| handler.retry_dead_letters(key))
    }

    /// Gives a handler's dead letters up, those of one object (`namespace/name`) or all. Gives how many;
    /// none if there is no such handler.
    pub fn purge_dead_letters(&self, name: &str, key: Option<&str>) -> Option<usize> {
        self.with(name, |handler| handler.purge_dead_letters(key))
    }

    /// Waits until nothing more happens by itself with what was applied last: it runs, or why it does not.
    /// None if there is no such handler.
    pub async fn settled(&self, name: &str) -> Option<HandlerState> {
        let handler = self.handlers().by_name.get(name)?.handler.clone();
        Some(handler.settled().await)
    }

    /// Waits until what was applied last is not [`HandlerState::Loading`] any more, or is removed.
    pub(super) async fn loading_ended(&self, name: &str) {
        let handler = self.handlers().by_name.get(name).map(|entry| entry.handler.clone());
        if let Some(handler) = handler {
            handler.loading_ended().await;
        }
    }

    /// Removes a handler: what is queued for it is delivered until the deadline. Gives how many
    /// notifications were not; none if there is no such handler. When this returns it has no handler of
    /// the name any more; the future, which must be driven to its end, is about what is queued.
    pub fn remove(
        self: &Arc<Self>,
        name: &str,
        deadline: Duration,
    ) -> impl Future<Output = Option<usize>> + Send + use<> {
        let entry = {
            let mut handlers = self.handlers();
            let entry = handlers.by_name.remove(name);
            if let Some(Entry { handler, .. }) = &entry {
                handlers.leaving.insert(name.to_owned(), handler.clone());
                handler.end();
            }
            entry
        };
        let (this, name) = (self.clone(), name.to_owned());
        async move {
            let Entry { handler, supervisor } = entry?;
            // It hands nothing over any more.
            if let Some(supervisor) = supervisor {
                let _ = supervisor.await;
            }
            let left = handler.drain(deadline).await;
            let mut handlers = this.handlers();
            if handlers.leaving.get(&name).is_some_and(|it| Arc::ptr_eq(it, &handler)) {
                handlers.leaving.remove(&name);
            }
            drop(handlers);
            tracing::info!(handler = name, left, "handler removed");
            Some(left)
        }
    }

    /// One handler; none if there is no such handler.
    pub fn status(&self, name: &str) -> Option<HandlerStatus> {
        self.with(name, SupervisedHandler::status)
    }

    /// All handlers, by name.
    pub fn statuses(&self) -> Vec<HandlerStatus> {
        self.handlers().by_name.values().map(|entry| entry.handler.status()).collect()
    }

    /// How far the host is with custom resources; none: it does not follow any.
    pub fn custom_resources(&self) -> Option<ResourcesState> {
        self.custom_resources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_custom_resources(&self, state: ResourcesState) {
        *self.custom_resources.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    /// What became of the modules that were to be compiled.
    pub fn compile_counts(&self) -> Counts {
        self.surroundings.compiler.counts()
    }

    /// Whether every handler that can run has handled its initial lists. What the custom resources are must be
    /// known, unless the server does not serve the kind: that may never come.
    pub fn is_ready(&self) -> bool {
        self.custom_resources().is_none_or(|resources| resources.is_settled())
            && self.statuses().iter().all(|status| match status.state {
                HandlerState::Loading | HandlerState::Unreachable(_) => false,
                // A paused one waits for somebody.
                HandlerState::Running => status.has_synced || status.paused,
                // None of these may keep the others from serving.
                HandlerState::UnknownKind(_)
                | HandlerState::UnknownSecret(_)
                | HandlerState::Forbidden(_)
                | HandlerState::Failed(_)
                | HandlerState::Quarantined(_) => true,
            })
    }

    /// The informer of a resource, which handlers that watch it share.
    pub(super) fn informer(&self, resource: &WatchedResource) -> SharedInformer {
        informer(&self.surroundings, resource)
    }

    /// The informers that run, with what they watch.
    pub fn informers(&self) -> Vec<(WatchedResource, SharedInformer)> {
        self.surroundings.informers.running()
    }

    /// Stops all intake, then lets the handlers finish what is queued, until the deadline.
    pub async fn stop(&self, deadline: Duration) {
        let mut handlers = Vec::new();
        let mut supervisors = Vec::new();
        for entry in self.handlers().by_name.values_mut() {
            entry.handler.end();
            handlers.push(entry.handler.clone());
            supervisors.extend(entry.supervisor.take());
        }
        // They must not register anything any more.
        join_all(supervisors).await;
        join_all(self.informers().iter().map(|(_, informer)| informer.stop())).await;
        join_all(handlers.iter().map(|handler| handler.drain(deadline))).await;
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&SupervisedHandler) -> T) -> Option<T> {
        self.handlers().by_name.get(name).map(|entry| act(&entry.handler))
    }

    fn handlers(&self) -> MutexGuard<'_, Handlers> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! All handlers of this host, loaded and removed while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use informer::{SharedInformer, SharedInformerFactory};
use kube::Client;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::directory::HandlerFile;
use super::running_handler::{HandlerState, HandlerStatus, RunningHandler};
use crate::api_server::WatchedResource;
use crate::guest::{GuestEngine, GuestLimits};

/// What all handlers share.
pub(super) struct Surroundings {
    pub(super) client: Client,
    pub(super) engine: GuestEngine,
    pub(super) informers: SharedInformerFactory<WatchedResource>,
    /// Guests run on threads of their own, so that one that burns its CPU time delays other guests
    /// by an epoch at most, and the informers not at all.
    pub(super) guests: Handle,
    /// The most that a handler may use.
    pub(super) ceilings: GuestLimits,
}

/// The handlers by name.
pub struct HandlerRegistry {
    surroundings: Arc<Surroundings>,
    handlers: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    handler: Arc<RunningHandler>,
    /// None once it has been stopped.
    loading: Option<JoinHandle<()>>,
}

impl HandlerRegistry {
    /// Without handlers. `guests` is the runtime on which guests run, `ceilings` the most that each may
    /// use.
    pub fn new(client: Client, engine: GuestEngine, guests: Handle, ceilings: GuestLimits) -> Self {
        let informers = SharedInformerFactory::new();
        let surroundings = Surroundings { client, engine, informers, guests, ceilings };
        let surroundings = Arc::new(surroundings);
        Self { surroundings, handlers: Mutex::default() }
    }

    /// Begins to load a handler; false if its name is taken. How it goes is in
    /// [`HandlerRegistry::statuses`].
    pub fn load(&self, file: HandlerFile) -> bool {
        let mut handlers = self.handlers();
        let name = file.name.clone();
        if handlers.contains_key(&name) {
            return false;
        }
        let handler = Arc::new(RunningHandler::new(file));
        let (loaded, surroundings) = (handler.clone(), self.surroundings.clone());
        let loading = tokio::spawn(async move { loaded.load(&surroundings).await });
        handlers.insert(name, Entry { handler, loading: Some(loading) });
        true
    }

    /// Waits until a handler is registered or has failed; none if there is no such handler.
    pub async fn loaded(&self, name: &str) -> Option<HandlerState> {
        let mut state = self.handlers().get(name)?.handler.state();
        let is_settled =
            |state: &HandlerState| matches!(state, HandlerState::Running | HandlerState::Failed(_));
        // The sender lives as long as the handler does.
        state.wait_for(is_settled).await.ok().map(|state| state.clone())
    }

    /// Removes a handler: what is queued for it is delivered until the deadline. Gives how many
    /// notifications were not; none if there is no such handler.
    pub async fn unload(&self, name: &str, deadline: Duration) -> Option<usize> {
        let Entry { handler, loading } = self.handlers().remove(name)?;
        if let Some(loading) = loading {
            loading.abort();
            let _ = loading.await;
        }
        Some(handler.drain(deadline).await)
    }

    /// All handlers, by name.
    pub fn statuses(&self) -> Vec<HandlerStatus> {
        self.handlers().values().map(|entry| entry.handler.status()).collect()
    }

    /// Whether every handler that can run has handled its initial lists.
    pub fn is_ready(&self) -> bool {
        self.statuses().iter().all(|status| match status.state {
            HandlerState::Loading | HandlerState::Unreachable(_) => false,
            HandlerState::Running => status.has_synced,
            // Neither may keep the others from serving.
            HandlerState::UnknownKind(_) | HandlerState::Failed(_) => true,
        })
    }

    /// The informers that run, with what they watch.
    pub fn informers(&self) -> Vec<(WatchedResource, SharedInformer)> {
        self.surroundings.informers.running()
    }

    /// Stops all intake, then lets the handlers finish what is queued, until the deadline.
    pub async fn stop(&self, deadline: Duration) {
        let loading: Vec<_> =
            self.handlers().values_mut().filter_map(|entry| entry.loading.take()).collect();
        for load in loading {
            load.abort();
            // An aborted task must not register anything any more.
            let _ = load.await;
        }
        join_all(self.informers().iter().map(|(_, informer)| informer.stop())).await;
        let handlers: Vec<_> =
            self.handlers().values().map(|entry| entry.handler.clone()).collect();
        join_all(handlers.iter().map(|handler| handler.drain(deadline))).await;
    }

    fn handlers(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

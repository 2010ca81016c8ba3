//! The running host: a compiler, the guests' threads, the handlers and the health endpoint.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::guest::{Compiler, GuestLimits, HandlerLogs, guest_threads};
use crate::handlers::{HandlerRegistry, HandlerResources, HandlersDirectory, ResourcePolicy};
use crate::health::HealthServer;
use crate::modules::ModuleFetcher;

/// Everything that runs. Stop it with [`Host::stop`].
pub struct Host {
    client: Client,
    handlers: Arc<HandlerRegistry>,
    handler_logs: HandlerLogs,
    health: HealthServer,
    /// Ends first.
    followed: Mutex<JoinSet<()>>,
    _guests: GuestThreads,
}

/// The runtime on which guests run. Dropped without waiting: it may be on a thread of another one.
struct GuestThreads(Option<Runtime>);

impl Host {
    /// Starts without handlers. `http` is where health, readiness and metrics are; port 0 takes a
    /// free one. `ceilings` is the most that a handler may use.
    pub async fn start(
        client: Client,
        compiler: Compiler,
        modules: ModuleFetcher,
        http: SocketAddr,
        ceilings: GuestLimits,
    ) -> anyhow::Result<Self> {
        let guests = Builder::new_multi_thread()
            .thread_name("guest")
            .worker_threads(guest_threads())
            // A guest that runs until it is interrupted must not keep its thread from looking for others
            // that are due: by default it would look again after 61 such guests.
            .global_queue_interval(1)
            .event_interval(1)
            .enable_all()
            .build()
            .context("cannot start the guests' threads")?;
        let handle = guests.handle().clone();
        let guests = GuestThreads(Some(guests));
        let engine = compiler.engine().clone();
        let hibernation = async move { engine.let_hibernate().await };
        let mut followed = JoinSet::new();
        followed.spawn_on(hibernation, &handle);
        let handler_logs = compiler.engine().logs().clone();
        let handlers = HandlerRegistry::new(client.clone(), compiler, modules, handle, ceilings);
        let handlers = Arc::new(handlers);
        let health = HealthServer::start(http, handlers.clone()).await?;
        Ok(Self {
            client,
            handlers,
            handler_logs,
            health,
            followed: Mutex::new(followed),
            _guests: guests,
        })
    }

    /// Loads what the directory describes, and follows it from then on. A bad file is reported and does not
    /// keep the others; an unreadable directory is an error.
    pub async fn follow_directory(&self, directory: &Path) -> anyhow::Result<()> {
        let opened = HandlersDirectory::open(directory, self.handlers.clone()).await;
        let opened = opened.with_context(|| {
            format!("cannot read the handlers directory {} (--handlers)", directory.display())
        })?;
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).spawn(opened.follow());
        Ok(())
    }

    /// Loads what the server's custom resources describe, and follows them from then on. Returns at once; if
    /// the server does not serve the kind, that is logged, and it is waited for.
    pub fn follow_resources(&self, policy: ResourcePolicy) {
        let resources = HandlerResources::new(self.client.clone(), self.handlers.clone(), policy);
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).spawn(resources.follow());
    }

    /// The handlers.
    pub fn handlers(&self) -> &Arc<HandlerRegistry> {
        &self.handlers
    }

    /// What the handlers' guests said last.
    pub fn handler_logs(&self) -> &HandlerLogs {
        &self.handler_logs
    }

    /// Where health, readiness and metrics are.
    pub fn http_address(&self) -> SocketAddr {
        self.health.address()
    }

    /// Stops intake, lets running calls and what is queued end, and cuts off what takes longer
    /// than [`DRAIN_MAX`].
    pub async fn stop(&self) {
        let mut followed =
            std::mem::take(&mut *self.followed.lock().unwrap_or_else(PoisonError::into_inner));
        followed.shutdown().await;
        self.handlers.stop(DRAIN_MAX).await;
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// How long handlers may take to finish what is queued when the host stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

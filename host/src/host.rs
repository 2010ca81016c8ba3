//! The running host: an engine, the guests' threads, the handlers and the health endpoint.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use tokio::runtime::{Builder, Runtime};

use crate::guest::{GuestEngine, GuestLimits, guest_threads};
use crate::handlers::{HandlerRegistry, read_directory};
use crate::health::HealthServer;

/// Everything that runs. Stop it with [`Host::stop`].
pub struct Host {
    handlers: Arc<HandlerRegistry>,
    health: HealthServer,
    _guests: GuestThreads,
}

/// The runtime on which guests run. Dropped without waiting: it may be on a thread of another one.
struct GuestThreads(Option<Runtime>);

impl Host {
    /// Starts without handlers. `http` is where health, readiness and metrics are; port 0 takes a
    /// free one. `ceilings` is the most that a handler may use.
    pub async fn start(
        client: Client,
        http: SocketAddr,
        ceilings: GuestLimits,
    ) -> anyhow::Result<Self> {
        let engine = GuestEngine::new().map_err(anyhow::Error::msg)?;
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
        let handlers = Arc::new(HandlerRegistry::new(client, engine, handle, ceilings));
        let health = HealthServer::start(http, handlers.clone()).await?;
        Ok(Self { handlers, health, _guests: guests })
    }

    /// Loads what the directory describes. A bad file is reported and does not keep the others; an
    /// unreadable directory is an error.
    pub fn load_directory(&self, directory: &Path) -> anyhow::Result<()> {
        let (handlers, errors) = read_directory(directory).with_context(|| {
            format!("cannot read the handlers directory {} (--handlers)", directory.display())
        })?;
        for error in &errors {
            tracing::error!(file = %error.file.display(), problem = error.problem, "no handler");
        }
        if handlers.is_empty() {
            tracing::warn!(
                "no handlers in {}: put a .wasm module or a handler spec there",
                directory.display()
            );
        }
        for handler in handlers {
            self.handlers.load(handler);
        }
        Ok(())
    }

    /// The handlers.
    pub fn handlers(&self) -> &Arc<HandlerRegistry> {
        &self.handlers
    }

    /// Where health, readiness and metrics are.
    pub fn http_address(&self) -> SocketAddr {
        self.health.address()
    }

    /// Stops intake, lets running calls and what is queued end, and cuts off what takes longer
    /// than [`DRAIN_MAX`].
    pub async fn stop(&self) {
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

//! `ApiServer`: the listening end, its connections and their end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::http::{Server, router};
use crate::storage::Storage;
use crate::watch::WatchSettings;

/// A Kubernetes API server on plain HTTP, its objects in memory. Dropping it stops it at once.
pub struct ApiServer {
    local_addr: SocketAddr,
    storage: Storage,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

/// What can be chosen about a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many changes are remembered for watches to resume from. Each holds on to the versions
    /// of an object before and after it.
    pub history_max: usize,
    /// How often a watch that allows bookmarks gets one.
    pub bookmark_period: Duration,
    /// Whether watches may send initial events; if not, such a request is refused as `Invalid`,
    /// as by servers with the `WatchList` feature off.
    pub watch_list: bool,
    /// Whether a watch from a compacted resource version is answered with HTTP 410, as by proxies
    /// and old servers, or with an `ERROR` event, as by today's.
    pub expired_as_http_status: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            history_max: 10_000,
            bookmark_period: Duration::from_secs(60),
            watch_list: true,
            expired_as_http_status: false,
        }
    }
}

impl ApiServer {
    /// Listens on the address, port 0 for any, and serves at once.
    pub async fn bind(addr: SocketAddr, settings: Settings) -> io::Result<ApiServer> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        let storage = Storage::new(settings.history_max);
        let shutdown = CancellationToken::new();
        let watch_settings = WatchSettings {
            bookmark_period: settings.bookmark_period,
            watch_list: settings.watch_list,
            expired_as_http_status: settings.expired_as_http_status,
            shutdown: shutdown.clone(),
        };
        let server =
            Server { storage: storage.clone(), address: local_addr.to_string(), watch_settings };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router(server), shutdown.clone()));
        Ok(ApiServer { local_addr, storage, shutdown, tasks })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where clients find it, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.local_addr)
    }

    /// A handle to its objects.
    pub fn storage(&self) -> Storage {
        self.storage.clone()
    }

    /// Ends all watches, lets other requests finish, and returns once nothing runs any more:
    /// within a second, as connections that take longer are cut.
    pub async fn shutdown(mut self) {
        self.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, router.clone(), shutdown.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: they come back as connections end.
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(SHUTDOWN_GRACE, drained).await;
    connections.shutdown().await;
}

async fn serve_connection(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    // Events are small and late if they wait for company.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection lost");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

//! The connections of one listener: few at a time, one request each, and none that takes for ever.
//!
//! Whoever opens thousands, sends byte by byte or does not read the answer costs some memory and no
//! one else's time: the informers and the guests do not run here.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::access::Peer;

/// Serves each connection on a task of its own; dropping it ends them all.
pub(super) struct Connections {
    router: Router,
    running: JoinSet<()>,
}

/// Whether a connection may take as long as it likes; in the extensions of each request.
#[derive(Clone, Default)]
pub(super) struct Patience(Arc<AtomicBool>);

impl Patience {
    pub(super) fn never_end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Connections {
    pub(super) fn new(router: Router) -> Self {
        Self { router, running: JoinSet::new() }
    }

    /// Serves what `open` gives. Above [`CONNECTIONS_MAX`] it is closed at once.
    pub(super) fn add<S>(
        &mut self,
        peer: Peer,
        open: impl Future<Output = io::Result<S>> + Send + 'static,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        while self.running.try_join_next().is_some() {}
        if self.running.len() >= CONNECTIONS_MAX {
            tracing::debug!(?peer, "too many admin connections");
            return;
        }
        let router = self.router.clone();
        self.running.spawn(async move {
            match timeout(OPEN_TIMEOUT, open).await {
                Ok(Ok(stream)) => serve(stream, router, peer).await,
                Ok(Err(error)) => tracing::debug!(?peer, %error, "no admin connection"),
                Err(_) => tracing::debug!(?peer, "an admin connection took too long to open"),
            }
        });
    }
}

async fn serve<S>(stream: S, router: Router, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let patience = Patience::default();
    let router = TowerToHyperService::new(router);
    let given = patience.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(given.clone());
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    loop {
        match timeout(REQUEST_TIMEOUT, connection.as_mut()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => return tracing::debug!(?peer, %error, "admin connection lost"),
            Err(_) if patience.0.load(Ordering::Relaxed) => {}
            Err(_) => return tracing::debug!(?peer, "an admin request took too long"),
        }
    }
}

/// Of one listener. A command needs one at a time.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// For TLS.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// From the first byte of a request to the last one of its answer; an unload takes up to five of them, a
/// review by the cluster up to ten.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A token, and what a client adds.
const HEADER_BYTES_MAX: usize = 32 << 10;

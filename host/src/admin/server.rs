//! The listening ends of the admin API: a unix socket, and TCP where it is asked for.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::access::Peer;
use super::connections::Connections;
use super::routes::{Admin, router};
use super::tls::Tls;
use super::token_review::TokenReviewer;
use super::unix_socket::{AdminSocket, default_socket};
use crate::host::Host;

/// The running admin API; dropping it ends it and removes its socket.
pub struct AdminServer {
    socket: Option<PathBuf>,
    address: Option<SocketAddr>,
    listeners: JoinSet<()>,
}

/// Where it listens.
#[derive(Clone, Debug, Default)]
pub struct AdminSettings {
    /// None: at [`default_socket`], or nowhere if that cannot be.
    pub socket: Option<PathBuf>,
    /// None: not on TCP.
    pub tcp: Option<TcpSettings>,
}

/// Where it listens on TCP.
#[derive(Clone, Debug)]
pub struct TcpSettings {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// A certificate chain and its key, in PEM files. Only on loopback there may be none: a token must
    /// not cross a network in the clear.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl AdminServer {
    /// Begins to serve what is asked about a host. `client` reaches the cluster that reviews tokens.
    pub async fn start(
        host: &Host,
        client: Client,
        settings: AdminSettings,
    ) -> anyhow::Result<Self> {
        let (handlers, logs) = (host.handlers(), host.handler_logs());
        let socket = socket(settings.socket.as_deref())?;
        let tcp = match &settings.tcp {
            Some(tcp) => Some(listen(tcp).await?),
            None => None,
        };
        let path = socket.as_ref().map(|socket| socket.path().to_owned());
        let mut address = None;
        let mut listeners = JoinSet::new();
        if let Some(socket) = socket {
            let router = router(Admin::new(handlers.clone(), logs.clone(), None));
            listeners.spawn(serve_socket(socket, router));
        }
        if let Some((listener, tls)) = tcp {
            address = Some(listener.local_addr()?);
            let reviewer = TokenReviewer::new(client);
            let router = router(Admin::new(handlers.clone(), logs.clone(), Some(reviewer)));
            listeners.spawn(serve_tcp(listener, tls, router));
        }
        Ok(Self { socket: path, address, listeners })
    }

    /// Ends what is being asked, and removes the socket.
    pub async fn stop(mut self) {
        self.listeners.shutdown().await;
    }

    /// The unix socket that it listens on.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The address that it listens on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// One that was asked for must be there; without the usual one the host runs all the same.
fn socket(asked: Option<&Path>) -> anyhow::Result<Option<AdminSocket>> {
    if let Some(path) = asked {
        return AdminSocket::bind(path).map(Some);
    }
    match AdminSocket::bind(&default_socket()) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) => {
            let problem = format!("{error:#}");
            tracing::warn!(problem, "no admin socket: name another one with --admin-socket");
            Ok(None)
        }
    }
}

async fn listen(tcp: &TcpSettings) -> anyhow::Result<(TcpListener, Option<Arc<Tls>>)> {
    let TcpSettings { address, tls } = tcp;
    let tls = match tls {
        Some((certificate, key)) => Some(Arc::new(Tls::open(certificate, key)?)),
        None if address.ip().is_loopback() => None,
        None => bail!(
            "{address} (--admin-address) can be reached over a network: give --admin-tls-cert and \
             --admin-tls-key, or listen on 127.0.0.1"
        ),
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} (--admin-address)"))?;
    Ok((listener, tls))
}

async fn serve_socket(socket: AdminSocket, router: Router) {
    let mut connections = Connections::new(router);
    loop {
        match socket.accept().await {
            Ok((stream, uid)) => connections.add(Peer::Local { uid }, async move { Ok(stream) }),
            Err(error) => pause(error).await,
        }
    }
}

async fn serve_tcp(listener: TcpListener, tls: Option<Arc<Tls>>, router: Router) {
    let mut connections = Connections::new(router);
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(error).await;
                continue;
            }
        };
        match tls.clone() {
            Some(tls) => {
                connections.add(Peer::Tcp(from), async move { tls.accept(stream).await });
            }
            None => connections.add(Peer::Tcp(from), async move { Ok(stream) }),
        }
    }
}

/// Out of file descriptors, most likely: they come back as connections end.
async fn pause(error: io::Error) {
    tracing::warn!(%error, "cannot accept an admin connection");
    sleep(ACCEPT_PAUSE).await;
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

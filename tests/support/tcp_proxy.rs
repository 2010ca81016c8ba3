//! A TCP proxy on loopback that takes the API server away from who connects through it, and from
//! nobody else: it can be cut, and it can swallow everything.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use control_plane::ControlPlane;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards connections while it is open; dropping it ends it.
pub struct TcpProxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    _task: JoinSet<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Cut,
    Silent,
}

impl TcpProxy {
    /// Listens on a free port and forwards to `target`.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let sender = watch::Sender::new(State::Open);
        let state = sender.subscribe();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, target, state.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, state: sender, _task: task })
    }

    /// Forwards to a control plane's API server, whenever it runs.
    pub async fn before(control_plane: &ControlPlane) -> Self {
        let url: http::Uri = control_plane.url().parse().expect("a URL");
        let address = url.authority().expect("a host and a port").as_str();
        Self::start(address.parse().expect("an address")).await.expect("loopback has a free port")
    }

    /// A client of that API server that has to come through here. It does not retry by itself.
    pub async fn client(&self, control_plane: &ControlPlane) -> Client {
        let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig_path()).expect("a file");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.expect("a kubeconfig");
        config.cluster_url = self.url().parse().expect("a URL");
        config.default_retry = false;
        Client::try_from(config).expect("a client")
    }

    /// That API server's address as seen from before the proxy.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection and refuses new ones.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Takes connections, and keeps those that there are, but nothing comes through any more.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Lets new connections through again. Those that were silent break.
    pub fn mend(&self) {
        self.state.send_replace(State::Open);
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    if *state.borrow() == State::Open {
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        // Either side's end, and what is done to the proxy, close both by dropping them.
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => {}
            _ = state.wait_for(|state| *state != State::Open) => {}
        }
    }
    // An error is the proxy's end.
    let _ = state.wait_for(|state| *state != State::Silent).await;
}

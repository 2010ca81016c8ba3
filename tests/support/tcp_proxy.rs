//! A TCP proxy on loopback that can be cut, to take the API server away from the host alone.

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
    open: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl TcpProxy {
    /// Listens on a free port and forwards to `target`.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let open = watch::Sender::new(true);
        let state = open.subscribe();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, target, state.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, open, _task: task })
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
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut open: watch::Receiver<bool>) {
    if !*open.borrow() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    // Either side's end, and the cut, close both by dropping them.
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !*open) => {}
    }
}

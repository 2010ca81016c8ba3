//! A running control plane: its start, its credentials and the ways to break it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Request;
use k8s_openapi::ByteString;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::assets::{Assets, assets};
use crate::error::Error;
use crate::etcd_history::{self, EtcdChange};
use crate::process::Process;
use crate::run_folder::RunFolder;

const ETCD_READY_SECONDS: u64 = 60;
const APISERVER_READY_SECONDS: u64 = 120;
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Free ports are found by trying, so another program may take one before it is used.
const START_ATTEMPTS: usize = 3;

const ADMIN_TOKEN: &str = "admin-token";
const RESTRICTED_TOKEN: &str = "restricted-token";
/// Token, user, user id and groups. The restricted user is merely authenticated.
const TOKENS: &str = "admin-token,admin,admin,system:masters\n\
                      restricted-token,restricted,restricted\n";

/// Where the API server notes the revision up to which it compacts.
const COMPACT_REVISION_KEY: &[u8] = b"compact_rev_key";
/// Written to know where the history ends; the API server does not look there.
const HISTORY_END_KEY: &[u8] = b"history_end";

/// An etcd and a kube-apiserver on loopback, with their data in a temporary folder.
///
/// Both die when this is dropped; they also die with the test process where util-linux's
/// `setpriv` is installed. Its methods may be called from any tokio runtime.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped from the first to the last: the folder goes when nobody writes into it any more.
    apiserver: Option<Process>,
    etcd: Process,
    folder: RunFolder,
    assets: Assets,
    etcd_port: u16,
    port: u16,
    apiserver_args: Vec<String>,
    kubeconfig: PathBuf,
    restricted_kubeconfig: PathBuf,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If the programs cannot be had (see [`assets`]) or do not become ready.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(&[]).await
    }

    /// Like [`ControlPlane::start`], with further arguments for the API server, for example
    /// `--feature-gates=WatchList=false` or `--watch-cache=false`.
    ///
    /// # Errors
    ///
    /// As for [`ControlPlane::start`].
    pub async fn start_with(apiserver_args: &[&str]) -> Result<Self, Error> {
        let assets = match tokio::task::spawn_blocking(assets).await {
            Ok(assets) => assets?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let mut attempt = 1;
        loop {
            match Self::start_once(&assets, apiserver_args).await {
                Err(Error::Ended { tail, .. })
                    if attempt < START_ATTEMPTS && tail.contains("address already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn start_once(assets: &Assets, apiserver_args: &[&str]) -> Result<Self, Error> {
        let folder = RunFolder::create()?;
        let (etcd_port, port) = (free_port()?, free_port()?);
        let mut control_plane = Self {
            apiserver: None,
            etcd: start_etcd(assets, &folder, etcd_port)?,
            kubeconfig: write_kubeconfig(&folder, "admin", ADMIN_TOKEN, port)?,
            restricted_kubeconfig: write_kubeconfig(&folder, "restricted", RESTRICTED_TOKEN, port)?,
            folder,
            assets: assets.clone(),
            etcd_port,
            port,
            apiserver_args: apiserver_args.iter().map(ToString::to_string).collect(),
        };
        control_plane.folder.write("tokens.csv", TOKENS)?;
        control_plane.wait_for_etcd().await?;
        control_plane.start_apiserver().await?;
        Ok(control_plane)
    }

    /// The API server's address, `https://127.0.0.1:<port>`; it outlives restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A kubeconfig file for a user in `system:masters`.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig file for a user with no rights but discovery: the rest is answered with 403.
    #[must_use]
    pub fn restricted_kubeconfig_path(&self) -> &Path {
        &self.restricted_kubeconfig
    }

    /// A new client with the rights of [`ControlPlane::kubeconfig_path`].
    ///
    /// # Errors
    ///
    /// If the API server has never been ready, so that there is no certificate to trust.
    pub async fn client(&self) -> Result<Client, Error> {
        let client = async || -> Result<Client, Box<dyn std::error::Error>> {
            let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
            let options = KubeConfigOptions::default();
            Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await?)?)
        };
        client().await.map_err(|error| {
            let tail = self.apiserver.as_ref().map(Process::log_tail).unwrap_or_default();
            Error::Request {
                program: "kube-apiserver",
                request: "its certificate",
                reason: error.to_string(),
                tail,
            }
        })
    }

    /// Kills the API server with SIGKILL, so that every connection breaks; etcd stays.
    ///
    /// Does nothing if it is not running.
    pub fn kill_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Starts the API server at its old address, killing it first if it is running, and waits
    /// until it is ready.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn start_apiserver(&mut self) -> Result<(), Error> {
        self.kill_apiserver();
        let mut args = apiserver_args(self.folder.path(), self.etcd_port, self.port);
        args.extend(self.apiserver_args.iter().cloned());
        let log = self.folder.path().join("kube-apiserver.log");
        let binary = &self.assets.kube_apiserver;
        let mut apiserver = Process::start("kube-apiserver", binary, args, log)?;

        wait_until_ready(&mut apiserver, APISERVER_READY_SECONDS, async || {
            let client = self.client().await.map_err(|error| match error {
                Error::Request { reason, .. } => reason,
                error => error.to_string(),
            })?;
            // The namespace is made after the server has declared itself ready.
            for path in ["/readyz", "/api/v1/namespaces/default"] {
                get(&client, path).await?;
            }
            Ok(())
        })
        .await?;
        self.apiserver = Some(apiserver);
        Ok(())
    }

    /// Compacts etcd's history away: every resource version seen before this call is too old.
    ///
    /// A running API server still serves the latest changes of most resources from its watch
    /// cache, and for up to 15 s lists at older versions. A restart
    /// ([`ControlPlane::start_apiserver`]) empties that cache: from then on, a watch from any
    /// resource version seen before is answered with 410.
    ///
    /// Gives the revision from which on there still is history.
    ///
    /// # Errors
    ///
    /// If etcd does not answer.
    pub async fn compact_etcd(&self) -> Result<u64, Error> {
        // As the API server does it: the note comes first, which tells the API server to drop what
        // it keeps for lists at older versions. The second note makes the first the past, or a
        // watch could still begin at the latest version seen.
        let revision = self.note_compaction(0).await?;
        let revision = self.note_compaction(revision).await?;
        let compaction = json!({ "revision": revision.to_string(), "physical": true });
        self.ask_etcd("/v3/kv/compaction", &compaction).await?;
        Ok(revision)
    }

    /// Every change of the keys under `prefix` since a revision, that one included, oldest first,
    /// and the revision at which the next such history begins. No change is left out, whether or
    /// not an API server ran or anybody watched; but what was compacted away cannot be read.
    ///
    /// # Errors
    ///
    /// If etcd does not answer, or no longer has that revision.
    pub async fn etcd_changes(
        &self,
        prefix: &str,
        since: u64,
    ) -> Result<(Vec<EtcdChange>, u64), Error> {
        let error = |reason| self.etcd_error(etcd_history::WATCH, reason);
        let last = self.put(HISTORY_END_KEY, "").await?;
        let etcd = etcd_client(self.etcd_port).map_err(error)?;
        let changes = etcd_history::changes(&etcd, prefix, since, last).await.map_err(error)?;
        Ok((changes, last + 1))
    }

    /// Writes the API server's note about compaction; returns etcd's new revision.
    async fn note_compaction(&self, revision: u64) -> Result<u64, Error> {
        self.put(COMPACT_REVISION_KEY, &revision.to_string()).await
    }

    /// Writes a value into etcd; returns etcd's new revision.
    async fn put(&self, key: &[u8], value: &str) -> Result<u64, Error> {
        let put = json!({
            "key": ByteString(key.to_vec()),
            "value": ByteString(value.as_bytes().to_vec()),
        });
        let answer = self.ask_etcd("/v3/kv/put", &put).await?;
        let revision = answer["header"]["revision"].as_str().and_then(|it| it.parse().ok());
        revision.ok_or_else(|| self.etcd_error("/v3/kv/put", format!("no revision in {answer}")))
    }

    /// Sends a request to etcd's JSON gateway.
    async fn ask_etcd(&self, path: &'static str, body: &Value) -> Result<Value, Error> {
        let request = Request::post(path)
            .body(body.to_string().into_bytes())
            .map_err(|error| self.etcd_error(path, error.to_string()))?;
        let answer = etcd_client(self.etcd_port)
            .map_err(|reason| self.etcd_error(path, reason))?
            .request(request)
            .await;
        answer.map_err(|error| self.etcd_error(path, error.to_string()))
    }

    fn etcd_error(&self, request: &'static str, reason: String) -> Error {
        Error::Request { program: "etcd", request, reason, tail: self.etcd.log_tail() }
    }

    async fn wait_for_etcd(&mut self) -> Result<(), Error> {
        let port = self.etcd_port;
        wait_until_ready(&mut self.etcd, ETCD_READY_SECONDS, async || {
            get(&etcd_client(port)?, "/health").await
        })
        .await
    }
}

fn start_etcd(assets: &Assets, folder: &RunFolder, port: u16) -> Result<Process, Error> {
    let url = format!("http://127.0.0.1:{port}");
    let args = [
        format!("--data-dir={}", folder.path().join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        // It has no peers, so nobody needs to know this port.
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        // The data need not outlive a power cut.
        "--unsafe-no-fsync".to_owned(),
        // Room for tests with a great many writes.
        format!("--quota-backend-bytes={}", 8_u64 << 30),
        "--log-level=warn".to_owned(),
    ];
    Process::start("etcd", &assets.etcd, args, folder.path().join("etcd.log"))
}

fn apiserver_args(folder: &Path, etcd_port: u16, port: u16) -> Vec<String> {
    let certificates = folder.join("certificates");
    // The server makes this pair for itself before it reads the keys for service accounts.
    let key = certificates.join("apiserver.key");
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        // etcd forgets when a test says so, not five minutes after the start.
        "--etcd-compaction-interval=0".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", certificates.display()),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", folder.join("tokens.csv").display()),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", key.display()),
        format!("--service-account-signing-key-file={}", key.display()),
        // It waits for service accounts that only the controller manager makes.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // A loopback address may not be the endpoint of the `kubernetes` service.
        "--endpoint-reconciler-type=none".to_owned(),
        "--allow-privileged=true".to_owned(),
    ]
}

/// Writes a kubeconfig that trusts the certificate which the API server makes at its first start.
fn write_kubeconfig(
    folder: &RunFolder,
    user: &str,
    token: &str,
    port: u16,
) -> Result<PathBuf, Error> {
    // The server puts its own certificate and the authority's into one file.
    let authority = folder.path().join("certificates/apiserver.crt");
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": authority,
        }}],
        "users": [{ "name": user, "user": { "token": token } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": user } }],
        "current-context": "test",
    });
    // JSON is YAML too.
    folder.write(&format!("{user}.kubeconfig"), &format!("{kubeconfig:#}\n"))
}

/// kube's client is at hand, and etcd's gateway speaks JSON over HTTP as the API server does.
fn etcd_client(port: u16) -> Result<Client, String> {
    let url = format!("http://127.0.0.1:{port}");
    let url = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    Client::try_from(Config::new(url)).map_err(|error| error.to_string())
}

async fn get(client: &Client, path: &str) -> Result<(), String> {
    let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    let answer = client.request_text(request).await;
    answer.map(drop).map_err(|error| format!("{path}: {error}"))
}

/// Asks `probe` until it succeeds, the process ends or the time is up.
async fn wait_until_ready(
    process: &mut Process,
    seconds: u64,
    probe: impl AsyncFn() -> Result<(), String>,
) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        process.check_alive()?;
        let answer = match timeout(PROBE_TIMEOUT, probe()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(answer)) => answer,
            Err(elapsed) => elapsed.to_string(),
        };
        if Instant::now() > deadline {
            let (program, tail) = (process.program(), process.log_tail());
            return Err(Error::NotReady { program, seconds, answer, tail });
        }
        sleep(PROBE_INTERVAL).await;
    }
}

/// A loopback port that nobody listens on, below those that the kernel hands out to connections:
/// a restarted API server must find its port as it left it.
fn free_port() -> Result<u16, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;

    // Test processes that run at once begin far from each other.
    let begin = process::id().wrapping_mul(997);
    let mut last_error = None;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let Ok(port) = u16::try_from(FIRST + begin.wrapping_add(step) % COUNT) else { continue };
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last_error = Some(error),
        }
    }
    let error = last_error.unwrap_or_else(|| std::io::Error::other("no port was tried"));
    Err(Error::io("find a free port on", Path::new("127.0.0.1"))(error))
}

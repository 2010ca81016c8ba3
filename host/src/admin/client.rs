//! The asking end of the admin API: over a host's socket, or its HTTPS address with a token.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube::Client;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::table::plain;
use super::unix_socket::default_socket;
use super::wire::{LogRecord, Problem};
use crate::api_server::with_sources;
use crate::config::AdminArgs;

/// Knows where a host is.
pub(super) enum AdminClient {
    Socket(PathBuf),
    Url(String, Box<Client>),
}

type Body = UnsyncBoxBody<Bytes, anyhow::Error>;

impl AdminClient {
    /// Nothing is connected yet.
    pub(super) fn new(args: &AdminArgs) -> anyhow::Result<Self> {
        let Some(url) = &args.admin_url else {
            let socket = args.admin_socket.clone();
            return Ok(Self::Socket(socket.unwrap_or_else(default_socket)));
        };
        let uri: Uri = url.parse().with_context(|| format!("{url} (--admin-url) is no URL"))?;
        if uri.scheme_str() != Some("https") && !is_loopback(&uri) {
            bail!("{url} (--admin-url): a token must not cross a network in the clear: use https");
        }
        let mut config = kube::Config::new(uri);
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // A log that is followed may be silent for long.
        config.read_timeout = None;
        if let Some(file) = &args.ca_file {
            std::fs::metadata(file).with_context(|| format!("{} (--ca-file)", file.display()))?;
            config.root_cert_file = Some(file.clone());
        }
        if let Some(file) = &args.token_file {
            let token = std::fs::read_to_string(file)
                .with_context(|| format!("{} (--token-file)", file.display()))?;
            config.auth_info.token = Some(token.trim().to_owned().into());
        }
        let client = Client::try_from(config)
            .map_err(|error| anyhow!("{url} (--admin-url): {}", with_sources(&error)))?;
        Ok(Self::Url(url.clone(), Box::new(client)))
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::GET, path, Vec::new()).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.ask(Method::POST, path, serde_json::to_vec(body)?).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::DELETE, path, Vec::new()).await
    }

    /// Gives each record of a log as it comes, until there are no more.
    pub(super) async fn records(
        &self,
        path: &str,
        mut each: impl FnMut(LogRecord) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut body = self.send(Method::GET, path, Vec::new()).await?;
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            buffer.extend_from_slice(&frame?.into_data().unwrap_or_default());
            while let Some(end) = memchr::memchr(b'\n', &buffer) {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    each(serde_json::from_slice(&line).context("no line of a log")?)?;
                }
            }
        }
        Ok(())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<T> {
        let answer = async {
            let body = self.send(method, path, body).await?;
            let bytes = read(body).await?;
            serde_json::from_slice(&bytes).with_context(|| {
                format!("{self} does not answer as this version of informerd does")
            })
        };
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answer) => answer,
            Err(_) => bail!("{self} did not answer within {ANSWER_TIMEOUT:?}"),
        }
    }

    /// The answer's body, if what was asked for was done.
    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json");
        let response = match self {
            Self::Socket(socket) => {
                let request = request
                    .header(header::HOST, "informerd")
                    .body(Full::from(body))
                    .context("the request cannot be made")?;
                over_socket(socket, request).await?
            }
            Self::Url(url, client) => {
                let request = request.body(body.into()).context("the request cannot be made")?;
                let response = client.send(request).await.map_err(|error| {
                    anyhow!("cannot reach {url} (--admin-url): {}", with_sources(&error))
                })?;
                response.map(|body| body.map_err(anyhow::Error::from).boxed_unsync())
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let bytes =
            timeout(ANSWER_TIMEOUT, read(response.into_body())).await.unwrap_or(Ok(Bytes::new()));
        let bytes = bytes.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => bail!("{}", plain(&problem.error)),
            Err(_) => bail!("{self} answers {status}: {}", plain(&String::from_utf8_lossy(&bytes))),
        }
    }
}

impl std::fmt::Display for AdminClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(socket) => write!(f, "the informerd at {}", socket.display()),
            Self::Url(url, _) => write!(f, "the informerd at {url}"),
        }
    }
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// A name as one part of a path.
pub(super) fn part(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

async fn read(body: Body) -> anyhow::Result<Bytes> {
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    Ok(body.map_err(|error| anyhow!("the answer was cut off: {error}"))?.to_bytes())
}

async fn over_socket(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<Body>> {
    let stream =
        UnixStream::connect(socket).await.map_err(|error| not_connected(socket, &error))?;
    let closed = || {
        format!(
            "the informerd at {} closed the connection: it is stopping, or serves too many",
            socket.display()
        )
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.with_context(closed)?;
    // Ends with the request; nobody asks how.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.with_context(closed)?;
    Ok(response.map(|body| body.map_err(anyhow::Error::from).boxed_unsync()))
}

fn not_connected(socket: &Path, error: &std::io::Error) -> anyhow::Error {
    let path = socket.display();
    let other = "name another one's socket with --admin-socket or INFORMERD_ADMIN_SOCKET";
    match error.kind() {
        ErrorKind::NotFound => {
            anyhow!("no informerd is running: there is no {path}; start one, or {other}")
        }
        ErrorKind::ConnectionRefused => {
            anyhow!(
                "no informerd is running: the one that made {path} has ended; start one, or {other}"
            )
        }
        ErrorKind::PermissionDenied => anyhow!(
            "permission denied: {path} is for the user that its informerd runs as, and for root"
        ),
        _ => anyhow!("cannot connect to {path}: {error}; or {other}"),
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// More than the host gives itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// An object of the cache is at most 16 MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

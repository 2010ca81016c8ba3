//! A server on loopback that answers each path with the bytes it was told to send, over TLS or not.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What follows the head of a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status line, headers and body, as they are; then the connection ends.
    Bytes(Vec<u8>),
    /// A head, and zeros for as long as anybody reads them.
    Endless(&'static str),
    /// A head, and a byte every 20 ms.
    Slow(&'static str),
    /// The first if this is in the request's head, otherwise the second.
    If(&'static str, Box<Reply>, Box<Reply>),
}

impl Reply {
    /// With status 200 and a length.
    pub fn ok(body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\n{CLOSE}Content-Length: {}\r\n\r\n", body.len());
        Self::Bytes([head.as_bytes(), body].concat())
    }

    /// Status line and headers, a line each, and no body.
    pub fn head(lines: &str) -> Self {
        let head = lines.replace('\n', "\r\n");
        Self::Bytes(format!("HTTP/1.1 {head}\r\n{CLOSE}Content-Length: 0\r\n\r\n").into_bytes())
    }
}

/// Runs until it is dropped.
pub struct HttpsServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Its certificate in PEM, which is its own CA.
    pub certificate: String,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    asked: Vec<String>,
}

impl HttpsServer {
    /// Over TLS, for the names `localhost` and `127.0.0.1`.
    pub async fn start() -> Self {
        let (certificate, key) = certificate();
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")));
        Self::start_with(Some(acceptor), certificate.pem()).await
    }

    /// Over plain HTTP.
    pub async fn start_plain() -> Self {
        Self::start_with(None, String::new()).await
    }

    async fn start_with(acceptor: Option<TlsAcceptor>, certificate: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), shared.clone());
                // Whoever breaks a connection off is answered no more.
                connections.spawn(async move {
                    match acceptor {
                        None => answer(stream, &state).await,
                        Some(acceptor) => answer(acceptor.accept(stream).await?, &state).await,
                    }
                });
            }
        });
        Self { address, state, certificate, _task: task }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Prepares the answer to a path, with its query. What has none is not found.
    pub fn reply(&self, path: &str, reply: Reply) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.replies.insert(path.to_owned(), reply);
    }

    /// The heads of all requests, each with its lower-case header lines.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }
}

/// A connection serves one request.
const CLOSE: &str = "Connection: close\r\n";

/// For the names `localhost` and `127.0.0.1`.
pub fn certificate() -> (rcgen::Certificate, rcgen::KeyPair) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).expect("a certificate");
    (cert, signing_key)
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &Mutex<State>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let reply = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.push(head.clone());
        state.replies.get(&path).cloned()
    };
    let mut reply = reply.unwrap_or_else(|| Reply::head("404 Not Found"));
    while let Reply::If(part, then, otherwise) = reply {
        reply = if head.contains(part) { *then } else { *otherwise };
    }
    match reply {
        Reply::If(..) => {}
        Reply::Bytes(bytes) => stream.write_all(&bytes).await?,
        Reply::Endless(head) => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[0; 64 << 10]).await?;
            }
        }
        Reply::Slow(head) => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[0]).await?;
                stream.flush().await?;
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    stream.shutdown().await
}

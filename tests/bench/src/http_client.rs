//! A blocking HTTP client for loopback: orders to the replay server, a subject's metrics.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use serde::de::DeserializeOwned;

/// One connection; requests follow each other on it.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// The body of an answer that has a length, whatever its status.
    pub(crate) fn request(&mut self, method: &str, path: &str) -> anyhow::Result<String> {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.reader.get_mut().write_all(request.as_bytes())?;
        let mut length = None;
        loop {
            let mut line = String::new();
            anyhow::ensure!(self.reader.read_line(&mut line)? > 0, "{path}: no answer");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
        let mut body = vec![0; length.with_context(|| format!("{path}: no Content-Length"))?];
        self.reader.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}

pub(crate) fn post(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    Connection::open(address)?.request("POST", path).map(drop)
}

pub(crate) fn get_json<T: DeserializeOwned>(address: SocketAddr, path: &str) -> anyhow::Result<T> {
    Ok(serde_json::from_str(&Connection::open(address)?.request("GET", path)?)?)
}

const ANSWER_MAX: Duration = Duration::from_secs(30);

//! As much of HTTP/1.1 as the replay needs: requests without bodies, answers with a length or in
//! chunks.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// A request, as far as it is of use here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// As it stands in the request.
    query: String,
    /// The Accept header; empty if there is none.
    pub(super) accept: String,
}

impl Request {
    fn value(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some("true" | "1"))
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.value(name)?.parse().ok()
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Some(Self { method, path: path.to_owned(), query: query.to_owned(), accept: String::new() })
    }
}

/// The requests of one connection.
pub(super) struct Requests {
    reader: BufReader<TcpStream>,
}

impl Requests {
    pub(super) fn new(connection: TcpStream) -> Self {
        Self { reader: BufReader::new(connection) }
    }

    /// None when the client hangs up.
    pub(super) fn next(&mut self) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut request = Request::of_line(&line)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no request line"))?;
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if line.trim_end().is_empty() {
                return Ok(Some(request));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("accept")
            {
                request.accept = value.trim().to_owned();
            }
        }
    }
}

/// Sends a whole answer.
pub(super) fn respond(to: &mut impl Write, status: u16, body: &[u8]) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        406 => "Not Acceptable",
        _ => "Not Found",
    };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    to.write_all(head.as_bytes())?;
    to.write_all(body)
}

/// Begins an answer whose chunks follow.
pub(super) fn begin_chunks(to: &mut impl Write, content_type: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    to.write_all(head.as_bytes())
}

/// Ends it; the connection can be used again.
pub(super) fn end_chunks(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"0\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_taken_apart() {
        let line = "GET /api/v1/pods?limit=500&watch=1&resourceVersion= HTTP/1.1\r\n";
        let request = Request::of_line(line).unwrap();
        assert_eq!((&*request.method, &*request.path), ("GET", "/api/v1/pods"));
        assert_eq!(request.number("limit"), Some(500));
        assert!(request.flag("watch"));
        assert_eq!(request.number("resourceVersion"), None);
        assert_eq!(Request::of_line("GET"), None);
    }
}

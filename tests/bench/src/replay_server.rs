//! An API server that knows one thing: the recording. It renders nothing while it is measured; what
//! it sends lies in memory as it goes over the wire, one HTTP chunk per event like a real server's.
//!
//! in:   a recording, in each encoding that is asked for; requests on loopback; orders, as HTTP requests too
//! out:  discovery of v1, LIST with and without pages, watch and watch-list of all Pods
//! runs: one thread per connection, in a process of its own
//!
//! Lists and initial events wait for `release`, so that a subject can be measured before it has
//! anything. Updates wait for `replay`; JSON ones above as many as were recorded begin anew, with resourceVersions
//! that go on. `expire` ends all watches, as if their version was too old: what is listed from then on is the
//! recording's last state. Selectors, namespaces and timeouts are not looked at.

mod http;
mod wire;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

use crate::encoding::Encoding;
use http::{Request, Requests};
use wire::Wire;

/// A server that listens.
pub(crate) struct ReplayServer {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What the server has been asked for so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ReplayStats {
    /// Requests that wait for `release`.
    pub(crate) waiting: usize,
    /// Pages of lists sent.
    pub(crate) pages: usize,
    /// Watches that have got everything but the updates.
    pub(crate) following: usize,
    /// Updates handed to the kernel, over all watches.
    pub(crate) sent: usize,
}

struct Shared {
    recording: PathBuf,
    /// Read when they are asked for the first time, which is before `release`.
    wires: Mutex<HashMap<Encoding, Arc<Wire>>>,
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    released: bool,
    /// So many updates may be sent, more than there are if need be.
    replayed: usize,
    expired: bool,
    stats: ReplayStats,
}

impl ReplayServer {
    /// Takes a free port.
    pub(crate) fn bind(recording: &Path) -> io::Result<Self> {
        let shared = Shared {
            recording: recording.to_owned(),
            wires: Mutex::default(),
            gate: Mutex::default(),
            changed: Condvar::new(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    pub(crate) fn serve(self) -> io::Result<()> {
        for connection in self.listener.incoming() {
            let (connection, shared) = (connection?, self.shared.clone());
            // A reader that hangs up ends its own thread and nothing else.
            thread::spawn(move || shared.serve(connection));
        }
        Ok(())
    }
}

impl Shared {
    fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut requests = Requests::new(connection.try_clone()?);
        while let Some(request) = requests.next()? {
            self.answer(&request, &mut connection)?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request, to: &mut TcpStream) -> io::Result<()> {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/version") => http::respond(to, 200, VERSION),
            ("GET", "/api") => http::respond(to, 200, API_VERSIONS),
            ("GET", "/api/v1") => http::respond(to, 200, V1_RESOURCES),
            ("GET", "/apis") => http::respond(to, 200, NO_GROUPS),
            ("GET", "/api/v1/pods") => match self.wire(Encoding::accepted(&request.accept)) {
                Ok(wire) if request.flag("watch") => self.watch(&wire, request, to),
                Ok(wire) => self.list(&wire, request, to),
                Err(error) => {
                    eprintln!("replay server: {error:#}");
                    http::respond(to, 406, NOT_ACCEPTABLE)
                }
            },
            ("GET", "/replay/stats") => {
                let stats = serde_json::to_vec(&self.gate().stats)?;
                http::respond(to, 200, &stats)
            }
            ("POST", "/replay/release") => {
                self.change(|gate| gate.released = true);
                http::respond(to, 200, b"{}")
            }
            ("POST", "/replay/updates") => {
                let more = request.number("count").unwrap_or(usize::MAX);
                self.change(|gate| gate.replayed = gate.replayed.saturating_add(more));
                http::respond(to, 200, b"{}")
            }
            ("POST", "/replay/expire") => {
                self.change(|gate| gate.expired = true);
                http::respond(to, 200, b"{}")
            }
            _ => http::respond(to, 404, NOT_FOUND),
        }
    }

    fn wire(&self, encoding: Encoding) -> anyhow::Result<Arc<Wire>> {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wire) = wires.get(&encoding) {
            return Ok(wire.clone());
        }
        let wire = Arc::new(Wire::read(&self.recording, encoding)?);
        wires.insert(encoding, wire.clone());
        Ok(wire)
    }

    fn list(&self, wire: &Wire, request: &Request, to: &mut TcpStream) -> io::Result<()> {
        self.wait_for_release();
        let first = request.number("continue").unwrap_or(0);
        let limit = request.number("limit").filter(|limit| *limit > 0);
        let Some(page) = wire.list_page(self.gate().expired, first, limit) else {
            return http::respond(to, 406, NOT_ACCEPTABLE);
        };
        http::respond(to, 200, &page)?;
        self.change(|gate| gate.stats.pages += 1);
        Ok(())
    }

    /// Sends until the reader hangs up, or what it has seen expires.
    fn watch(&self, wire: &Wire, request: &Request, to: &mut TcpStream) -> io::Result<()> {
        let mut seen = request.number("resourceVersion").unwrap_or(0) as u64;
        if request.flag("sendInitialEvents") {
            self.wait_for_release();
            let expired = self.gate().expired;
            http::begin_chunks(to, wire.encoding().of_watch())?;
            to.write_all(wire.initial_events(expired))?;
            seen = wire.version(expired);
        } else {
            http::begin_chunks(to, wire.encoding().of_watch())?;
        }
        let mut next = wire.updates_until(seen);
        self.change(|gate| gate.stats.following += 1);
        while let Some(until) = self.wait_for_updates(wire, next, seen) {
            while next < until {
                let end = wire.round_ends(next).min(until);
                to.write_all(&wire.update_events(next..end))?;
                self.change(|gate| gate.stats.sent += end - next);
                next = end;
            }
        }
        to.write_all(wire.error_event())?;
        http::end_chunks(to)
    }

    fn wait_for_release(&self) {
        self.change(|gate| gate.stats.waiting += 1);
        let mut gate = self.gate();
        while !gate.released {
            gate = self.changed.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.stats.waiting -= 1;
    }

    /// Until more than `sent` updates may be sent; gives how many. None if a watch that began at the
    /// version `seen` has expired.
    fn wait_for_updates(&self, wire: &Wire, sent: usize, seen: u64) -> Option<usize> {
        let mut gate = self.gate();
        loop {
            if gate.expired && seen < wire.version(true) {
                return None;
            }
            // Without a number, as many as were recorded.
            let until = if gate.replayed == usize::MAX { wire.updates() } else { gate.replayed };
            if until > sent {
                return Some(until);
            }
            gate = self.changed.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.gate());
        self.changed.notify_all();
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const VERSION: &[u8] = br#"{"major":"1","minor":"36","gitVersion":"v1.36.3","gitCommit":"",
"gitTreeState":"clean","buildDate":"","goVersion":"","compiler":"gc","platform":"linux/amd64"}"#;

const API_VERSIONS: &[u8] =
    br#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#;

const V1_RESOURCES: &[u8] = br#"{"kind":"APIResourceList","groupVersion":"v1","resources":[
{"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod",
"verbs":["get","list","watch"]}]}"#;

const NO_GROUPS: &[u8] = br#"{"kind":"APIGroupList","apiVersion":"v1","groups":[]}"#;

const NOT_FOUND: &[u8] = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
"message":"only pods are replayed","reason":"NotFound","code":404}"#;

const NOT_ACCEPTABLE: &[u8] =
    br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
"message":"this is not replayed in what is asked for","reason":"NotAcceptable","code":406}"#;

#[cfg(test)]
mod tests;

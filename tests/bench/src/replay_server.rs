//! An API server that knows one thing: the recording. It renders nothing while it is measured; what
//! it sends lies in memory as it goes over the wire, one HTTP chunk per event like a real server's.
//!
//! in:   a recording; requests on loopback; [`Order`]s, as HTTP requests too
//! out:  discovery of v1, LIST with and without pages, watch and watch-list of all Pods
//! runs: one thread per connection, in a process of its own
//!
//! Lists and initial events wait for `release`, so that a subject can be measured before it has
//! anything. Updates wait for `replay`; above as many as were recorded they begin anew, with resourceVersions that
//! go on. Selectors, namespaces and timeouts are not looked at.

mod http;
mod wire;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

use http::{Request, Requests};
use wire::Wire;

/// A server that has read its recording and listens.
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
    /// Updates in the recording.
    pub(crate) updates: usize,
}

struct Shared {
    wire: Wire,
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    released: bool,
    /// So many updates may be sent, more than there are if need be.
    replayed: usize,
    stats: ReplayStats,
}

impl ReplayServer {
    /// Reads the recording and takes a free port.
    pub(crate) fn bind(recording: &Path) -> anyhow::Result<Self> {
        let wire = Wire::read(recording)?;
        let updates = wire.updates();
        let stats = ReplayStats { updates, ..ReplayStats::default() };
        let gate = Mutex::new(Gate { stats, ..Gate::default() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { listener, shared: Arc::new(Shared { wire, gate, changed: Condvar::new() }) })
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
            ("GET", "/api/v1/pods") if request.flag("watch") => self.watch(request, to),
            ("GET", "/api/v1/pods") => self.list(request, to),
            ("GET", "/replay/stats") => {
                let stats = serde_json::to_vec(&self.gate().stats)?;
                http::respond(to, 200, &stats)
            }
            ("POST", "/replay/release") => {
                self.change(|gate| gate.released = true);
                http::respond(to, 200, b"{}")
            }
            ("POST", "/replay/updates") => {
                let more = request.number("count");
                self.change(|gate| match more {
                    Some(more) => gate.replayed = gate.replayed.saturating_add(more),
                    None => gate.replayed = gate.replayed.max(gate.stats.updates),
                });
                http::respond(to, 200, b"{}")
            }
            _ => http::respond(to, 404, NOT_FOUND),
        }
    }

    fn list(&self, request: &Request, to: &mut TcpStream) -> io::Result<()> {
        self.wait_for_release();
        let first = request.number("continue").unwrap_or(0);
        let page = self.wire.list_page(first, request.number("limit").filter(|limit| *limit > 0));
        http::respond(to, 200, &page)?;
        self.change(|gate| gate.stats.pages += 1);
        Ok(())
    }

    /// Sends until the reader hangs up.
    fn watch(&self, request: &Request, to: &mut TcpStream) -> io::Result<()> {
        if request.flag("sendInitialEvents") {
            self.wait_for_release();
            http::begin_chunks(to)?;
            to.write_all(self.wire.initial_events())?;
        } else {
            http::begin_chunks(to)?;
        }
        let seen = request.number("resourceVersion").unwrap_or(0) as u64;
        let mut next = self.wire.updates_until(seen);
        self.change(|gate| gate.stats.following += 1);
        loop {
            let until = self.wait_for_updates(next);
            while next < until {
                let end = self.wire.round_ends(next).min(until);
                to.write_all(&self.wire.update_events(next..end))?;
                self.change(|gate| gate.stats.sent += end - next);
                next = end;
            }
        }
    }

    fn wait_for_release(&self) {
        self.change(|gate| gate.stats.waiting += 1);
        let mut gate = self.gate();
        while !gate.released {
            gate = self.changed.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.stats.waiting -= 1;
    }

    /// Until more than `sent` updates may be sent; gives how many.
    fn wait_for_updates(&self, sent: usize) -> usize {
        let mut gate = self.gate();
        while gate.replayed <= sent {
            gate = self.changed.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.replayed
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

#[cfg(test)]
mod tests;

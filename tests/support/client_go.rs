//! client-go's dynamic informers as a child process, and what its handlers were told.
//!
//! The program is `side_by_side` in `tests/conformance/go`; it prints a line of JSON for each call.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use client_go::Program;
use serde::Deserialize;

use crate::deliveries::{Delivery, Event};
use crate::test_objects::View;

/// Running dynamic informers. They end when this is dropped.
pub struct ClientGo {
    child: Child,
    commands: ChildStdin,
    heard: Arc<Mutex<Heard>>,
    log: File,
}

/// One informer's cache, and how it came to it.
#[derive(Clone, Debug)]
pub struct ClientGoCache {
    pub objects: View,
    /// The version that it is at.
    pub version: u64,
    /// How often the server began to answer with everything.
    pub lists: u64,
}

#[derive(Default)]
struct Heard {
    deliveries: Vec<Delivery>,
    caches: HashMap<String, ClientGoCache>,
}

/// As the program prints it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    what: String,
    resource: String,
    key: String,
    uid: String,
    rv: String,
    old_rv: String,
    initial: bool,
    tombstone: bool,
    objects: View,
    store_rv: String,
    lists: u64,
}

impl ClientGo {
    /// Starts informers of resources, each `resource.version.group`, in the namespace `default`.
    /// Builds the program first if need be.
    pub fn start(kubeconfig: &Path, server: &str, resources: &[&str]) -> Self {
        let program = Program::SideBySide.path().expect("client-go can be built");
        let log = tempfile::tempfile().expect("a file");
        let mut child = Command::new(program)
            .args(["-server", server, "-namespace", "default", "-kubeconfig"])
            .arg(kubeconfig)
            .args(resources)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().expect("a file"))
            .spawn()
            .expect("client-go starts");
        let commands = child.stdin.take().expect("it is piped");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let heard = Arc::<Mutex<Heard>>::default();
        let hearing = heard.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("it prints lines of JSON");
                hearing.lock().unwrap_or_else(PoisonError::into_inner).take_in(line);
            }
        });
        Self { child, commands, heard, log }
    }

    /// What handlers were told so far, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.heard().deliveries.clone()
    }

    /// Asks for the caches, by resource; they come a little later in [`ClientGo::caches`].
    pub fn ask_for_caches(&mut self) {
        self.heard().caches.clear();
        if let Err(error) = self.commands.write_all(b"dump\n") {
            panic!("client-go ended: {error}; its log:\n{}", self.log());
        }
    }

    /// The caches asked for last, as far as they have come.
    pub fn caches(&self) -> HashMap<String, ClientGoCache> {
        self.heard().caches.clone()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let read = || -> io::Result<String> {
            let mut log = self.log.try_clone()?;
            let mut text = String::new();
            log.rewind()?;
            log.read_to_string(&mut text)?;
            Ok(text)
        };
        read().unwrap_or_else(|error| format!("(cannot be read: {error})"))
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClientGo {
    fn drop(&mut self) {
        // Both fail only if the process has ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Heard {
    fn take_in(&mut self, line: Line) {
        let event = match line.what.as_str() {
            "add" => Event::Add,
            "update" => Event::Update,
            "delete" => Event::Delete,
            "synced" => Event::Synced,
            "cache" => {
                let version = line.store_rv.parse().unwrap_or_default();
                let cache = ClientGoCache { objects: line.objects, version, lists: line.lists };
                self.caches.insert(line.resource, cache);
                return;
            }
            other => panic!("client-go printed `{other}`"),
        };
        self.deliveries.push(Delivery {
            event,
            resource: line.resource,
            key: line.key,
            uid: line.uid,
            rv: line.rv,
            old_rv: line.old_rv,
            initial: line.initial,
            final_state_unknown: line.tombstone,
            ok: true,
            reason: String::new(),
        });
    }
}

//! A host in this process, with a handlers directory of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use host::guest::GuestLimits;
use host::handlers::{HandlerState, HandlerStatus, read_directory};
use host::host::Host;
use host::modules::{FetchPolicy, ModuleFetcher};
use informer::SharedInformer;
use kube::Client;
use tempfile::TempDir;

use crate::binary::compiler;
use crate::captured_log::capture_log;

/// A running host; stopped when it is dropped.
pub struct TestHost {
    pub host: Host,
    directory: TempDir,
}

impl TestHost {
    pub async fn start(client: Client) -> Self {
        Self::start_with(client, ModuleFetcher::new(FetchPolicy::default())).await
    }

    /// As `start`, with what fetches modules.
    pub async fn start_with(client: Client, modules: ModuleFetcher) -> Self {
        capture_log();
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (compiler, ceilings) = (compiler().clone(), GuestLimits::MAX);
        let host = Host::start(client, compiler, modules, http, ceilings).await;
        let host = host.expect("the host starts");
        Self { host, directory: tempfile::tempdir().expect("a folder") }
    }

    /// Loads a handler as from a file: a module, and what follows `spec:` in its YAML. Gives how it
    /// went.
    pub async fn load(&self, name: &str, wasm: &str, spec: &str) -> HandlerState {
        self.begin_load(name, wasm, spec);
        self.host.handlers().settled(name).await.expect("it was loaded")
    }

    /// As `load`, without waiting.
    pub fn begin_load(&self, name: &str, wasm: &str, spec: &str) {
        let module = fs::read(wasm).expect("the guest was built");
        self.begin_load_bytes(name, &module, spec).unwrap_or_else(|error| panic!("{error}"));
    }

    /// As `begin_load`, of a module that is no file. An error says what is wrong with the spec.
    pub fn begin_load_bytes(&self, name: &str, wasm: &[u8], spec: &str) -> Result<(), String> {
        let module = self.directory.path().join(format!("{name}.wasm"));
        fs::write(module, wasm).expect("the folder is writable");
        self.begin_load_of(name, &format!("{{ path: {name}.wasm }}"), spec)
    }

    /// As `begin_load`, with what follows `module:` in its YAML.
    pub fn begin_load_from(&self, name: &str, module: &str, spec: &str) {
        self.begin_load_of(name, module, spec).unwrap_or_else(|error| panic!("{error}"));
    }

    fn begin_load_of(&self, name: &str, module: &str, spec: &str) -> Result<(), String> {
        let yaml = format!(
            "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: {{ name: {name} }}\n\
             spec:\n  module: {module}\n{spec}"
        );
        let file = self.directory.path().join(format!("{name}.yaml"));
        fs::write(&file, yaml).expect("the folder is writable");
        let (handlers, errors) = read_directory(self.directory.path()).expect("a folder");
        if let Some(error) = errors.first() {
            return Err(error.to_string());
        }
        let handler = handlers.into_iter().find(|handler| handler.name == name);
        self.host.handlers().apply(handler.expect("it is there")).expect("the name is free");
        Ok(())
    }

    /// Removes a handler, if it was loaded, and its files. What is queued for it is not delivered.
    pub async fn unload(&self, name: &str) {
        self.host.handlers().remove(name, Duration::ZERO).await;
        for file in [format!("{name}.yaml"), format!("{name}.wasm")] {
            fs::remove_file(self.directory.path().join(file)).expect("it was loaded");
        }
    }

    /// Waits until a handler has handled its initial lists.
    pub async fn synced(&self, name: &str) {
        let is_synced = || {
            let statuses = self.host.handlers().statuses();
            statuses.iter().any(|status| status.name == name && status.has_synced)
        };
        eventually(&format!("{name} syncs"), Duration::from_secs(60), is_synced).await;
    }

    /// What is known of a handler that was loaded.
    pub fn status(&self, name: &str) -> HandlerStatus {
        let statuses = self.host.handlers().statuses().into_iter();
        statuses.into_iter().find(|status| status.name == name).expect("it was loaded")
    }

    /// What the endpoint for health, readiness and metrics answers: whether it is well, and the body.
    pub async fn get(&self, path: &str) -> (bool, String) {
        let url = format!("http://{}{path}", self.host.http_address());
        let answer = reqwest::get(url).await.expect("it listens");
        (answer.status().is_success(), answer.text().await.expect("it answers"))
    }

    /// The only informer of a resource.
    pub fn informer(&self, plural: &str) -> SharedInformer {
        let informers = self.host.handlers().informers().into_iter();
        let mut found = informers.filter(|(resource, _)| resource.kind.plural == plural);
        let (_, informer) = found.next().expect("an informer");
        assert!(found.next().is_none(), "more than one informer of {plural}");
        informer
    }
}

/// Waits for a condition; panics if it does not come true in time.
pub async fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

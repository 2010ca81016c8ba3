//! A server, a host and one handler, and what happens to its objects.

use std::path::Path;

use dev_api_server::{ApiServer, Settings};
use host::handlers::HandlerState;
use informer::ObjectKey;
use kube::{Client, Config};
use serde_json::Value;
use tests::{HeldGuest, TcpProxy, TestHost, deliveries_of, eventually, log_of};

use super::MINUTES;
use super::journal::Journal;

/// A life in chapters. Each thing that happens is over, calls included, before the next one.
pub(super) struct Life {
    handler: String,
    server: ApiServer,
    proxy: TcpProxy,
    host: TestHost,
    journal: Journal,
    /// Deliveries so far.
    told: usize,
}

impl Life {
    pub(super) async fn begin(handler: String) -> Self {
        let address = ([127, 0, 0, 1], 0).into();
        // The items of a list have an order, those of a watch-list come in any.
        let settings = Settings { watch_list: false, ..Settings::default() };
        let server = ApiServer::bind(address, settings).await.unwrap();
        let proxy = TcpProxy::start(server.local_addr()).await.unwrap();
        let config = Config::new(format!("http://{}", proxy.address()).parse().unwrap());
        let host = TestHost::start(Client::try_from(config).unwrap()).await;
        Self { handler, server, proxy, host, journal: Journal::default(), told: 0 }
    }

    /// Begins a chapter of the journal.
    pub(super) fn chapter(&mut self, title: &str) {
        self.journal.chapter(title);
    }

    /// `spec` follows `spec:` in the handler's YAML. Its limits are those of the largest runtimes on a
    /// slow machine.
    pub(super) async fn load(&self, module: &Path, spec: &str) {
        let spec = format!("{spec}  limits: {{ memory: 256Mi, cpuPerCall: 10s }}\n");
        let state = self.host.load(&self.handler, module.to_str().unwrap(), &spec).await;
        assert_eq!(state, HandlerState::Running);
    }

    /// Applies the first, and while the handler is in the middle of the call about it, the others: of these, the
    /// cache has the last state when the handler is told of the first one.
    pub(super) async fn apply_behind(&self, plural: &str, first: Value, others: &[Value]) {
        let held = HeldGuest::hold(&self.handler);
        self.apply(first);
        eventually(&format!("{} is held", self.handler), MINUTES, || held.is_held()).await;
        let informer = self.host.informer(plural);
        let cache = informer.lister();
        for manifest in others {
            let applied = self.server.storage().apply(manifest.clone()).unwrap();
            let text = |pointer| applied.pointer(pointer).and_then(Value::as_str).unwrap();
            let name = text("/metadata/name");
            let key = ObjectKey::new(Some(text("/metadata/namespace")), name);
            let version = text("/metadata/resourceVersion");
            let has_it = || cache.get(&key).is_some_and(|it| *it.resource_version == *version);
            eventually(&format!("the cache has {name}"), MINUTES, has_it).await;
        }
    }

    pub(super) fn apply(&self, manifest: Value) {
        self.server.storage().apply(manifest).unwrap();
    }

    pub(super) fn delete(&self, api_version: &str, kind: &str, namespace: &str, name: &str) {
        self.server.storage().delete(api_version, kind, namespace, name).unwrap();
    }

    /// The host hears nothing, and what happens meanwhile is forgotten: it has to list again.
    pub(super) fn disconnect(&self) {
        self.proxy.cut();
    }

    pub(super) fn reconnect(&self) {
        self.server.storage().compact();
        self.proxy.mend();
    }

    /// Waits until the handler was told so much more, and no more than that.
    pub(super) async fn told(&mut self, more: usize) {
        self.told_at_least(more).await;
        assert_eq!(deliveries_of(&self.handler).len(), self.told, "{}", self.handler);
    }

    /// Waits until the handler was told so much more; what is above that is not in the journal.
    pub(super) async fn told_at_least(&mut self, more: usize) {
        self.told += more;
        let what = format!("{} is told {} times", self.handler, self.told);
        let is_told = || deliveries_of(&self.handler).len() >= self.told;
        eventually(&what, MINUTES, is_told).await;
        self.journal.write(&log_of(&self.handler), self.told);
    }

    pub(super) async fn end(self) -> String {
        self.host.host.stop().await;
        self.journal.text()
    }
}

//! What malformed objects, lists and streams get: nothing panics, nothing wedges, the rest is
//! delivered, and what is left out is counted.
//!
//! Each trace is the bytes that a server sends over HTTP, through the host's lister-watcher, an informer
//! with either queue, and a handler that writes down what it is told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use host::api_server::{ApiListerWatcher, WatchedResource};
use informer::{
    Delivery, Handled, HandlerOptions, HandlerRegistration, Notification, Object, QueueKind,
    ResourceEventHandler, SharedInformer, SharedInformerOptions,
};
use kube::core::{ApiResource, GroupVersionKind};
use tests::{Answer, Request, ScriptedServer};

mod objects;
mod streams;
mod damage;

/// An informer of config maps that follows a scripted server.
struct Trace {
    server: ScriptedServer,
    informer: SharedInformer,
    told: Told,
    _registration: HandlerRegistration,
}

impl Trace {
    async fn start(queue: QueueKind, answers: impl IntoIterator<Item = (Request, Answer)>) -> Self {
        let server = ScriptedServer::start(answers).await;
        let kind = GroupVersionKind::gvk("", "v1", "ConfigMap");
        let resource = WatchedResource {
            kind: ApiResource::from_gvk_with_plural(&kind, "configmaps"),
            namespace: None,
            label_selector: String::new(),
            field_selector: String::new(),
            queue,
        };
        let lister_watcher = ApiListerWatcher::new(server.client(), resource);
        let options = SharedInformerOptions { queue, ..SharedInformerOptions::default() };
        let informer = SharedInformer::start(lister_watcher, options);
        let told = Told::default();
        let handler = informer.add_event_handler(told.clone(), HandlerOptions::default());
        let _registration = handler.await;
        Self { server, informer, told, _registration }
    }

    /// Says this once the handler has synced. Gives what the handler was told until it was told of
    /// an object that comes when everything has been played, without that; sorted, since the
    /// objects of a list have no order.
    async fn play(&self, name: &str, live: Vec<u8>) -> Vec<String> {
        self.say(name, live).await;
        self.go_on(name, || self.server.is_played()).await;
        assert!(self.informer.has_synced(), "{name}");
        assert_eq!(self.informer.counters().process_loop_restarts.get(), 0, "{name}");
        let mut lines = self.told.lines();
        lines.retain(|line| line != LATER);
        lines.sort();
        lines
    }

    /// Says an object as soon as that is so, until the handler is told of it: a watch may be given
    /// up just when something is said on it.
    async fn go_on(&self, name: &str, is_time: impl Fn() -> bool) {
        let later = || {
            if is_time() {
                self.server.say(event("ADDED", &good("later", "99")));
            }
        };
        self.wait_for(name, LATER, later).await;
    }

    /// On the watch that follows the first list.
    async fn say(&self, name: &str, live: Vec<u8>) {
        self.wait_for(name, "synced", || {}).await;
        let start = Instant::now();
        while !live.is_empty() && !self.server.say(live.clone()) {
            assert!(start.elapsed() < TOO_LONG, "{name}: nobody watches");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn wait_for(&self, name: &str, told: &str, meanwhile: impl Fn()) {
        let start = Instant::now();
        while !self.told.lines().iter().any(|line| line == told) {
            assert!(
                start.elapsed() < TOO_LONG,
                "{name}: it does not go on: told {:?}, {:?}, {:?}, asked {:?}",
                self.told.lines(),
                self.informer.counters(),
                self.informer.status().borrow(),
                self.server.asked(),
            );
            meanwhile();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Without what [`Trace::play`] adds.
    fn cached(&self) -> Vec<String> {
        let mut cached: Vec<_> = self.informer.lister().list().iter().map(|it| text(it)).collect();
        cached.retain(|it| it != "later@99");
        cached.sort();
        cached
    }

    fn rejected(&self) -> u64 {
        self.informer.counters().rejected.get()
    }
}

/// What a handler was told: `added a@5 initial`, `updated a@5 a@6`, `deleted a@6 unknown`, `synced`.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl ResourceEventHandler for Told {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        let line = match &delivery.notification {
            Notification::Added { object, in_initial_list: true } => {
                format!("added {} initial", text(object))
            }
            Notification::Added { object, .. } => format!("added {}", text(object)),
            Notification::Updated { old, new } => format!("updated {} {}", text(old), text(new)),
            Notification::Deleted { last, final_state_unknown: true } => {
                format!("deleted {} unknown", text(last))
            }
            Notification::Deleted { last, .. } => format!("deleted {}", text(last)),
            Notification::Synced => "synced".to_owned(),
        };
        self.0.lock().unwrap().push(line);
        Handled::Done
    }
}

fn text(object: &Object) -> String {
    format!("{}@{}", object.key.name(), object.resource_version)
}

/// A config map.
fn good(name: &str, rv: &str) -> Vec<u8> {
    format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"default","uid":"{name}","resourceVersion":"{rv}"}}}}"#
    )
    .into_bytes()
}

/// One line of a watch.
fn event(event_type: &str, object: &[u8]) -> Vec<u8> {
    let head = format!(r#"{{"type":"{event_type}","object":"#);
    [head.as_bytes(), object, b"}\n"].concat()
}

/// The bookmark that ends the initial events.
fn initial_events_end(rv: &str) -> Vec<u8> {
    let bookmark = format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"resourceVersion":"{rv}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}"#
    );
    event("BOOKMARK", bookmark.as_bytes())
}

fn initial_events(rv: &str, objects: &[&[u8]]) -> Vec<u8> {
    let mut events = objects.iter().map(|it| event("ADDED", it)).collect::<Vec<_>>().concat();
    events.extend(initial_events_end(rv));
    events
}

fn list(rv: &str, items: &[&[u8]]) -> Vec<u8> {
    let head = format!(
        r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{"resourceVersion":"{rv}"}},"items":["#
    );
    [head.as_bytes(), &items.join(&b","[..]), b"]}"].concat()
}

/// A watch that says this is followed by a list.
fn expired() -> Vec<u8> {
    event("ERROR", br#"{"kind":"Status","apiVersion":"v1","code":410,"reason":"Expired"}"#)
}

/// Plays all, some at a time: most of the time goes by with waiting for the next try.
async fn side_by_side<T>(traces: impl IntoIterator<Item = T>)
where
    T: Future<Output = ()>,
{
    stream::iter(traces).for_each_concurrent(AT_ONCE, |trace| trace).await;
}

const LATER: &str = "added later@99";

const QUEUES: [QueueKind; 2] = [QueueKind::Delta, QueueKind::InOrder];

const AT_ONCE: usize = 48;

/// Ten times the longest that a trace waits.
const TOO_LONG: Duration = Duration::from_secs(60);

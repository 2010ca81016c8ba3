//! What one update costs in the stages between the reflector and the handlers: each queue, the cache with its
//! indices, and all of them with distribution to handlers that do nothing.
//!
//! `cargo bench --workspace --bench stages`; a figure is for 1,000 updates.

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use futures_util::stream::{BoxStream, StreamExt, poll_fn};
use informer::{
    Delivery, DeltaFifo, Deltas, Handled, HandlerOptions, Indexer, ListOptions, ListPage,
    ListerWatcher, ListerWatcherError, Object, ObjectKey, ProcessError, Queue, RealFifo,
    RealFifoOptions, ResourceEventHandler, SharedInformer, SharedInformerOptions, WatchEvent,
    WatchOptions,
};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc};

const UPDATES: usize = 1_000;
const CACHED: usize = 50_000;

fn main() {
    divan::main();
}

#[divan::bench]
fn delta_fifo(bencher: Bencher<'_, '_>) {
    let objects = objects(1);
    let mut queue = DeltaFifo::new(None);
    bencher.bench_local(|| pass(&mut queue, &objects));
}

#[divan::bench]
fn real_fifo(bencher: Bencher<'_, '_>) {
    let objects = objects(1);
    let mut queue = RealFifo::new(RealFifoOptions::default(), None);
    bencher.bench_local(|| pass(&mut queue, &objects));
}

#[divan::bench]
fn store(bencher: Bencher<'_, '_>) {
    let mut indexer = Indexer::new();
    for index in 0..CACHED {
        indexer.update(object(index, 0));
    }
    let objects = objects(1);
    bencher.bench_local(|| {
        for object in &objects {
            indexer.update(object.clone());
        }
    });
}

/// The whole informer on one thread: from the server's event to handlers that do nothing.
#[divan::bench(args = [1, 10, 100])]
fn distribute(bencher: Bencher<'_, '_>, handlers: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (send, events) = mpsc::channel(UPDATES);
    let (told, mut done) = mpsc::channel(handlers);
    let (_informer, _registrations) = runtime.block_on(async {
        let server = Server(Mutex::new(Some(events)));
        let informer = SharedInformer::start(server, SharedInformerOptions::default());
        let mut registrations = Vec::new();
        for _ in 0..handlers {
            let handler = Counter { told: told.clone(), left: UPDATES };
            let registered = informer.add_event_handler(handler, HandlerOptions::default());
            registrations.push(registered.await);
        }
        (informer, registrations)
    });
    // The same state twice would be a resync, which these handlers have not asked for.
    let mut states = [objects(1), objects(2)].into_iter().cycle();
    bencher.with_inputs(|| states.next().unwrap_or_default()).bench_local_values(|objects| {
        runtime.block_on(async {
            for object in &objects {
                send.send(WatchEvent::Modified(object.clone())).await.expect("an informer");
            }
            for _ in 0..handlers {
                done.recv().await.expect("handlers");
            }
        });
    });
}

/// Says when it was told of all updates.
struct Counter {
    told: mpsc::Sender<()>,
    left: usize,
}

impl ResourceEventHandler for Counter {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        if delivery.notification.object().is_some() {
            self.left -= 1;
        }
        if self.left == 0 {
            self.left = UPDATES;
            let _ = self.told.send(()).await;
        }
        Handled::Done
    }
}

fn pass(queue: &mut impl Queue, objects: &[Arc<Object>]) {
    for object in objects {
        queue.update(object.clone()).expect("nothing transforms it");
    }
    while !queue.is_empty() {
        queue.pop_batch(|deltas: &mut Deltas, _| -> Result<(), ProcessError> {
            deltas.clear();
            Ok(())
        });
    }
}

fn objects(version: usize) -> Vec<Arc<Object>> {
    // Not one after the other, as in a cluster.
    (0..UPDATES).map(|index| object(index * 7919 % CACHED, version)).collect()
}

fn object(index: usize, version: usize) -> Arc<Object> {
    Arc::new(Object {
        key: ObjectKey::new(Some(&format!("team-{:02}", index % 40)), &format!("app-{index:06}")),
        uid: format!("9ab8ad6e-1c0f-4f5e-8b68-{index:012}").into(),
        resource_version: version.to_string().into(),
        json: "{}".into(),
    })
}

/// Has no object at first, and one watch that tells what it is given.
struct Server(Mutex<Option<mpsc::Receiver<WatchEvent>>>);

impl ListerWatcher for Server {
    type Watch = BoxStream<'static, Result<WatchEvent, ListerWatcherError>>;

    async fn list(&self, _options: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        Ok(ListPage { resource_version: "1".to_owned(), ..ListPage::default() })
    }

    async fn watch(&self, options: &WatchOptions) -> Result<Self::Watch, ListerWatcherError> {
        if options.send_initial_events {
            let message = "this server lists".to_owned();
            return Err(ListerWatcherError::Rejected { code: 400, message });
        }
        let Some(mut events) = self.0.lock().await.take() else {
            tokio::time::sleep(Duration::MAX).await;
            return Err(ListerWatcherError::Unavailable("one watch".to_owned()));
        };
        Ok(poll_fn(move |context| events.poll_recv(context).map(|event| event.map(Ok))).boxed())
    }
}

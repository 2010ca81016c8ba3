//! What each further handler on a resource costs: CPU time of the process, all threads, for updates that a fake
//! server makes, with 1, 10 and 100 handlers `no_op` on guests' threads like the host's.
//!
//! `cargo bench --workspace --bench handlers`

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, poll_fn};
use host::guest::{GuestEngine, GuestHandler, GuestLimits, GuestModule, SharedGuest, StartedGuest};
use informer::{
    HandlerOptions, HandlerRegistration, ListOptions, ListPage, ListerWatcher, ListerWatcherError,
    Object, ObjectKey, SharedInformer, SharedInformerOptions, WatchEvent, WatchOptions,
};
use kube::core::{ApiResource, GroupVersionKind};
use rustix::time::{ClockId, clock_gettime};
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc};

/// The host's.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

const OBJECTS: usize = 1_000;
/// At once, fewer than a handler's buffer takes.
const BATCH: usize = 5_000;
const BATCHES: usize = 4;
const RUNS: usize = 3;
const HANDLERS: [usize; 3] = [1, 10, 100];

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` asks for nothing to be measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let engine = GuestEngine::new().map_err(anyhow::Error::msg)?;
    let module = GuestModule::compile(&engine, &std::fs::read(artifacts::NO_OP)?)?;
    let mut alone = 0.0;
    for handlers in HANDLERS {
        let runs: Result<Vec<f64>, _> = (0..RUNS).map(|_| measure(&module, handlers)).collect();
        let best = runs?.into_iter().reduce(f64::min).unwrap_or_default();
        match handlers {
            1 => alone = best,
            _ => {
                let further = (best - alone) / (handlers - 1) as f64;
                println!(
                    "{handlers:>4} handlers: {best:>7.2} µs of CPU per update; each further {further:.2} µs"
                );
                continue;
            }
        }
        println!("{handlers:>4} handlers: {best:>7.2} µs of CPU per update");
    }
    Ok(())
}

/// Microseconds of CPU per update.
fn measure(module: &GuestModule, handlers: usize) -> anyhow::Result<f64> {
    let pipeline = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let guests = Builder::new_multi_thread()
        .worker_threads(2)
        .global_queue_interval(1)
        .event_interval(1)
        .enable_all()
        .build()?;
    let on_guests = guests.handle().clone();
    let used = pipeline.block_on(pipeline.spawn({
        let module = module.clone();
        async move {
            let (send, events) = mpsc::channel(BATCH);
            let server = Server(Mutex::new(Some(events)));
            let informer = SharedInformer::start(server, SharedInformerOptions::default());
            let mut registrations = Vec::new();
            for _ in 0..handlers {
                let handler = handler(module.clone()).await?;
                let runtime = Some(on_guests.clone());
                let options = HandlerOptions { runtime, ..HandlerOptions::default() };
                registrations.push(informer.add_event_handler(handler, options).await);
            }
            delivered(&registrations, OBJECTS).await;
            let before = cpu_time();
            for batch in 0..BATCHES {
                for event in 0..BATCH {
                    let version = OBJECTS + batch * BATCH + event;
                    send.send(WatchEvent::Modified(object(event % OBJECTS, version))).await?;
                }
                delivered(&registrations, OBJECTS + (batch + 1) * BATCH).await;
            }
            let used = cpu_time() - before;
            informer.stop().await;
            anyhow::Ok(used)
        }
    }))??;
    guests.shutdown_background();
    Ok(used.as_secs_f64() * 1e6 / (BATCH * BATCHES) as f64)
}

async fn handler(module: GuestModule) -> anyhow::Result<GuestHandler> {
    let limits = GuestLimits::default();
    let started = StartedGuest::start(module, "no-op", "{}".to_owned(), limits).await?;
    let pods = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods");
    Ok(GuestHandler::new("no-op", pods, SharedGuest::new(started, [0].into()), 0))
}

async fn delivered(registrations: &[HandlerRegistration], wanted: usize) {
    let is_done = |it: &HandlerRegistration| {
        let counts = it.counts();
        counts.delivered + counts.merged >= wanted as u64
    };
    while !registrations.iter().all(is_done) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn object(index: usize, version: usize) -> Arc<Object> {
    Arc::new(Object {
        key: ObjectKey::new(Some("team-00"), &format!("checkout-5d8c7b9f6d-{index:05}")),
        uid: format!("9ab8ad6e-1c0f-4f5e-8b68-{index:012}").into(),
        resource_version: version.to_string().into(),
        json: include_str!("../../tests/bench/pod.json").into(),
    })
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Has a list of objects, and one watch that tells what it is given.
struct Server(Mutex<Option<mpsc::Receiver<WatchEvent>>>);

impl ListerWatcher for Server {
    type Watch = BoxStream<'static, Result<WatchEvent, ListerWatcherError>>;

    async fn list(&self, _options: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        let objects = (0..OBJECTS).map(|index| object(index, index)).collect();
        Ok(ListPage { resource_version: OBJECTS.to_string(), objects, ..ListPage::default() })
    }

    async fn watch(&self, options: &WatchOptions) -> Result<Self::Watch, ListerWatcherError> {
        if options.send_initial_events {
            let message = "this server lists".to_owned();
            return Err(ListerWatcherError::Rejected { code: 400, message });
        }
        let events = self.0.lock().await.take();
        let mut events =
            events.ok_or_else(|| ListerWatcherError::Unavailable("one watch".to_owned()))?;
        Ok(poll_fn(move |context| events.poll_recv(context).map(|event| event.map(Ok))).boxed())
    }
}

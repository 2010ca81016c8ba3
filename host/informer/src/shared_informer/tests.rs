use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::objects::{key, texts};
use crate::recorder::{Answer, Recorder, Recording};
use crate::scripted_server::ScriptedServer;
use crate::shared_informer_factory::SharedInformerFactory;

mod ending;
mod failing;
mod joining;
mod pausing;
mod replacing;
mod resync;

const SECOND: Duration = Duration::from_secs(1);

/// An informer whose server answers the first list with this.
fn start(list: &str) -> (ScriptedServer, SharedInformer) {
    let server = ScriptedServer::default();
    server.on_list(list);
    (server.clone(), SharedInformer::start(server, SharedInformerOptions::default()))
}

/// Adds a handler that handles everything at once.
async fn add(informer: &SharedInformer) -> (HandlerRegistration, Recording) {
    add_with(informer, HandlerOptions::default(), |_| Answer::done()).await
}

async fn add_with(
    informer: &SharedInformer,
    options: HandlerOptions,
    answer: impl FnMut(&crate::Delivery) -> Answer + Send + 'static,
) -> (HandlerRegistration, Recording) {
    let (recorder, recording) = Recorder::answering(answer);
    (informer.add_event_handler(recorder, options).await, recording)
}

fn slow(wait: Duration) -> impl FnMut(&crate::Delivery) -> Answer + Send + 'static {
    move |_| Answer::After(wait, crate::Handled::Done)
}

/// With a paused clock, this returns when every task waits.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// Sorted, where the order between objects is arbitrary.
fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[tokio::test(start_paused = true)]
async fn every_handler_is_told_everything() {
    let (server, informer) = start("rv=10 a@5");
    let (one, told_one) = add(&informer).await;
    let (two, told_two) = add(&informer).await;
    assert!(informer.wait_for_sync().await);
    assert!(one.wait_for_sync().await && two.wait_for_sync().await);
    server.say("modified a@11; deleted a@12");
    settle().await;
    let expected = ["added a@5 initial", "synced", "updated a@5 a@11", "deleted a@12"];
    assert_eq!(told_one.take(), expected);
    assert_eq!(told_two.take(), expected);
    let counts = one.counts();
    assert_eq!((counts.delivered, counts.failed, counts.merged, one.pending()), (3, 0, 0, 0));
    assert_eq!(informer.counters().events.get(), 2);
    assert!(informer.status().borrow().has_listed);
}

/// ★49 client-go: `TestIndexer`. The informer runs from the beginning here; the first index is added
/// before there is a list.
#[tokio::test(start_paused = true)]
async fn scenario_49_indexer() {
    let (server, informer) = start("rv=10 pod1#a,b@1 pod2#b@2");
    let labels: IndexFunc = Arc::new(|object| {
        let labels = object.uid.split('#').nth(1).unwrap_or("");
        Ok(labels.split(',').map(str::to_owned).collect())
    });
    informer.add_index("labels", labels.clone()).await.unwrap();
    informer.wait_for_sync().await;
    let found = |name| texts(informer.lister().by_index(name, "a").unwrap());
    assert_eq!(found("labels"), ["pod1#a,b@1"]);
    server.say("added pod3#a@11");
    settle().await;
    assert_eq!(found("labels"), ["pod1#a,b@1", "pod3#a@11"]);
    informer.add_index("labels-again", labels.clone()).await.unwrap();
    assert_eq!(found("labels-again"), ["pod1#a,b@1", "pod3#a@11"]);
    for name in ["labels", "labels-again"] {
        assert_eq!(informer.lister().index_values(name).unwrap(), ["a", "b"]);
    }
    let exists = Err(IndexError::Exists("labels-again".to_owned()));
    assert_eq!(informer.add_index("labels-again", labels).await, exists);
}

/// Every queue; none stands for the one that nobody can choose, in order with a list item by item.
const QUEUES: [Option<QueueKind>; 3] = [Some(QueueKind::Delta), Some(QueueKind::InOrder), None];

fn start_with(
    server: &ScriptedServer,
    queue: Option<QueueKind>,
    transform: Option<TransformFunc>,
) -> SharedInformer {
    match queue {
        Some(queue) => {
            SharedInformer::start(server.clone(), SharedInformerOptions { queue, transform })
        }
        None => {
            let options = RealFifoOptions { atomic_events: false, ..RealFifoOptions::default() };
            SharedInformer::start_with(server.clone(), RealFifo::new(options, transform), None)
        }
    }
}

/// ★46 client-go: `TestReflectorRespectStoreTransformer`, where it is called five times, twice for each
/// initial object (WL-10), and three times here.
#[tokio::test(start_paused = true)]
async fn scenario_46_reflector_respect_store_transformer() {
    let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = calls.clone();
    let upper: TransformFunc = Arc::new(move |object| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(crate::objects::object(&crate::objects::text(&object).to_uppercase()))
    });
    for queue in QUEUES {
        let server = ScriptedServer::default();
        server.on_watch_list("added a@1; added b@2; end rv=2; added c@3");
        let informer = start_with(&server, queue, Some(upper.clone()));
        let (_registration, told) = add(&informer).await;
        settle().await;
        assert_eq!(
            sorted(told.take()),
            ["added A@1 initial", "added B@2 initial", "added C@3", "synced"]
        );
        assert_eq!(texts(informer.lister().list()), ["A@1", "B@2", "C@3"]);
        assert_eq!(calls.swap(0, std::sync::atomic::Ordering::Relaxed), 3);
        assert_eq!(server.asked(), ["watch-list rv="]);
    }
}

/// ★58 client-go: `TestResetWatch`.
#[tokio::test(start_paused = true)]
async fn scenario_58_reset_watch() {
    for queue in QUEUES {
        let server = ScriptedServer::default();
        server.on_list("rv=1 default/pod-1@1");
        let informer = start_with(&server, queue, None);
        let (_registration, told) = add(&informer).await;
        settle().await;
        assert_eq!(told.take(), ["added default/pod-1@1 initial", "synced"]);
        server.on_list("rv=3 default/pod-1@2 default/pod-2@3").say("expired");
        sleep(2 * SECOND).await;
        let expected = ["added default/pod-2@3", "updated default/pod-1@1 default/pod-1@2"];
        assert_eq!(sorted(told.take()), expected);
    }
}

/// ★59 client-go: `TestStoreResourceVersion`. Also with the queues for which the cache has no version
/// there (ST-10).
#[tokio::test(start_paused = true)]
async fn scenario_59_store_resource_version() {
    for queue in QUEUES {
        let server = ScriptedServer::default();
        server.on_list("rv=1 default/pod-1@1");
        let informer = start_with(&server, queue, None);
        let (_registration, told) = add(&informer).await;
        settle().await;
        assert_eq!(told.take(), ["added default/pod-1@1 initial", "synced"]);
        assert_eq!(informer.lister().resource_version(), "1");
        server.say("modified default/pod-1@2");
        settle().await;
        assert_eq!(told.take(), ["updated default/pod-1@1 default/pod-1@2"]);
        assert_eq!(informer.lister().resource_version(), "2");
        server.say("deleted default/pod-1@3");
        settle().await;
        assert_eq!(told.take(), ["deleted default/pod-1@3"]);
        assert_eq!(informer.lister().resource_version(), "3");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_delays_neither_the_others_nor_the_watch() {
    let (server, informer) = start("rv=10 a@5");
    let (lazy, told_lazy) =
        add_with(&informer, HandlerOptions::default(), slow(3600 * SECOND)).await;
    let (_quick, told_quick) = add(&informer).await;
    settle().await;
    told_quick.take();
    // More than the channel between reflector and process loop holds.
    for version in 11..5011 {
        server.say(&format!("modified a@{version}"));
    }
    settle().await;
    assert_eq!(told_quick.take().len(), 5000);
    assert_eq!(texts(informer.lister().list()), ["a@5010"]);
    assert_eq!(told_lazy.take(), ["added a@5 initial"]);
    assert!(!lazy.has_synced());
    assert_eq!(lazy.pending(), 5001);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_told_less_and_never_of_less_than_the_last_state() {
    let (server, informer) = start("rv=10 a@5 b@6");
    let delivery = DeliveryPolicy { buffer_max: 2, ..DeliveryPolicy::default() };
    let options = HandlerOptions { delivery, ..HandlerOptions::default() };
    let (lazy, told) = add_with(&informer, options, slow(10 * SECOND)).await;
    settle().await;
    server.say("modified a@11; modified b@12; modified a@13; deleted b@14; modified a@15");
    sleep(100 * SECOND).await;
    // Of `a`, all three changes are popped at once; the buffer is full with the initial list.
    let expected = ["added a@5 initial", "synced", "updated a@5 a@15"];
    assert_eq!(told.take(), expected, "it never heard of b");
    assert_eq!(lazy.counts().merged, 4);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_waits_leaves_time_for_the_others() {
    let objects: String = (0..5000).map(|n| format!(" o{n}@1")).collect();
    let (_server, informer) = start(&format!("rv=10{objects}"));
    informer.wait_for_sync().await;
    let (greedy, _) = add(&informer).await;
    let mut turns = 0;
    while !greedy.has_synced() {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert!(turns > 20, "{turns}");
}

#[tokio::test(start_paused = true)]
async fn a_factory_shares_one_informer_per_key() {
    let factory = SharedInformerFactory::new();
    let mut started = 0;
    let mut get = |key: &'static str| {
        factory.informer(key, || {
            started += 1;
            start("rv=10 a@5").1
        })
    };
    let pods = get("pods");
    let (_registration, told) = add(&get("pods")).await;
    let nodes = get("nodes");
    settle().await;
    assert_eq!(told.take(), ["added a@5 initial", "synced"]);
    assert_eq!(factory.running().len(), 2);

    drop(nodes);
    let running: Vec<_> = factory.running().into_iter().map(|(key, _)| key).collect();
    assert_eq!(running, ["pods"]);

    // Somebody still holds it, but it says nothing new any more.
    pods.stop().await;
    assert!(factory.running().is_empty());
    let again = get("pods");
    assert!(again.wait_for_sync().await);
    assert_eq!(started, 3);
}

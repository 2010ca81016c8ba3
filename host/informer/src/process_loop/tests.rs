use std::cell::RefCell;
use std::collections::HashMap;

use tokio::task::JoinSet;

use super::*;
use crate::delta_fifo::DeltaFifo;
use crate::indexer::Lister;
use crate::objects::{key, object, text, texts};
use crate::pending_notifications::{DeliveryPolicy, Next};
use crate::queue::{LeftOut, TransformFunc};
use crate::recorder::line;

mod failures;
mod in_order;
mod scenarios;

thread_local! {
    /// How often applying a state of an object panics, by its text.
    static PANICS: RefCell<HashMap<String, u32>> = RefCell::default();
}

/// Stands where a bug in applying deltas would.
pub(super) fn panic_if_asked(delta: &Delta) {
    PANICS.with_borrow_mut(|panics| {
        if let Some(times) = delta.object().and_then(|it| panics.get_mut(&text(it)))
            && *times > 0
        {
            *times -= 1;
            // Without the message that a panic would print.
            std::panic::resume_unwind(Box::new("a bug"));
        }
    });
}

fn panic_on(text: &str, times: u32) {
    PANICS.with_borrow_mut(|panics| panics.insert(text.to_owned(), times));
}

/// A running process loop, and what is on its outside.
struct Looping {
    reflected: mpsc::Sender<Reflected>,
    commands: mpsc::Sender<Command>,
    lister: Lister,
    has_synced: watch::Receiver<bool>,
    counters: Arc<InformerCounters>,
    task: JoinSet<()>,
}

impl Looping {
    fn start() -> Self {
        Self::transforming(None)
    }

    fn transforming(transform: Option<TransformFunc>) -> Self {
        let (reflected, reflected_rx) = mpsc::channel(REFLECTED_MAX);
        let (commands, commands_rx) = mpsc::channel(64);
        let (has_synced_tx, has_synced) = watch::channel(false);
        let counters = Arc::new(InformerCounters::default());
        let indexer = Indexer::new();
        let lister = indexer.lister();
        let process_loop = ProcessLoop {
            reflected: reflected_rx,
            commands: commands_rx,
            queue: DeltaFifo::new(transform),
            indexer,
            shared_processor: SharedProcessor::default(),
            has_synced: has_synced_tx,
            counters: counters.clone(),
            reflected_version: None,
        };
        let mut task = JoinSet::new();
        task.spawn(process_loop.run());
        Self { reflected, commands, lister, has_synced, counters, task }
    }

    /// With a list applied, and one listener that has been told of it.
    async fn listed(list: &str) -> (Self, ListenerQueue) {
        let looping = Self::start();
        looping.list(list).await;
        let queue = looping.join(None).await;
        told(&queue);
        (looping, queue)
    }

    async fn list(&self, list: &str) {
        let (rv, objects) = list.split_once(' ').unwrap_or((list, ""));
        let objects = objects.split_whitespace().map(object).collect();
        self.reflect(Reflected::Replaced {
            objects,
            left_out: LeftOut::default(),
            resource_version: rv.to_owned(),
        })
        .await;
    }

    async fn added(&self, text: &str) {
        self.reflect(Reflected::Added(object(text))).await;
    }

    async fn updated(&self, text: &str) {
        self.reflect(Reflected::Updated(object(text))).await;
    }

    async fn deleted(&self, text: &str) {
        self.reflect(Reflected::Deleted(object(text))).await;
    }

    async fn reflect(&self, reflected: Reflected) {
        self.reflected.send(reflected).await.unwrap();
        settle().await;
    }

    async fn join(&self, resync_period: Option<Duration>) -> ListenerQueue {
        let queue = ListenerQueue::new(DeliveryPolicy::default());
        let command = Command::AddListener { queue: queue.clone(), resync_period };
        self.commands.send(command).await.unwrap();
        settle().await;
        queue
    }

    async fn add_index(&self, index_func: IndexFunc) -> Result<(), IndexError> {
        let (added, answer) = oneshot::channel();
        let command = Command::AddIndex { name: "index".to_owned(), index_func, added };
        self.commands.send(command).await.unwrap();
        answer.await.unwrap()
    }

    fn cached(&self) -> Vec<String> {
        texts(self.lister.list())
    }
}

/// A process loop that takes its steps as the test says.
fn unstarted<Q: Queue>(queue: Q) -> ProcessLoop<Q> {
    ProcessLoop {
        reflected: mpsc::channel(1).1,
        commands: mpsc::channel(1).1,
        queue,
        indexer: Indexer::new(),
        shared_processor: SharedProcessor::default(),
        has_synced: watch::Sender::new(false),
        counters: Arc::default(),
        reflected_version: None,
    }
}

/// With a paused clock, this returns when every task waits.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// What the listener was told since the last call; handled at once.
fn told(queue: &ListenerQueue) -> Vec<String> {
    let mut pending = queue.pending();
    let mut lines = Vec::new();
    while let Next::Deliver(delivery) = pending.next(Instant::now()) {
        lines.push(line(&delivery));
        pending.finish(&delivery, crate::event_handler::Handled::Done, Instant::now());
    }
    lines
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[tokio::test(start_paused = true)]
async fn the_first_list_is_marked_and_followed_by_synced() {
    let looping = Looping::start();
    let queue = looping.join(None).await;
    assert_eq!(told(&queue), nothing());
    assert!(!*looping.has_synced.borrow());
    looping.list("10 a@5 b@7").await;
    assert_eq!(told(&queue), ["added a@5 initial", "added b@7 initial", "synced"]);
    assert!(*looping.has_synced.borrow());
    looping.added("c@11").await;
    assert_eq!(told(&queue), ["added c@11"]);
    assert_eq!(looping.cached(), ["a@5", "b@7", "c@11"]);
}

/// Also if it has been seen before the first list is applied.
#[tokio::test(start_paused = true)]
async fn what_follows_the_first_list_is_told_after_synced() {
    for (first, told_first) in [(vec![], vec![]), (vec!["a@5"], vec!["added a@5 initial"])] {
        let looping = Looping::start();
        let queue = looping.join(None).await;
        let list = Reflected::Replaced {
            objects: first.into_iter().map(object).collect(),
            left_out: LeftOut::default(),
            resource_version: "10".to_owned(),
        };
        looping.reflected.try_send(list).unwrap();
        looping.reflected.try_send(Reflected::Added(object("b@11"))).unwrap();
        looping.reflected.try_send(Reflected::Updated(object("b@12"))).unwrap();
        settle().await;
        let follows = ["synced", "added b@11", "updated b@11 b@12"];
        assert_eq!(told(&queue), [told_first, follows.to_vec()].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_first_list_is_a_list() {
    let looping = Looping::start();
    let queue = looping.join(None).await;
    looping.list("10").await;
    assert_eq!(told(&queue), ["synced"]);
    assert!(*looping.has_synced.borrow());
}

/// client-go: PD-1.
#[tokio::test(start_paused = true)]
async fn what_is_cached_decides_what_a_handler_is_told() {
    let (looping, queue) = Looping::listed("10 a@5").await;
    looping.added("a@11").await;
    assert_eq!(told(&queue), ["updated a@5 a@11"]);
    looping.updated("b@12").await;
    assert_eq!(told(&queue), ["added b@12"]);
    looping.deleted("b@13").await;
    assert_eq!(told(&queue), ["deleted b@13"]);
    looping.deleted("never-seen@14").await;
    assert_eq!(told(&queue), nothing());
    looping.list("20 a@11 c@15").await;
    assert_eq!(told(&queue), ["added c@15"]);
    looping.list("30 a@25").await;
    assert_eq!(told(&queue), ["updated a@11 a@25", "deleted c@15 final-state-unknown"]);
}

/// client-go: PD-9, where it is one update.
#[tokio::test(start_paused = true)]
async fn another_uid_is_another_object() {
    let (looping, queue) = Looping::listed("10 a@5").await;
    looping.list("20 a#2@15").await;
    assert_eq!(told(&queue), ["deleted a@5 final-state-unknown", "added a#2@15"]);
    looping.updated("a#3@21").await;
    assert_eq!(told(&queue), ["deleted a#2@15 final-state-unknown", "added a#3@21"]);
    assert_eq!(looping.cached(), ["a#3@21"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_a_list_has_twice_is_added_once() {
    let (looping, queue) = Looping::listed("10").await;
    looping.list("20 a@5 a@6").await;
    assert_eq!(told(&queue), ["added a@5", "updated a@5 a@6"]);
}

/// client-go: TR-6, where they look like a resync.
#[tokio::test(start_paused = true)]
async fn changes_of_objects_without_a_version_are_told() {
    let (looping, queue) = Looping::listed("10").await;
    let named = |name: &str| {
        let json = format!("{{\"name\":\"{name}\"}}").into();
        Arc::new(Object { key: key("a"), uid: "a".into(), resource_version: "".into(), json })
    };
    looping.reflect(Reflected::Added(named("one"))).await;
    looping.reflect(Reflected::Updated(named("two"))).await;
    looping.reflect(Reflected::Updated(named("two"))).await;
    assert_eq!(told(&queue), ["added a@", "updated a@ a@"]);
}

#[tokio::test(start_paused = true)]
async fn a_relist_that_changes_nothing_is_told_to_those_whose_resync_is_due() {
    let (looping, never) = Looping::listed("10 a@5").await;
    let often = looping.join(Some(Duration::from_secs(10))).await;
    told(&often);
    looping.list("11 a@5").await;
    assert_eq!((told(&never), told(&often)), (nothing(), nothing()));
    sleep(Duration::from_secs(10)).await;
    assert_eq!((told(&never), told(&often)), (nothing(), vec!["updated a@5 a@5".to_owned()]));
    // Until the next resync is looked at (RP-10b).
    looping.list("12 a@5").await;
    assert_eq!((told(&never), told(&often)), (nothing(), vec!["updated a@5 a@5".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn the_cache_is_at_the_version_up_to_which_everything_is_applied() {
    let (looping, _queue) = Looping::listed("10 a@5 b@7").await;
    let _often = looping.join(Some(Duration::from_secs(10))).await;
    assert_eq!(looping.lister.resource_version(), "10");
    looping.updated("a@11").await;
    assert_eq!(looping.lister.resource_version(), "11");
    looping.reflect(Reflected::Bookmark { resource_version: "15".to_owned() }).await;
    assert_eq!(looping.lister.resource_version(), "15");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(looping.lister.resource_version(), "15", "a resync brings nothing new");
    looping.deleted("b@16").await;
    assert_eq!(looping.lister.resource_version(), "16");
    looping.deleted("nobody@17").await;
    assert_eq!(looping.lister.resource_version(), "17", "there was nothing to apply");
    looping.list("20").await;
    assert_eq!(looping.lister.resource_version(), "20");
}

#[tokio::test(start_paused = true)]
async fn an_object_without_a_version_leaves_the_cache_at_the_one_it_has() {
    let (looping, queue) = Looping::listed("10 a@5").await;
    looping.updated("a@").await;
    assert_eq!(told(&queue), ["updated a@5 a@"]);
    assert_eq!(looping.lister.resource_version(), "10");
}

/// client-go: SI-10.
#[tokio::test(start_paused = true)]
async fn a_listener_that_joins_is_told_what_is_cached_and_then_what_follows() {
    let (looping, early) = Looping::listed("10 a@5 b@7").await;
    looping.updated("a@11").await;
    // All of this waits in the two channels at once.
    let late = ListenerQueue::new(DeliveryPolicy::default());
    let join = Command::AddListener { queue: late.clone(), resync_period: None };
    looping.reflected.try_send(Reflected::Deleted(object("b@12"))).unwrap();
    looping.commands.try_send(join).unwrap();
    looping.reflected.try_send(Reflected::Added(object("c@13"))).unwrap();
    settle().await;
    let mut told_late = told(&late);
    let synced = told_late.iter().position(|line| line == "synced").unwrap();
    told_late[..synced].sort();
    let expected =
        ["added a@11 initial", "added b@7 initial", "synced", "deleted b@12", "added c@13"];
    assert_eq!(told_late, expected);
    assert_eq!(told(&early), ["updated a@5 a@11", "deleted b@12", "added c@13"]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_everything_is_applied_and_closes_the_listeners() {
    let (Looping { reflected, commands, lister, mut task, .. }, queue) =
        Looping::listed("10 a@5").await;
    reflected.try_send(Reflected::Updated(object("a@11"))).unwrap();
    drop(reflected);
    task.join_next().await.unwrap().unwrap();
    assert_eq!(texts(lister.list()), ["a@11"]);
    assert!(queue.is_closed());
    assert_eq!(told(&queue), ["updated a@5 a@11"]);
    assert!(commands.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_joins_at_the_very_end_is_closed() {
    let (looping, _queue) = Looping::listed("10 a@5").await;
    let Looping { reflected, commands, mut task, .. } = looping;
    // The loop restarts, so both are found after it saw the end.
    panic_on("a@11", 5);
    reflected.try_send(Reflected::Updated(object("a@11"))).unwrap();
    drop(reflected);
    sleep(Duration::from_millis(1500)).await;
    let late = ListenerQueue::new(DeliveryPolicy::default());
    let join = Command::AddListener { queue: late.clone(), resync_period: None };
    commands.try_send(join).unwrap();
    task.join_next().await.unwrap().unwrap();
    assert!(late.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_closed_listener_is_forgotten() {
    let looping = Looping::start();
    looping.list("10 a@5").await;
    let queue = looping.join(None).await;
    queue.close();
    assert!(queue.holders() > 1);
    // Nothing needs to happen on the server.
    looping.join(None).await;
    assert_eq!(queue.holders(), 1);

    let queue = looping.join(None).await;
    queue.close();
    looping.updated("a@11").await;
    assert_eq!(queue.holders(), 1);
}

//! Applies what the reflector saw to the cache, and says what changed.
//!
//! in:   [`Reflected`] from the reflector; handlers and indices that join
//! out:  the cache, then a [`Notification`] to every listener
//! runs: one task per informer, until the reflector has ended and the queue is drained.
//!
//! One task owns the queue, the cache's writing end and the listeners. So a list is compared with a
//! cache that nothing else is changing, and a handler that joins late misses nothing and is told
//! nothing twice.
//!
//! client-go: `controller.processLoop`, `processDeltas` (rules PL and PD), and `blockDeltas`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::event_handler::Notification;
use crate::hash::HashSet;
use crate::indexer::{IndexError, IndexFunc, Indexer};
use crate::object::{Object, ObjectKey};
use crate::processor_listener::ListenerQueue;
use crate::queue::{Delta, Deltas, Popped, ProcessError, Queue, ReplacedList};
use crate::reflector::{REFLECTED_MAX, Reflected};
use crate::shared_processor::SharedProcessor;
use crate::status::InformerCounters;

/// What others ask of the process loop while it runs.
pub(crate) enum Command {
    AddListener {
        queue: ListenerQueue,
        resync_period: Option<Duration>,
    },
    /// If `replaced` is dropped instead, the informer has ended.
    ReplaceListener {
        old: ListenerQueue,
        new: ListenerQueue,
        resync_period: Option<Duration>,
        drain: Duration,
        replaced: oneshot::Sender<()>,
    },
    SetResyncPeriod {
        queue: ListenerQueue,
        resync_period: Option<Duration>,
    },
    AddIndex {
        name: String,
        index_func: IndexFunc,
        added: AnswerSender,
    },
}

type AnswerSender = oneshot::Sender<Result<(), IndexError>>;

pub(crate) struct ProcessLoop<Q> {
    pub(crate) reflected: mpsc::Receiver<Reflected>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) queue: Q,
    pub(crate) indexer: Indexer,
    pub(crate) shared_processor: SharedProcessor,
    pub(crate) has_synced: watch::Sender<bool>,
    pub(crate) counters: Arc<InformerCounters>,
    /// The version that the cache is at when the queue is empty again.
    pub(crate) reflected_version: Option<String>,
}

impl<Q: Queue> ProcessLoop<Q> {
    /// Runs until the reflector is gone and everything it saw has been applied. If processing
    /// fails, what could not be applied stays queued and the loop starts again after a second.
    pub(crate) async fn run(mut self) {
        let mut left_when_closed = usize::MAX;
        while let Err(error) = self.run_until_closed().await {
            tracing::error!(error, "the process loop ended early and is restarted");
            self.counters.process_loop_restarts.add(1);
            sleep(RESTART_DELAY).await;
            if self.queue.is_closed() {
                let left = self.queue.len();
                if left >= left_when_closed {
                    tracing::error!(left, "the informer ends, and some objects were not applied");
                    break;
                }
                left_when_closed = left;
            }
            // An object that keeps failing delays the others but does not stop them.
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
            self.take_in_what_waits();
        }
        self.end().await;
    }

    async fn run_until_closed(&mut self) -> Result<(), String> {
        loop {
            self.process_queued().await?;
            self.signal_synced();
            if self.queue.is_closed() {
                return Ok(());
            }
            let next_resync = self.shared_processor.next_resync(Instant::now());
            // In this order: only what the reflector saw can come in a flood.
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => self.obey(command),
                () = sleep_until(next_resync.unwrap_or_else(Instant::now)),
                    if next_resync.is_some() => self.resync(),
                reflected = self.reflected.recv() => match reflected {
                    Some(reflected) => {
                        self.take_in(reflected);
                        // What follows the first list is told after `Synced`.
                        if *self.has_synced.borrow() {
                            self.take_in_what_comes().await;
                        }
                    }
                    None => self.queue.close(),
                },
            }
        }
    }

    /// Pops each queued item once, so that one that fails does not hold up the others. An error is
    /// worth a restart; what could not be applied is queued again.
    async fn process_queued(&mut self) -> Result<(), String> {
        let mut result = Ok(());
        let mut left = self.queue.len();
        let mut since_yield = 0;
        while left > 0 {
            let Self { queue, indexer, shared_processor, .. } = self;
            let (queued, in_order) = (queue.len(), queue.is_in_order());
            let popped = queue.pop_batch(|deltas, in_initial_list| {
                let mut changes = Vec::new();
                let applied = catch_unwind(AssertUnwindSafe(|| {
                    handle_deltas(indexer, deltas, in_order, in_initial_list, &mut changes);
                }));
                // What was applied is told, also if the rest was not.
                let now = Instant::now();
                for Change { notification, is_sync } in changes {
                    shared_processor.distribute(&notification, is_sync, now);
                }
                applied.map_err(|panic| ProcessError::Failed(panic_message(panic.as_ref())))
            });
            let mut processed = queued - queue.len();
            if let Popped::Processed(Err(ProcessError::Failed(error))) = popped {
                result = Err(error);
                // The one that failed is queued again.
                processed += 1;
            }
            left = left.saturating_sub(processed);
            since_yield += processed;
            if since_yield >= ITEMS_PER_TURN {
                since_yield = 0;
                self.shared_processor.wake();
                tokio::task::yield_now().await;
            }
        }
        self.shared_processor.wake();
        if self.queue.is_empty()
            && let Some(resource_version) = self.reflected_version.take()
        {
            self.indexer.set_resource_version(resource_version);
        }
        result
    }

    /// All that the reflector saw, and what it sees while it has something to read: in a flood, the
    /// handlers are woken once for many changes. A change that comes alone waits for one turn of
    /// the other tasks, which takes microseconds.
    async fn take_in_what_comes(&mut self) {
        self.take_in_what_waits();
        for _ in 0..TURNS_MAX {
            tokio::task::yield_now().await;
            if self.take_in_what_waits() == 0 {
                return;
            }
        }
    }

    /// All that the reflector saw meanwhile, so that it can be processed together. Bounded, since
    /// the reflector goes on. Gives how much that was.
    fn take_in_what_waits(&mut self) -> usize {
        for taken in 0..REFLECTED_MAX {
            match self.reflected.try_recv() {
                Ok(reflected) => self.take_in(reflected),
                Err(TryRecvError::Empty) => return taken,
                Err(TryRecvError::Disconnected) => {
                    self.queue.close();
                    return taken;
                }
            }
        }
        REFLECTED_MAX
    }

    /// Closes every listener, those that were about to join too.
    async fn end(mut self) {
        self.shared_processor.close();
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            if let Command::AddListener { queue: new, .. } | Command::ReplaceListener { new, .. } =
                command
            {
                new.close();
            }
        }
    }

    fn take_in(&mut self, reflected: Reflected) {
        let known_objects = self.indexer.lister();
        let queue = &mut self.queue;
        let resource_version = reflected.resource_version();
        // An object without a version says nothing of it.
        if !resource_version.is_empty() {
            let reached = self.reflected_version.get_or_insert_default();
            reached.clear();
            reached.push_str(resource_version);
        }
        let left_out = match reflected {
            Reflected::Added(object) => queue.add(object).err().into_iter().collect(),
            Reflected::Updated(object) => queue.update(object).err().into_iter().collect(),
            Reflected::Deleted(object) => {
                queue.delete(object, &known_objects).err().into_iter().collect()
            }
            Reflected::Replaced { objects, left_out, resource_version } => {
                queue.replace_leaving_out(objects, left_out, &resource_version, &known_objects)
            }
            Reflected::Bookmark { resource_version } => {
                queue.bookmark(&resource_version);
                Vec::new()
            }
        };
        for error in left_out {
            tracing::warn!(error, "an object was left out: its transform failed");
            self.counters.rejected.add(1);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::AddListener { queue, resync_period } => self.join(queue, resync_period),
            Command::ReplaceListener { old, new, resync_period, drain, replaced } => {
                old.close_within(drain);
                self.succeed(&old, new, resync_period);
                // The registration may have been dropped; the old one is replaced all the same.
                let _ = replaced.send(());
            }
            Command::SetResyncPeriod { queue, resync_period } => {
                self.shared_processor.set_resync_period(&queue, resync_period);
            }
            Command::AddIndex { name, index_func, added } => {
                // Nobody waits for the answer any more: the index is there all the same.
                let _ = added.send(self.indexer.add_index(&name, index_func));
            }
        }
    }

    /// A handler that joins late gets what is cached, then everything that comes after it.
    ///
    /// client-go: `AddEventHandler` on a started informer (SI-10).
    fn join(&mut self, queue: ListenerQueue, resync_period: Option<Duration>) {
        let now = Instant::now();
        for object in self.indexer.lister().list() {
            queue.push(Notification::Added { object, in_initial_list: true }, now);
        }
        if *self.has_synced.borrow() {
            queue.push(Notification::Synced, now);
        }
        queue.wake();
        self.shared_processor.add_listener(queue, resync_period);
    }

    /// One handler takes in nothing more, and another one joins, with nothing in between.
    fn succeed(
        &mut self,
        old: &ListenerQueue,
        new: ListenerQueue,
        resync_period: Option<Duration>,
    ) {
        let arrivals = old.pending().arrivals();
        new.pending().count_on_from(arrivals);
        self.join(new.clone(), resync_period);
        new.pending().expect_told();
    }

    fn resync(&mut self) {
        if self.shared_processor.resync_due(Instant::now()) {
            self.queue.resync(&self.indexer.lister());
        }
    }

    /// The first list has been applied: every handler's initial list ends here.
    fn signal_synced(&mut self) {
        if self.queue.has_synced() && !*self.has_synced.borrow() {
            self.has_synced.send_replace(true);
            self.shared_processor.distribute(&Notification::Synced, false, Instant::now());
            self.shared_processor.wake();
        }
    }
}

/// What handlers are to be told.
struct Change {
    notification: Notification,
    /// Old and new are the same state.
    is_sync: bool,
}

/// Applies deltas to the cache, oldest first, and removes each that has been applied. What the cache
/// holds decides what handlers are told, not the delta's name. Only changes that come `in_order` of
/// versions move the cache's version one by one.
///
/// client-go: `processDeltas`, `processDeltasInBatch`, `processReplacedAllInfo`. Unlike there, an
/// object with another uid is not an update but a deletion and an addition, and the deletion of an
/// object that the cache does not have is not told.
fn handle_deltas(
    indexer: &mut Indexer,
    deltas: &mut Deltas,
    in_order: bool,
    in_initial_list: bool,
    changes: &mut Vec<Change>,
) {
    while let Some(delta) = deltas.front() {
        match delta {
            Delta::ReplacedAll(list) => {
                replace_all(indexer, list, in_initial_list, changes);
                deltas.pop_front();
            }
            Delta::SyncAll => {
                let objects = indexer.lister().list();
                changes.extend(objects.into_iter().map(|it| Change::of_update(it.clone(), it)));
                deltas.pop_front();
            }
            Delta::Bookmark { resource_version } => {
                indexer.set_resource_version(resource_version.clone());
                deltas.pop_front();
            }
            _ => apply_each(indexer, deltas, in_order, in_initial_list, changes),
        }
    }
}

/// Applies the deltas in front that are about one object each, as one transaction.
fn apply_each(
    indexer: &mut Indexer,
    deltas: &mut Deltas,
    in_order: bool,
    in_initial_list: bool,
    changes: &mut Vec<Change>,
) {
    let mut transaction = indexer.transaction();
    while let Some(delta) = deltas.front() {
        #[cfg(test)]
        tests::panic_if_asked(delta);
        match delta {
            Delta::Added(object) | Delta::Updated(object) if in_order => {
                let old = transaction.update(object.clone());
                changes.extend(Change::of_state(old, object.clone(), in_initial_list));
            }
            Delta::Added(object)
            | Delta::Updated(object)
            | Delta::Replaced(object)
            | Delta::Sync(object) => {
                let old = transaction.put(object.clone());
                changes.extend(Change::of_state(old, object.clone(), in_initial_list));
            }
            Delta::Deleted(last) => {
                let deleted_at = in_order.then_some(&*last.resource_version);
                let old = transaction.delete(&last.key, deleted_at);
                changes.extend(old.map(|_| Change::of_deletion(last.clone(), false)));
            }
            Delta::DeletedFinalStateUnknown(last) => {
                let old = transaction.delete(&last.key, None);
                changes.extend(old.map(|_| Change::of_deletion(last.clone(), true)));
            }
            Delta::ReplacedAll(_) | Delta::SyncAll | Delta::Bookmark { .. } => return,
        }
        deltas.pop_front();
    }
}

/// Swaps the whole cache, and finds out what that changed: deletions first, then each object in the
/// list's order.
///
/// client-go: PD-6. Unlike there, an object that a list has twice is added once.
fn replace_all(
    indexer: &mut Indexer,
    ReplacedList { resource_version, objects, left_out }: &ReplacedList,
    in_initial_list: bool,
    changes: &mut Vec<Change>,
) {
    let lister = indexer.lister();
    let kept = left_out.iter().filter_map(|key| lister.get(key));
    let new: Vec<_> = objects.iter().cloned().chain(kept).collect();
    let listed: HashSet<&ObjectKey> = new.iter().map(|object| &object.key).collect();
    let mut states = indexer.replace(new.clone(), resource_version.to_owned());
    let gone = states.values().filter(|last| !listed.contains(&last.key));
    changes.extend(gone.map(|last| Change::of_deletion(last.clone(), true)));
    for object in objects {
        let old = states.insert(object.key.clone(), object.clone());
        changes.extend(Change::of_state(old, object.clone(), in_initial_list));
    }
}

impl Change {
    fn of_update(old: Arc<Object>, new: Arc<Object>) -> Self {
        let is_sync = is_same_state(&old, &new);
        Self { notification: Notification::Updated { old, new }, is_sync }
    }

    fn of_deletion(last: Arc<Object>, final_state_unknown: bool) -> Self {
        let notification = Notification::Deleted { last, final_state_unknown };
        Self { notification, is_sync: false }
    }

    /// An object is in a state now, and the cache had the old one.
    fn of_state(
        old: Option<Arc<Object>>,
        new: Arc<Object>,
        in_initial_list: bool,
    ) -> impl Iterator<Item = Self> {
        let (deletion, change) = match old {
            Some(old) if old.uid == new.uid => (None, Self::of_update(old, new)),
            old => {
                let notification = Notification::Added { object: new, in_initial_list };
                let addition = Self { notification, is_sync: false };
                (old.map(|last| Self::of_deletion(last, true)), addition)
            }
        };
        deletion.into_iter().chain([change])
    }
}

/// client-go compares the versions only (SI-14), so that every change is a resync once a transform
/// has removed them.
fn is_same_state(old: &Object, new: &Object) -> bool {
    old.resource_version == new.resource_version
        && (!new.resource_version.is_empty() || old.json == new.json)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// client-go: `wait.Until(c.processLoop, time.Second, ...)`.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// How often the reflector may go on before what it saw is processed. It reads one event or some in a turn, which
/// takes some ten microseconds each.
const TURNS_MAX: usize = 32;

/// Other tasks get their turn after this many items, or after a batch that has more.
const ITEMS_PER_TURN: usize = 256;

#[cfg(test)]
mod tests;

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

use crate::delta_fifo::{Delta, DeltaFifo, Deltas, Popped, ProcessError};
use crate::event_handler::Notification;
use crate::indexer::{IndexError, IndexFunc, Indexer};
use crate::object::Object;
use crate::processor_listener::ListenerQueue;
use crate::reflector::{REFLECTED_MAX, Reflected};
use crate::shared_processor::SharedProcessor;
use crate::status::InformerCounters;

/// What others ask of the process loop while it runs.
pub(crate) enum Command {
    AddListener { queue: ListenerQueue, resync_period: Option<Duration> },
    AddIndex { name: String, index_func: IndexFunc, added: AnswerSender },
}

type AnswerSender = oneshot::Sender<Result<(), IndexError>>;

pub(crate) struct ProcessLoop {
    pub(crate) reflected: mpsc::Receiver<Reflected>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) delta_fifo: DeltaFifo,
    pub(crate) indexer: Indexer,
    pub(crate) shared_processor: SharedProcessor,
    pub(crate) has_synced: watch::Sender<bool>,
    pub(crate) counters: Arc<InformerCounters>,
    /// What the cache will be at when the queue is empty.
    pub(crate) reflected_version: Option<String>,
}

impl ProcessLoop {
    /// Runs until the reflector is gone and everything it saw has been applied. If processing
    /// fails, what could not be applied stays queued and the loop starts again after a second.
    pub(crate) async fn run(mut self) {
        let mut left_when_closed = usize::MAX;
        while let Err(error) = self.run_until_closed().await {
            tracing::error!(error, "the process loop ended early and is restarted");
            self.counters.process_loop_restarts.add(1);
            sleep(RESTART_DELAY).await;
            if self.delta_fifo.is_closed() {
                let left = self.delta_fifo.len();
                if left >= left_when_closed {
                    tracing::error!(left, "the informer ends, and some objects were not applied");
                    break;
                }
                left_when_closed = left;
            }
            self.take_what_waits();
        }
        self.end().await;
    }

    async fn run_until_closed(&mut self) -> Result<(), String> {
        loop {
            self.process_queued().await?;
            self.signal_synced();
            if self.delta_fifo.is_closed() {
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
                    Some(reflected) => self.queue(reflected),
                    None => self.delta_fifo.close(),
                },
            }
        }
    }

    /// Pops each queued key once, so that one that fails does not hold up the others. An error is
    /// worth a restart; what could not be applied is queued again.
    async fn process_queued(&mut self) -> Result<(), String> {
        let mut result = Ok(());
        for processed in 1..=self.delta_fifo.len() {
            let Self { delta_fifo, indexer, shared_processor, .. } = self;
            let popped = delta_fifo.pop(|deltas, in_initial_list| {
                let applied = catch_unwind(AssertUnwindSafe(|| {
                    handle_deltas(indexer, shared_processor, deltas, in_initial_list);
                }));
                applied.map_err(|panic| ProcessError::Failed(panic_message(panic.as_ref())))
            });
            if let Popped::Processed(Err(ProcessError::Failed(error))) = popped {
                result = Err(error);
            }
            if processed % POPS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        if self.delta_fifo.is_empty()
            && let Some(resource_version) = self.reflected_version.take()
        {
            self.indexer.set_resource_version(resource_version);
        }
        result
    }

    /// After a restart: takes in what has come meanwhile, so that an object that keeps failing
    /// delays the others but does not stop them.
    fn take_what_waits(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        for _ in 0..REFLECTED_MAX {
            match self.reflected.try_recv() {
                Ok(reflected) => self.queue(reflected),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.delta_fifo.close(),
            }
        }
    }

    /// Closes every listener, those that were about to join too.
    async fn end(mut self) {
        self.shared_processor.close();
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            if let Command::AddListener { queue, .. } = command {
                queue.close();
            }
        }
    }

    fn queue(&mut self, reflected: Reflected) {
        let known_objects = self.indexer.lister();
        let fifo = &mut self.delta_fifo;
        if let Some(version) = &mut self.reflected_version
            && let Reflected::Added(object)
            | Reflected::Updated(object)
            | Reflected::Deleted(object) = &reflected
        {
            // A list waits to be applied, and this is newer.
            *version = object.resource_version.to_string();
        }
        let left_out = match reflected {
            Reflected::Added(object) => fifo.add(object).err().into_iter().collect(),
            Reflected::Updated(object) => fifo.update(object).err().into_iter().collect(),
            Reflected::Deleted(object) => {
                fifo.delete(object, &known_objects).err().into_iter().collect()
            }
            Reflected::Replaced { objects, resource_version } => {
                self.reflected_version = Some(resource_version);
                fifo.replace(objects, &known_objects)
            }
            Reflected::Bookmark { resource_version } => {
                self.reflected_version = Some(resource_version);
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
        for object in self.indexer.lister().list() {
            queue.push(Notification::Added { object, in_initial_list: true });
        }
        if *self.has_synced.borrow() {
            queue.push(Notification::Synced);
        }
        self.shared_processor.add_listener(queue, resync_period);
    }

    fn resync(&mut self) {
        if self.shared_processor.resync_due(Instant::now()) {
            self.delta_fifo.resync(&self.indexer.lister());
        }
    }

    /// The first list has been applied: every handler's initial list ends here.
    fn signal_synced(&mut self) {
        if self.delta_fifo.has_synced() && !*self.has_synced.borrow() {
            self.has_synced.send_replace(true);
            self.shared_processor.distribute(&Notification::Synced, false);
        }
    }
}

/// Applies one object's deltas, oldest first, and removes each that has been applied. What the
/// cache holds decides what handlers are told, not the delta's name.
///
/// client-go: `processDeltas`. Unlike there, an object with another uid is not an update but a
/// deletion and an addition.
fn handle_deltas(
    indexer: &mut Indexer,
    shared_processor: &mut SharedProcessor,
    deltas: &mut Deltas,
    in_initial_list: bool,
) {
    while let Some(delta) = deltas.front().cloned() {
        #[cfg(test)]
        tests::panic_if_asked(&delta);
        match delta {
            Delta::Added(object) | Delta::Updated(object) => {
                let old = indexer.update(object.clone());
                distribute_update(shared_processor, old, object, in_initial_list);
            }
            Delta::Replaced(object) | Delta::Sync(object) => {
                let old = indexer.put(object.clone());
                distribute_update(shared_processor, old, object, in_initial_list);
            }
            Delta::Deleted(last) => {
                indexer.delete(&last.key, Some(&last.resource_version));
                let notification = Notification::Deleted { last, final_state_unknown: false };
                shared_processor.distribute(&notification, false);
            }
            Delta::DeletedFinalStateUnknown(last) => {
                indexer.delete(&last.key, None);
                let notification = Notification::Deleted { last, final_state_unknown: true };
                shared_processor.distribute(&notification, false);
            }
        }
        deltas.pop_front();
    }
}

fn distribute_update(
    shared_processor: &mut SharedProcessor,
    old: Option<Arc<Object>>,
    new: Arc<Object>,
    in_initial_list: bool,
) {
    match old {
        Some(old) if old.uid == new.uid => {
            let is_sync = is_same_state(&old, &new);
            shared_processor.distribute(&Notification::Updated { old, new }, is_sync);
        }
        old => {
            if let Some(last) = old {
                let deleted = Notification::Deleted { last, final_state_unknown: true };
                shared_processor.distribute(&deleted, false);
            }
            shared_processor
                .distribute(&Notification::Added { object: new, in_initial_list }, false);
        }
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

/// Other tasks get their turn after this many objects of a long list.
const POPS_PER_TURN: usize = 256;

#[cfg(test)]
mod tests;

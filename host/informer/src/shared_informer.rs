//! One resource, followed once, for any number of handlers.
//!
//! Builds the pipeline, starts it and ends it. Stages end because the one before them is gone: the
//! reflector is aborted, the process loop drains what it was given and closes the listeners, the
//! listeners deliver what they have.
//!
//! client-go: `sharedIndexInformer` (rules SI). Unlike there, an informer whose last handle is
//! dropped stops, and a handler that is removed gets what is queued for it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::compactor::Compactor;
use crate::delta_fifo::DeltaFifo;
use crate::event_handler::ResourceEventHandler;
use crate::indexer::{IndexError, IndexFunc, Indexer, Lister};
use crate::lister_watcher::ListerWatcher;
use crate::pending_notifications::DeliveryPolicy;
use crate::process_loop::{Command, ProcessLoop};
use crate::processor_listener::{self, ListenerQueue};
use crate::queue::{Queue, QueueKind, TransformFunc};
use crate::real_fifo::{RealFifo, RealFifoOptions};
use crate::reflector::{Compaction, REFLECTED_MAX, Reflector};
use crate::shared_processor::SharedProcessor;
use crate::status::{InformerCounters, ReflectorStatus};

mod handler_registration;

pub use handler_registration::HandlerRegistration;

/// A running informer; clones are handles to the same one. It runs until
/// [`SharedInformer::stop`], or until the last handle and registration are dropped.
#[derive(Clone)]
pub struct SharedInformer(Arc<Running>);

struct Running {
    commands: mpsc::Sender<Command>,
    lister: Lister,
    status: watch::Receiver<ReflectorStatus>,
    has_synced: watch::Receiver<bool>,
    counters: Arc<InformerCounters>,
    tasks: Mutex<Tasks>,
}

/// Dropping it aborts both.
struct Tasks {
    reflector: JoinSet<()>,
    process_loop: JoinSet<()>,
    stopped: bool,
}

/// A handle that does not keep the informer running.
#[derive(Clone)]
pub(crate) struct WeakInformer(Weak<Running>);

impl WeakInformer {
    /// None if it has been dropped or stopped.
    pub(crate) fn running(&self) -> Option<SharedInformer> {
        self.0.upgrade().map(SharedInformer).filter(|informer| !informer.is_stopped())
    }
}

/// How an informer follows its resource.
///
/// client-go: `SharedIndexInformerOptions`, `SetTransform`.
#[derive(Clone, Default)]
pub struct SharedInformerOptions {
    /// The order in which changes reach cache and handlers.
    pub queue: QueueKind,
    /// Applied to each object once, before anything else sees it.
    pub transform: Option<TransformFunc>,
}

/// How a handler is served.
#[derive(Clone, Debug, Default)]
pub struct HandlerOptions {
    /// Buffer and retries.
    pub delivery: DeliveryPolicy,
    /// The handler gets every object again, as an update that changes nothing, this often. At least
    /// one second; none or zero: never.
    pub resync_period: Option<Duration>,
    /// It is told nothing before [`HandlerRegistration::set_paused`] says so.
    pub paused: bool,
    /// Where the handler's task runs; none: where the caller runs.
    pub runtime: Option<Handle>,
}

impl SharedInformer {
    /// Starts to follow what `lister_watcher` gives. Must be called in a tokio runtime.
    pub fn start<L: ListerWatcher>(
        lister_watcher: L,
        options: SharedInformerOptions,
    ) -> SharedInformer {
        let SharedInformerOptions { queue, transform } = options;
        let compactor = Arc::new(Compactor::new());
        // What a transform makes of an object is what stays; so that is where it is compressed.
        let (transform, compactor) = match transform {
            Some(transform) => (Some(compacting(transform, compactor)), None),
            None => (None, Some(compactor)),
        };
        match queue {
            QueueKind::Delta => {
                Self::start_with(lister_watcher, DeltaFifo::new(transform), compactor)
            }
            QueueKind::InOrder => {
                let queue = RealFifo::new(RealFifoOptions::default(), transform);
                Self::start_with(lister_watcher, queue, compactor)
            }
        }
    }

    fn start_with<L: ListerWatcher, Q: Queue>(
        lister_watcher: L,
        queue: Q,
        compactor: Option<Arc<Compactor>>,
    ) -> SharedInformer {
        let (reflected_tx, reflected_rx) = mpsc::channel(REFLECTED_MAX);
        let (commands_tx, commands_rx) = mpsc::channel(COMMANDS_MAX);
        let (status_tx, status) = watch::channel(ReflectorStatus::default());
        let (synced_tx, has_synced) = watch::channel(false);
        let counters = Arc::new(InformerCounters::default());
        let indexer = Indexer::new();
        let lister = indexer.lister();

        let known_objects = lister.clone();
        let compaction = compactor.map(|compactor| Compaction { compactor, known_objects });
        let reflector =
            Reflector::new(lister_watcher, reflected_tx, status_tx, counters.clone(), compaction);
        let process_loop = ProcessLoop {
            reflected: reflected_rx,
            commands: commands_rx,
            queue,
            indexer,
            shared_processor: SharedProcessor::default(),
            has_synced: synced_tx,
            counters: counters.clone(),
            reflected_version: None,
        };
        let mut tasks =
            Tasks { reflector: JoinSet::new(), process_loop: JoinSet::new(), stopped: false };
        tasks.reflector.spawn(reflector.run());
        tasks.process_loop.spawn(process_loop.run());
        let tasks = Mutex::new(tasks);
        Self(Arc::new(Running {
            commands: commands_tx,
            lister,
            status,
            has_synced,
            counters,
            tasks,
        }))
    }

    /// Adds a handler: it gets every cached object, then [`Synced`], then what follows. If the
    /// informer has stopped, or stops meanwhile, the handler is told nothing, and its registration has
    /// ended.
    ///
    /// [`Synced`]: crate::Notification::Synced
    pub async fn add_event_handler<H: ResourceEventHandler>(
        &self,
        handler: H,
        options: HandlerOptions,
    ) -> HandlerRegistration {
        let queue = ListenerQueue::new(options.delivery.clone());
        let listener = processor_listener::run(queue.clone(), handler);
        let resync_period = options.resync_period;
        // Made first, so that the task ends if this call is given up.
        let registration = HandlerRegistration::start(self, queue.clone(), &options, listener);
        let add = Command::AddListener { queue, resync_period };
        if self.0.commands.send(add).await.is_err() {
            // The informer has stopped: nothing will ever come.
            registration.queue.close();
        }
        registration
    }

    /// Adds an index while the informer runs; what is cached is in it when this returns.
    pub async fn add_index(&self, name: &str, index_func: IndexFunc) -> Result<(), IndexError> {
        let (added, answer) = oneshot::channel();
        let command = Command::AddIndex { name: name.to_owned(), index_func, added };
        // If that fails, nobody answers.
        let _ = self.0.commands.send(command).await;
        answer.await.unwrap_or(Err(IndexError::Stopped))
    }

    /// The cache.
    pub fn lister(&self) -> &Lister {
        &self.0.lister
    }

    /// What the reflector does, and its changes.
    pub fn status(&self) -> watch::Receiver<ReflectorStatus> {
        self.0.status.clone()
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &InformerCounters {
        &self.0.counters
    }

    /// Whether the first list has been applied to the cache and queued for the handlers.
    pub fn has_synced(&self) -> bool {
        *self.0.has_synced.borrow()
    }

    /// Waits for [`SharedInformer::has_synced`]; false if the informer ends before.
    pub async fn wait_for_sync(&self) -> bool {
        self.0.has_synced.clone().wait_for(|synced| *synced).await.is_ok()
    }

    /// Stops following the server, and returns when everything seen so far is in the cache and in
    /// the handlers' queues. Those go on until they are drained.
    pub async fn stop(&self) {
        {
            let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.reflector.abort_all();
            tasks.stopped = true;
        }
        // The process loop holds the sender, and drops it when it ends.
        let mut process_loop = self.0.has_synced.clone();
        while process_loop.changed().await.is_ok() {}
    }

    /// It was stopped, or has ended by itself.
    pub(crate) fn is_stopped(&self) -> bool {
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.stopped || self.0.commands.is_closed()
    }

    pub(crate) fn downgrade(&self) -> WeakInformer {
        WeakInformer(Arc::downgrade(&self.0))
    }
}

fn compacting(transform: TransformFunc, compactor: Arc<Compactor>) -> TransformFunc {
    Arc::new(move |object| transform(object).inspect(|object| compactor.admit(object)))
}

/// Handlers and indices that may be waiting to join.
const COMMANDS_MAX: usize = 64;

#[cfg(test)]
mod tests;

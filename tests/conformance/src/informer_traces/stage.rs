//! Our side of a trace: one informer with all around it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use informer::{
    Delivery, Handled, HandlerOptions, HandlerRegistration, Notification, QueueKind,
    ResourceEventHandler, SharedInformer, SharedInformerOptions, TransformFunc,
};
use tokio::time::sleep;

use super::server::Server;
use super::{Action, Fifo, Handler, InformerTrace, Observation, Told, seconds};
use crate::objects::{text, texts, value, with_value};

/// Plays a trace in virtual time.
pub(super) fn play(trace: &InformerTrace) -> anyhow::Result<Vec<Observation>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let mut stage = Stage::new(trace);
        for handler in &trace.handlers {
            stage.join(handler).await;
        }
        let mut observations = Vec::new();
        for step in &trace.steps {
            for action in &step.actions {
                stage.act(action).await?;
            }
            sleep(seconds(step.wait)).await;
            observations.push(stage.observe());
            stage.server.calm_down();
        }
        Ok(observations)
    })
}

fn transform_func() -> TransformFunc {
    Arc::new(|object| Ok(with_value(&object, &format!("{}+", value(&object)))))
}

struct Stage {
    server: Server,
    informer: SharedInformer,
    handlers: Vec<Recorded>,
}

impl Stage {
    fn new(trace: &InformerTrace) -> Self {
        let server = Server::new(trace);
        let queue = match trace.queue {
            Fifo::Delta => QueueKind::Delta,
            Fifo::InOrder => QueueKind::InOrder,
        };
        let options =
            SharedInformerOptions { queue, transform: trace.transform.then(transform_func) };
        let informer = SharedInformer::start(server.clone(), options);
        Self { server, informer, handlers: Vec::new() }
    }

    async fn act(&mut self, action: &Action) -> anyhow::Result<()> {
        match action {
            Action::Change { change } => self.server.change(change)?,
            Action::Bookmark => self.server.bookmark(),
            Action::Close => self.server.close(None),
            Action::Reset => self.server.reset(),
            Action::Silence => self.server.silence(),
            Action::FailStream { failure } => self.server.close(Some(*failure)),
            Action::FailLists { failure, after, times } => {
                self.server.fail_lists(*failure, *after, *times);
            }
            Action::FailWatches { failure, times } => self.server.fail_watches(*failure, *times),
            Action::Join { handler } => self.join(handler).await,
            Action::Remove { index } => {
                let handler = self.handlers.get_mut(*index);
                handler.with_context(|| format!("no handler {index} has joined"))?.remove().await;
            }
            Action::Wait { wait } => sleep(seconds(*wait)).await,
        }
        Ok(())
    }

    async fn join(&mut self, handler: &Handler) {
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let recorder = Recorder { told: told.clone(), slow: handler.slow };
        let resync_period = handler.resync.map(seconds);
        let options = HandlerOptions { resync_period, ..HandlerOptions::default() };
        let registration = self.informer.add_event_handler(recorder, options).await;
        self.handlers.push(Recorded { told, registration: Some(registration) });
    }

    fn observe(&self) -> Observation {
        let mut store = texts(&self.informer.lister().list());
        store.sort();
        Observation {
            told: self.handlers.iter().map(Recorded::take).collect(),
            synced: self.handlers.iter().map(Recorded::has_synced).collect(),
            store,
            resource_version: self.informer.lister().resource_version(),
            requests: self.server.take_requests(),
        }
    }
}

/// A handler as the stage sees it.
struct Recorded {
    told: Arc<Mutex<Vec<Told>>>,
    /// None once it is removed.
    registration: Option<HandlerRegistration>,
}

impl Recorded {
    /// What it was told since the last call.
    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn has_synced(&self) -> bool {
        self.registration.as_ref().is_some_and(HandlerRegistration::has_synced)
    }

    async fn remove(&mut self) {
        if let Some(registration) = self.registration.take() {
            registration.remove(seconds(DRAIN_MAX)).await;
        }
    }
}

/// A handler that writes down what it is told.
struct Recorder {
    told: Arc<Mutex<Vec<Told>>>,
    /// How many seconds a call takes.
    slow: f64,
}

impl ResourceEventHandler for Recorder {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        let told = match &delivery.notification {
            Notification::Added { object, in_initial_list } => {
                Told::Added { object: text(object), initial: *in_initial_list }
            }
            Notification::Updated { old, new } => Told::Updated { old: text(old), new: text(new) },
            Notification::Deleted { last, final_state_unknown } => {
                Told::Deleted { object: text(last), final_state_unknown: *final_state_unknown }
            }
            Notification::Synced => Told::Synced,
        };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        if self.slow > 0.0 {
            sleep(seconds(self.slow)).await;
        }
        Handled::Done
    }
}

/// In seconds. What is queued for a handler that is removed is still delivered.
const DRAIN_MAX: f64 = 60.0;

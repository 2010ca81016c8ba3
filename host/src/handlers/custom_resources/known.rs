//! What is known of each custom resource: the object, what became of it, and what its status says.
//!
//! Level-triggered: the informer's notifications leave only the latest state here. Whoever acts on an object
//! takes what stands here then, and acts only if that is still the latest, so that a deletion is never
//! overtaken by what came before it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use informer::{Object, ObjectKey};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::object::HandlerObject;
use super::status::{Outcome, ResourceStatus};
use crate::handlers::definition::{DefinitionSource, HandlerDefinition};
use crate::handlers::registry::HandlerRegistry;
use crate::handlers::status::HandlerStatus;

/// The custom resources by key, which is also the name of the handler that one describes.
pub(super) struct KnownHandlers {
    registry: Arc<HandlerRegistry>,
    known: Mutex<Known>,
    /// There is something to apply.
    queued: Notify,
    removals: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Known {
    by_key: BTreeMap<ObjectKey, KnownHandler>,
    /// To be applied, each once, the longest waiting first.
    queue: VecDeque<ObjectKey>,
    /// The first list has been told.
    is_listed: bool,
}

struct KnownHandler {
    object: Arc<HandlerObject>,
    /// Since when the object asks for what it asks for now.
    since: Instant,
    is_queued: bool,
    /// This state of it has been applied, or refused.
    is_applied: bool,
    /// Why there is no handler.
    refused: Option<String>,
    /// What the server says in its status.
    reported: ResourceStatus,
}

/// A status that the server does not have yet.
pub(super) struct StatusChange {
    pub(super) object: Arc<HandlerObject>,
    pub(super) status: ResourceStatus,
    /// Not only numbers and messages have changed.
    pub(super) is_urgent: bool,
}

impl KnownHandlers {
    pub(super) fn new(registry: Arc<HandlerRegistry>) -> Self {
        let (known, removals) = (Mutex::default(), Mutex::default());
        Self { registry, known, queued: Notify::new(), removals }
    }

    /// The server has this.
    pub(super) fn told(&self, object: &Object) {
        let (object, reported) = match HandlerObject::read(object) {
            Ok(read) => read,
            Err(error) => {
                let handler = object.key.as_str();
                tracing::error!(handler, %error, "a custom resource that cannot be read; what runs goes on");
                return;
            }
        };
        let mut known = self.known();
        let key = object.key.clone();
        if let Some(before) = known.by_key.get_mut(&key)
            && before.object.is_same_generation(&object)
        {
            before.reported = reported;
            return;
        }
        let is_deleting = object.is_deleting;
        let before = known.by_key.remove(&key);
        let handler = KnownHandler {
            object: Arc::new(object),
            since: Instant::now(),
            is_queued: before.as_ref().is_some_and(|before| before.is_queued),
            is_applied: is_deleting,
            refused: before.and_then(|before| before.refused).filter(|_| !is_deleting),
            reported,
        };
        known.by_key.insert(key.clone(), handler);
        match is_deleting {
            // Whose finalizer it is does not matter: nobody wants it to run any more.
            true => self.remove(&key),
            false => self.enqueue(&mut known, &key),
        }
    }

    /// The server has it no more.
    pub(super) fn gone(&self, key: &ObjectKey) {
        let mut known = self.known();
        known.by_key.remove(key);
        self.remove(key);
    }

    /// The first list has been told.
    pub(super) fn listed(&self) {
        self.known().is_listed = true;
        self.queued.notify_one();
    }

    /// The first list has been told, and nothing waits to be applied.
    pub(super) fn is_first_list_applied(&self) -> bool {
        let known = self.known();
        known.is_listed && known.queue.is_empty()
    }

    /// Everything is to be applied again: a module's file may have changed.
    pub(super) fn apply_all_again(&self) {
        let mut known = self.known();
        let keys: Vec<ObjectKey> = known.by_key.keys().cloned().collect();
        for key in &keys {
            self.enqueue(&mut known, key);
        }
    }

    /// Waits until there is something to apply.
    pub(super) async fn queued(&self) {
        self.queued.notified().await;
    }

    /// What is to be applied next, of those namespaces that may have one more loaded.
    pub(super) fn next(&self, may_load: impl Fn(&str) -> bool) -> Option<Arc<HandlerObject>> {
        let mut known = self.known();
        let Known { by_key, queue, .. } = &mut *known;
        let of = |key: &ObjectKey| may_load(key.namespace().unwrap_or_default());
        while let Some(key) = queue.iter().position(of).and_then(|at| queue.remove(at)) {
            // It may be gone meanwhile.
            if let Some(handler) = by_key.get_mut(&key) {
                handler.is_queued = false;
                if !handler.object.is_deleting {
                    return Some(handler.object.clone());
                }
            }
        }
        None
    }

    /// Applies the handler that an object describes, or says why it describes none, unless the object has
    /// changed or gone meanwhile. Gives whether a handler was applied.
    pub(super) fn apply(
        &self,
        object: &Arc<HandlerObject>,
        definition: Result<HandlerDefinition, String>,
    ) -> bool {
        let mut known = self.known();
        let handler = known.by_key.get_mut(&object.key);
        let Some(handler) = handler.filter(|it| Arc::ptr_eq(&it.object, object)) else {
            return false;
        };
        handler.is_applied = true;
        let name = object.key.as_str();
        let refused = match definition {
            Ok(definition) => self.registry.apply(definition).err().map(|taken| taken.to_string()),
            // The handler says it, if there is one.
            Err(problem) => {
                (!self.is_ours(name) || !self.registry.refuse(name, &problem)).then_some(problem)
            }
        };
        if let Some(problem) = &refused
            && handler.refused.as_ref() != Some(problem)
        {
            tracing::error!(handler = name, problem, "no handler");
        }
        handler.refused = refused;
        handler.refused.is_none()
    }

    /// The statuses that are to be written. What is only passing is not said in the first `quiet` time.
    pub(super) fn status_changes(&self, now: Timestamp, quiet: Duration) -> Vec<StatusChange> {
        let known = self.known();
        let mut changes = Vec::new();
        for (key, it) in &known.by_key {
            let handler = self.handler(key.as_str()).filter(|_| it.refused.is_none());
            let outcome = match (&it.refused, &handler) {
                _ if it.object.is_deleting => Outcome::Deleting,
                (Some(problem), _) if it.is_applied => Outcome::Refused(problem),
                (None, Some(handler)) if it.is_applied => Outcome::Applied(handler),
                (_, handler) => Outcome::Queued(handler.as_ref()),
            };
            if outcome.is_passing() && it.since.elapsed() < quiet {
                continue;
            }
            let status = it.reported.next(&outcome, it.object.generation, now);
            if status != it.reported {
                let is_urgent = !status.is_same_verdict(&it.reported);
                changes.push(StatusChange { object: it.object.clone(), status, is_urgent });
            }
        }
        changes
    }

    /// The server has taken this status of an object.
    pub(super) fn reported(&self, object: &HandlerObject, status: ResourceStatus) {
        let mut known = self.known();
        let handler = known.by_key.get_mut(&object.key);
        if let Some(handler) = handler.filter(|it| it.object.uid == object.uid) {
            handler.reported = status;
        }
    }

    fn enqueue(&self, known: &mut Known, key: &ObjectKey) {
        let Some(handler) = known.by_key.get_mut(key).filter(|it| !it.is_queued) else { return };
        handler.is_queued = true;
        known.queue.push_back(key.clone());
        self.queued.notify_one();
    }

    /// Called with `known` locked, so that nothing is applied in between.
    fn remove(&self, key: &ObjectKey) {
        if !self.is_ours(key.as_str()) {
            return;
        }
        let removal = self.registry.remove(key.as_str(), DRAIN_MAX);
        let mut removals = self.removals.lock().unwrap_or_else(PoisonError::into_inner);
        while removals.try_join_next().is_some() {}
        removals.spawn(async move {
            removal.await;
        });
    }

    fn is_ours(&self, name: &str) -> bool {
        self.handler(name).is_some()
    }

    /// The handler that a custom resource describes.
    fn handler(&self, name: &str) -> Option<HandlerStatus> {
        let status = self.registry.status(name)?;
        matches!(status.source, DefinitionSource::Resource { .. }).then_some(status)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a handler whose custom resource is gone may take to finish what is queued.
const DRAIN_MAX: Duration = Duration::from_secs(5);

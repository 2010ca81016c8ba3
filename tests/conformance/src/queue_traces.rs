//! Traces through a queue: what the reflector puts in, what the process loop takes out.
//!
//! Every step tells whether it failed, what it popped, how much is queued, whether the queue has
//! synced, and what the consumer holds. What a trace leaves in the queue is popped at its end.
//!
//! client-go: `DeltaFIFO`, and `RealFIFO` with and without `AtomicEvents`.

use std::sync::Arc;

use informer::{
    Delta, DeltaFifo, Deltas, Indexer, Lister, Popped, Queue, RealFifo, RealFifoOptions,
    ReplacedList, TransformFunc,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::{option, prop_oneof};
use serde::{Deserialize, Serialize};

use crate::comparison::TraceKind;
use crate::objects::{object, objects, text, texts, value, with_value};

pub(crate) struct QueueTraces;

/// A queue, what its consumer holds at first, and what happens then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct QueueTrace {
    queue: Fifo,
    /// What the consumer holds at first. Without, the queue does not know its consumer.
    known_objects: Option<Vec<String>>,
    transform: Transform,
    /// How many items `pop_batch` takes at most; the queue's own number if there is none.
    batch_size: Option<usize>,
    operations: Vec<Operation>,
    /// Per operation, in which order the known objects were listed. The order is left open, so
    /// client-go is given the one that there was here.
    #[serde(default)]
    key_orders: Vec<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fifo {
    Delta,
    /// Without atomic events.
    InOrder,
    InOrderAtomic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Transform {
    None,
    /// Appends `+` to the value, so that an object that is transformed twice shows it.
    Mark,
    /// The same, but an error for objects with the value `bad`.
    RefuseBad,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Operation {
    Add { object: String },
    Update { object: String },
    Delete { object: String },
    Replace { objects: Vec<String>, resource_version: String },
    Resync,
    Bookmark { resource_version: String },
    Pop,
    PopBatch,
    Close,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Observation {
    failed: bool,
    popped: Option<PoppedItem>,
    length: usize,
    has_synced: bool,
    /// What the consumer holds, sorted.
    known: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoppedItem {
    state: State,
    deltas: Vec<String>,
    is_in_initial_list: bool,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Processed,
    Empty,
    Closed,
}

impl TraceKind for QueueTraces {
    const NAME: &'static str = "queue";
    const PER_RUN: u32 = 10_000;
    type Trace = QueueTrace;
    type Observation = Observation;

    fn traces() -> impl Strategy<Value = QueueTrace> {
        let trace = (
            select(vec![Fifo::Delta, Fifo::InOrder, Fifo::InOrderAtomic]),
            option::of(vec(an_object(), 0..4)),
            select(vec![Transform::None, Transform::Mark, Transform::RefuseBad]),
            option::of(1_usize..4),
            vec(an_operation(), 1..25),
        );
        trace.prop_map(|(queue, mut known_objects, transform, batch_size, operations)| {
            if queue == Fifo::InOrder {
                // Without, client-go panics.
                known_objects.get_or_insert_default();
            }
            let key_orders = Vec::new();
            let trace =
                QueueTrace { queue, known_objects, transform, batch_size, operations, key_orders };
            without_transform_errors_that_lose_state(trace)
        })
    }

    fn run(trace: &mut QueueTrace) -> anyhow::Result<Vec<Observation>> {
        let transform = trace.transform.func();
        let mut options = RealFifoOptions { atomic_events: false, ..RealFifoOptions::default() };
        if let Some(batch_size) = trace.batch_size {
            options.batch_size = batch_size;
        }
        match trace.queue {
            Fifo::Delta => Consumer::new(DeltaFifo::new(transform), trace)?.run(),
            Fifo::InOrder => Consumer::new(RealFifo::new(options, transform), trace)?.run(),
            Fifo::InOrderAtomic => {
                options.atomic_events = true;
                Consumer::new(RealFifo::new(options, transform), trace)?.run()
            }
        }
    }
}

/// Deliberate difference: where the transform refuses one object of a list, client-go gives up the
/// list, here that object is left out; where it refuses a deletion, client-go never tells it, here
/// the last known state is told. So no such object is in a list or deleted.
fn without_transform_errors_that_lose_state(mut trace: QueueTrace) -> QueueTrace {
    let accept = |object: &mut String| *object = object.replace("=bad", "=x");
    for operation in &mut trace.operations {
        match operation {
            Operation::Replace { objects, .. } => objects.iter_mut().for_each(accept),
            Operation::Delete { object } => accept(object),
            _ => {}
        }
    }
    trace
}

/// Few keys and versions, so that they meet often.
fn an_object() -> impl Strategy<Value = String> {
    let keys = select(vec!["a", "b", "web/a", "web/b", "c"]);
    let values = select(vec!["", "=x", "=y", "=bad"]);
    (keys, 1..10, values).prop_map(|(key, version, value)| format!("{key}@{version}{value}"))
}

fn a_resource_version() -> impl Strategy<Value = String> {
    (1..10_u32).prop_map(|version| version.to_string())
}

fn an_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => an_object().prop_map(|object| Operation::Add { object }),
        4 => an_object().prop_map(|object| Operation::Update { object }),
        4 => an_object().prop_map(|object| Operation::Delete { object }),
        3 => (vec(an_object(), 0..4), a_resource_version())
            .prop_map(|(objects, resource_version)| Operation::Replace { objects, resource_version }),
        2 => Just(Operation::Resync),
        1 => a_resource_version().prop_map(|resource_version| Operation::Bookmark { resource_version }),
        6 => Just(Operation::Pop),
        3 => Just(Operation::PopBatch),
        1 => any::<bool>().prop_map(|close| if close { Operation::Close } else { Operation::Pop }),
    ]
}

impl Transform {
    fn func(self) -> Option<TransformFunc> {
        let refuses_bad = match self {
            Self::None => return None,
            Self::Mark => false,
            Self::RefuseBad => true,
        };
        Some(Arc::new(move |object| {
            let value = value(&object);
            if refuses_bad && value == "bad" {
                return Err("bad".to_owned());
            }
            Ok(with_value(&object, &format!("{value}+")))
        }))
    }
}

/// A queue with what processes its items, as an informer does.
struct Consumer<'a, Q> {
    queue: Q,
    trace: &'a mut QueueTrace,
    /// What has been processed.
    store: Indexer,
    /// What the queue knows of it.
    known_objects: Lister,
}

impl<'a, Q: Queue> Consumer<'a, Q> {
    fn new(queue: Q, trace: &'a mut QueueTrace) -> anyhow::Result<Self> {
        let mut store = Indexer::new();
        let known_objects = match &trace.known_objects {
            Some(_) => store.lister(),
            None => Indexer::new().lister(),
        };
        for object in objects(trace.known_objects.as_deref().unwrap_or_default())? {
            store.update(object);
        }
        Ok(Self { queue, trace, store, known_objects })
    }

    fn run(mut self) -> anyhow::Result<Vec<Observation>> {
        let operations = self.trace.operations.clone();
        self.trace.key_orders.clear();
        let mut observations = Vec::new();
        for operation in operations {
            let known = self.known_objects.list();
            self.trace.key_orders.push(known.iter().map(|object| object.key.to_string()).collect());
            let (failed, popped) = self.step(operation)?;
            observations.push(self.observe(failed, popped));
        }
        while !self.queue.is_empty() {
            let popped = self.pop(false);
            observations.push(self.observe(false, Some(popped)));
        }
        Ok(observations)
    }

    /// Whether it failed, and what it popped.
    fn step(&mut self, operation: Operation) -> anyhow::Result<(bool, Option<PoppedItem>)> {
        let Self { queue, known_objects, .. } = self;
        let failed = match operation {
            Operation::Add { object: added } => queue.add(object(&added)?).is_err(),
            Operation::Update { object: updated } => queue.update(object(&updated)?).is_err(),
            Operation::Delete { object: deleted } => {
                queue.delete(object(&deleted)?, known_objects).is_err()
            }
            Operation::Replace { objects: listed, resource_version } => {
                !queue.replace(objects(&listed)?, &resource_version, known_objects).is_empty()
            }
            Operation::Resync => {
                queue.resync(known_objects);
                false
            }
            Operation::Bookmark { resource_version } => {
                queue.bookmark(&resource_version);
                false
            }
            Operation::Pop => return Ok((false, Some(self.pop(false)))),
            Operation::PopBatch => return Ok((false, Some(self.pop(true)))),
            Operation::Close => {
                queue.close();
                false
            }
        };
        Ok((failed, None))
    }

    fn pop(&mut self, batch: bool) -> PoppedItem {
        let Self { queue, store, .. } = self;
        let mut popped =
            PoppedItem { state: State::Processed, deltas: Vec::new(), is_in_initial_list: false };
        let process = |deltas: &mut Deltas, is_in_initial_list| {
            popped.is_in_initial_list = is_in_initial_list;
            popped.deltas = deltas.iter().map(delta_text).collect();
            apply(store, deltas);
            Ok(())
        };
        let outcome = if batch { queue.pop_batch(process) } else { queue.pop(process) };
        popped.state = match outcome {
            Popped::Processed(_) => State::Processed,
            Popped::Empty => State::Empty,
            Popped::Closed => State::Closed,
        };
        popped
    }

    fn observe(&self, failed: bool, popped: Option<PoppedItem>) -> Observation {
        let mut known = texts(&self.store.lister().list());
        known.sort();
        let (length, has_synced) = (self.queue.len(), self.queue.has_synced());
        Observation { failed, popped, length, has_synced, known }
    }
}

/// Does to the store what `handle_deltas` does.
fn apply(store: &mut Indexer, deltas: &mut Deltas) {
    for delta in deltas.drain(..) {
        match delta {
            Delta::Added(object)
            | Delta::Updated(object)
            | Delta::Replaced(object)
            | Delta::Sync(object) => _ = store.update(object),
            Delta::Deleted(object) | Delta::DeletedFinalStateUnknown(object) => {
                store.delete(&object.key, None);
            }
            Delta::ReplacedAll(list) => {
                store.replace(list.objects, list.resource_version);
            }
            Delta::SyncAll | Delta::Bookmark { .. } => {}
        }
    }
}

fn delta_text(delta: &Delta) -> String {
    match delta {
        Delta::Added(object) => format!("Added {}", text(object)),
        Delta::Updated(object) => format!("Updated {}", text(object)),
        Delta::Deleted(object) => format!("Deleted {}", text(object)),
        Delta::Replaced(object) => format!("Replaced {}", text(object)),
        Delta::Sync(object) => format!("Sync {}", text(object)),
        Delta::DeletedFinalStateUnknown(object) => {
            format!("DeletedFinalStateUnknown {}", text(object))
        }
        Delta::ReplacedAll(list) => {
            let ReplacedList { resource_version, objects, .. } = &**list;
            format!("ReplacedAll {resource_version} [{}]", texts(objects).join(" "))
        }
        Delta::SyncAll => "SyncAll".to_owned(),
        Delta::Bookmark { resource_version } => format!("Bookmark {resource_version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::{assert_equal, compare, differs};
    use crate::oracle::Oracle;

    #[test]
    fn queues_do_what_client_go_does() {
        assert_equal::<QueueTraces>(500);
    }

    /// Queue traces of which our side tells something else than it did.
    struct Altered<A>(A);

    trait Alteration {
        fn alter(observation: &mut Observation);
    }

    impl<A: Alteration> TraceKind for Altered<A> {
        const NAME: &'static str = QueueTraces::NAME;
        const PER_RUN: u32 = 1;
        type Trace = QueueTrace;
        type Observation = Observation;

        fn traces() -> impl Strategy<Value = QueueTrace> {
            QueueTraces::traces()
        }

        fn run(trace: &mut QueueTrace) -> anyhow::Result<Vec<Observation>> {
            let mut observations = QueueTraces::run(trace)?;
            observations.iter_mut().for_each(A::alter);
            Ok(observations)
        }
    }

    /// Finds the difference, and gives the smallest trace that shows it.
    fn found<A: Alteration>() -> QueueTrace {
        let mut oracle = Oracle::start().unwrap();
        let compared = compare::<Altered<A>>(1000, 1, &mut oracle).unwrap();
        let mismatch = compared.mismatch.expect("a difference");
        assert_ne!(mismatch.ours, mismatch.client_go);
        let trace: QueueTrace = serde_json::from_str(&mismatch.trace).unwrap();
        let unaltered = differs::<QueueTraces>(trace.clone(), &mut oracle).unwrap();
        assert!(unaltered.is_none(), "{unaltered:#?}");
        trace
    }

    struct LosesTombstones;

    impl Alteration for LosesTombstones {
        fn alter(observation: &mut Observation) {
            if let Some(popped) = &mut observation.popped {
                popped.deltas.retain(|delta| !delta.starts_with("DeletedFinalStateUnknown"));
            }
        }
    }

    #[test]
    fn lost_tombstone_is_found_in_the_smallest_trace() {
        let trace = found::<LosesTombstones>();
        assert!(matches!(&trace.operations[..], [.., Operation::Replace { .. }]), "{trace:?}");
        assert!(trace.operations.len() <= 2, "{trace:?}");
    }

    struct NewestFirst;

    impl Alteration for NewestFirst {
        fn alter(observation: &mut Observation) {
            if let Some(popped) = &mut observation.popped {
                popped.deltas.reverse();
            }
        }
    }

    #[test]
    fn wrong_order_is_found_in_the_smallest_trace() {
        let trace = found::<NewestFirst>();
        assert!(trace.operations.len() <= 3, "{trace:?}");
    }

    struct SyncsEarly;

    impl Alteration for SyncsEarly {
        fn alter(observation: &mut Observation) {
            observation.has_synced |= observation.length == 1;
        }
    }

    #[test]
    fn early_sync_is_found_in_the_smallest_trace() {
        let trace = found::<SyncsEarly>();
        assert!(trace.operations.len() <= 2, "{trace:?}");
    }
}

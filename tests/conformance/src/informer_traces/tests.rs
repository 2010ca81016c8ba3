use std::collections::BTreeMap;

use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::comparison::{assert_equal, compare, differs};
use crate::oracle::Oracle;

#[test]
fn informers_do_what_client_go_does() {
    assert_equal::<InformerTraces>(60);
}

/// Informer traces of which our side tells something else than it did.
struct Altered<A>(A);

trait Alteration {
    fn alter(told: &mut Vec<Told>);
}

impl<A: Alteration> TraceKind for Altered<A> {
    const NAME: &'static str = InformerTraces::NAME;
    const PER_RUN: u32 = 1;
    type Trace = InformerTrace;
    type Observation = Observation;

    fn traces() -> impl Strategy<Value = InformerTrace> {
        InformerTraces::traces()
    }

    fn run(trace: &mut InformerTrace) -> anyhow::Result<Vec<Observation>> {
        let mut observations = InformerTraces::run(trace)?;
        observations.iter_mut().flat_map(|it| &mut it.told).for_each(A::alter);
        Ok(observations)
    }

    fn normalise(
        trace: &InformerTrace,
        ours: &mut Vec<Observation>,
        client_go: &mut Vec<Observation>,
    ) {
        InformerTraces::normalise(trace, ours, client_go);
    }
}

/// Finds the difference, and gives the smallest trace that shows it.
fn found<A: Alteration>() -> InformerTrace {
    let mut oracle = Oracle::start().unwrap();
    let compared = compare::<Altered<A>>(1000, 1, &mut oracle).unwrap();
    let mismatch = compared.mismatch.expect("a difference");
    let trace: InformerTrace = serde_json::from_str(&mismatch.trace).unwrap();
    let unaltered = differs::<InformerTraces>(trace.clone(), &mut oracle).unwrap();
    assert!(unaltered.is_none(), "{unaltered:#?}");
    trace
}

struct LosesTombstones;

impl Alteration for LosesTombstones {
    fn alter(told: &mut Vec<Told>) {
        told.retain(|it| !matches!(it, Told::Deleted { final_state_unknown: true, .. }));
    }
}

#[test]
fn lost_tombstone_is_found_in_the_smallest_trace() {
    let trace = found::<LosesTombstones>();
    assert!(trace.steps.len() <= 3, "{trace:?}");
    assert_eq!(trace.handlers.len(), 1, "{trace:?}");
}

struct SwapsTheLastTwo;

impl Alteration for SwapsTheLastTwo {
    fn alter(told: &mut Vec<Told>) {
        if let [.., older, newer] = &mut told[..]
            && !matches!((&older, &newer), (_, Told::Synced) | (Told::Synced, _))
        {
            std::mem::swap(older, newer);
        }
    }
}

#[test]
fn wrong_order_is_found() {
    found::<SwapsTheLastTwo>();
}

/// What is in no trace is not compared.
#[test]
fn traces_meet_everything_that_matters() {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeMap::<&str, u32>::new();
    for _ in 0..InformerTraces::PER_RUN {
        let mut trace = InformerTraces::traces().new_tree(&mut runner).unwrap().current();
        let observations = InformerTraces::run(&mut trace).unwrap();
        let mut meet = |what, is_met| *met.entry(what).or_default() += u32::from(is_met);
        meet("delta", trace.queue == Fifo::Delta);
        meet("in-order", trace.queue == Fifo::InOrder);
        let mut handlers = 0;
        for (number, (step, observation)) in trace.steps.iter().zip(&observations).enumerate() {
            let told = || observation.told.iter().flatten();
            let changes = |told: &Told| matches!(told, Told::Updated { old, new } if old != new);
            let resyncs = |told: &Told| matches!(told, Told::Updated { old, new } if old == new);
            meet("update", told().any(changes));
            meet("addition", told().any(|it| matches!(it, Told::Added { initial: false, .. })));
            meet("deletion", told().any(|it| !is_tombstone(it) && is_deletion(it)));
            meet("tombstone", told().any(is_tombstone));
            meet("resync", told().any(resyncs));
            let period = trace.default_resync.unwrap_or(f64::MAX);
            meet("relist told to who is due", step.length() < period && told().any(resyncs));
            meet("order across objects", is_order_defined(&trace, number) && told().count() > 2);
            meet("late handler", number > 0 && observation.told.len() > handlers);
            handlers = observation.told.len();
            let asked = |what: &str| observation.requests.iter().any(|it| it.starts_with(what));
            meet("list after an expiry", asked("list rv= "));
            meet("relist", number > 0 && (asked("list ") || asked("watch-list ")));
            meet("watch resumed", !asked("list ") && !asked("watch-list ") && asked("watch "));
            let continues = |request: &String| request.contains("continue=");
            meet("second page", observation.requests.iter().any(continues));
            let expired = |pair: &[String]| continues(&pair[0]) && pair[1].ends_with("limit=0");
            meet("expired page", observation.requests.windows(2).any(expired));
            meet("not synced", observation.synced.contains(&false));
        }
    }
    for (what, times) in &met {
        // An expired page is the rarest: a list in pages, of which the second one fails.
        let least = if *what == "expired page" { 1 } else { 20 };
        assert!(*times >= least, "{what} is met {times} times: {met:?}");
    }
}

fn is_deletion(told: &Told) -> bool {
    matches!(told, Told::Deleted { .. })
}

fn is_tombstone(told: &Told) -> bool {
    matches!(told, Told::Deleted { final_state_unknown: true, .. })
}

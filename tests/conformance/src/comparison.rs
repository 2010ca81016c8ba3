//! Runs traces on both sides and looks for one in which they differ.
//!
//! in:   a kind of traces, how many, a seed
//! out:  how many were compared, and the smallest trace found that differs

use std::any::Any;
use std::cell::RefCell;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::oracle::{Answer, Oracle, Request};

/// One kind of traces: what can happen in one, and how our side runs it. The other side is the file
/// of the same name in `go/oracle`.
pub(crate) trait TraceKind {
    /// What the oracle calls it.
    const NAME: &'static str;
    /// How many are compared in an ordinary run.
    const PER_RUN: u32;
    /// What happens; the oracle reads it as JSON.
    type Trace: Clone + Debug + Serialize + DeserializeOwned;
    /// What one step did, as far as anybody could tell.
    type Observation: PartialEq + Debug + DeserializeOwned;

    /// The traces that are compared.
    fn traces() -> impl Strategy<Value = Self::Trace>;

    /// Runs the trace through our types. May note in the trace what the oracle must know, such as an
    /// order that client-go leaves open.
    fn run(trace: &mut Self::Trace) -> anyhow::Result<Vec<Self::Observation>>;

    /// Removes from what both sides did where we differ on purpose, and what nobody defines.
    fn normalise(
        _trace: &Self::Trace,
        _ours: &mut Vec<Self::Observation>,
        _client_go: &mut Vec<Self::Observation>,
    ) {
    }
}

/// How a run ended.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    /// How many traces were run on both sides, not counting those of the shrinking.
    pub(crate) traces: u32,
    /// The smallest one found that differs.
    pub(crate) mismatch: Option<Mismatch>,
}

/// A trace in which the two sides differ.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Mismatch {
    /// The trace as JSON; `--replay` takes it.
    pub(crate) trace: String,
    /// The first step that differs, from 0.
    pub(crate) step: usize,
    /// What our side did in it.
    pub(crate) ours: String,
    /// What client-go did in it.
    pub(crate) client_go: String,
}

/// Compares this many traces, or fewer if one differs.
pub(crate) fn compare<K: TraceKind>(
    traces: u32,
    seed: u64,
    oracle: &mut Oracle,
) -> anyhow::Result<Compared> {
    let config = Config {
        cases: traces,
        failure_persistence: None,
        max_shrink_iters: MAX_SHRINK_STEPS,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, generator::<K>(seed));
    let search = RefCell::new(Search { oracle, compared: 0, mismatch: None, broken: None });
    let result = runner.run(&K::traces(), |trace| search.borrow_mut().look_at::<K>(trace));
    let Search { compared, mismatch, broken, .. } = search.into_inner();
    match (broken, result) {
        (Some(error), _) => Err(error),
        (None, Err(TestError::Abort(reason))) => anyhow::bail!("no traces: {reason}"),
        (None, Err(TestError::Fail(..))) if mismatch.is_none() => {
            anyhow::bail!("a trace failed, and it is not known how")
        }
        (None, _) => Ok(Compared { traces: compared, mismatch }),
    }
}

/// Runs one trace on both sides. A side that panics differs from whatever the other does.
pub(crate) fn differs<K: TraceKind>(
    mut trace: K::Trace,
    oracle: &mut Oracle,
) -> anyhow::Result<Option<Mismatch>> {
    let ours = match catch_unwind(AssertUnwindSafe(|| K::run(&mut trace))) {
        Ok(ours) => Ok(ours?),
        Err(panic) => Err(message(panic.as_ref())),
    };
    let request = Request { kind: K::NAME, trace: &trace };
    let (step, ours, client_go) = match (ours, oracle.ask::<_, K::Observation>(&request)?) {
        (Ok(mut ours), Answer::Observations(mut client_go)) => {
            K::normalise(&trace, &mut ours, &mut client_go);
            let steps = ours.len().max(client_go.len());
            let Some(step) = (0..steps).find(|&step| ours.get(step) != client_go.get(step)) else {
                return Ok(None);
            };
            (step, in_words(ours.get(step)), in_words(client_go.get(step)))
        }
        (Ok(_), Answer::Panic(theirs)) => (0, "no panic".to_owned(), format!("panic: {theirs}")),
        (Err(ours), Answer::Observations(_)) => (0, ours, "no panic".to_owned()),
        (Err(ours), Answer::Panic(theirs)) => (0, ours, format!("panic: {theirs}")),
    };
    let trace = serde_json::to_string(&request)?;
    Ok(Some(Mismatch { trace, step, ours, client_go }))
}

struct Search<'a> {
    oracle: &'a mut Oracle,
    compared: u32,
    /// The one found last, which is the smallest: shrinking goes on from what differs only.
    mismatch: Option<Mismatch>,
    /// Why nothing can be compared any more.
    broken: Option<anyhow::Error>,
}

impl Search<'_> {
    fn look_at<K: TraceKind>(&mut self, trace: K::Trace) -> Result<(), TestCaseError> {
        if self.broken.is_some() {
            return Ok(());
        }
        if self.mismatch.is_none() {
            self.compared += 1;
        }
        match differs::<K>(trace, self.oracle) {
            Ok(None) => Ok(()),
            Ok(Some(mismatch)) => {
                self.mismatch = Some(mismatch);
                Err(TestCaseError::fail("the two sides differ"))
            }
            Err(error) => {
                self.broken = Some(error);
                Err(TestCaseError::fail("the trace cannot be run"))
            }
        }
    }
}

/// The same traces for the same seed.
fn generator<K: TraceKind>(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    let seed = seed.to_le_bytes();
    for (byte, from) in bytes.iter_mut().zip(seed.iter().chain(K::NAME.as_bytes())) {
        *byte = *from;
    }
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

fn in_words<O: Debug>(observation: Option<&O>) -> String {
    observation.map_or_else(|| "nothing: it ended before".to_owned(), |did| format!("{did:?}"))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without words"))
}

const MAX_SHRINK_STEPS: u32 = 20_000;

/// Fails if the two sides differ in one of these traces, which are the same each time.
#[cfg(test)]
pub(crate) fn assert_equal<K: TraceKind>(traces: u32) {
    let mut oracle = Oracle::start().unwrap();
    let compared = compare::<K>(traces, 1, &mut oracle).unwrap();
    if let Some(mismatch) = compared.mismatch {
        panic!("{mismatch:#?}");
    }
    assert_eq!(compared.traces, traces);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::Just;

    use super::*;

    /// A kind of which our side panics.
    struct Panics;

    impl TraceKind for Panics {
        const NAME: &'static str = "store";
        const PER_RUN: u32 = 1;
        type Trace = serde_json::Value;
        type Observation = serde_json::Value;

        fn traces() -> impl Strategy<Value = Self::Trace> {
            Just(serde_json::json!({ "operations": [] }))
        }

        fn run(_trace: &mut Self::Trace) -> anyhow::Result<Vec<Self::Observation>> {
            panic!("out of order")
        }
    }

    #[test]
    fn panic_of_ours_is_a_difference() {
        let compared = compare::<Panics>(1, 1, &mut Oracle::start().unwrap()).unwrap();
        let mismatch = compared.mismatch.unwrap();
        assert_eq!(mismatch.ours, "panic: out of order");
        assert_eq!(mismatch.client_go, "no panic");
    }

    /// A kind that the oracle does not know.
    struct Unheard;

    impl TraceKind for Unheard {
        const NAME: &'static str = "unheard";
        const PER_RUN: u32 = 1;
        type Trace = serde_json::Value;
        type Observation = serde_json::Value;

        fn traces() -> impl Strategy<Value = Self::Trace> {
            Just(serde_json::json!({}))
        }

        fn run(_trace: &mut Self::Trace) -> anyhow::Result<Vec<Self::Observation>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn trace_that_cannot_be_run_is_no_difference_but_an_error() {
        let error = compare::<Unheard>(1, 1, &mut Oracle::start().unwrap()).unwrap_err();
        assert!(error.to_string().contains("no such kind of trace"), "{error}");
    }
}

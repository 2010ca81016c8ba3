//! Traces through a whole informer over a scripted server, in virtual time.
//!
//! Every step tells what each handler was told in it and what the server was asked for, and at its
//! end whether each handler has synced, what is cached, and at which version. A step waits long
//! enough for everything in it to have its effect, delays between attempts included: those are
//! random on both sides, so nothing may depend on their length.
//!
//! ```text
//! generator ──▶ trace ──┬──▶ stage ◀── server        (ours)
//!                       └──▶ go/oracle/informer_test.go, server_test.go
//!                                 │
//!                   differences ◀─┘  what is different on purpose
//! ```
//!
//! client-go: `SharedIndexInformer`, with `DeltaFIFO` or with today's `RealFIFO`.

mod generator;
mod server;
mod stage;
mod differences;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use proptest::strategy::Strategy;
use serde::{Deserialize, Serialize};

use crate::comparison::TraceKind;
use server::{Change, Failure, WatchList};

pub(crate) struct InformerTraces;

/// An informer, and what happens around it. It starts with the first step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InformerTrace {
    queue: Fifo,
    watch_list: WatchList,
    /// How many objects the server gives in a page to whoever asks for pages.
    page_size: Option<usize>,
    /// The server's version before anything happens. With 0, which asks for any version, a watch may
    /// begin with objects in no order of versions.
    first_version: u64,
    /// Appends `+` to the value of an object, so that one that is transformed twice shows it.
    transform: bool,
    /// The informer's own resync period, in seconds. Ours has none, only handlers do.
    default_resync: Option<f64>,
    /// Those that are there before the informer starts.
    handlers: Vec<Handler>,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fifo {
    Delta,
    InOrder,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Handler {
    /// In seconds.
    resync: Option<f64>,
    /// How many seconds a call takes.
    slow: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    actions: Vec<Action>,
    /// Seconds from the last action to the end of the step.
    wait: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Action {
    Change {
        change: Change,
    },
    Bookmark,
    /// Every stream ends.
    Close,
    /// Every stream ends, and the server forgets the changes up to now.
    Reset,
    /// Every stream says nothing any more, and does not end: its connection is half open.
    Silence,
    /// Every stream ends with an error.
    FailStream {
        failure: Failure,
    },
    /// Of the next lists and watch-lists of this step, so many are answered, and so many not.
    FailLists {
        failure: Failure,
        after: usize,
        times: usize,
    },
    /// The next watches and watch-lists of this step are not opened.
    FailWatches {
        failure: Failure,
        times: usize,
    },
    Join {
        handler: Handler,
    },
    /// Removes a handler, by when it joined.
    Remove {
        index: usize,
    },
    Wait {
        wait: f64,
    },
}

impl Step {
    /// In seconds.
    fn length(&self) -> f64 {
        let waits = self.actions.iter().map(|action| match action {
            Action::Wait { wait } => *wait,
            _ => 0.0,
        });
        self.wait + waits.sum::<f64>()
    }
}

/// What happened in a step, and how everything stands at its end.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Observation {
    /// What each handler was told, by when it joined.
    told: Vec<Vec<Told>>,
    /// Whether each handler has handled its initial list; a removed one has not.
    synced: Vec<bool>,
    /// What is cached, sorted.
    store: Vec<String>,
    resource_version: String,
    /// What the server was asked for.
    requests: Vec<String>,
}

/// One call of a handler. Objects are written as in `objects.rs`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case", deny_unknown_fields)]
enum Told {
    Added {
        object: String,
        initial: bool,
    },
    Updated {
        old: String,
        new: String,
    },
    Deleted {
        object: String,
        final_state_unknown: bool,
    },
    /// Only our handlers are told that their initial list ends.
    Synced,
}

impl Told {
    /// What is known of the object after this.
    fn object(&self) -> &str {
        match self {
            Self::Added { object, .. } | Self::Deleted { object, .. } => object,
            Self::Updated { new, .. } => new,
            Self::Synced => "",
        }
    }

    fn key(&self) -> &str {
        key_of(uid_of(self.object()))
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { object, initial: false } => write!(f, "added {object}"),
            Self::Added { object, initial: true } => write!(f, "added {object} initial"),
            Self::Updated { old, new } => write!(f, "updated {old} {new}"),
            Self::Deleted { object, final_state_unknown: false } => write!(f, "deleted {object}"),
            Self::Deleted { object, final_state_unknown: true } => {
                write!(f, "deleted {object} final-state-unknown")
            }
            Self::Synced => write!(f, "synced"),
        }
    }
}

fn uid_of(object: &str) -> &str {
    object.split_once('@').map_or(object, |(uid, _)| uid)
}

fn key_of(uid: &str) -> &str {
    uid.split_once('#').map_or(uid, |(key, _)| key)
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl TraceKind for InformerTraces {
    const NAME: &'static str = "informer";
    const PER_RUN: u32 = 300;
    type Trace = InformerTrace;
    type Observation = Observation;

    fn traces() -> impl Strategy<Value = InformerTrace> {
        generator::traces()
    }

    fn run(trace: &mut InformerTrace) -> anyhow::Result<Vec<Observation>> {
        stage::play(trace)
    }

    fn normalise(
        trace: &InformerTrace,
        ours: &mut Vec<Observation>,
        client_go: &mut Vec<Observation>,
    ) {
        differences::remove(trace, ours, client_go);
        for observations in [ours, client_go] {
            joined_amid_changes(trace, observations);
            for (step, observation) in observations.iter_mut().enumerate() {
                if !is_order_defined(trace, step) {
                    sort_by_key(observation);
                }
            }
        }
    }
}

/// How much of the changes around it is in the list that a handler gets when it joins is left open.
/// What it knows at the end of the step is not.
fn joined_amid_changes(trace: &InformerTrace, observations: &mut [Observation]) {
    let mut handlers = trace.handlers.len();
    for (step, observation) in trace.steps.iter().zip(observations) {
        let amid_changes = step.actions.iter().any(|it| matches!(it, Action::Change { .. }));
        let joins = step.actions.iter().filter(|it| matches!(it, Action::Join { .. })).count();
        let joined = observation.told.iter_mut().skip(handlers).take(joins);
        joined.filter(|_| amid_changes).for_each(fold);
        handlers += joins;
    }
}

/// Leaves what the handler knows after all this, and what it should not have been told: an addition of
/// what it knew, an update or a deletion of what it did not know.
fn fold(told: &mut Vec<Told>) {
    let mut known = BTreeMap::new();
    let mut wrong = Vec::new();
    for told in told.drain(..) {
        let key = told.key().to_owned();
        let before = known.get(&key).map(String::as_str);
        let fits = match &told {
            Told::Added { .. } => before.is_none(),
            Told::Updated { old, .. } => before == Some(old),
            Told::Deleted { .. } => before.is_some(),
            Told::Synced => false,
        };
        match &told {
            Told::Deleted { .. } => known.remove(&key),
            _ => known.insert(key, told.object().to_owned()),
        };
        if !fits {
            wrong.push(told);
        }
    }
    let known = known.into_values().map(|object| Told::Added { object, initial: false });
    told.extend(known.chain(wrong));
}

/// Whether objects come in an order that both sides define, not just the changes of each object. The
/// queue must be the in-order one, and nothing may come from a list or from the cache.
fn is_order_defined(trace: &InformerTrace, step: usize) -> bool {
    let step_is_first = step == 0;
    let step = &trace.steps[step];
    let is_change = |action: &Action| matches!(action, Action::Change { .. } | Action::Bookmark);
    let resyncs = trace.default_resync.is_some_and(|period| step.length() >= period);
    trace.queue == Fifo::InOrder && !step_is_first && !resyncs && step.actions.iter().all(is_change)
}

fn sort_by_key(observation: &mut Observation) {
    for told in &mut observation.told {
        // Stable: the order of one object's changes stays.
        told.sort_by(|a, b| a.key().cmp(b.key()));
    }
}

#[cfg(test)]
mod tests;

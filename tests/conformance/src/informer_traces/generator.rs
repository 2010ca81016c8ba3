//! Makes traces whose outcome depends on no random delay.
//!
//! What is delayed is a retry, by up to a minute each, and a resync: client-go's timer starts anew
//! with every list. So a step that makes something fail waits for all retries, and a trace has one of
//! three rhythms, in which the effect of resyncs is the same whatever the delays are.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

use super::server::{Change, Failure, Verb, WatchList};
use super::{Action, Fifo, Handler, InformerTrace, Step};

/// How resyncs and disturbances go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rhythm {
    /// No resyncs.
    None,
    /// A resync now and then, in a step of its own. All other steps together are shorter than the
    /// period, so none falls into one of them.
    Rare,
    /// A resync in every step but the first, and nothing that makes client-go list again.
    /// All steps are whole periods from half a period on, so each has as many as it has periods.
    Frequent,
}

/// What happens in a step, before it is known how long that takes.
#[derive(Clone, Debug)]
enum Happening {
    Changes(Vec<Action>),
    Disturbance {
        before: Vec<Action>,
        how: Action,
        failures: Failures,
        after: Vec<Action>,
    },
    Join {
        before: Vec<Action>,
        resync_periods: u8,
        slow: bool,
        after: Vec<Action>,
    },
    /// The handler is one of those that are there.
    Remove(usize),
    Wait(u8),
}

pub(super) fn traces() -> impl Strategy<Value = InformerTrace> {
    let queues = select(vec![Fifo::Delta, Fifo::InOrder]);
    let watch_lists = select(vec![WatchList::Served, WatchList::Refused]);
    let server = (watch_lists, option::weighted(0.7, 1_usize..3), 0_u64..2);
    let rhythms = select(vec![Rhythm::None, Rhythm::Rare, Rhythm::Frequent]);
    let informer = (queues, any::<bool>(), rhythms);
    let handlers = vec((0_u8..4, any::<bool>()), 1..4);
    let start = (vec(a_change(), 0..12), some_failures(), any::<bool>());
    let script = (informer, server, handlers, start, vec(a_happening(), 1..13));
    script.prop_map(|(informer, server, handlers, (before, failures, resync), happenings)| {
        let (queue, transform, rhythm) = informer;
        let (watch_list, page_size, mut first_version) = server;
        if rhythm == Rhythm::Frequent {
            // A watch from version 0 repeats states, which is told like a resync.
            first_version = 1;
        }
        let mut writer = Writer {
            rhythm,
            watch_list,
            joined: handlers.len(),
            handlers: (0..handlers.len()).collect(),
            steps: Vec::new(),
        };
        let handlers: Vec<Handler> =
            handlers.into_iter().map(|(periods, slow)| writer.handler(periods, slow)).collect();
        writer.start(before, failures);
        if resync {
            writer.write(Happening::Wait(1));
        }
        for happening in happenings {
            writer.write(happening);
        }
        InformerTrace {
            queue,
            watch_list,
            page_size,
            first_version,
            transform,
            default_resync: rhythm.period(),
            handlers,
            steps: writer.steps,
        }
    })
}

fn a_happening() -> impl Strategy<Value = Happening> {
    let streams = select(vec![Failure::Unavailable, Failure::Expired, Failure::TooManyRequests]);
    let how = prop_oneof![
        Just(Action::Close),
        Just(Action::Reset),
        streams.prop_map(|failure| Action::FailStream { failure }),
    ];
    let changes = || vec(a_change(), 0..6);
    let some_changes = || prop_oneof![Just(Vec::new()), vec(a_change(), 1..4)];
    let disturbance = (changes(), how, some_failures(), changes());
    prop_oneof![
        5 => vec(a_change(), 1..8).prop_map(Happening::Changes),
        6 => disturbance.prop_map(|(before, how, failures, after)| {
            Happening::Disturbance { before, how, failures, after }
        }),
        2 => (some_changes(), 0_u8..4, any::<bool>(), some_changes()).prop_map(
            |(before, resync_periods, slow, after)| {
                Happening::Join { before, resync_periods, slow, after }
            }
        ),
        1 => any::<u8>().prop_map(|index| Happening::Remove(index.into())),
        2 => (1_u8..4).prop_map(Happening::Wait),
    ]
}

/// A change of one of a few objects in two namespaces, or a bookmark.
fn a_change() -> impl Strategy<Value = Action> {
    let verbs = prop_oneof![
        3 => Just(Verb::Create),
        4 => Just(Verb::Update),
        3 => Just(Verb::Delete),
        1 => Just(Verb::Recreate),
    ];
    let keys = select(vec!["a/x", "a/y", "a/z", "b/x", "b/y"]);
    let silent = prop_oneof![3 => Just(false), 1 => Just(true)];
    let change = (verbs, keys, silent).prop_map(|(verb, key, silent)| Action::Change {
        change: Change { verb, key: key.to_owned(), silent },
    });
    prop_oneof![12 => change, 1 => Just(Action::Bookmark)]
}

fn some_failures() -> impl Strategy<Value = Failures> {
    let failures = || {
        let failures = select(vec![
            Failure::Unavailable,
            Failure::Expired,
            Failure::TooManyRequests,
            Failure::Refused,
        ]);
        option::weighted(0.4, (failures, 1_usize..3))
    };
    let after = select(vec![0, 1]);
    (after, failures(), failures()).prop_map(|(answered_lists, lists, watches)| Failures {
        answered_lists,
        lists,
        watches,
    })
}

/// What fails in a step, and how often.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    /// So many lists do not fail.
    answered_lists: usize,
    lists: Option<(Failure, usize)>,
    watches: Option<(Failure, usize)>,
}

impl Failures {
    /// The two sides differ when a watch-list of the newest state has expired, which no server says:
    /// client-go repeats it at once, ours lists.
    fn expire_once(self) -> Self {
        let once = |(failure, times)| match failure {
            Failure::Expired => (failure, 1),
            _ => (failure, times),
        };
        let expires = |(failure, _)| failure == Failure::Expired;
        let lists = self.lists.map(once);
        let watches = self.watches.map(once);
        let watches = watches.filter(|it| !(expires(*it) && lists.is_some_and(expires)));
        Self { lists, watches, ..self }
    }

    fn actions(self) -> impl Iterator<Item = Action> {
        let lists = self.lists.map(|(failure, times)| {
            let after = self.answered_lists;
            Action::FailLists { failure, after, times }
        });
        let watches = self.watches.map(|(failure, times)| Action::FailWatches { failure, times });
        lists.into_iter().chain(watches)
    }

    /// How long it takes at most until nothing fails any more, in seconds.
    fn settled(self) -> f64 {
        let failures = self.lists.iter().chain(&self.watches);
        SHORT + DELAY_MAX * (failures.map(|(_, times)| *times as f64).sum::<f64>() + 1.0)
    }
}

impl Rhythm {
    /// The informer's resync period, in seconds.
    fn period(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Rare => Some(3.0 * 60.0 * 60.0),
            Self::Frequent => Some(SLOT),
        }
    }
}

/// Writes the steps of a trace.
struct Writer {
    rhythm: Rhythm,
    watch_list: WatchList,
    /// How many have joined so far.
    joined: usize,
    /// Those that are there.
    handlers: Vec<usize>,
    steps: Vec<Step>,
}

impl Writer {
    /// client-go rounds up what is not a multiple of the informer's period, and starts to count anew
    /// with every list; so only undisturbed handlers have one.
    fn handler(&self, resync_periods: u8, slow: bool) -> Handler {
        let periods = match self.rhythm {
            Rhythm::None => 0,
            Rhythm::Rare => resync_periods.min(1),
            Rhythm::Frequent => resync_periods,
        };
        let resync = self.rhythm.period().filter(|_| periods > 0);
        let resync = resync.map(|period| period * f64::from(periods));
        Handler { resync, slow: if slow { SLOW } else { 0.0 } }
    }

    fn start(&mut self, mut actions: Vec<Action>, failures: Failures) {
        if self.rhythm == Rhythm::Frequent {
            return self.step(actions, SLOT / 2.0);
        }
        let failures = self.possible(failures);
        actions.extend(failures.actions());
        self.step(actions, failures.settled());
    }

    fn possible(&self, failures: Failures) -> Failures {
        match self.watch_list {
            WatchList::Refused => failures,
            _ => failures.expire_once(),
        }
    }

    fn write(&mut self, happening: Happening) {
        let frequent = self.rhythm == Rhythm::Frequent;
        let short = if frequent { SLOT } else { SHORT };
        match happening {
            Happening::Changes(changes) => self.step(changes, short),
            Happening::Disturbance { how, failures: Failures { watches, .. }, .. } if frequent => {
                // Whatever does not make client-go list again, and no changes, since it is not
                // known which of the resyncs they come after.
                let how = match how {
                    Action::FailStream { .. } => {
                        Action::FailStream { failure: Failure::TooManyRequests }
                    }
                    _ => Action::Close,
                };
                let opens = watches.is_some_and(|(failure, _)| {
                    matches!(failure, Failure::TooManyRequests | Failure::Refused)
                });
                let watches = watches.filter(|_| opens).map(|(failure, _)| (failure, 1));
                let failures = Failures { watches, ..Failures::default() };
                let actions = failures.actions().chain([how]).collect();
                self.step(actions, 5.0 * SLOT);
            }
            Happening::Disturbance { before, how, failures, after } => {
                let failures = self.possible(failures);
                let mut actions = before;
                actions.extend(failures.actions());
                actions.push(how);
                actions.extend(after);
                self.step(actions, failures.settled());
            }
            Happening::Join { before, resync_periods, slow, after } => {
                let late = self.rhythm != Rhythm::Rare;
                let handler = self.handler(if late { resync_periods } else { 0 }, slow);
                // Ours is due as long after the beginning of a step as it joined, client-go's always
                // in the middle. So that neither side's is due before a change and the other side's
                // after it, each joins earlier in its step than those before it.
                let early = if frequent { SLOT / 6.0 - self.joined as f64 / 4.0 } else { 0.0 };
                self.handlers.push(self.joined);
                self.joined += 1;
                let join = Action::Join { handler };
                let mut actions = vec![Action::Wait { wait: early }];
                actions.extend(before);
                actions.push(join);
                actions.extend(after);
                self.step(actions, short - early);
            }
            Happening::Remove(_) if self.handlers.is_empty() => {}
            Happening::Remove(index) => {
                let index = self.handlers.remove(index % self.handlers.len());
                self.step(vec![Action::Remove { index }], short);
            }
            Happening::Wait(times) => match self.rhythm {
                Rhythm::None => self.step(Vec::new(), 20.0 * f64::from(times)),
                Rhythm::Rare => self.step(Vec::new(), self.rhythm.period().unwrap_or(SHORT)),
                Rhythm::Frequent => self.step(Vec::new(), SLOT * f64::from(times)),
            },
        }
    }

    fn step(&mut self, actions: Vec<Action>, wait: f64) {
        self.steps.push(Step { actions, wait });
    }
}

/// Longer than a watch must live to count as one, and than it takes all handlers to handle what one
/// step gives them.
const SHORT: f64 = 3.0;

/// The longest delay between two attempts.
const DELAY_MAX: f64 = 60.0;

/// The resync period, where resyncs are frequent.
const SLOT: f64 = 30.0;

/// How long a call of a slow handler takes.
const SLOW: f64 = 0.05;

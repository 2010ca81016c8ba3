//! Each deliberate difference in a trace of its own, with what either side does in it.

use super::super::server::{Change, Failure, Verb};
use super::super::{Action, Handler, InformerTraces, Step};
use super::*;
use crate::comparison::{TraceKind, differs};
use crate::oracle::{Answer, Oracle, Request};

/// PD-9.
#[test]
fn another_uid_is_a_deletion_and_an_addition() {
    let mut trace = trace(vec![
        step(vec![create("a/x")], 3.0),
        step(vec![silently(Verb::Recreate, "a/x"), Action::Reset], 63.0),
    ]);
    for queue in [Fifo::Delta, Fifo::InOrder] {
        trace.queue = queue;
        let (ours, client_go) = both(&trace);
        assert_eq!(
            told(&ours, 1, 0),
            ["deleted a/x#1@2 final-state-unknown", "added a/x#2@4"],
            "{queue:?}"
        );
        assert_eq!(told(&client_go, 1, 0), ["updated a/x#1@2 a/x#2@4"], "{queue:?}");
        assert_equal(trace.clone());
    }
}

/// RP-9, RP-10.
#[test]
fn relist_is_told_to_who_is_due_only() {
    let without_resync = trace(vec![
        step(vec![create("a/x")], 3.0),
        step(vec![silently(Verb::Create, "a/y"), Action::Reset], 63.0),
    ]);
    let mut before_the_first = without_resync.clone();
    before_the_first.default_resync = Some(3600.0);
    before_the_first.handlers[0].resync = Some(3600.0);
    for trace in [without_resync, before_the_first] {
        let (ours, client_go) = both(&trace);
        assert_eq!(told(&ours, 1, 0), ["added a/y#1@3"]);
        assert_eq!(sorted(told(&client_go, 1, 0)), ["added a/y#1@3", "updated a/x#1@2 a/x#1@2"]);
        assert_equal(trace);
    }
}

/// RP-7.
#[test]
fn resync_period_is_not_rounded_to_the_informers() {
    let mut trace = trace(vec![step(vec![create("a/x")], 12.5)]);
    trace.default_resync = Some(2.0);
    trace.handlers = [2.0, 3.0].map(|it| Handler { resync: Some(it), slow: 0.0 }).into();
    let (ours, client_go) = both(&trace);
    let times = |observations, handler| resyncs(&told(observations, 0, handler));
    assert_eq!((times(&ours, 0), times(&client_go, 0)), (6, 6), "after 2, 4, 6, 8, 10, 12 s");
    assert_eq!(times(&ours, 1), 4, "after 3, 6, 9, 12 s");
    assert_eq!(times(&client_go, 1), 3, "after 4, 8, 12 s");
}

/// RP-3.
#[test]
fn late_handler_can_have_a_shorter_resync_period_than_the_informer() {
    let late = Action::Join { handler: Handler { resync: Some(2.0), slow: 0.0 } };
    let mut trace = trace(vec![step(vec![create("a/x")], 3.0), step(vec![late], 20.5)]);
    trace.default_resync = Some(10.0);
    let (ours, client_go) = both(&trace);
    assert_eq!(resyncs(&told(&ours, 1, 1)), 10, "every two seconds");
    assert_eq!(
        resyncs(&told(&client_go, 1, 1)),
        1,
        "10 s after it joined, so 20 s after the start"
    );
}

/// RP-5.
#[test]
fn handler_can_have_a_resync_period_where_the_informer_has_none() {
    let mut trace = trace(vec![step(vec![create("a/x")], 10.5)]);
    trace.handlers[0].resync = Some(2.0);
    let (ours, client_go) = both(&trace);
    assert_eq!(resyncs(&told(&ours, 0, 0)), 5);
    assert_eq!(resyncs(&told(&client_go, 0, 0)), 0);
}

/// PN-6.
#[test]
fn removed_handler_gets_what_is_queued_for_it() {
    let mut changes: Vec<_> = ["a/x", "a/y", "a/z"].map(create).into();
    changes.extend([Action::Wait { wait: 0.5 }, Action::Remove { index: 0 }]);
    let mut trace = trace(vec![step(Vec::new(), 3.0), step(changes, 10.0)]);
    trace.handlers[0].slow = 1.0;
    let (ours, client_go) = both(&trace);
    assert_eq!(sorted(told(&ours, 1, 0)), ["added a/x#1@2", "added a/y#1@3", "added a/z#1@4"]);
    assert_eq!(told(&client_go, 1, 0).len(), 1, "only the call that runs goes on");
}

#[test]
fn end_of_the_initial_list_is_told() {
    let trace = trace(vec![step(vec![create("a/x")], 3.0)]);
    let (ours, client_go) = both(&trace);
    assert_eq!(told(&ours, 0, 0), ["added a/x#1@2 initial", "synced"]);
    assert_eq!(told(&client_go, 0, 0), ["added a/x#1@2 initial"]);
    assert_eq!((ours[0].synced[0], client_go[0].synced[0]), (true, true));
    assert_equal(trace);
}

/// PD-3.
#[test]
fn deletion_of_an_unknown_object_is_not_told() {
    let mut trace = trace(vec![
        step(Vec::new(), 3.0),
        step(vec![silently(Verb::Create, "a/x"), change(Verb::Delete, "a/x")], 3.0),
    ]);
    let (ours, client_go) = both(&trace);
    assert_eq!((told(&ours, 1, 0), told(&client_go, 1, 0)), (nothing(), nothing()));
    trace.queue = Fifo::InOrder;
    let (ours, client_go) = both(&trace);
    assert_eq!(told(&ours, 1, 0), nothing());
    assert_eq!(told(&client_go, 1, 0), ["deleted a/x#1@3"]);
    assert_equal(trace);
}

/// ST-10, ST-11.
#[test]
fn cache_has_a_version_with_both_queues() {
    let mut trace = trace(vec![step(Vec::new(), 3.0), step(vec![create("a/x")], 3.0)]);
    trace.watch_list = WatchList::Refused;
    trace.first_version = 0;
    let versions = |trace: &InformerTrace| {
        let (ours, client_go) = both(trace);
        (ours[1].resource_version.clone(), client_go[1].resource_version.clone())
    };
    assert_eq!(
        versions(&trace),
        ("1".to_owned(), "0".to_owned()),
        "client-go's is the reflector's"
    );
    assert_equal(trace.clone());
    trace.queue = Fifo::InOrder;
    assert_eq!(versions(&trace), ("1".to_owned(), "1".to_owned()));
    assert_equal(trace);
}

/// WL-10.
#[test]
fn object_of_a_watch_list_is_transformed_once() {
    let mut trace =
        trace(vec![step(vec![create("a/x")], 3.0), step(vec![change(Verb::Update, "a/x")], 3.0)]);
    trace.transform = true;
    let (ours, client_go) = both(&trace);
    assert_eq!(told(&ours, 1, 0), ["updated a/x#1@2=+ a/x#1@3=+"]);
    assert_eq!(told(&client_go, 1, 0), ["updated a/x#1@2=++ a/x#1@3=+"]);
    assert_equal(trace);
}

/// WL-6.
#[test]
fn refused_watch_list_is_remembered() {
    let mut trace = trace(vec![
        step(Vec::new(), 3.0),
        step(vec![silently(Verb::Create, "a/x"), Action::Reset], 63.0),
    ]);
    trace.watch_list = WatchList::Refused;
    let (ours, client_go) = both(&trace);
    assert_eq!(ours[0].requests, ["watch-list rv=", "list rv=0 limit=500", "watch rv=1"]);
    assert_eq!(client_go[0].requests, ours[0].requests);
    assert_eq!(ours[1].requests, ["watch rv=1", "list rv=1 limit=0", "watch rv=2"]);
    let tried_again = ["watch rv=1", "watch-list rv=1", "list rv=1 limit=0", "watch rv=2"];
    assert_eq!(client_go[1].requests, tried_again);
    assert_equal(trace);
}

/// WL-6; no trace of the comparison does this.
#[test]
fn watch_list_of_the_newest_state_that_has_expired_is_not_repeated() {
    let trace = trace(vec![
        step(Vec::new(), 3.0),
        step(
            vec![
                Action::FailWatches { failure: Failure::Expired, times: 3 },
                Action::FailStream { failure: Failure::Unavailable },
            ],
            243.0,
        ),
    ]);
    let (ours, client_go) = both(&trace);
    let repeated = ["watch-list rv=1", "watch-list rv=", "watch-list rv=", "watch-list rv="];
    assert_eq!(client_go[1].requests, repeated);
    assert_eq!(ours[1].requests[..3], ["watch-list rv=1", "watch-list rv=", "list rv= limit=500"]);
}

/// WL-7.
#[test]
fn watch_list_that_does_not_end_is_given_up() {
    let mut trace = trace(vec![step(vec![create("a/x")], 600.0)]);
    trace.watch_list = WatchList::Endless;
    let (ours, client_go) = both(&trace);
    assert_eq!(ours[0].requests, ["watch-list rv=", "list rv=0 limit=500", "watch rv=2"]);
    assert_eq!(told(&ours, 0, 0), ["added a/x#1@2 initial", "synced"]);
    assert_eq!(client_go[0].requests, ["watch-list rv="]);
    assert_eq!((told(&client_go, 0, 0), client_go[0].synced[0]), (nothing(), false));
}

/// WT-11.
#[test]
fn half_open_watch_is_opened_anew() {
    let trace =
        trace(vec![step(Vec::new(), 3.0), step(vec![Action::Silence, create("a/x")], 100.0)]);
    let (ours, client_go) = both(&trace);
    assert_eq!(ours[1].requests, ["watch rv=1"]);
    assert_eq!(told(&ours, 1, 0), ["added a/x#1@2"]);
    assert_eq!(client_go[1].requests, nothing());
    assert_eq!(told(&client_go, 1, 0), nothing());
}

/// RF-3.
#[test]
fn long_outage_does_not_bring_short_delays_back() {
    let outage = Action::FailLists { failure: Failure::Unavailable, after: 0, times: 10_000 };
    let (ours, client_go) = both(&trace(vec![step(vec![outage], 3600.0)]));
    let times = |observations: &[Observation]| {
        let requests = &observations[0].requests;
        requests.iter().filter(|request| request.starts_with("list ")).count()
    };
    // The delays are 30 to 60 s in the end; without another beginning that is 80 in an hour.
    assert!((75..95).contains(&times(&ours)), "{}", times(&ours));
    // Every two minutes the first is 0.8 s again.
    assert!((150..250).contains(&times(&client_go)), "{}", times(&client_go));
}

fn trace(steps: Vec<Step>) -> InformerTrace {
    InformerTrace {
        queue: Fifo::Delta,
        watch_list: WatchList::Served,
        page_size: None,
        first_version: 1,
        transform: false,
        default_resync: None,
        handlers: vec![Handler::default()],
        steps,
    }
}

fn step(actions: Vec<Action>, wait: f64) -> Step {
    Step { actions, wait }
}

fn create(key: &str) -> Action {
    change(Verb::Create, key)
}

fn change(verb: Verb, key: &str) -> Action {
    Action::Change { change: Change { verb, key: key.to_owned(), silent: false } }
}

fn silently(verb: Verb, key: &str) -> Action {
    Action::Change { change: Change { verb, key: key.to_owned(), silent: true } }
}

/// What happened on our side, and in client-go.
fn both(trace: &InformerTrace) -> (Vec<Observation>, Vec<Observation>) {
    let ours = InformerTraces::run(&mut trace.clone()).unwrap();
    let request = Request { kind: InformerTraces::NAME, trace };
    let Answer::Observations(client_go) = Oracle::start().unwrap().ask(&request).unwrap() else {
        panic!("client-go panicked");
    };
    (ours, client_go)
}

/// The difference is the only one, and [`remove`] removes it.
fn assert_equal(trace: InformerTrace) {
    let mismatch = differs::<InformerTraces>(trace, &mut Oracle::start().unwrap()).unwrap();
    assert!(mismatch.is_none(), "{mismatch:#?}");
}

fn told(observations: &[Observation], step: usize, handler: usize) -> Vec<String> {
    observations[step].told[handler].iter().map(|told| format!("{told:?}")).collect()
}

fn resyncs(told: &[String]) -> usize {
    let changes_nothing = |line: &&String| {
        let mut words = line.split(' ');
        words.next() == Some("updated") && words.next() == words.next()
    };
    told.iter().filter(changes_nothing).count()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn nothing() -> Vec<String> {
    Vec::new()
}

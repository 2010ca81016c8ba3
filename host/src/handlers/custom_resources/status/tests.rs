use informer::{DeadLetter, DeliveryCounts, ObjectKey};

use super::*;
use crate::guest::SleepStatus;
use crate::handlers::definition::DefinitionSource;

fn handler(state: HandlerState) -> HandlerStatus {
    let is_running = state == HandlerState::Running;
    HandlerStatus {
        name: "a/pods".to_owned(),
        source: DefinitionSource::Resource {
            namespace: "a".to_owned(),
            name: "pods".to_owned(),
            generation: 1,
        },
        state,
        replacement: None,
        generation: is_running.into(),
        since: None,
        digest: is_running.then(|| "e3b0".to_owned()),
        paused: false,
        watches: Vec::new(),
        has_synced: is_running,
        counts: DeliveryCounts::default(),
        pending: 0,
        dead_letters: Vec::new(),
        sleep: SleepStatus::default(),
    }
}

fn running() -> HandlerStatus {
    handler(HandlerState::Running)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn first(outcome: &Outcome<'_>) -> ResourceStatus {
    ResourceStatus::default().next(outcome, 1, at(100))
}

/// `Ready=True Running` and the like.
fn verdicts(status: &ResourceStatus) -> Vec<String> {
    let conditions = status.conditions.iter();
    conditions.map(|it| format!("{}={} {}", it.type_, it.status, it.reason)).collect()
}

fn condition<'a>(status: &'a ResourceStatus, kind: &str) -> &'a Condition {
    status.conditions.iter().find(|it| it.type_ == kind).unwrap()
}

#[test]
fn each_state_has_its_conditions() {
    let paused = HandlerStatus { paused: true, has_synced: false, ..running() };
    let syncing = HandlerStatus { has_synced: false, ..running() };
    let next_failed = HandlerStatus {
        replacement: Some(HandlerState::Failed("no wasm".to_owned())),
        ..running()
    };
    let loading = handler(HandlerState::Loading);
    let failed = handler(HandlerState::Failed("no wasm".to_owned()));
    let unknown = handler(HandlerState::UnknownKind("no Foo".to_owned()));
    let quarantined = HandlerStatus {
        state: HandlerState::Quarantined("it traps".to_owned()),
        has_synced: false,
        ..running()
    };
    for (outcome, expected) in [
        (
            Outcome::Queued(None),
            [
                "Ready=False Queued",
                "ModuleLoaded=False Queued",
                "Synced=False NotRunning",
                "Degraded=False AsExpected",
            ],
        ),
        (
            Outcome::Applied(&loading),
            [
                "Ready=False Loading",
                "ModuleLoaded=False Loading",
                "Synced=False NotRunning",
                "Degraded=False AsExpected",
            ],
        ),
        (
            Outcome::Applied(&unknown),
            [
                "Ready=False UnknownKind",
                "ModuleLoaded=False UnknownKind",
                "Synced=False NotRunning",
                "Degraded=True UnknownKind",
            ],
        ),
        (
            Outcome::Applied(&syncing),
            [
                "Ready=False Syncing",
                "ModuleLoaded=True Loaded",
                "Synced=False Syncing",
                "Degraded=False AsExpected",
            ],
        ),
        (
            Outcome::Applied(&running()),
            [
                "Ready=True Running",
                "ModuleLoaded=True Loaded",
                "Synced=True InitialListsHandled",
                "Degraded=False AsExpected",
            ],
        ),
        (
            Outcome::Applied(&paused),
            [
                "Ready=False Paused",
                "ModuleLoaded=True Loaded",
                "Synced=False Syncing",
                "Degraded=False AsExpected",
            ],
        ),
        (
            Outcome::Applied(&next_failed),
            [
                "Ready=True Running",
                "ModuleLoaded=True Loaded",
                "Synced=True InitialListsHandled",
                "Degraded=True LoadFailed",
            ],
        ),
        (
            Outcome::Applied(&failed),
            [
                "Ready=False LoadFailed",
                "ModuleLoaded=False LoadFailed",
                "Synced=False NotRunning",
                "Degraded=True LoadFailed",
            ],
        ),
        (
            Outcome::Applied(&quarantined),
            [
                "Ready=False Quarantined",
                "ModuleLoaded=True Loaded",
                "Synced=False NotRunning",
                "Degraded=True Quarantined",
            ],
        ),
        (
            Outcome::Refused("spec: unknown field"),
            [
                "Ready=False InvalidSpec",
                "ModuleLoaded=False InvalidSpec",
                "Synced=False NotRunning",
                "Degraded=True InvalidSpec",
            ],
        ),
        (
            Outcome::Deleting,
            [
                "Ready=False Deleting",
                "ModuleLoaded=False Deleting",
                "Synced=False NotRunning",
                "Degraded=False AsExpected",
            ],
        ),
    ] {
        assert_eq!(verdicts(&first(&outcome)), expected);
    }
}

#[test]
fn what_has_not_changed_keeps_its_time_also_over_a_restart_of_the_host() {
    let before = first(&Outcome::Applied(&running()));
    // What the next host reads is what this one wrote.
    let json = serde_json::to_string(&before).unwrap();
    let read: ResourceStatus = serde_json::from_str(&json).unwrap();
    assert_eq!(read, before);
    let after = read.next(&Outcome::Applied(&running()), 1, at(200));
    assert_eq!(after, before, "there is nothing to write");

    let failed = handler(HandlerState::Failed("no wasm".to_owned()));
    let after = read.next(&Outcome::Applied(&failed), 1, at(300));
    assert_eq!(condition(&after, "Ready").last_transition_time, Time(at(300)));
    // Another reason is no transition.
    let later = after.next(&Outcome::Refused("no spec"), 2, at(400));
    assert_eq!(condition(&later, "Ready").last_transition_time, Time(at(300)));
    assert_eq!(condition(&later, "Ready").reason, "InvalidSpec");
    assert_eq!(condition(&later, "Ready").observed_generation, Some(2));
}

#[test]
fn a_generation_is_observed_when_it_is_known_how_it_goes() {
    let observed = |status: &ResourceStatus| status.observed_generation;
    let status = first(&Outcome::Applied(&running()));
    assert_eq!(observed(&status), Some(1));
    let status = status.next(&Outcome::Queued(Some(&running())), 2, at(200));
    assert_eq!(observed(&status), Some(1), "it waits for its turn");
    let loading = HandlerStatus { replacement: Some(HandlerState::Loading), ..running() };
    let status = status.next(&Outcome::Applied(&loading), 2, at(200));
    assert_eq!(observed(&status), Some(1), "the one before runs");
    assert_eq!(condition(&status, "Ready").status, "True");
    let failed =
        HandlerStatus { replacement: Some(HandlerState::Failed("no".to_owned())), ..running() };
    let status = status.next(&Outcome::Applied(&failed), 2, at(200));
    assert_eq!(observed(&status), Some(2));
    let message = &condition(&status, "Degraded").message;
    assert!(message.contains("the generation before goes on") && message.ends_with(": no"));
    // Nothing ran before.
    let loading = handler(HandlerState::Loading);
    assert_eq!(observed(&first(&Outcome::Applied(&loading))), Some(1));
}

#[test]
fn numbers_and_messages_are_not_urgent_and_everything_else_is() {
    let dead_letter = |name: &str| DeadLetter {
        key: ObjectKey::new(Some("a"), name),
        resource_version: "1".to_owned(),
        reason: "it trapped".to_owned(),
        attempts: 6,
    };
    let with = |dead_letters: Vec<DeadLetter>, delivered| HandlerStatus {
        counts: DeliveryCounts { delivered, failed: 2, ..DeliveryCounts::default() },
        pending: 3,
        dead_letters,
        ..running()
    };
    let status = |handler: &HandlerStatus| first(&Outcome::Applied(handler));
    let plain = status(&running());
    let counted = status(&with(Vec::new(), 7));
    assert_ne!(plain, counted);
    assert!(plain.is_same_verdict(&counted));
    let one = status(&with(vec![dead_letter("x")], 7));
    assert!(!one.is_same_verdict(&counted));
    let two = status(&with(vec![dead_letter("x"), dead_letter("y")], 8));
    assert!(two.is_same_verdict(&one));
    assert_eq!(
        serde_json::to_value(&two.counters).unwrap(),
        serde_json::json!({ "delivered": 8, "failed": 2, "merged": 0, "pending": 3, "deadLetters": 2 })
    );
    assert!(condition(&two, "Degraded").message.contains("for good: 2"));
    assert_eq!(two.last_error.as_deref(), Some("a/y: it trapped"));
    // It is over, and what it was can still be read.
    let over = two.next(&Outcome::Applied(&running()), 1, at(200));
    assert_eq!(over.last_error, two.last_error);
    assert_eq!(condition(&over, "Degraded").status, "False");

    let other = HandlerStatus { digest: Some("0000".to_owned()), ..running() };
    assert!(!status(&other).is_same_verdict(&plain));
}

#[test]
fn what_passes_is_known_as_such_and_long_messages_end() {
    let syncing = HandlerStatus { has_synced: false, ..running() };
    let next = HandlerStatus { replacement: Some(HandlerState::Loading), ..running() };
    for passing in [Outcome::Queued(None), Outcome::Applied(&syncing), Outcome::Applied(&next)] {
        assert!(passing.is_passing());
    }
    let unreachable = handler(HandlerState::Unreachable(String::new()));
    for lasting in [
        Outcome::Applied(&running()),
        Outcome::Applied(&unreachable),
        Outcome::Refused(""),
        Outcome::Deleting,
    ] {
        assert!(!lasting.is_passing());
    }
    let status = first(&Outcome::Refused(&"ä".repeat(5000)));
    let message = &condition(&status, "Ready").message;
    assert!(message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8() && message.ends_with("ä…"));
}

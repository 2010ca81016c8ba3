use super::Violation::*;
use super::*;
use crate::deliveries::Event::{Add, Delete, Update};

/// `a` is there from the start, `b` comes later; `c` and `d` come and go, `d` while nobody watches.
const HISTORY: &str = "a+2:u a+12:u b+13:v a+14:u c+15:w c-16:w \
                       a+21:u b+22:v d+23:x d-24:x b-25:v b+26:y a+27:u a+31:u b-32:y";
const BEGUN_AT: u64 = 10;
/// Between 20 and 30.
const OUTAGE: RangeInclusive<u64> = 21..=30;

/// `+` is a write, `-` a deletion, each with its version and the object's uid.
fn history() -> ServerHistory {
    let mut history = ServerHistory { changes: BTreeMap::new(), begun_at: BEGUN_AT };
    for change in HISTORY.split_whitespace() {
        let (key, rest) = change.split_at(1);
        let (version, uid) = rest[1..].split_once(':').unwrap();
        history.changes.entry(key.to_owned()).or_default().push(Change {
            version: version.parse().unwrap(),
            uid: uid.to_owned(),
            is_deletion: rest.starts_with('-'),
        });
    }
    history
}

fn told(event: Event, key: &str, uid: &str, rv: u64, old_rv: u64) -> Delivery {
    Delivery {
        event,
        resource: "configmaps".to_owned(),
        key: key.to_owned(),
        uid: uid.to_owned(),
        rv: rv.to_string(),
        old_rv: old_rv.to_string(),
        initial: rv <= BEGUN_AT,
        final_state_unknown: false,
        ok: true,
        reason: String::new(),
    }
}

fn tombstone(key: &str, uid: &str, rv: u64) -> Delivery {
    Delivery { final_state_unknown: true, initial: false, ..told(Delete, key, uid, rv, 0) }
}

fn before_the_outage() -> Vec<Delivery> {
    vec![
        told(Add, "a", "u", 2, 0),
        told(Update, "a", "u", 12, 2),
        told(Add, "b", "v", 13, 0),
        told(Update, "a", "u", 14, 12),
        told(Add, "c", "w", 15, 0),
        told(Delete, "c", "w", 16, 0),
    ]
}

fn after_the_outage() -> Vec<Delivery> {
    vec![told(Update, "a", "u", 31, 27), told(Delete, "b", "y", 32, 0)]
}

/// Nothing was missed.
fn watched() -> Vec<Delivery> {
    let outage = vec![
        told(Update, "a", "u", 21, 14),
        told(Update, "b", "v", 22, 13),
        told(Add, "d", "x", 23, 0),
        told(Delete, "d", "x", 24, 0),
        told(Delete, "b", "v", 25, 0),
        told(Add, "b", "y", 26, 0),
        told(Update, "a", "u", 27, 21),
    ];
    [before_the_outage(), outage, after_the_outage()].concat()
}

/// A list at 29 made up for what was missed.
fn listed() -> Vec<Delivery> {
    let list =
        vec![tombstone("b", "v", 13), told(Add, "b", "y", 26, 0), told(Update, "a", "u", 27, 14)];
    [before_the_outage(), list, after_the_outage()].concat()
}

fn observed(pipeline: Pipeline, told: Vec<Delivery>) -> Observed {
    let cache = history().view();
    Observed { pipeline, told, outages: vec![OUTAGE], lists: 2, cache, cache_version: 32 }
}

/// The only violation by an in-order observer with this change to a good history.
fn violation(told: Vec<Delivery>, spoil: impl FnOnce(&mut Observed)) -> Violation {
    let mut observed = observed(Pipeline::InOrder, told);
    spoil(&mut observed);
    let mut violations = explain(&history(), &observed).unwrap_err();
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations.remove(0)
}

/// As [`violation`], with one thing told otherwise.
fn without(at: usize, told: Vec<Delivery>, instead: Vec<Delivery>) -> Violation {
    let mut told = told;
    told.splice(at..=at, instead);
    violation(told, |_| ())
}

#[test]
fn whatever_follows_from_the_history_is_explained() {
    for pipeline in [Pipeline::ClientGo, Pipeline::Delta, Pipeline::InOrder] {
        let explanation = explain(&history(), &observed(pipeline, watched())).unwrap();
        assert_eq!(explanation, Explanation::default());
    }
    for pipeline in [Pipeline::Delta, Pipeline::InOrder] {
        let explanation = explain(&history(), &observed(pipeline, listed())).unwrap();
        assert_eq!(explanation, Explanation { lists: vec![21..=27], merged: 5 });
    }
}

#[test]
fn each_side_has_its_own_rules() {
    // Another object of the same name is an update, and what is as it was comes again.
    let list = vec![told(Update, "b", "y", 26, 13), told(Update, "a", "u", 27, 14)];
    let repetition = told(Update, "a", "u", 27, 27);
    let repeated = [before_the_outage(), list, vec![repetition], after_the_outage()].concat();
    explain(&history(), &observed(Pipeline::ClientGo, repeated.clone())).unwrap();
    let violations = explain(&history(), &observed(Pipeline::InOrder, repeated)).unwrap_err();
    assert_eq!(violations.len(), 2, "neither is informerd's: {violations:?}");
    explain(&history(), &observed(Pipeline::ClientGo, listed())).unwrap_err();

    // A list that finds the deletion only is a tombstone for client-go, too.
    let list = vec![
        tombstone("b", "v", 13),
        told(Update, "a", "u", 21, 14),
        told(Add, "b", "y", 26, 0),
        told(Update, "a", "u", 27, 21),
    ];
    let between = [before_the_outage(), list, after_the_outage()].concat();
    let explanation = explain(&history(), &observed(Pipeline::ClientGo, between)).unwrap();
    assert_eq!(explanation, Explanation { lists: vec![22..=25], merged: 4 });

    // The changes of two objects in another order.
    let mut swapped = watched();
    swapped.swap(1, 2);
    explain(&history(), &observed(Pipeline::Delta, swapped.clone())).unwrap();
    let found = violation(swapped, |_| ());
    assert!(matches!(found, OutOfOrder { version: 12, after: 13, .. }), "{found}");
}

#[test]
fn what_the_server_never_had_is_a_violation() {
    let found = without(1, watched(), vec![told(Update, "a", "u", 11, 2)]);
    assert!(matches!(found, NeverExisted { .. }), "{found}");
    let found = without(2, watched(), vec![told(Add, "b", "another", 13, 0)]);
    assert!(matches!(found, NeverExisted { .. }), "{found}");
    // A deletion with the version of the state before it, and not called a tombstone.
    let found = without(5, watched(), vec![told(Delete, "c", "w", 15, 0)]);
    assert!(matches!(found, NeverExisted { .. }), "{found}");
}

#[test]
fn a_broken_chain_is_a_violation() {
    let differs_at = |found: Violation| match found {
        Differs { at, .. } => at,
        other => panic!("{other}"),
    };
    // Twice; with another old state than the last one; an add of what is there.
    let twice = vec![told(Add, "b", "v", 13, 0), told(Add, "b", "v", 13, 0)];
    assert_eq!(differs_at(without(2, watched(), twice)), 1);
    assert_eq!(differs_at(without(3, watched(), vec![told(Update, "a", "u", 14, 2)])), 2);
    assert_eq!(differs_at(without(3, watched(), vec![told(Add, "a", "u", 14, 0)])), 2);
    // Of the first list, and not marked so; marked so, and not of it.
    let unmarked = Delivery { initial: false, ..told(Add, "a", "u", 2, 0) };
    assert_eq!(differs_at(without(0, watched(), vec![unmarked])), 0);
    let marked = Delivery { initial: true, ..told(Add, "b", "v", 13, 0) };
    assert_eq!(differs_at(without(2, watched(), vec![marked])), 0);
    // A tombstone of another state than the last one; none at all; one for what is there.
    assert_eq!(differs_at(without(6, listed(), vec![tombstone("b", "v", 22)])), 1);
    assert_eq!(differs_at(without(6, listed(), vec![])), 1);
    let gone = vec![tombstone("a", "u", 14), told(Add, "a", "u", 27, 0)];
    assert_eq!(differs_at(without(8, listed(), gone)), 3);
}

#[test]
fn going_back_in_time_is_a_violation() {
    let mut back = watched();
    back.swap(1, 3);
    let found = explain(&history(), &observed(Pipeline::Delta, back)).unwrap_err();
    assert!(matches!(found[..], [Differs { at: 1, .. }]), "{found:?}");
}

#[test]
fn what_is_skipped_without_an_outage_is_a_violation() {
    let mut skipped = watched();
    skipped[3] = told(Update, "a", "u", 14, 2);
    skipped.remove(1);
    let found = explain(&history(), &observed(Pipeline::InOrder, skipped)).unwrap_err();
    assert!(found.contains(&SkippedWithoutOutage { key: "a".to_owned(), version: 12 }));
    // That both a coming and a going are missing breaks no chain.
    let mut skipped = watched();
    skipped.drain(4..=5);
    let found = explain(&history(), &observed(Pipeline::InOrder, skipped)).unwrap_err();
    assert!(found.contains(&SkippedWithoutOutage { key: "c".to_owned(), version: 15 }));
    assert!(found.contains(&SkippedWithoutOutage { key: "c".to_owned(), version: 16 }));
    // An outage ends.
    let found = explain(
        &history(),
        &Observed { outages: vec![21..=26], ..observed(Pipeline::InOrder, listed()) },
    )
    .unwrap_err();
    assert!(found.contains(&SkippedWithoutOutage { key: "a".to_owned(), version: 21 }));
}

#[test]
fn what_no_list_would_skip_is_a_violation() {
    // a's update from 14 to 27 was told by a list at 27 or later; b's of 22 was over by then.
    let chosen = vec![
        told(Update, "b", "v", 22, 13),
        told(Delete, "b", "v", 25, 0),
        told(Add, "b", "y", 26, 0),
        told(Update, "a", "u", 27, 14),
    ];
    let chosen = [before_the_outage(), chosen, after_the_outage()].concat();
    let found = explain(&history(), &observed(Pipeline::InOrder, chosen)).unwrap_err();
    let (key, other) = ("a".to_owned(), "b".to_owned());
    let no_list = SkippedByNoList { key, version: 21, other, other_version: 22 };
    assert!(found.contains(&no_list), "{found:?}");
}

#[test]
fn a_skip_with_fewer_lists_than_it_takes_is_a_violation() {
    let found = violation(listed(), |observed| observed.lists = 1);
    assert_eq!(found, TooFewLists { needed: 2, made: 1 });
}

#[test]
fn a_lost_end_is_a_violation() {
    let mut cut = watched();
    cut.retain(|it| it.rv != "31");
    let found = explain(&history(), &observed(Pipeline::InOrder, cut)).unwrap_err();
    assert!(found.contains(&LastNotTold { key: "a".to_owned(), version: 31 }), "{found:?}");
    let mut kept = watched();
    kept.pop();
    let found = explain(&history(), &observed(Pipeline::InOrder, kept)).unwrap_err();
    assert!(found.contains(&SkippedWithoutOutage { key: "b".to_owned(), version: 32 }));
    assert!(matches!(found[..], [_, Differs { at: 4, told: None, .. }]), "{found:?}");
}

#[test]
fn too_many_repetitions_are_a_violation() {
    let repetition = told(Update, "a", "u", 12, 12);
    let mut repeated = watched();
    repeated.splice(2..2, [repetition.clone(), repetition]);
    let found = explain(&history(), &observed(Pipeline::ClientGo, repeated)).unwrap_err();
    assert_eq!(found, [RepeatedTooOften { key: "a".to_owned(), times: 2 }]);
}

#[test]
fn a_cache_that_is_not_the_servers_is_a_violation() {
    let found = violation(watched(), |it| it.cache.clear());
    assert!(matches!(found, CacheDiffers { cached: None, .. }), "{found}");
    let stale = ("u".to_owned(), "27".to_owned());
    let found = violation(watched(), |it| _ = it.cache.insert("a".to_owned(), stale));
    assert!(matches!(found, CacheDiffers { .. }), "{found}");
    let ghost = ("y".to_owned(), "26".to_owned());
    let found = violation(watched(), |it| _ = it.cache.insert("b".to_owned(), ghost));
    assert!(matches!(found, CacheDiffers { server: None, .. }), "{found}");
    let found = violation(watched(), |it| it.cache_version = 31);
    assert_eq!(found, CacheVersion { version: 31, newest: 32 });
}

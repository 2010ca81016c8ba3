//! What a handler begins with that replaces another one.

use super::*;

/// As the process loop does it: this one is closed, and the new one is told what is `cached`.
fn replace(old: &mut Queue, cached: &[&str], policy: DeliveryPolicy) -> Queue {
    let mut new = Queue::new(policy);
    old.pending.close();
    new.pending.count_on_from(old.pending.arrivals());
    for it in cached {
        new.push(&format!("added {it} initial"));
    }
    new.push("synced");
    new.pending.expect_told();
    new
}

/// What the new one delivers, if the old one ends as it is, and then `newer` comes before or after
/// that; each with a buffer that merges nothing and one that merges everything.
fn delivered(old: impl Fn() -> Queue, cached: &[&str], newer: &[&str]) -> [Vec<String>; 4] {
    let roomy = DeliveryPolicy::default();
    let merging = DeliveryPolicy { buffer_max: 0, ..roomy.clone() };
    [(&roomy, true), (&roomy, false), (&merging, true), (&merging, false)].map(
        |(policy, ends_first)| {
            let mut old = old();
            let mut new = replace(&mut old, cached, policy.clone());
            let mut inherit = |new: &mut Queue| new.pending.inherit(old.left(), new.now);
            if ends_first {
                inherit(&mut new);
            }
            new.push_all(newer);
            if !ends_first {
                inherit(&mut new);
            }
            let lines = new.deliver_all();
            assert!(new.pending.inherited.is_empty(), "it is told of by now");
            lines
        },
    )
}

fn told(texts: &[&str]) -> Queue {
    let mut queue = Queue::roomy();
    queue.push_all(texts);
    queue.deliver_all();
    queue
}

#[test]
fn what_is_there_is_told_from_the_cache() {
    let old = || {
        let mut old = told(&["added a@1"]);
        old.push("updated a@1 a@2").push("added b@3");
        old
    };
    for delivered in delivered(old, &["a@2", "b@3"], &[]) {
        assert_eq!(delivered, ["added a@2 initial", "added b@3 initial", "synced"]);
    }
}

#[test]
fn a_deletion_that_is_left_comes_first_wherever_it_stands() {
    let waits = || {
        let mut old = told(&["added a@1"]);
        old.push("deleted a@2");
        old
    };
    let runs = || {
        let mut old = waits();
        old.next();
        old
    };
    let follows = || {
        let mut old = told(&["added a@1"]);
        old.push("updated a@1 a@2");
        old.next();
        old.push("deleted a@2");
        old
    };
    let is_tried_again = || {
        let mut old = runs();
        old.retry(None).unwrap();
        old
    };
    let is_dead = || {
        let mut old = runs();
        old.fail();
        old
    };
    let follows_an_addition_that_was_tried = || {
        let mut old = Queue::roomy();
        old.push("added a@1");
        old.next();
        old.push("deleted a@2");
        old
    };
    let of_two = || {
        let mut old = is_tried_again();
        old.push("added a#2@3").push("deleted a#2@4");
        old
    };
    let olds: [&dyn Fn() -> Queue; 7] = [
        &waits,
        &runs,
        &follows,
        &is_tried_again,
        &is_dead,
        &follows_an_addition_that_was_tried,
        &of_two,
    ];
    for old in olds {
        for delivered in delivered(old, &["b@1"], &[]) {
            assert_eq!(delivered, ["deleted a@2", "added b@1 initial", "synced"]);
        }
        for delivered in delivered(old, &["a#9@9"], &[]) {
            assert_eq!(delivered, ["deleted a@2", "added a#9@9 initial", "synced"]);
        }
        for delivered in delivered(old, &[], &["added a#9@9"]) {
            assert_eq!(delivered, ["deleted a@2", "synced", "added a#9@9"]);
        }
    }
}

#[test]
fn the_deletion_of_what_nobody_was_told_of_is_not_left() {
    let old = || {
        let mut old = Queue::roomy();
        old.push("added a@1").push("deleted a@2");
        old
    };
    for delivered in delivered(old, &[], &[]) {
        assert_eq!(delivered, ["synced"]);
    }
}

/// Only the handler before was told of it.
#[test]
fn a_deletion_is_told_if_the_handler_before_knew_the_object() {
    let old = || told(&["added a@1"]);
    let [roomy, roomy_too, merging, merging_too] = delivered(old, &["a@1"], &["deleted a@2"]);
    for delivered in [roomy, roomy_too] {
        assert_eq!(delivered, ["added a@1 initial", "synced", "deleted a@2"]);
    }
    for delivered in [merging, merging_too] {
        assert_eq!(delivered, ["deleted a@2", "synced"]);
    }
    let newer = ["deleted a@2", "added a#2@3", "deleted a#2@4"];
    assert_eq!(delivered(old, &["a@1"], &newer)[3], ["deleted a@2", "synced"]);
}

#[test]
fn a_deletion_is_not_told_if_the_handler_before_did_not_know_the_object_either() {
    let old = || {
        let mut old = Queue::roomy();
        old.push("added a@1");
        old
    };
    let newer = ["deleted a@2", "added a#2@3"];
    let [_, _, merging, merging_too] = delivered(old, &["a@1"], &newer);
    assert_eq!(
        (&merging, &merging_too),
        (&vec!["synced".to_owned(), "added a#2@3".to_owned()], &merging)
    );
}

#[test]
fn one_that_is_replaced_before_it_began_passes_on_what_it_was_left() {
    let mut first = told(&["added a@1", "added b@1"]);
    first.push("deleted b@2");
    let mut second = replace(&mut first, &["a@1"], DeliveryPolicy::default());
    second.pending.inherit(first.left(), second.now);
    second.push("deleted a@3");
    let mut third = replace(&mut second, &[], DeliveryPolicy::default());
    third.pending.inherit(second.left(), third.now);
    let mut lines = third.deliver_all();
    lines.sort();
    assert_eq!(lines, ["deleted a@3", "deleted b@2", "synced"]);
}

#[test]
fn synced_waits_for_the_deletions_that_were_left() {
    let mut old = told(&["added a@1"]);
    old.push("deleted a@2");
    let mut new = replace(&mut old, &[], DeliveryPolicy::default());
    new.pending.inherit(old.left(), new.now);
    assert_eq!(new.next().unwrap(), "deleted a@2");
    let wait = new.retry(None).unwrap();
    assert_eq!(new.next(), None);
    new.wait(wait);
    assert_eq!(new.deliver_all(), ["deleted a@2 attempt=2", "synced"]);
}

#[test]
fn a_purged_deletion_is_not_left() {
    let mut old = told(&["added a@1"]);
    old.push("deleted a@2");
    old.next();
    old.fail();
    old.pending.purge_dead_letters(None);
    let mut new = replace(&mut old, &[], DeliveryPolicy::default());
    new.pending.inherit(old.left(), new.now);
    assert_eq!(new.deliver_all(), ["synced"]);
}

#[test]
fn what_follows_a_purged_deletion_was_told_to_nobody() {
    let old = || {
        let mut old = told(&["added a@1"]);
        old.push("deleted a@2");
        old.next();
        old.retry(None).unwrap();
        old.push("added a#3@3");
        assert_eq!(old.next(), None);
        old.wait(Duration::from_secs(1));
        old.next();
        old.fail();
        old.pending.purge_dead_letters(None);
        old
    };
    let [_, _, merging, merging_too] = delivered(old, &["a#3@3"], &["deleted a#3@4"]);
    assert_eq!((merging, merging_too), (vec!["synced".to_owned()], vec!["synced".to_owned()]));
}

//! Dead letters that are given up.

use super::*;

/// What is delivered of `newer` after `first` was a dead letter that was purged.
fn after_a_purge(first: &[&str], newer: &[&str]) -> Vec<String> {
    let mut queue = dead(first);
    assert_eq!(queue.pending.purge_dead_letters(None), 1);
    assert_eq!((queue.dead(), queue.pending.len()), (Vec::new(), 0));
    assert_eq!(queue.pending.purge_dead_letters(None), 0, "once");
    assert_eq!(queue.pending.retry_dead_letters(None, queue.now), 0, "it is given up");
    queue.push_all(newer);
    queue.deliver_all()
}

/// A queue in which the first of these was tried, and the others came meanwhile.
fn dead(texts: &[&str]) -> Queue {
    let mut queue = Queue::roomy();
    queue.push(texts[0]);
    queue.next();
    let wait = queue.retry(None).unwrap();
    queue.push_all(&texts[1..]);
    assert_eq!(queue.next(), None, "they merge with the first, or follow it");
    queue.wait(wait);
    queue.next();
    queue.fail();
    queue
}

#[test]
fn an_addition_that_was_given_up_is_an_addition_when_a_newer_state_comes() {
    let first = ["added a@1"];
    assert_eq!(after_a_purge(&first, &["updated a@1 a@2"]), ["added a@2"]);
    assert_eq!(
        after_a_purge(&first, &["updated a@1 a@2", "updated a@2 a@3"]),
        ["added a@2", "updated a@2 a@3"]
    );
    assert_eq!(after_a_purge(&first, &["updated a@1 a@1"]), ["added a@1"], "or a resync");
    assert_eq!(after_a_purge(&first, &["deleted a@2"]), ["deleted a@2"], "it was seen");
    let again = ["deleted a@2", "added a#2@3"];
    assert_eq!(after_a_purge(&first, &again), again);
}

#[test]
fn an_update_that_was_given_up_goes_on_from_the_state_handled_last() {
    let first = ["updated a@1 a@2"];
    assert_eq!(after_a_purge(&first, &["updated a@2 a@3"]), ["updated a@1 a@3"]);
    assert_eq!(after_a_purge(&first, &["deleted a@3"]), ["deleted a@3"]);
}

#[test]
fn a_deletion_that_was_given_up_is_forgotten() {
    assert_eq!(after_a_purge(&["deleted a@2"], &["added a#2@3"]), ["added a#2@3"]);
    let first = ["deleted a@2", "added a#2@3"];
    assert_eq!(after_a_purge(&first, &["updated a#2@3 a#2@4"]), ["added a#2@4"]);
    assert_eq!(after_a_purge(&first, &["deleted a#2@4"]), Vec::<String>::new());
}

#[test]
fn what_follows_a_purge_can_fail_and_be_a_dead_letter_again() {
    let mut queue = dead(&["added a@1"]);
    queue.pending.purge_dead_letters(Some(&key("a")));
    queue.push("updated a@1 a@2");
    assert_eq!(queue.next().unwrap(), "added a@2");
    queue.fail();
    assert_eq!(queue.dead(), [("a".to_owned(), "2".to_owned())]);
    assert_eq!(queue.pending.retry_dead_letters(None, queue.now), 1);
    assert_eq!(queue.deliver_all(), ["added a@2"]);
}

#[test]
fn only_what_is_dead_and_asked_for_is_purged() {
    let mut queue = Queue::roomy();
    queue.push("added a@1").push("deleted b@2").push("added c@3");
    queue.next();
    queue.fail();
    queue.next();
    queue.fail();
    queue.next();
    let wait = queue.retry(None).unwrap();
    assert_eq!(queue.pending.purge_dead_letters(Some(&key("c"))), 0, "it will be tried again");
    assert_eq!(queue.pending.purge_dead_letters(Some(&key("b"))), 1);
    assert_eq!(queue.dead(), [("a".to_owned(), "1".to_owned())]);
    assert!(queue.pending.gone.is_empty());
    queue.wait(wait);
    assert_eq!(queue.deliver_all(), ["added c@3 attempt=2"]);
}

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_failed_delivery_is_tried_again_after_delays_that_double() {
    let mut queue = Queue::roomy();
    queue.push("added a@1");
    let mut waits = Vec::new();
    for attempt in 1.. {
        let expected = match attempt {
            1 => "added a@1".to_owned(),
            attempt => format!("added a@1 attempt={attempt}"),
        };
        assert_eq!(queue.next().unwrap(), expected);
        let Some(wait) = queue.retry(None) else { break };
        assert_eq!(queue.next(), None, "not before its time");
        waits.push(wait.as_millis());
        queue.wait(wait);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600]);
    assert_eq!(queue.dead(), [("a".to_owned(), "1".to_owned())]);
    let counts = queue.pending.counts();
    assert_eq!((counts.delivered, counts.failed, counts.merged), (0, 6, 0));
}

#[test]
fn delays_do_not_grow_beyond_the_cap() {
    let policy = DeliveryPolicy { retries_max: 100, ..DeliveryPolicy::default() };
    let mut queue = Queue::new(policy);
    queue.push("added a@1");
    for _ in 0..50 {
        queue.next().unwrap();
        let wait = queue.retry(None).unwrap();
        assert!(wait <= BACKOFF_MAX);
        queue.wait(wait);
    }
    queue.next().unwrap();
    assert_eq!(queue.retry(None), Some(BACKOFF_MAX));
}

#[test]
fn a_handler_may_say_how_long_to_wait() {
    let mut queue = Queue::roomy();
    queue.push("added a@1");
    queue.next();
    assert_eq!(queue.retry(Some(90 * SECOND)), Some(90 * SECOND));
    assert_eq!(queue.pending.next(queue.now), Next::Wait(Some(queue.now + 90 * SECOND)));
    queue.wait(90 * SECOND);
    assert_eq!(queue.deliver_all(), ["added a@1 attempt=2"]);
}

#[test]
fn a_wait_that_no_clock_can_show_is_a_day() {
    let mut queue = Queue::roomy();
    queue.push("added a@1");
    queue.next();
    assert_eq!(queue.retry(Some(Duration::MAX)), Some(RETRY_AFTER_MAX));
}

#[test]
fn a_failed_object_does_not_hold_up_the_others() {
    let mut queue = Queue::roomy();
    queue.push("added a@1").push("added b@2");
    assert_eq!(queue.next().unwrap(), "added a@1");
    let wait = queue.retry(None).unwrap();
    assert_eq!(queue.deliver_all(), ["added b@2"]);
    queue.wait(wait);
    assert_eq!(queue.deliver_all(), ["added a@1 attempt=2"]);
}

/// What is delivered after `first` has failed once and `newer` came meanwhile.
fn after_a_failure(first: &str, newer: &[&str]) -> Vec<String> {
    let mut queue = Queue::roomy();
    queue.push(first);
    queue.next();
    let wait = queue.retry(None).unwrap();
    for text in newer {
        queue.push(text);
    }
    assert_eq!(queue.deliver_all(), Vec::<String>::new(), "the order per object holds");
    queue.wait(wait);
    queue.deliver_all()
}

#[test]
fn what_is_newer_merges_with_what_failed() {
    assert_eq!(after_a_failure("added a@1", &["updated a@1 a@2"]), ["added a@2 attempt=2"]);
    assert_eq!(
        after_a_failure("updated a@1 a@2", &["updated a@2 a@3", "updated a@3 a@4"]),
        ["updated a@1 a@4 attempt=2"]
    );
    assert_eq!(after_a_failure("updated a@1 a@2", &["deleted a@3"]), ["deleted a@3 attempt=2"]);
    assert_eq!(
        after_a_failure("deleted a@3", &["added a#2@4", "updated a#2@4 a#2@5"]),
        ["deleted a@3 attempt=2", "added a#2@5"]
    );
    assert_eq!(
        after_a_failure("deleted a@3", &["added a#2@4", "deleted a#2@5"]),
        ["deleted a@3 attempt=2"]
    );
}

#[test]
fn a_handler_that_has_seen_an_addition_is_told_of_the_deletion() {
    assert_eq!(after_a_failure("added a@1", &["deleted a@2"]), ["deleted a@2 attempt=2"]);
    assert_eq!(
        after_a_failure("added a@1", &["deleted a@2", "added a#2@3"]),
        ["deleted a@2 attempt=2", "added a#2@3"]
    );
}

#[test]
fn a_dead_letter_waits_for_a_newer_state_of_its_object() {
    let mut queue = Queue::roomy();
    queue.push("added a@1").push("added b@2");
    queue.next();
    queue.fail();
    assert_eq!(queue.deliver_all(), ["added b@2"]);
    queue.wait(1000 * SECOND);
    assert_eq!(queue.next(), None);
    let dead = queue.pending.dead_letters();
    let expected = DeadLetter {
        key: key("a"),
        resource_version: "1".into(),
        reason: "never".into(),
        attempts: 1,
    };
    assert_eq!(dead, [expected]);

    queue.push("updated a@1 a@3");
    assert_eq!(queue.next().unwrap(), "added a@3");
    assert!(queue.dead().is_empty());
    assert!(queue.retry(None).is_some(), "with all its retries");
}

#[test]
fn a_dead_addition_is_followed_by_the_deletion() {
    let mut queue = Queue::roomy();
    queue.push("added a@1");
    queue.next();
    queue.fail();
    queue.push("deleted a@2");
    assert_eq!(queue.deliver_all(), ["deleted a@2"]);
    assert!(queue.dead().is_empty());
}

#[test]
fn dead_letters_are_tried_again_when_somebody_asks() {
    let mut queue = Queue::roomy();
    for text in ["added a@1", "added b@2", "added c@3"] {
        queue.push(text);
        queue.next();
        queue.fail();
    }
    assert_eq!(queue.pending.retry_dead_letters(Some(&key("b")), queue.now), 1);
    assert_eq!(queue.pending.retry_dead_letters(Some(&key("b")), queue.now), 0);
    assert_eq!(queue.deliver_all(), ["added b@2"]);
    assert_eq!(queue.pending.retry_dead_letters(None, queue.now), 2);
    assert_eq!(queue.deliver_all(), ["added a@1", "added c@3"]);
    assert!(queue.dead().is_empty());
}

#[test]
fn a_rearmed_addition_that_the_handler_has_seen_is_still_followed_by_the_deletion() {
    let mut queue = Queue::roomy();
    queue.push("added a@1");
    queue.next();
    queue.fail();
    queue.pending.retry_dead_letters(None, queue.now);
    assert!(queue.pending.parked[&key("a")].attempted);
    assert_eq!(queue.next().unwrap(), "added a@1");
    queue.push("deleted a@2");
    queue.retry(None);
    assert_eq!(queue.next(), None);
    queue.wait(SECOND);
    assert_eq!(queue.deliver_all(), ["deleted a@2 attempt=2"]);
}

#[test]
fn what_follows_a_dead_letter_waits_while_that_is_delivered_again() {
    let mut queue = Queue::roomy();
    queue.push("deleted a@1");
    queue.next();
    queue.retry(None);
    queue.push("added a#2@2");
    assert_eq!(queue.next(), None);
    queue.wait(SECOND);
    assert_eq!(queue.next().unwrap(), "deleted a@1 attempt=2");

    // In flight, so neither dead nor to be re-armed; and two notifications are not handled yet.
    assert!(queue.dead().is_empty());
    assert_eq!(queue.pending.retry_dead_letters(None, queue.now), 0);
    assert_eq!(queue.pending.len(), 2);

    queue.fail();
    assert_eq!(queue.dead(), [("a".to_owned(), "2".to_owned())]);
    assert_eq!(queue.pending.retry_dead_letters(None, queue.now), 1);
    assert_eq!(queue.pending.len(), 2);
    queue.push("synced");
    assert_eq!(queue.deliver_all(), ["deleted a@1", "added a#2@2", "synced"]);
}

#[test]
fn synced_waits_for_the_retries_of_the_initial_list() {
    let mut queue = Queue::roomy();
    queue.push("added a@1 initial").push("added b@2 initial").push("synced").push("added c@3");
    queue.next();
    let wait = queue.retry(None).unwrap();
    // What came after it does not wait.
    assert_eq!(queue.deliver_all(), ["added b@2 initial", "added c@3"]);
    queue.wait(wait);
    assert_eq!(queue.deliver_all(), ["added a@1 initial attempt=2", "synced"]);
}

#[test]
fn synced_does_not_wait_for_dead_letters_nor_for_retries_of_what_came_later() {
    let mut queue = Queue::roomy();
    queue.push("added a@1 initial").push("added b@2");
    queue.next();
    queue.fail();
    queue.push("synced").push("added c@3");
    assert_eq!(queue.next().unwrap(), "added b@2");
    queue.done();
    assert_eq!(queue.next().unwrap(), "synced");
    queue.done();
    assert_eq!(queue.deliver_all(), ["added c@3"]);
}

#[test]
fn synced_is_tried_again_like_the_rest() {
    let policy = DeliveryPolicy { retries_max: 1, ..DeliveryPolicy::default() };
    let mut queue = Queue::new(policy);
    queue.push("synced");
    assert_eq!(queue.next().unwrap(), "synced");
    let wait = queue.retry(None).unwrap();
    assert_eq!(queue.next(), None);
    queue.wait(wait);
    assert_eq!(queue.next().unwrap(), "synced attempt=2");
    assert_eq!(queue.retry(None), None);
    assert_eq!(queue.pending.next(queue.now), Next::Wait(None));
    assert!(queue.dead().is_empty());
}

#[test]
fn a_dead_letter_that_lives_again_does_not_hold_up_a_synced_that_was_tried() {
    let mut queue = Queue::roomy();
    queue.push("added a@1 initial").push("synced");
    queue.next();
    queue.fail();
    assert_eq!(queue.next().unwrap(), "synced");
    let wait = queue.retry(None).unwrap();
    queue.push("updated a@1 a@2");
    assert_eq!(queue.next().unwrap(), "added a@2 initial");
    queue.retry(Some(1000 * SECOND));
    queue.wait(wait);
    // Otherwise the task would wait for a time that has passed, over and over.
    assert_eq!(queue.next().unwrap(), "synced attempt=2");
}

#[test]
fn dead_letters_of_deleted_objects_are_bounded_and_those_of_others_are_kept() {
    let mut queue = Queue::roomy();
    queue.push("added kept@1");
    queue.next();
    queue.fail();
    for n in 0..GONE_DEAD_LETTERS_MAX + 5 {
        queue.push(&format!("deleted gone-{n}@2"));
        queue.next();
        queue.fail();
    }
    let dead = queue.dead();
    assert_eq!(dead.len(), GONE_DEAD_LETTERS_MAX + 1);
    assert!(dead.contains(&("kept".to_owned(), "1".to_owned())));
    assert!(!dead.iter().any(|(key, _)| key == "gone-4"), "the oldest are given up");
    assert!(dead.iter().any(|(key, _)| key == "gone-5"));
    assert_eq!(queue.pending.counts().forgotten, 5);

    // One that lives again is not among them any more.
    queue.push("added gone-5@3");
    assert_eq!(queue.next().unwrap(), "deleted gone-5@2");
    queue.done();
    assert_eq!(queue.deliver_all(), ["added gone-5@3"]);
    queue.push("deleted gone-x@4");
    queue.next();
    queue.fail();
    assert_eq!(queue.pending.counts().forgotten, 5);
}

use super::*;

/// What is left of two notifications of one object, both waiting.
fn merged(first: &str, second: &str) -> Vec<String> {
    let mut queue = Queue::merging();
    queue.push(first).push(second);
    queue.deliver_all()
}

#[test]
fn two_waiting_notifications_of_one_object_merge_beyond_the_bound() {
    assert_eq!(merged("added a@1", "updated a@1 a@2"), ["added a@2"]);
    assert_eq!(merged("added a@1 initial", "updated a@1 a@2"), ["added a@2 initial"]);
    assert_eq!(merged("updated a@1 a@2", "updated a@2 a@3"), ["updated a@1 a@3"]);
    assert_eq!(merged("updated a@1 a@2", "deleted a@3"), ["deleted a@3"]);
    assert_eq!(merged("added a@1", "deleted a@2"), Vec::<String>::new());
    assert_eq!(merged("deleted a@2", "added a#2@3"), ["deleted a@2", "added a#2@3"]);
}

#[test]
fn a_deletion_and_what_follows_it_never_become_one() {
    let mut queue = Queue::merging();
    queue.push("updated a@1 a@2").push("deleted a@3").push("added a#2@4");
    queue.push("updated a#2@4 a#2@5");
    assert_eq!(queue.deliver_all(), ["deleted a@3", "added a#2@5"]);
    queue.push("deleted a#2@6").push("added a#3@7").push("deleted a#3@8").push("added a#4@9");
    assert_eq!(queue.deliver_all(), ["deleted a#2@6", "added a#4@9"]);
}

#[test]
fn what_merges_keeps_its_place_in_the_line() {
    let mut queue = Queue::merging();
    queue.push("added a@1").push("added b@2").push("updated a@1 a@3");
    assert_eq!(queue.deliver_all(), ["added a@3", "added b@2"]);
}

#[test]
fn only_the_newest_notification_of_an_object_merges() {
    let policy = DeliveryPolicy { buffer_max: 3, ..DeliveryPolicy::default() };
    let mut queue = Queue::new(policy);
    queue.push("added a@1").push("updated a@1 a@2").push("added b@3");
    queue.push("updated a@2 a@4").push("updated a@4 a@5").push("added c@6");
    let expected = ["added a@1", "updated a@1 a@5", "added b@3", "added c@6"];
    assert_eq!(queue.deliver_all(), expected);
    let counts = queue.pending.counts();
    assert_eq!((counts.delivered, counts.failed, counts.merged), (4, 0, 2));
}

#[test]
fn below_the_bound_nothing_merges() {
    let policy = DeliveryPolicy { buffer_max: 3, ..DeliveryPolicy::default() };
    let mut queue = Queue::new(policy);
    let arrived = ["added a@1", "updated a@1 a@2", "updated a@2 a@3"];
    for text in arrived {
        queue.push(text);
    }
    assert_eq!(queue.deliver_all(), arrived);
    // Room again.
    queue.push("updated a@3 a@4").push("updated a@4 a@5");
    assert_eq!(queue.deliver_all(), ["updated a@3 a@4", "updated a@4 a@5"]);
}

#[test]
fn notifications_merge_beyond_a_bound_of_bytes() {
    let object_bytes = object("a@1").json.len();
    let policy = DeliveryPolicy { buffer_bytes_max: 3 * object_bytes, ..DeliveryPolicy::default() };
    let mut queue = Queue::new(policy);
    queue.push("added a@1").push("updated a@1 a@2");
    assert_eq!(queue.pending.ready_bytes, 3 * object_bytes);
    queue.push("updated a@2 a@3").push("updated a@3 a@4");
    assert_eq!(queue.pending.ready_bytes, 3 * object_bytes);
    assert_eq!(queue.deliver_all(), ["added a@1", "updated a@1 a@4"]);
    assert_eq!(queue.pending.ready_bytes, 0);
    queue.push("added b@5").push("updated b@5 b@6");
    assert_eq!(queue.pending.ready_bytes, 3 * object_bytes);
}

#[test]
fn the_queue_is_bounded_by_objects_however_many_events_there_are() {
    let policy = DeliveryPolicy { buffer_max: 4, ..DeliveryPolicy::default() };
    let mut queue = Queue::new(policy);
    queue.push("added a@0").push("added b@0");
    for version in 1..1000 {
        let older = version - 1;
        queue.push(&format!("updated a@{older} a@{version}"));
        queue.push(&format!("updated b@{older} b@{version}"));
    }
    assert_eq!(queue.pending.len(), 4);
    queue.push("deleted a@1000");
    let expected = ["added a@0", "added b@0", "deleted a@1000", "updated b@0 b@999"];
    assert_eq!(queue.deliver_all(), expected);
}

#[test]
fn what_is_being_delivered_does_not_merge_any_more() {
    let mut queue = Queue::merging();
    queue.push("added a@1");
    assert_eq!(queue.next().unwrap(), "added a@1");
    queue.push("updated a@1 a@2").push("deleted a@3");
    queue.done();
    assert_eq!(queue.deliver_all(), ["deleted a@3"]);
}

#[test]
fn synced_holds_its_place_while_what_is_before_it_merges() {
    let mut queue = Queue::merging();
    queue.push("added a@1 initial").push("synced").push("updated a@1 a@2").push("added b@3");
    assert_eq!(queue.deliver_all(), ["added a@2 initial", "synced", "added b@3"]);
}

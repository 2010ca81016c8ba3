//! What is ours about the queue; `scenarios` has what is client-go's.

use super::*;
use crate::objects::{key, object};
use crate::queue::fixture::{Known, spelled};

mod scenarios;

fn knowing(
    atomic_events: bool,
    known: &[&str],
    transform: Option<TransformFunc>,
) -> Known<RealFifo> {
    let options = RealFifoOptions { atomic_events, ..RealFifoOptions::default() };
    Known::new(RealFifo::new(options, transform), known)
}

/// Refuses version 13.
fn refusing() -> Option<TransformFunc> {
    Some(Arc::new(|object| match &*object.resource_version {
        "13" => Err("13 is refused".to_owned()),
        _ => Ok(object),
    }))
}

/// client-go: AT-1, where the whole list is refused, for ever if need be.
#[test]
fn an_object_whose_transform_fails_is_left_out_of_a_list_and_not_deleted() {
    let mut queue = knowing(true, &["a@1", "b@2"], refusing());
    let objects = vec![object("a@5"), object("b@13")];
    assert_eq!(queue.fifo.replace(objects, "20", &queue.known.lister()), ["13 is refused"]);
    let (resource_version, objects) = ("20".to_owned(), vec![object("a@5")]);
    let list = ReplacedList { resource_version, objects, left_out: vec![key("b")] };
    assert_eq!(queue.fifo.items, [Delta::ReplacedAll(list.into())]);

    let mut queue = knowing(false, &["a@1", "b@2", "c@3"], refusing());
    let objects = vec![object("a@5"), object("b@13")];
    assert_eq!(queue.fifo.replace(objects, "20", &queue.known.lister()), ["13 is refused"]);
    assert_eq!(queue.pop_all(), ["unknown c@3", "replaced a@5"]);
}

#[test]
fn what_a_list_could_not_read_stays_as_it_is_known() {
    let left_out = LeftOut { keys: vec![key("a"), key("b"), key("new")], others: false };
    let mut queue = knowing(true, &["a@1", "b@2", "c@3"], None);
    let lister = queue.known.lister();
    queue.fifo.replace_leaving_out(vec![object("a@5")], left_out.clone(), "20", &lister);
    let (resource_version, objects) = ("20".to_owned(), vec![object("a@5")]);
    let left_out_keys = vec![key("b"), key("new")];
    let list = ReplacedList { resource_version, objects, left_out: left_out_keys };
    assert_eq!(
        queue.fifo.items,
        [Delta::ReplacedAll(list.into())],
        "what could be read of an object is newer"
    );

    let mut queue = knowing(false, &["a@1", "b@2", "c@3"], None);
    queue.fifo.replace_leaving_out(vec![object("a@5")], left_out, "20", &lister);
    assert_eq!(queue.pop_all(), ["unknown c@3", "replaced a@5"]);
}

#[test]
fn a_list_of_which_not_every_key_is_known_deletes_nothing() {
    let others = LeftOut { keys: Vec::new(), others: true };
    let mut queue = knowing(true, &["a@1", "b@2"], None);
    queue.add("c@3").replace(&["b@2", "d@4"]);
    let lister = queue.known.lister();
    queue.fifo.replace_leaving_out(vec![object("a@5")], others.clone(), "20", &lister);
    let Some(Delta::ReplacedAll(list)) = queue.fifo.items.back() else { panic!() };
    let mut left_out: Vec<&str> = list.left_out.iter().map(ObjectKey::as_str).collect();
    left_out.sort_unstable();
    assert_eq!(left_out, ["b", "c", "d"], "known, queued, and in a queued list");

    let mut queue = knowing(false, &["a@1", "b@2"], None);
    queue.add("c@3");
    queue.fifo.replace_leaving_out(vec![object("a@5")], others, "20", &lister);
    assert_eq!(queue.pop_all(), ["added c@3", "replaced a@5"]);
}

#[test]
fn a_deletion_whose_transform_fails_is_one_of_the_last_state_that_is_known() {
    let mut queue = knowing(true, &["a@1", "b@2"], refusing());
    queue.add("a@5");
    for deleted in ["a@13", "b@13", "c@13"] {
        let refused = queue.fifo.delete(object(deleted), &queue.known.lister());
        assert_eq!(refused, Err("13 is refused".to_owned()));
    }
    assert_eq!(queue.pop_all(), ["added a@5", "unknown a@5", "unknown b@2"]);
}

#[test]
fn a_deletion_whose_transform_fails_is_compared_with_a_queued_list() {
    let mut queue = knowing(true, &["b@2", "c@3"], refusing());
    queue.fifo.replace(vec![object("a@5"), object("c@13")], "20", &queue.known.lister());
    for deleted in ["a@13", "b@13", "c@13"] {
        let refused = queue.fifo.delete(object(deleted), &queue.known.lister());
        assert_eq!(refused, Err("13 is refused".to_owned()));
    }
    // The list has no b any more, and left out c, which is cached.
    assert_eq!(queue.pop_all(), ["replaced-all rv=20 a@5", "unknown a@5", "unknown c@3"]);
}

#[test]
fn a_change_before_any_list_ends_the_first_list_even_if_its_transform_fails() {
    let mut queue = knowing(true, &[], refusing());
    assert!(queue.fifo.add(object("a@13")).is_err());
    assert!(queue.fifo.has_synced());

    let mut queue = knowing(true, &[], refusing());
    assert!(queue.fifo.update(object("a@13")).is_err());
    assert!(queue.fifo.has_synced());
    queue.replace(&["a@14"]);
    assert_eq!(queue.pop(), Some(("replaced-all rv=100 a@14".to_owned(), false)));
}

/// Pops everything that can be given together, and fails on the state.
fn pop_failing_on(queue: &mut Known<RealFifo>, state: &str) -> String {
    let mut applied = Deltas::new();
    queue.fifo.pop_batch(|deltas, _| {
        while let Some(delta) = deltas.front() {
            if spelled(&[delta.clone()].into()).contains(state) {
                return Err(ProcessError::Failed("a bug".to_owned()));
            }
            applied.extend(deltas.pop_front());
        }
        Ok(())
    });
    spelled(&applied)
}

#[test]
fn what_cannot_be_applied_goes_behind_the_others_unless_something_newer_is_queued() {
    let mut queue = knowing(true, &[], None);
    queue.add("a@1").add("b@2").add("c@3").add("d@4").update("a@5");
    assert_eq!(pop_failing_on(&mut queue, "b@2"), "added a@1");
    assert_eq!(queue.pop_all(), ["added c@3", "added d@4", "updated a@5", "added b@2"]);

    queue.add("a@1").update("a@5").add("b@6");
    assert_eq!(pop_failing_on(&mut queue, "a@1"), "");
    assert_eq!(queue.pop_all(), ["updated a@5", "added b@6"]);
}

#[test]
fn what_cannot_be_applied_does_not_follow_a_list_that_is_newer() {
    let mut queue = knowing(true, &[], refusing());
    for failed in ["a@1", "b@2", "c@3"] {
        queue.add(failed);
        queue.fifo.replace(vec![object("a@5"), object("c@13")], "20", &queue.known.lister());
        assert_eq!(pop_failing_on(&mut queue, failed), "");
        // C is left out of the list.
        let last = (failed == "c@3").then_some("added c@3");
        let expected = ["replaced-all rv=20 a@5"].into_iter().chain(last);
        assert_eq!(queue.pop_all(), expected.collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_be_applied_still_belongs_to_the_first_list() {
    let mut queue = knowing(false, &[], None);
    queue.replace(&["a@1", "b@2", "c@3"]).update("d@4");
    assert_eq!(pop_failing_on(&mut queue, "a@1"), "");
    assert!(!queue.fifo.has_synced());
    let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    let expected = [
        ("replaced b@2", true),
        ("replaced c@3", true),
        ("replaced a@1", true),
        ("updated d@4", false),
    ];
    assert_eq!(popped, expected.map(|(text, initial)| (text.to_owned(), initial)));
}

#[test]
fn a_list_that_cannot_be_applied_stays_in_front() {
    let mut queue = knowing(true, &[], None);
    queue.replace(&["a@1"]).update("b@2");
    assert_eq!(pop_failing_on(&mut queue, "a@1"), "");
    assert!(!queue.fifo.has_synced());
    assert_eq!(queue.pop(), Some(("replaced-all rv=100 a@1".to_owned(), true)));
    assert_eq!(queue.pop(), Some(("updated b@2".to_owned(), false)));
}

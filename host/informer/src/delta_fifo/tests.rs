//! Scenarios of client-go's `delta_fifo_test.go`. A list always gives `Replaced` here, where those
//! scenarios say `Sync` for a queue without `EmitDeltaTypeReplaced`.

use std::sync::Mutex;

use super::*;
use crate::objects::{key, object, text};
use crate::queue::fixture::Known;

type Fifo = Known<DeltaFifo>;

fn knowing(known: &[&str]) -> Fifo {
    Known::new(DeltaFifo::new(None), known)
}

/// ★1 client-go: `TestDeltaFIFO_replaceWithDeleteDeltaIn` (issue 83810).
#[test]
fn scenario_01_delta_fifo_replace_with_delete_delta_in() {
    let mut queue = knowing(&["foo@1"]);
    queue.delete("foo@1").replace(&["foo@2"]);
    assert_eq!(queue.pop_all(), ["deleted foo@1, replaced foo@2"]);
}

/// ★2 client-go: `TestDeltaFIFOW_ReplaceMakesDeletionsForObjectsOnlyInQueue`, cases (a) to (f); what
/// (b) does with `EmitDeltaTypeReplaced` is the only way here. There is always a set of known objects,
/// so no case without.
#[test]
fn scenario_02_delta_fifow_replace_makes_deletions_for_objects_only_in_queue() {
    type Operations = fn(&mut Fifo) -> &mut Fifo;
    let cases: [(Operations, &str); 6] = [
        (|q| q.add("foo@5").replace(&[]), "added foo@5, unknown foo@5"),
        (
            |q| q.add("foo@5").replace(&["foo@5"]).replace(&[]),
            "added foo@5, replaced foo@5, unknown foo@5",
        ),
        (|q| q.add("foo@5").delete("foo@5").replace(&[]), "added foo@5, deleted foo@5"),
        (
            |q| q.add("foo@5").replace(&["foo@5"]).replace(&["foo@5"]).replace(&[]),
            "added foo@5, replaced foo@5, replaced foo@5, unknown foo@5",
        ),
        (|q| q.add("foo@5").replace(&[]).replace(&[]), "added foo@5, unknown foo@5"),
        (
            |q| q.add("foo@5").delete("foo@5").add("foo@6").replace(&[]),
            "added foo@5, deleted foo@5, added foo@6, unknown foo@6",
        ),
    ];
    for (operations, expected) in cases {
        let mut queue = knowing(&[]);
        operations(&mut queue);
        assert_eq!(queue.pop_all(), [expected]);
        assert!(queue.fifo.is_empty());
    }
}

/// ★3 client-go: `TestDeltaFIFO_addUpdate`.
#[test]
fn scenario_03_delta_fifo_add_update() {
    let mut queue = knowing(&[]);
    queue.add("foo@10").update("foo@12").delete("foo@15");
    assert_eq!(queue.fifo.len(), 1);
    assert!(queue.fifo.items.contains_key(&key("foo")));
    assert_eq!(queue.pop_all(), ["added foo@10, updated foo@12, deleted foo@15"]);
    assert!(!queue.fifo.items.contains_key(&key("foo")));
}

/// ★4 client-go: `TestDeltaFIFO_transformer`.
#[test]
fn scenario_04_delta_fifo_transformer() {
    let transformed = Arc::new(Mutex::new(Vec::new()));
    let counting: TransformFunc = {
        let transformed = transformed.clone();
        Arc::new(move |object| {
            transformed.lock().unwrap().push(text(&object));
            Ok(object)
        })
    };
    let mut queue = knowing(&[]);
    queue.fifo = DeltaFifo::new(Some(counting));
    queue.add("foo@10").add("bar@11").update("foo@12").delete("foo@15").replace(&[]);
    queue.add("bar@16").replace(&[]);
    let foo = "added foo@10, updated foo@12, deleted foo@15";
    let bar = "added bar@11, unknown bar@11, added bar@16, unknown bar@16";
    assert_eq!(queue.pop_all(), [foo, bar]);
    let expected = ["foo@10", "bar@11", "foo@12", "foo@15", "bar@16"];
    assert_eq!(*transformed.lock().unwrap(), expected);
}

/// ★5 client-go: `TestDeltaFIFO_enqueueingNoLister`.
#[test]
fn scenario_05_delta_fifo_enqueueing_no_lister() {
    let mut queue = knowing(&[]);
    queue.add("foo@10").update("bar@15").add("qux@17").delete("qux@18").delete("baz@20");
    assert_eq!(queue.pop_all(), ["added foo@10", "updated bar@15", "added qux@17, deleted qux@18"]);
}

/// ★6 client-go: `TestDeltaFIFO_ResyncNonExisting`.
#[test]
fn scenario_06_delta_fifo_resync_non_existing() {
    let mut queue = knowing(&["foo@5"]);
    queue.delete("foo@10").resync();
    assert_eq!(queue.pop_all(), ["deleted foo@10"]);
}

/// ★7 client-go: `TestDeltaFIFO_ReplaceMakesDeletions`. For the last case, without known objects, the
/// set is empty here.
#[test]
fn scenario_07_delta_fifo_replace_makes_deletions() {
    type Operations = fn(&mut Fifo) -> &mut Fifo;
    let known: &[&str] = &["foo@5", "bar@6", "baz@7"];
    let cases: [(&[&str], Operations, &[&str]); 5] = [
        (
            known,
            |q| q.delete("baz@10").replace(&["foo@5"]),
            &["deleted baz@10", "replaced foo@5", "unknown bar@6"],
        ),
        (
            known,
            |q| q.add("baz@10").replace(&["foo@5"]),
            &["added baz@10, unknown baz@10", "replaced foo@5", "unknown bar@6"],
        ),
        (
            known,
            |q| q.delete("bar@6").add("bar@100").replace(&["foo@5"]),
            &["deleted bar@6, added bar@100, unknown bar@100", "replaced foo@5", "unknown baz@7"],
        ),
        (
            known,
            |q| q.replace(&["bar@100", "foo@5"]).replace(&["foo@5"]),
            &[
                "replaced bar@100, unknown bar@100",
                "replaced foo@5, replaced foo@5",
                "unknown baz@7",
            ],
        ),
        (
            &[],
            |q| q.add("baz@10").replace(&["foo@5"]),
            &["added baz@10, unknown baz@10", "replaced foo@5"],
        ),
    ];
    for (known, operations, expected) in cases {
        let mut queue = knowing(known);
        operations(&mut queue);
        assert_eq!(queue.pop_all(), expected);
    }
}

/// ★8 client-go: `TestDeltaFIFO_UpdateResyncRace`.
#[test]
fn scenario_08_delta_fifo_update_resync_race() {
    let mut queue = knowing(&["foo@5"]);
    queue.update("foo@6").resync();
    assert_eq!(queue.pop_all(), ["updated foo@6"]);
}

#[test]
fn a_resync_gives_every_known_object_that_is_not_queued() {
    let mut queue = knowing(&["foo@5", "bar@6", "baz@7"]);
    queue.update("foo@8").resync();
    let popped = queue.pop_all();
    assert_eq!(popped[0], "updated foo@8");
    let mut rest = popped[1..].to_vec();
    rest.sort();
    assert_eq!(rest, ["sync bar@6", "sync baz@7"]);
}

/// client-go: TR-3.
#[test]
fn a_resync_is_not_transformed() {
    let mut queue = knowing(&["foo@13"]);
    queue.fifo = DeltaFifo::new(Some(picky()));
    queue.resync();
    assert_eq!(queue.pop_all(), ["sync foo@13"]);
}

/// ★9 client-go: `TestDeltaFIFO_HasSyncedCorrectOnDeletion`.
#[test]
fn scenario_09_delta_fifo_has_synced_correct_on_deletion() {
    let mut queue = knowing(&["foo@5", "bar@6", "baz@7"]);
    queue.replace(&["foo@5"]);
    let mut popped = Vec::new();
    for _ in 0..3 {
        assert!(!queue.fifo.has_synced());
        let (deltas, in_initial_list) = queue.pop().unwrap();
        assert!(in_initial_list);
        popped.push(deltas);
    }
    assert!(queue.fifo.has_synced());
    popped[1..].sort();
    assert_eq!(popped, ["replaced foo@5", "unknown bar@6", "unknown baz@7"]);
}

/// ★10 client-go: `TestDeltaFIFO_detectLineJumpers`.
#[test]
fn scenario_10_delta_fifo_detect_line_jumpers() {
    let mut queue = knowing(&[]);
    queue.add("foo@10").add("bar@1").add("foo@11").add("foo@13").add("zab@30");
    assert_eq!(queue.pop().unwrap().0, "added foo@10, added foo@11, added foo@13");
    queue.add("foo@14");
    assert_eq!(queue.pop_all(), ["added bar@1", "added zab@30", "added foo@14"]);
}

/// ★11 client-go: `TestDeltaFIFO_HasSynced`.
#[test]
fn scenario_11_delta_fifo_has_synced() {
    let mut queue = knowing(&[]);
    assert!(!queue.fifo.has_synced());
    assert!(queue.add("a@1").fifo.has_synced());

    assert!(knowing(&[]).replace(&[]).fifo.has_synced());

    let mut queue = knowing(&[]);
    assert!(!queue.replace(&["a@1", "b@2"]).fifo.has_synced());
    assert_eq!(queue.pop(), Some(("replaced a@1".to_owned(), true)));
    assert!(!queue.fifo.has_synced());
    assert_eq!(queue.pop(), Some(("replaced b@2".to_owned(), true)));
    assert!(queue.fifo.has_synced());
    queue.replace(&["a@1"]);
    assert!(queue.fifo.has_synced());
    assert_eq!(queue.pop(), Some(("replaced a@1".to_owned(), false)));

    let mut queue = knowing(&[]);
    assert!(!queue.replace(&["a@1", "a@2"]).fifo.has_synced());
    assert_eq!(queue.pop(), Some(("replaced a@1, replaced a@2".to_owned(), true)));
    assert!(queue.fifo.has_synced());
}

#[test]
fn the_first_list_counts_what_was_known_and_what_it_has_once_each() {
    let mut queue = knowing(&["known@1"]);
    queue.replace(&["a@1", "known@1"]);
    assert_eq!(queue.fifo.initial_population_count, 2);
}

#[test]
fn two_deletions_are_one_and_the_known_final_state_wins() {
    let mut queue = knowing(&["foo@5"]);
    queue.delete("foo@6").delete("foo@7");
    assert_eq!(queue.pop_all(), ["deleted foo@6"]);
    queue.replace(&[]).delete("foo@8");
    assert_eq!(queue.pop_all(), ["deleted foo@8"]);
}

#[test]
fn a_closed_queue_gives_what_it_has_and_then_says_that_it_is_closed() {
    let mut queue = knowing(&[]);
    queue.add("foo@5");
    queue.fifo.close();
    assert!(queue.fifo.is_closed());
    assert_eq!(queue.pop_all(), ["added foo@5"]);
    assert_eq!(queue.fifo.pop(|_, _| Ok(())), Popped::Closed);
    assert_eq!(DeltaFifo::new(None).pop(|_, _| Ok(())), Popped::Empty);
}

#[test]
fn what_was_not_processed_goes_to_the_end_of_the_line() {
    let mut queue = knowing(&[]);
    queue.add("foo@5").update("foo@6").add("bar@7");
    let popped = queue.fifo.pop(|deltas, _| {
        deltas.pop_front();
        Err(ProcessError::Requeue)
    });
    assert_eq!(popped, Popped::Processed(Err(ProcessError::Requeue)));
    assert_eq!(queue.pop_all(), ["added bar@7", "updated foo@6"]);

    queue.add("foo@8");
    queue.fifo.pop(|deltas, _| {
        deltas.clear();
        Err(ProcessError::Failed("after the last delta".to_owned()))
    });
    assert!(queue.fifo.is_empty());
}

#[test]
fn what_is_put_back_does_not_follow_what_is_newer() {
    let mut queue = knowing(&[]);
    queue.add("foo@6");
    queue.fifo.add_if_not_present(key("foo"), Deltas::from([Delta::Added(object("foo@5"))]));
    queue.fifo.add_if_not_present(key("bar"), Deltas::new());
    assert_eq!(queue.pop_all(), ["added foo@6"]);
}

#[test]
fn an_object_of_the_first_list_that_is_put_back_still_belongs_to_it() {
    let mut queue = knowing(&[]);
    queue.replace(&["foo@5"]);
    queue.fifo.pop(|_, _| Err(ProcessError::Requeue));
    assert!(!queue.fifo.has_synced());
    assert_eq!(queue.pop(), Some(("replaced foo@5".to_owned(), true)));
    assert!(queue.fifo.has_synced());
}

/// A transform that refuses version 13 and panics at version 14.
fn picky() -> TransformFunc {
    Arc::new(|object| match &*object.resource_version {
        "13" => Err("13 is refused".to_owned()),
        // Without the message that a panic would print.
        "14" => std::panic::resume_unwind(Box::new("14")),
        _ => Ok(object),
    })
}

#[test]
fn an_object_whose_transform_fails_is_left_out_and_not_deleted() {
    let mut queue = knowing(&["foo@5"]);
    queue.fifo = DeltaFifo::new(Some(picky()));
    assert!(queue.fifo.add(object("a@13")).is_err());
    assert!(queue.fifo.update(object("foo@14")).is_err());
    let list = vec![object("foo@13"), object("bar@14"), object("baz@15")];
    let errors = queue.fifo.replace(list, "", &queue.known.lister());
    assert_eq!(errors, ["13 is refused", "the transform panicked"]);
    assert_eq!(queue.pop_all(), ["replaced baz@15"]);
    assert!(queue.fifo.has_synced());
}

#[test]
fn a_change_before_any_list_ends_the_first_list_even_if_its_transform_fails() {
    let mut queue = Known::new(DeltaFifo::new(Some(picky())), &[]);
    assert!(queue.fifo.add(object("a@13")).is_err());
    assert!(queue.fifo.has_synced());

    let mut queue = Known::new(DeltaFifo::new(Some(picky())), &[]);
    assert!(queue.fifo.update(object("a@13")).is_err());
    assert!(queue.fifo.has_synced());
    queue.replace(&["a@15"]);
    assert_eq!(queue.pop(), Some(("replaced a@15".to_owned(), false)));
}

#[test]
fn what_a_list_could_not_read_stays_as_it_is_known() {
    let mut queue = knowing(&["a@1", "b@2", "c@3"]);
    let left_out = LeftOut { keys: vec![key("b"), key("new"), key("queued")], others: false };
    queue.add("queued@4");
    let lister = queue.known.lister();
    queue.fifo.replace_leaving_out(vec![object("a@5")], left_out, "20", &lister);
    assert_eq!(queue.pop_all(), ["added queued@4", "replaced a@5", "unknown c@3"]);
    let others = LeftOut { keys: Vec::new(), others: true };
    queue.add("queued@4");
    queue.fifo.replace_leaving_out(vec![object("a@5")], others, "20", &lister);
    assert_eq!(queue.pop_all(), ["added queued@4", "replaced a@5"], "nothing is deleted");
}

#[test]
fn a_deletion_whose_transform_fails_gives_the_last_known_state() {
    let mut queue = knowing(&["foo@5"]);
    queue.fifo = DeltaFifo::new(Some(picky()));
    let lister = queue.known.lister();
    assert!(queue.fifo.delete(object("foo@13"), &lister).is_err());
    assert_eq!(queue.pop_all(), ["unknown foo@5"]);
    queue.update("foo@6");
    assert!(queue.fifo.delete(object("foo@14"), &lister).is_err());
    assert_eq!(queue.pop_all(), ["updated foo@6, unknown foo@6"]);
    assert_eq!(queue.fifo.delete(object("never-seen@13"), &lister), Ok(()));
    assert!(queue.fifo.is_empty());
}

#[test]
fn a_transform_may_move_an_object_and_its_deletion_follows() {
    let upper: TransformFunc = Arc::new(|object| Ok(self::object(&text(&object).to_uppercase())));
    let mut queue = knowing(&[]);
    queue.fifo = DeltaFifo::new(Some(upper));
    queue.add("foo@5").delete("foo@6").replace(&["bar@7"]);
    assert_eq!(queue.pop_all(), ["added FOO@5, deleted FOO@6", "replaced BAR@7"]);
}

#[test]
fn an_empty_queue_keeps_no_room_for_a_list() {
    let mut fifo = DeltaFifo::default();
    let listed = (0..20_000).map(|i| object(&format!("{i}@1"))).collect();
    fifo.replace(listed, "1", &crate::Indexer::new().lister());
    while fifo.pop(|deltas, _| {
        deltas.clear();
        Ok(())
    }) != Popped::Empty
    {}
    assert_eq!((fifo.items.capacity(), fifo.queue.capacity()), (0, 0));
}

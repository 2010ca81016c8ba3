//! Scenarios of client-go's `the_real_fifo_test.go`.

use std::sync::Mutex;

use super::*;
use crate::objects::text;

type Fifo = Known<RealFifo>;
type Operations = fn(&mut Fifo) -> &mut Fifo;

/// A list at this version.
fn replace_at<'a>(queue: &'a mut Fifo, version: &str, texts: &[&str]) -> &'a mut Fifo {
    let objects = texts.iter().map(|it| object(it)).collect();
    assert!(queue.fifo.replace(objects, version, &queue.known.lister()).is_empty());
    queue
}

fn bookmark<'a>(queue: &'a mut Fifo, version: &str) -> &'a mut Fifo {
    queue.fifo.bookmark(version);
    queue
}

/// ★12 client-go: `TestRealFIFOW_ReplaceMakesDeletionsForObjectsOnlyInQueue`.
#[test]
fn scenario_12_real_fifow_replace_makes_deletions_for_objects_only_in_queue() {
    let cases: [(Operations, &[&str]); 6] = [
        (|q| q.add("foo@2").replace(&[]), &["added foo@2", "unknown foo@2"]),
        (|q| q.add("foo@2").delete("foo@2").replace(&[]), &["added foo@2", "deleted foo@2"]),
        (
            |q| q.add("foo@2").replace(&["foo@2"]).replace(&["foo@2"]).replace(&[]),
            &["added foo@2", "replaced foo@2", "replaced foo@2", "unknown foo@2"],
        ),
        (|q| q.add("foo@2").replace(&[]).replace(&[]), &["added foo@2", "unknown foo@2"]),
        (
            |q| q.add("foo@2").delete("foo@2").add("foo@3").replace(&[]),
            &["added foo@2", "deleted foo@2", "added foo@3", "unknown foo@3"],
        ),
        (|q| bookmark(q, "123").replace(&[]).replace(&[]), &[]),
    ];
    for (operations, expected) in cases {
        let mut queue = knowing(false, &[], None);
        operations(&mut queue);
        assert_eq!(queue.pop_all(), expected);
        assert!(queue.fifo.is_empty());
    }
}

/// ★13 client-go: `TestRealFIFO_addUpdate`.
#[test]
fn scenario_13_real_fifo_add_update() {
    let mut queue = knowing(false, &[], None);
    queue.add("foo@10").update("foo@12").delete("foo@15");
    assert_eq!(queue.fifo.len(), 3);
    assert_eq!(queue.pop_all(), ["added foo@10", "updated foo@12", "deleted foo@15"]);
    assert!(queue.fifo.is_empty());
}

/// ★14 client-go: `TestRealFIFO_transformer`.
#[test]
fn scenario_14_real_fifo_transformer() {
    let transformed = Arc::new(Mutex::new(Vec::new()));
    let counting: TransformFunc = {
        let transformed = transformed.clone();
        Arc::new(move |object| {
            transformed.lock().unwrap().push(text(&object));
            Ok(object)
        })
    };
    let mut queue = knowing(false, &[], Some(counting));
    queue.add("foo@10").add("bar@11").update("foo@12").delete("foo@15").replace(&[]);
    queue.add("bar@16").replace(&[]);
    let expected = [
        "added foo@10",
        "added bar@11",
        "updated foo@12",
        "deleted foo@15",
        "unknown bar@11",
        "added bar@16",
        "unknown bar@16",
    ];
    assert_eq!(queue.pop_all(), expected);
    let expected = ["foo@10", "bar@11", "foo@12", "foo@15", "bar@16"];
    assert_eq!(*transformed.lock().unwrap(), expected);
}

/// ★15 client-go: `TestRealFIFO_enqueueingNoLister`. What is queued of an object that nobody knows is
/// dropped when it is applied (PD-3).
#[test]
fn scenario_15_real_fifo_enqueueing_no_lister() {
    let mut queue = knowing(false, &[], None);
    queue.add("foo@10").update("bar@15").add("qux@17").delete("qux@18").delete("baz@20");
    let expected =
        ["added foo@10", "updated bar@15", "added qux@17", "deleted qux@18", "deleted baz@20"];
    assert_eq!(queue.pop_all(), expected);
    assert!(queue.fifo.is_empty());
}

/// ★16 client-go: `TestRealFIFO_ReplaceMakesDeletions`.
#[test]
fn scenario_16_real_fifo_replace_makes_deletions() {
    let known: &[&str] = &["foo@5", "bar@6", "baz@7"];
    let cases: [(&[&str], Operations, &[&str]); 5] = [
        (
            known,
            |q| q.delete("baz@10").replace(&["foo@5"]),
            &["deleted baz@10", "unknown bar@6", "replaced foo@5"],
        ),
        (
            known,
            |q| q.add("baz@10").replace(&["foo@5"]),
            &["added baz@10", "unknown baz@10", "unknown bar@6", "replaced foo@5"],
        ),
        (
            known,
            |q| q.delete("bar@6").add("bar@100").replace(&["foo@5"]),
            &[
                "deleted bar@6",
                "added bar@100",
                "unknown bar@100",
                "unknown baz@7",
                "replaced foo@5",
            ],
        ),
        (
            known,
            |q| q.replace(&["bar@100", "foo@5"]).replace(&["foo@5"]),
            &[
                "unknown baz@7",
                "replaced bar@100",
                "replaced foo@5",
                "unknown bar@100",
                "replaced foo@5",
            ],
        ),
        (
            &[],
            |q| q.add("baz@10").replace(&["foo@5"]),
            &["added baz@10", "unknown baz@10", "replaced foo@5"],
        ),
    ];
    for (known, operations, expected) in cases {
        let mut queue = knowing(false, known, None);
        operations(&mut queue);
        assert_eq!(queue.pop_all(), expected);
    }
}

/// ★17 client-go: `TestRealFIFO_UpdateResyncRace`.
#[test]
fn scenario_17_real_fifo_update_resync_race() {
    let mut queue = knowing(false, &["foo@5"], None);
    queue.update("foo@6").resync();
    assert_eq!(queue.pop_all(), ["updated foo@6"]);
}

/// client-go: RQ-5, TR-3.
#[test]
fn a_resync_gives_what_is_known_and_not_queued_and_does_not_transform_it() {
    let mut queue = knowing(false, &["foo@13", "bar@6"], refusing());
    queue.update("bar@7").resync();
    assert_eq!(queue.pop_all(), ["updated bar@7", "sync foo@13"]);
}

/// ★18 client-go: `TestRealFIFO_detectLineJumpers`.
#[test]
fn scenario_18_real_fifo_detect_line_jumpers() {
    let mut queue = knowing(false, &[], None);
    queue.add("foo@10").add("bar@1").add("foo@11").add("foo@13").add("zab@30");
    assert_eq!(queue.pop().unwrap().0, "added foo@10");
    queue.add("foo@14");
    let expected = ["added bar@1", "added foo@11", "added foo@13", "added zab@30", "added foo@14"];
    assert_eq!(queue.pop_all(), expected);
}

/// ★19 client-go: `TestRealFIFO_HasSynced`.
#[test]
fn scenario_19_real_fifo_has_synced() {
    let new = || knowing(false, &[], None);
    assert!(!new().fifo.has_synced());
    assert!(new().add("a@1").fifo.has_synced());
    assert!(new().replace(&[]).fifo.has_synced());
    for texts in [["a@1", "b@2"], ["a@1", "a@2"]] {
        let mut queue = new();
        assert!(!queue.replace(&texts).fifo.has_synced());
        queue.pop();
        assert!(!queue.fifo.has_synced());
        queue.pop();
        assert!(queue.fifo.has_synced());
    }
}

/// client-go: AT-4.
#[test]
fn a_bookmark_is_no_first_list() {
    let mut queue = knowing(true, &[], None);
    assert!(!bookmark(&mut queue, "5").fifo.has_synced());
    assert_eq!(queue.pop(), Some(("bookmark rv=5".to_owned(), true)));
    assert!(!queue.fifo.has_synced());
    queue.replace(&["a@1"]);
    bookmark(&mut queue, "101");
    assert_eq!(queue.pop(), Some(("replaced-all rv=100 a@1".to_owned(), true)));
    assert!(queue.fifo.has_synced());
    assert_eq!(queue.pop(), Some(("bookmark rv=101".to_owned(), false)));
}

/// client-go: AT-2.
#[test]
fn an_empty_list_that_is_one_item_has_to_be_popped() {
    let mut queue = knowing(true, &[], None);
    assert!(!queue.replace(&[]).fifo.has_synced());
    assert_eq!(queue.pop(), Some(("replaced-all rv=100".to_owned(), true)));
    assert!(queue.fifo.has_synced());
}

/// ★20 client-go: `TestRealFIFO_PopMultipleDeltaInBatch`.
#[test]
fn scenario_20_real_fifo_pop_multiple_delta_in_batch() {
    struct Case {
        initial: &'static [&'static str],
        updates: &'static [&'static str],
        batch_size: usize,
        batches: &'static [&'static str],
    }
    let unlimited = 999_999;
    let cases = [
        Case {
            initial: &["a@5", "b@5", "c@5"],
            updates: &[],
            batch_size: unlimited,
            batches: &["replaced a@5, replaced b@5, replaced c@5"],
        },
        Case {
            initial: &["a@5", "b@5"],
            updates: &["c@5", "d@5"],
            batch_size: 2,
            batches: &["replaced a@5, replaced b@5", "updated c@5, updated d@5"],
        },
        Case {
            initial: &["a@5", "b@5"],
            updates: &["c@5", "d@5"],
            batch_size: unlimited,
            batches: &["replaced a@5, replaced b@5", "updated c@5, updated d@5"],
        },
        Case {
            initial: &["a@5"],
            updates: &["a@5", "a@5"],
            batch_size: unlimited,
            batches: &["replaced a@5", "updated a@5", "updated a@5"],
        },
        Case {
            initial: &["a@5", "b@5"],
            updates: &["b@5", "c@5"],
            batch_size: unlimited,
            batches: &["replaced a@5, replaced b@5", "updated b@5, updated c@5"],
        },
        Case {
            initial: &["a@5", "b@5", "c@5"],
            updates: &["b@5"],
            batch_size: unlimited,
            batches: &["replaced a@5, replaced b@5, replaced c@5", "updated b@5"],
        },
        Case {
            initial: &["a@5", "b@5", "c@5"],
            updates: &[],
            batch_size: 2,
            batches: &["replaced a@5, replaced b@5", "replaced c@5"],
        },
        Case {
            initial: &[],
            updates: &["a@5", "b@5", "c@5"],
            batch_size: 2,
            batches: &["updated a@5, updated b@5", "updated c@5"],
        },
        Case {
            initial: &["a@5", "b@5", "c@5"],
            updates: &["d@5"],
            batch_size: 2,
            batches: &["replaced a@5, replaced b@5", "replaced c@5", "updated d@5"],
        },
    ];
    for Case { initial, updates, batch_size, batches } in cases {
        let options = RealFifoOptions { atomic_events: false, batch_size };
        let mut queue = Known::new(RealFifo::new(options, None), initial);
        queue.replace(initial);
        for update in updates {
            queue.update(update);
        }
        for batch in batches {
            let mut popped = None;
            queue.fifo.pop_batch(|deltas, in_initial_list| {
                popped = Some((spelled(deltas), in_initial_list));
                Ok(())
            });
            assert_eq!(popped, Some(((*batch).to_owned(), batch.starts_with("replaced"))));
        }
        assert!(queue.fifo.is_empty());
    }
}

/// client-go: BT-1, BT-2.
#[test]
fn what_is_about_all_objects_is_popped_alone() {
    let mut queue = knowing(true, &[], None);
    queue.replace(&["a@1"]).add("b@2").add("c@3").resync().add("d@4");
    bookmark(&mut queue, "5").add("e@6").add("f@7");
    let mut popped = Vec::new();
    while !queue.fifo.is_empty() {
        queue.fifo.pop_batch(|deltas, _| {
            popped.push(spelled(deltas));
            Ok(())
        });
    }
    let expected = [
        "replaced-all rv=100 a@1",
        "added b@2, added c@3",
        "sync-all",
        "added d@4",
        "bookmark rv=5",
        "added e@6, added f@7",
    ];
    assert_eq!(popped, expected);
}

/// ★21 client-go: `TestRealFIFO_ReplaceAtomic`.
#[test]
fn scenario_21_real_fifo_replace_atomic() {
    let cases: [(Operations, &[&str]); 4] = [
        (|q| replace_at(q, "123", &[]), &["replaced-all rv=123"]),
        (|q| replace_at(q.add("foo@2"), "123", &[]), &["added foo@2", "replaced-all rv=123"]),
        (
            |q| {
                replace_at(q.add("foo@2"), "10", &["foo@2"]);
                replace_at(q, "20", &["foo@2"]);
                replace_at(q, "56", &[])
            },
            &[
                "added foo@2",
                "replaced-all rv=10 foo@2",
                "replaced-all rv=20 foo@2",
                "replaced-all rv=56",
            ],
        ),
        (
            |q| replace_at(bookmark(q, "123"), "1234", &[]),
            &["bookmark rv=123", "replaced-all rv=1234"],
        ),
    ];
    for (operations, expected) in cases {
        let mut queue = knowing(true, &[], None);
        operations(&mut queue);
        assert_eq!(queue.pop_all(), expected);
        assert!(queue.fifo.is_empty());
    }
}

/// ★22 client-go: `TestRealFIFO_ResyncAtomic`.
#[test]
fn scenario_22_real_fifo_resync_atomic() {
    let mut queue = knowing(true, &[], None);
    assert_eq!(queue.resync().pop_all(), ["sync-all"]);
    let mut queue = knowing(true, &[], None);
    assert_eq!(queue.add("foo@2").resync().pop_all(), ["added foo@2", "sync-all"]);
}

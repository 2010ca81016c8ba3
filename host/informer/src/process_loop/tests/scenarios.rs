//! Scenarios of client-go's `controller_test.go`.

use super::*;
use crate::real_fifo::{RealFifo, RealFifoOptions};

fn in_order(atomic_events: bool, batch_size: usize) -> RealFifo {
    RealFifo::new(RealFifoOptions { atomic_events, batch_size }, None)
}

/// ★56 client-go: `TestProcessDeltasInBatch`. What fails is counted and reported there, and is lost;
/// here it is queued again (PL-3). What can fail is a bug in applying it, so a panic.
#[tokio::test(start_paused = true)]
async fn scenario_56_process_deltas_in_batch() {
    let cases: [(&[&str], &[&str], &[&str]); 4] = [
        (&["a@1"], &[], &["added a@1"]),
        (&["a@1"], &["a@1"], &[]),
        (&["a@1", "b@2"], &["b@2"], &["added a@1"]),
        (&["a@1", "b@2", "c@3"], &["b@2"], &["added a@1", "added c@3"]),
    ];
    for (batch, failing, expected) in cases {
        let mut process_loop = unstarted(in_order(true, 1000));
        let queue = ListenerQueue::new(DeliveryPolicy::default());
        process_loop.shared_processor.add_listener(queue.clone(), None);
        for text in failing {
            panic_on(text, u32::MAX);
        }
        for text in batch {
            process_loop.take_in(Reflected::Added(object(text)));
        }
        let error = process_loop.process_queued().await.err();
        assert_eq!(error.as_deref(), (!failing.is_empty()).then_some("a bug"));
        assert_eq!(told(&queue), expected);
        assert_eq!(process_loop.queue.len(), failing.len());

        for text in failing {
            panic_on(text, 0);
        }
        assert_eq!(process_loop.process_queued().await, Ok(()));
        let later: Vec<_> = failing.iter().map(|text| format!("added {text}")).collect();
        assert_eq!(told(&queue), later);
        assert_eq!(texts(process_loop.indexer.lister().list()), batch);
    }
}

/// Applies all that is queued. Gives what handlers would be told, and behind each `at` the version
/// under which the cache has that object then.
fn applied(queue: &mut impl Queue, indexer: &mut Indexer) -> Vec<String> {
    let mut lines = Vec::new();
    while !queue.is_empty() {
        let mut changes = Vec::new();
        let in_order = queue.is_in_order();
        queue.pop_batch(|deltas, in_initial_list| {
            handle_deltas(indexer, deltas, in_order, in_initial_list, &mut changes);
            Ok(())
        });
        for Change { notification, .. } in changes {
            let cached = notification.key().and_then(|key| indexer.lister().get(key));
            let version =
                cached.map_or_else(|| "-".to_owned(), |it| it.resource_version.to_string());
            let line = line(&crate::Delivery { notification, attempt: 1 });
            lines.push(format!("{line} at {version}"));
        }
    }
    lines
}

/// ★57 client-go: `TestReplaceEvents`, with atomic events and without, in batches and one by one.
#[test]
fn scenario_57_replace_events() {
    struct Case {
        cached: &'static [&'static str],
        list: &'static [&'static str],
        version: &'static str,
        told: &'static [&'static str],
    }
    let cases = [
        Case { cached: &[], list: &["pod-1@1"], version: "1", told: &["added pod-1@1 at 1"] },
        Case {
            cached: &["pod-1@1", "pod-3@2"],
            list: &[],
            version: "2",
            told: &[
                "deleted pod-1@1 final-state-unknown at -",
                "deleted pod-3@2 final-state-unknown at -",
            ],
        },
        Case {
            cached: &["pod-1@1", "pod-2@2", "pod-3@3"],
            list: &["pod-1@4", "pod-2@5", "pod-4@6"],
            version: "6",
            told: &[
                "deleted pod-3@3 final-state-unknown at -",
                "updated pod-1@1 pod-1@4 at 4",
                "updated pod-2@2 pod-2@5 at 5",
                "added pod-4@6 at 6",
            ],
        },
    ];
    for (atomic_events, batch_size) in [(true, 1000), (false, 1000), (false, 1)] {
        for Case { cached, list, version, told: expected } in &cases {
            let mut queue = in_order(atomic_events, batch_size);
            let mut indexer = Indexer::new();
            // So that what follows is no initial list.
            queue.replace(Vec::new(), "0", &indexer.lister());
            applied(&mut queue, &mut indexer);
            for text in *cached {
                queue.add(object(text)).unwrap();
            }
            applied(&mut queue, &mut indexer);

            let objects = list.iter().map(|text| object(text)).collect();
            assert!(queue.replace(objects, version, &indexer.lister()).is_empty());
            let mut told = applied(&mut queue, &mut indexer);
            // Deletions that a list finds are in no order.
            let deletions = told.iter().take_while(|line| line.starts_with("deleted")).count();
            told[..deletions].sort();
            assert_eq!(told, *expected);
            assert_eq!(texts(indexer.lister().list()), *list);
        }
    }
}

/// client-go: PD-7.
#[test]
fn a_list_that_is_one_item_is_told_when_the_cache_has_all_of_it() {
    let (mut queue, mut indexer) = (in_order(true, 1000), Indexer::new());
    indexer.update(object("a@1"));
    indexer.update(object("b@2"));
    let list = vec![object("b@5"), object("c@6")];
    queue.replace(list, "9", &indexer.lister());
    let mut changes = Vec::new();
    queue.pop(|deltas, in_initial_list| {
        handle_deltas(&mut indexer, deltas, true, in_initial_list, &mut changes);
        Ok(())
    });
    assert_eq!(changes.len(), 3);
    assert_eq!(texts(indexer.lister().list()), ["b@5", "c@6"]);
    assert_eq!(indexer.lister().resource_version(), "9");
}

/// client-go: PD-5.
#[test]
fn a_resync_that_is_one_item_gives_what_is_cached_when_it_is_applied() {
    let (mut queue, mut indexer) = (in_order(true, 1000), Indexer::new());
    queue.resync(&indexer.lister());
    assert_eq!(applied(&mut queue, &mut indexer), nothing());
    queue.add(object("a@1")).unwrap();
    queue.resync(&indexer.lister());
    queue.update(object("a@2")).unwrap();
    let expected = ["added a@1 at 1", "updated a@1 a@1 at 1", "updated a@1 a@2 at 2"];
    assert_eq!(applied(&mut queue, &mut indexer), expected);
}

/// client-go: PD-8, where it is two additions.
#[test]
fn an_object_that_a_list_of_one_item_has_twice_is_added_once() {
    let (mut queue, mut indexer) = (in_order(true, 1000), Indexer::new());
    queue.replace(vec![object("a@5"), object("a@6")], "9", &indexer.lister());
    let expected = ["added a@5 initial at 6", "updated a@5 a@6 at 6"];
    assert_eq!(applied(&mut queue, &mut indexer), expected);
}

/// client-go: PD-3, where `OnDelete` is told whatever the cache has.
#[test]
fn the_deletion_of_an_object_that_is_not_cached_is_not_told() {
    let (mut queue, mut indexer) = (in_order(true, 1000), Indexer::new());
    queue.delete(object("a@5"), &indexer.lister()).unwrap();
    assert_eq!(queue.len(), 1);
    assert_eq!(applied(&mut queue, &mut indexer), nothing());
    assert_eq!(indexer.lister().resource_version(), "5", "and it has been applied");
}

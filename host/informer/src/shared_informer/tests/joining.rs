//! Handlers that join, and when they have synced.

use super::*;

/// ★53 client-go: `TestAddWhileActive`.
#[tokio::test(start_paused = true)]
async fn scenario_53_add_while_active() {
    let (server, informer) = start("rv=10 pod1@1");
    let (early, told_early) = add(&informer).await;
    assert!(!early.has_synced(), "nothing was listed yet");
    early.wait_for_sync().await;

    let (late, told_late) = add_with(&informer, HandlerOptions::default(), slow(10 * SECOND)).await;
    server.say("added pod2@11; modified pod1@12");
    settle().await;
    assert_eq!(told_late.take(), ["added pod1@1 initial"]);
    assert!(!late.has_synced(), "its first call has not returned");
    sleep(10 * SECOND).await;
    assert_eq!(told_late.take(), ["synced"]);
    late.wait_for_sync().await;
    assert!(late.has_synced());
    sleep(20 * SECOND).await;
    assert_eq!(told_late.take(), ["added pod2@11", "updated pod1@1 pod1@12"]);
    let expected = ["added pod1@1 initial", "synced", "added pod2@11", "updated pod1@1 pod1@12"];
    assert_eq!(told_early.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn joining_in_the_middle_of_changes_misses_nothing_and_repeats_nothing() {
    let objects: String = (0..300).map(|n| format!(" o{n}@1")).collect();
    let (server, informer) = start(&format!("rv=10{objects}"));
    informer.wait_for_sync().await;
    let mut handlers = Vec::new();
    for version in 11..311 {
        server.say(&format!("modified o{}@{version}", version % 100));
        if version % 50 == 0 {
            handlers.push(add(&informer).await);
        }
        tokio::task::yield_now().await;
    }
    settle().await;
    for (registration, told) in handlers {
        assert!(registration.has_synced());
        let mut states = std::collections::HashMap::new();
        for line in told.take().iter().filter(|line| *line != "synced") {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["added", new, "initial"] => {
                    assert_eq!(states.insert(name(new), new.to_owned()), None)
                }
                ["updated", old, new] => {
                    assert_eq!(states.insert(name(new), new.to_owned()), Some(old.to_owned()));
                }
                _ => panic!("{line}"),
            }
        }
        assert_eq!(sorted(states.into_values().collect()), texts(informer.lister().list()));
    }
}

fn name(text: &str) -> String {
    text.split_once('@').unwrap().0.to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_joins_before_the_list_and_one_after_it_hear_the_same() {
    let (_server, informer) = start("rv=10 a@5");
    let (_early, told_early) = add(&informer).await;
    settle().await;
    let (_late, told_late) = add(&informer).await;
    settle().await;
    assert_eq!(told_early.take(), told_late.take());
}

#[tokio::test(start_paused = true)]
async fn an_informer_has_synced_before_slow_handlers_have() {
    let (_server, informer) = start("rv=10 a@5");
    let (registration, _) = add_with(&informer, HandlerOptions::default(), slow(10 * SECOND)).await;
    assert!(!informer.has_synced());
    assert!(informer.wait_for_sync().await);
    assert!(informer.has_synced() && !registration.has_synced());
    assert!(timeout(9 * SECOND, registration.wait_for_sync()).await.is_err());
    assert_eq!(timeout(12 * SECOND, registration.wait_for_sync()).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_given_up_while_it_joins_leaves_nothing_behind() {
    let (_server, informer) = start("rv=10 a@5");
    let mut handlers = Vec::new();
    // The process loop has had no time to take them.
    while let Some(handler) = add(&informer).now_or_never() {
        handlers.push(handler);
    }
    assert_eq!(handlers.len(), COMMANDS_MAX);
    let used = Arc::new(());
    let held = Arc::downgrade(&used);
    let (recorder, _) = Recorder::answering(move |_| {
        let _ = &used;
        Answer::done()
    });
    let joining = informer.add_event_handler(recorder, HandlerOptions::default());
    assert!(joining.now_or_never().is_none());
    settle().await;
    assert!(held.upgrade().is_none());
}

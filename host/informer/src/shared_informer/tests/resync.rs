//! Updates that change nothing.

use super::*;

fn every(period: Duration) -> HandlerOptions {
    HandlerOptions { resync_period: Some(period), ..HandlerOptions::default() }
}

/// ★50 client-go: `TestListenerResyncPeriods`.
#[tokio::test(start_paused = true)]
async fn each_handler_gets_everything_again_in_its_own_period() {
    let (_server, informer) = start("rv=10 a@5 b@6");
    let (_r1, never) = add(&informer).await;
    let (_r2, two) = add_with(&informer, every(2 * SECOND), |_| Answer::done()).await;
    let (_r3, three) = add_with(&informer, every(3 * SECOND), |_| Answer::done()).await;
    settle().await;
    for told in [&never, &two, &three] {
        assert_eq!(told.take(), ["added a@5 initial", "added b@6 initial", "synced"]);
    }
    let resynced = ["updated a@5 a@5", "updated b@6 b@6"];
    sleep(2 * SECOND).await;
    assert_eq!(sorted(two.take()), resynced);
    assert_eq!((never.take(), three.take()), (nothing(), nothing()));
    sleep(SECOND).await;
    assert_eq!(sorted(three.take()), resynced);
    assert_eq!((never.take(), two.take()), (nothing(), nothing()));
    sleep(SECOND).await;
    assert_eq!(sorted(two.take()), resynced);
    sleep(2 * SECOND).await;
    assert_eq!(sorted(two.take()), resynced);
    assert_eq!(sorted(three.take()), resynced);
    assert_eq!(never.take(), nothing());
}

/// ★51 client-go: `TestResyncCheckPeriod`. Here no handler's period depends on another's, nor on
/// whether the informer has started; below a second it is a second (RP-2).
#[tokio::test(start_paused = true)]
async fn a_handler_gets_the_period_that_it_asks_for() {
    let (_server, informer) = start("rv=10 a@5");
    let mut handlers = Vec::new();
    for (period, resyncs) in [
        (Duration::ZERO, 0),
        (Duration::from_millis(1), 60),
        (5 * SECOND, 12),
        (55 * SECOND, 1),
        (60 * SECOND, 1),
        (12 * 3600 * SECOND, 0),
        (Duration::MAX, 0),
    ] {
        let handler = add_with(&informer, every(period), |_| Answer::done()).await;
        handlers.push((handler, period, resyncs));
    }
    sleep(60 * SECOND + Duration::from_millis(10)).await;
    for ((_registration, told), period, resyncs) in handlers {
        assert_eq!(told.take().len(), 2 + resyncs, "every {period:?}");
    }
}

/// ★52 client-go: `TestSharedInformerWatchDisruption`.
#[tokio::test(start_paused = true)]
async fn a_relist_tells_of_unchanged_objects_only_those_whose_resync_is_due() {
    let (server, informer) = start("rv=2 pod1@1 pod2@2");
    let (_r1, never) = add(&informer).await;
    let (_r2, due) = add_with(&informer, every(10 * SECOND), |_| Answer::done()).await;
    sleep(10 * SECOND + Duration::from_millis(2)).await;
    assert_eq!((never.take().len(), due.take().len()), (3, 5));
    // Pod 3 and a change of pod 2 were missed.
    server.on_list("rv=4 pod1@1 pod2@4 pod3@3").say("expired");
    sleep(2 * SECOND).await;
    assert_eq!(sorted(never.take()), ["added pod3@3", "updated pod2@2 pod2@4"]);
    let expected = ["added pod3@3", "updated pod1@1 pod1@1", "updated pod2@2 pod2@4"];
    assert_eq!(sorted(due.take()), expected);
}

#[tokio::test(start_paused = true)]
async fn a_resync_gives_the_state_of_now() {
    let (server, informer) = start("rv=10 a@5");
    let (_registration, told) = add_with(&informer, every(10 * SECOND), |_| Answer::done()).await;
    settle().await;
    server.say("modified a@11; wait 1s; added b@12");
    sleep(10 * SECOND).await;
    let lines = told.take();
    assert_eq!(lines[..4], ["added a@5 initial", "synced", "updated a@5 a@11", "added b@12"]);
    assert_eq!(sorted(lines[4..].to_vec()), ["updated a@11 a@11", "updated b@12 b@12"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_resynced_for_a_handler_that_is_gone() {
    let (_server, informer) = start("rv=10 a@5");
    let (one, told_one) = add_with(&informer, every(SECOND), |_| Answer::done()).await;
    let (_two, told_two) = add(&informer).await;
    settle().await;
    one.remove(SECOND).await;
    assert_eq!((told_one.take().len(), told_two.take().len()), (2, 2));
    sleep(10 * SECOND).await;
    assert_eq!((told_one.take(), told_two.take()), (nothing(), nothing()));
}

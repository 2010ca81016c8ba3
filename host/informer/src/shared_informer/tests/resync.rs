//! Updates that change nothing.

use super::*;

fn every(period: Duration) -> HandlerOptions {
    HandlerOptions { resync_period: Some(period), ..HandlerOptions::default() }
}

/// ★50 client-go: `TestListenerResyncPeriods`. There is no check period here that all handlers
/// share.
#[tokio::test(start_paused = true)]
async fn scenario_50_listener_resync_periods() {
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

/// ★50 client-go: `TestListenerResyncPeriodsDelayed`, where the processor starts a second late. Here a
/// handler's task can: its runtime is not driven yet.
#[tokio::test(start_paused = true)]
async fn scenario_50_listener_resync_periods_delayed() {
    let (_server, informer) = start("rv=10 a@5 b@6");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (options, handle) = (every(2 * SECOND), runtime.handle().clone());
    let options = HandlerOptions { runtime: Some(handle), ..options };
    let (_r1, late) = add_with(&informer, options, |_| Answer::done()).await;
    let (_r2, never) = add(&informer).await;
    let (_r3, three) = add_with(&informer, every(3 * SECOND), |_| Answer::done()).await;
    sleep(3 * SECOND + Duration::from_millis(1)).await;
    assert_eq!(never.take(), ["added a@5 initial", "added b@6 initial", "synced"]);
    assert_eq!(three.take().len(), 5);
    assert_eq!(late.take(), nothing());
    std::thread::spawn(move || runtime.block_on(settle())).join().unwrap();
    let told = late.take();
    assert_eq!(told[..3], ["added a@5 initial", "added b@6 initial", "synced"]);
    assert_eq!(sorted(told[3..].to_vec()), ["updated a@5 a@5", "updated b@6 b@6"]);
}

/// ★35 client-go: `TestReflectorResync`, where a resync that fails ends the watch. Here it cannot
/// fail: the timer fires on, whatever handlers make of it, and the server hears nothing of it. Less
/// than a second is a second (RP-2, RS-5).
#[tokio::test(start_paused = true)]
async fn scenario_35_reflector_resync() {
    let (server, informer) = start("rv=10 a@5");
    let answer = |delivery: &crate::Delivery| match delivery.notification {
        crate::Notification::Updated { .. } => Answer::failed(),
        _ => Answer::done(),
    };
    let (registration, told) = add_with(&informer, every(Duration::from_millis(1)), answer).await;
    settle().await;
    assert_eq!(told.take(), ["added a@5 initial", "synced"]);
    server.asked();
    sleep(10 * SECOND).await;
    assert_eq!(told.take(), vec!["updated a@5 a@5"; 10]);
    assert_eq!(registration.dead_letter_count(), 1);
    assert_eq!(server.asked(), nothing());
    assert_eq!(informer.counters().failures.get(), 0);
}

/// client-go: RS-2, where every list starts the timer anew.
#[tokio::test(start_paused = true)]
async fn lists_do_not_put_off_a_resync() {
    let (server, informer) = start("rv=10 a@5");
    let (_registration, told) = add_with(&informer, every(5 * SECOND), |_| Answer::done()).await;
    settle().await;
    told.take();
    for rv in 11..31 {
        // With a bookmark, so that the delays stay short.
        server.on_list(&format!("rv={rv} a@5")).on_watch(&format!("bookmark rv={rv}; expired"));
    }
    server.say("expired");
    sleep(10 * SECOND).await;
    assert!(informer.counters().lists.get() > 4);
    let resynced = told.take().iter().filter(|line| *line == "updated a@5 a@5").count();
    assert!(resynced >= 2, "{resynced}");
}

/// ★51 client-go: `TestResyncCheckPeriod`. Here no handler's period depends on another's, nor on
/// whether the informer has started; below a second it is a second (RP-2). There is no default: a
/// handler that names no period gets no resync (RP-1), and one that does gets it always (RP-5).
#[tokio::test(start_paused = true)]
async fn scenario_51_resync_check_period() {
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

/// ★52 client-go: `TestSharedInformerWatchDisruption`. The handler without resync would be told of pod
/// 1 there if no period was asked for at all (RP-10); here it never is.
#[tokio::test(start_paused = true)]
async fn scenario_52_shared_informer_watch_disruption() {
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

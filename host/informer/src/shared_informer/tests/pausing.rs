//! Handlers that are paused, served differently, or told `Synced` again.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_paused_handler_is_not_called_and_misses_nothing() {
    let (server, informer) = start("rv=10 a@5");
    let options = HandlerOptions { paused: true, ..HandlerOptions::default() };
    let (registration, told) = add_with(&informer, options, slow(10 * SECOND)).await;
    settle().await;
    assert!(registration.is_paused() && !registration.has_synced());
    assert_eq!((told.take(), registration.pending()), (nothing(), 1));

    registration.set_paused(false);
    settle().await;
    registration.set_paused(true);
    server.say("modified a@11");
    sleep(60 * SECOND).await;
    assert_eq!(told.take(), ["added a@5 initial"], "the call that ran has ended");
    assert_eq!(registration.counts().delivered, 1);

    registration.set_paused(false);
    assert!(registration.wait_for_sync().await);
    sleep(60 * SECOND).await;
    assert_eq!(told.take(), ["synced", "updated a@5 a@11"]);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_a_paused_handler_is_told_the_last_state_only() {
    let (server, informer) = start("rv=10 a@5");
    let (registration, told) = add(&informer).await;
    settle().await;
    registration.set_paused(true);
    let delivery = DeliveryPolicy { buffer_max: 1, ..DeliveryPolicy::default() };
    registration.set_policy(delivery, None).await;
    for version in 11..1000 {
        server.say(&format!("modified a@{version}"));
    }
    settle().await;
    assert_eq!(registration.pending(), 1);
    registration.set_paused(false);
    settle().await;
    assert_eq!(told.take(), ["added a@5 initial", "synced", "updated a@5 a@999"]);
}

#[tokio::test(start_paused = true)]
async fn removing_a_paused_handler_waits_for_the_call_that_runs_and_for_nothing_else() {
    let (_server, informer) = start("rv=10 a@5 b@6");
    let (registration, told) =
        add_with(&informer, HandlerOptions::default(), slow(10 * SECOND)).await;
    settle().await;
    registration.set_paused(true);
    let started = Instant::now();
    assert_eq!(registration.remove(3600 * SECOND).await, 1);
    assert_eq!(started.elapsed().as_secs(), 9, "a millisecond before the tenth");
    assert_eq!(told.take(), ["added a@5 initial"]);
}

#[tokio::test(start_paused = true)]
async fn another_policy_holds_from_the_next_failure_on() {
    let (_server, informer) = start("rv=10 a@5");
    let (registration, told) =
        add_with(&informer, HandlerOptions::default(), |_| Answer::retry()).await;
    settle().await;
    let delivery = DeliveryPolicy { retries_max: 1, ..DeliveryPolicy::default() };
    registration.set_policy(delivery, None).await;
    sleep(60 * SECOND).await;
    let expected =
        ["added a@5 initial", "added a@5 initial attempt=2", "synced", "synced attempt=2"];
    assert_eq!(told.take(), expected);
    assert_eq!(registration.dead_letter_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resync_period_can_be_given_changed_and_taken() {
    let (_server, informer) = start("rv=10 a@5");
    let (registration, told) = add(&informer).await;
    settle().await;
    let set = |period| registration.set_policy(DeliveryPolicy::default(), period);
    told.take();
    set(Some(10 * SECOND)).await;
    sleep(9 * SECOND).await;
    set(Some(10 * SECOND)).await;
    sleep(SECOND).await;
    settle().await;
    assert_eq!(told.take(), ["updated a@5 a@5"], "the same period goes on");
    set(Some(2 * SECOND)).await;
    sleep(5 * SECOND).await;
    assert_eq!(told.take().len(), 2);
    set(None).await;
    sleep(60 * SECOND).await;
    assert_eq!(told.take(), nothing());
}

#[tokio::test(start_paused = true)]
async fn synced_can_be_told_again_after_what_is_queued() {
    let (server, informer) = start("rv=10 a@5");
    let (registration, told) = add(&informer).await;
    registration.sync_again();
    settle().await;
    assert_eq!(told.take(), ["added a@5 initial", "synced"], "it was to come anyway");
    registration.set_paused(true);
    server.say("modified a@11");
    settle().await;
    registration.sync_again();
    registration.sync_again();
    server.say("modified a@12");
    settle().await;
    assert!(registration.has_synced());
    registration.set_paused(false);
    settle().await;
    assert_eq!(told.take(), ["updated a@5 a@11", "synced", "updated a@11 a@12"]);
}

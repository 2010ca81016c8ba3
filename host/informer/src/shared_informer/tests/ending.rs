//! Handlers that are removed, informers that stop.

use super::*;

/// ★55 client-go: `TestRemoveEventHandler_SynchronousShutdown`, where `ShutDownEventHandler` waits for
/// the call and discards what is queued; here that is delivered, up to a deadline.
#[tokio::test(start_paused = true)]
async fn scenario_55_remove_event_handler_synchronous_shutdown() {
    let (server, informer) = start("rv=10 a@5 b@6 c@7");
    let (registration, told) =
        add_with(&informer, HandlerOptions::default(), slow(10 * SECOND)).await;
    settle().await;
    let removal = tokio::spawn(async move { registration.remove(60 * SECOND).await });
    settle().await;
    server.say("added d@11");
    settle().await;
    assert!(!removal.is_finished());
    assert_eq!(removal.await.unwrap(), 0);
    let expected = ["added a@5 initial", "added b@6 initial", "added c@7 initial", "synced"];
    assert_eq!(told.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_removed_handler_is_cut_off_at_the_deadline() {
    let (_server, informer) = start("rv=10 a@5 b@6 c@7");
    let (registration, told) =
        add_with(&informer, HandlerOptions::default(), slow(10 * SECOND)).await;
    settle().await;
    let started = Instant::now();
    // In the middle of the second call.
    let (left, synced) =
        futures_util::future::join(registration.remove(15 * SECOND), registration.wait_for_sync())
            .await;
    assert_eq!((left, synced), (2, false));
    assert_eq!(started.elapsed().as_secs(), 15);
    sleep(100 * SECOND).await;
    assert_eq!(told.take(), ["added a@5 initial", "added b@6 initial"]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_may_be_given_up_or_asked_for_twice() {
    let (_server, informer) = start("rv=10 a@5 b@6");
    let (registration, told) =
        add_with(&informer, HandlerOptions::default(), slow(10 * SECOND)).await;
    settle().await;
    assert!(registration.remove(60 * SECOND).now_or_never().is_none());
    let started = Instant::now();
    let both = futures_util::future::join(
        registration.remove(5 * SECOND),
        registration.remove(3600 * SECOND),
    );
    assert_eq!(both.await, (2, 2), "the nearer deadline holds");
    assert_eq!(started.elapsed().as_secs(), 5);
    assert_eq!(told.take(), ["added a@5 initial"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_removal_was_given_up_ends_with_its_registration() {
    let (_server, informer) = start("rv=10 a@5");
    let (registration, _) =
        add_with(&informer, HandlerOptions::default(), slow(3600 * SECOND)).await;
    settle().await;
    assert!(registration.remove(60 * SECOND).now_or_never().is_none());
    let task = registration.task.clone();
    drop(registration);
    settle().await;
    assert!(task.is_finished());
}

/// ★55 client-go: `TestRemoveEventHandler_AsynchronousPanic`, where the call goes on after the removal
/// and may use what is closed by then. Here it is cut off where it waits, and what it holds is freed.
#[tokio::test(start_paused = true)]
async fn scenario_55_remove_event_handler_asynchronous_panic() {
    let (_server, informer) = start("rv=10 a@5 b@6");
    let held = Arc::new(());
    let in_handler = held.clone();
    let (registration, told) = add_with(&informer, HandlerOptions::default(), move |_| {
        let _ = &in_handler;
        Answer::After(10 * SECOND, crate::Handled::Done)
    })
    .await;
    settle().await;
    drop(registration);
    settle().await;
    assert_eq!(Arc::strong_count(&held), 1, "the handler is gone");
    sleep(100 * SECOND).await;
    assert_eq!(told.take(), ["added a@5 initial"]);
}

#[tokio::test(start_paused = true)]
async fn removing_one_handler_leaves_the_others_alone() {
    let (server, informer) = start("rv=10 a@5");
    let (one, told_one) = add(&informer).await;
    let (_two, told_two) = add(&informer).await;
    settle().await;
    assert_eq!(one.remove(Duration::ZERO).await, 0);
    server.say("modified a@11");
    settle().await;
    assert_eq!(told_one.take(), ["added a@5 initial", "synced"]);
    assert_eq!(told_two.take(), ["added a@5 initial", "synced", "updated a@5 a@11"]);
}

#[tokio::test(start_paused = true)]
async fn an_informer_stops_with_its_last_handle() {
    let (server, informer) = start("rv=10 a@5");
    let (registration, told) = add(&informer).await;
    settle().await;
    drop(informer.clone());
    drop(informer);
    settle().await;
    assert!(server.is_watched(), "somebody is registered");
    server.say("modified a@11");
    settle().await;
    assert_eq!(told.take().len(), 3);
    drop(registration);
    settle().await;
    assert!(!server.is_watched());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_informer_applies_what_it_saw_and_the_handlers_finish() {
    let (server, informer) = start("rv=10 a@5");
    let (registration, told) =
        add_with(&informer, HandlerOptions::default(), slow(10 * SECOND)).await;
    settle().await;
    server.say("modified a@11; modified a@12");
    settle().await;
    informer.stop().await;
    assert!(!server.is_watched());
    assert_eq!(texts(informer.lister().list()), ["a@12"]);
    sleep(60 * SECOND).await;
    let expected = ["added a@5 initial", "synced", "updated a@5 a@11", "updated a@11 a@12"];
    assert_eq!(told.take(), expected);
    assert_eq!(registration.pending(), 0);
    assert_eq!(registration.remove(Duration::ZERO).await, 0);
}

/// client-go: WL-6, where the delay before another watch-list goes on.
#[tokio::test(start_paused = true)]
async fn an_informer_that_waits_for_a_busy_server_stops_at_once() {
    let server = ScriptedServer::default();
    server.refuse_watch_list("429 60s");
    let informer = SharedInformer::start(server.clone(), SharedInformerOptions::default());
    settle().await;
    timeout(SECOND, informer.stop()).await.unwrap();
    assert_eq!(server.asked(), ["watch-list rv="]);
    sleep(100 * SECOND).await;
    assert_eq!(server.asked(), nothing());
}

/// client-go: SP-5, where `Run` returns when the call does.
#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_handler_that_is_stuck() {
    let (_server, informer) = start("rv=10 a@5");
    let (_registration, told) =
        add_with(&informer, HandlerOptions::default(), slow(3600 * SECOND)).await;
    settle().await;
    timeout(SECOND, informer.stop()).await.unwrap();
    assert_eq!(told.take(), ["added a@5 initial"]);
}

#[tokio::test(start_paused = true)]
async fn stopping_may_be_given_up_or_done_twice_and_still_closes_the_handlers() {
    let (_server, informer) = start("rv=10 a@5");
    let (registration, told) = add(&informer).await;
    settle().await;
    assert!(informer.stop().now_or_never().is_none());
    let both = futures_util::future::join(informer.stop(), informer.stop());
    timeout(SECOND, both).await.unwrap();
    informer.stop().await;
    assert_eq!(told.take(), ["added a@5 initial", "synced"]);
    // The handler's task has ended by itself.
    assert!(registration.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_sync_of_an_informer_that_has_stopped() {
    let server = ScriptedServer::default();
    let informer = SharedInformer::start(server, SharedInformerOptions::default());
    let (registration, told) = add(&informer).await;
    settle().await;
    let (informer_synced, handler_synced, ()) = futures_util::future::join3(
        informer.wait_for_sync(),
        registration.wait_for_sync(),
        informer.stop(),
    )
    .await;
    assert!(!informer_synced && !handler_synced && !registration.has_synced());

    let (late, told_late) = add(&informer).await;
    assert!(!late.wait_for_sync().await);
    assert_eq!(late.remove(SECOND).await, 0);
    assert_eq!((told.take(), told_late.take()), (nothing(), nothing()));
    let late = informer.add_index("late", Arc::new(|_| Ok(Vec::new()))).await;
    assert_eq!(late, Err(IndexError::Stopped));
}

/// The command was taken, and the process loop ended before it looked at it.
#[tokio::test(start_paused = true)]
async fn a_handler_that_joins_while_the_informer_stops_does_not_wait_for_ever() {
    for _ in 0..20 {
        let (_server, informer) = start("rv=10 a@5");
        informer.wait_for_sync().await;
        let stopping = tokio::spawn({
            let informer = informer.clone();
            async move { informer.stop().await }
        });
        tokio::task::yield_now().await;
        let (registration, _) = add(&informer).await;
        timeout(SECOND, registration.wait_for_sync()).await.unwrap();
        assert_eq!(registration.remove(SECOND).await, 0);
        stopping.await.unwrap();
    }
}

//! Handlers that fail or panic.

use super::*;
use crate::{Delivery, Handled, ResourceEventHandler};

fn retries(retries_max: u32) -> HandlerOptions {
    let delivery = DeliveryPolicy { retries_max, ..DeliveryPolicy::default() };
    HandlerOptions { delivery, ..HandlerOptions::default() }
}

/// ★54 client-go: `TestEventPanics`. There, each panic is followed by a pause of a second, what
/// panicked is skipped, and the handler never counts as synced (issue 129024). Here the others of its
/// objects go on at once, each is tried again, and it has synced in the end.
#[tokio::test(start_paused = true)]
async fn scenario_54_event_panics() {
    let started = Instant::now();
    let (_server, informer) = start("rv=10 p1@1 p2@2 p3@3 p4@4 p5@5");
    let on_add = |delivery: &Delivery| match delivery.notification {
        crate::Notification::Added { .. } => Answer::Panic,
        _ => Answer::done(),
    };
    let (once, told_once) = add_with(&informer, retries(0), on_add).await;
    let (twice, told_twice) = add_with(&informer, retries(1), on_add).await;
    let (healthy, told_healthy) = add(&informer).await;
    assert!(informer.wait_for_sync().await);
    assert!(healthy.wait_for_sync().await);
    assert_eq!(told_healthy.take().len(), 6);
    assert!(once.wait_for_sync().await && twice.wait_for_sync().await);
    assert!(started.elapsed() < SECOND);

    let first = ["p1@1", "p2@2", "p3@3", "p4@4", "p5@5"].map(|it| format!("added {it} initial"));
    let told = told_once.take();
    assert_eq!((&told[..5], told[5].as_str()), (&first[..], "synced"));
    assert_eq!((once.counts().failed, once.dead_letter_count()), (5, 5));
    assert_eq!(once.dead_letters()[0].reason, "the handler panicked");

    let told = told_twice.take();
    assert_eq!(told[..5], first);
    assert_eq!(told[5..10], first.map(|it| format!("{it} attempt=2")));
    assert_eq!(told[10..], ["synced"]);
    assert_eq!((twice.counts().failed, twice.dead_letter_count()), (10, 5));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_when_it_has_synced_has_synced() {
    let (_server, informer) = start("rv=10 a@5");
    let (registration, told) = add_with(&informer, retries(1), |_| Answer::Panic).await;
    assert!(registration.wait_for_sync().await);
    let expected =
        ["added a@5 initial", "added a@5 initial attempt=2", "synced", "synced attempt=2"];
    assert_eq!(told.take(), expected);
}

/// Its call panics before there is a future.
struct Hasty;

impl ResourceEventHandler for Hasty {
    fn handle(&mut self, _: &Delivery) -> impl Future<Output = Handled> + Send {
        // Without the message that a panic would print.
        std::panic::resume_unwind(Box::new("hasty"));
        #[expect(unreachable_code, reason = "gives the future its type")]
        std::future::ready(Handled::Done)
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_before_it_waits_is_caught_too() {
    let (_server, informer) = start("rv=10 a@5");
    let registration = informer.add_event_handler(Hasty, retries(1)).await;
    assert!(registration.wait_for_sync().await);
    assert_eq!(registration.dead_letter_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_delivered_again_with_a_newer_state_or_when_asked() {
    let (server, informer) = start("rv=10 a@5 b@6");
    let mut broken = true;
    let answer = move |delivery: &Delivery| match delivery.notification.key() {
        Some(_) if broken => {
            broken = delivery.notification.key() != Some(&key("b"));
            Answer::failed()
        }
        _ => Answer::done(),
    };
    let (registration, told) = add_with(&informer, retries(5), answer).await;
    assert!(registration.wait_for_sync().await);
    assert_eq!(told.take(), ["added a@5 initial", "added b@6 initial", "synced"]);
    let dead: Vec<_> = registration.dead_letters().into_iter().map(|it| it.key).collect();
    assert_eq!(dead, [key("a"), key("b")]);

    server.say("modified a@11");
    settle().await;
    assert_eq!(told.take(), ["added a@11 initial"]);
    assert_eq!(registration.retry_dead_letters(Some(&key("a"))), 0);
    assert_eq!(registration.retry_dead_letters(None), 1);
    settle().await;
    assert_eq!(told.take(), ["added b@6 initial"]);
    assert_eq!((registration.dead_letter_count(), registration.pending()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_the_order_of_its_object_and_delays_no_other() {
    let (server, informer) = start("rv=10 a@5 b@6");
    let mut failures = 1;
    let answer = move |delivery: &Delivery| match delivery.notification.key() {
        Some(it) if *it == key("a") && failures > 0 => {
            failures -= 1;
            Answer::Now(Handled::Retry { after: Some(10 * SECOND), reason: "busy".to_owned() })
        }
        _ => Answer::done(),
    };
    let (registration, told) = add_with(&informer, retries(5), answer).await;
    settle().await;
    server.say("modified a@11; modified b@12; deleted b@13; modified a@14");
    sleep(9 * SECOND).await;
    let expected = ["added a@5 initial", "added b@6 initial", "updated b@6 b@12", "deleted b@13"];
    assert_eq!(told.take(), expected);
    assert!(!registration.has_synced());
    assert_eq!(registration.pending(), 1);
    sleep(SECOND).await;
    assert_eq!(told.take(), ["added a@14 initial attempt=2", "synced"]);
}

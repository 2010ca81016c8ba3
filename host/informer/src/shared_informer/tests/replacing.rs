//! Handlers that take the place of others.

use super::*;

const DRAIN: Duration = Duration::from_secs(5);

/// Does not end with these for an hour.
fn stuck_in(
    is_one: fn(&crate::Notification) -> bool,
) -> impl FnMut(&crate::Delivery) -> Answer + Send + 'static {
    move |delivery| match is_one(&delivery.notification) {
        true => Answer::After(3600 * SECOND, crate::Handled::Done),
        false => Answer::done(),
    }
}

/// Replaces a handler by one that handles everything at once.
async fn replace(old: &HandlerRegistration) -> (HandlerRegistration, Recording) {
    replace_with(old, HandlerOptions::default(), |_| Answer::done()).await
}

async fn replace_with(
    old: &HandlerRegistration,
    options: HandlerOptions,
    answer: impl FnMut(&crate::Delivery) -> Answer + Send + 'static,
) -> (HandlerRegistration, Recording) {
    let (recorder, recording) = Recorder::answering(answer);
    (old.replace(recorder, options, DRAIN).await, recording)
}

#[tokio::test(start_paused = true)]
async fn the_new_handler_is_told_what_is_cached_and_the_old_one_nothing_more() {
    let (server, informer) = start("rv=10 a@5");
    let (old, told_old) = add(&informer).await;
    settle().await;
    let (new, told) = replace(&old).await;
    server.say("modified a@11; deleted a@12");
    settle().await;
    assert_eq!(told_old.take(), ["added a@5 initial", "synced"]);
    assert_eq!(told.take(), ["added a@5 initial", "synced", "updated a@5 a@11", "deleted a@12"]);
    assert!(new.has_synced());
    assert_eq!(new.counts().delivered, 3, "counts start at zero");
    old.wait_for_end().await;
    assert_eq!(old.remove(3600 * SECOND).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_new_handler_begins_when_the_old_one_has_drained() {
    let (server, informer) = start("rv=10 a@5");
    let (old, told_old) = add_with(&informer, HandlerOptions::default(), slow(SECOND)).await;
    sleep(10 * SECOND).await;
    server.say("modified a@11; deleted a@12; added b@13");
    settle().await;
    let (new, told) = replace(&old).await;
    settle().await;
    assert_eq!((told.take(), new.pending()), (nothing(), 1));
    old.wait_for_end().await;
    settle().await;
    let drained = ["added a@5 initial", "synced", "updated a@5 a@11", "deleted a@12", "added b@13"];
    assert_eq!(told_old.take(), drained);
    assert_eq!(told.take(), ["added b@13 initial", "synced"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_old_handler_had_no_time_for_is_told_by_the_new_one() {
    let (server, informer) = start("rv=10 a@5 b@6");
    let is_stuck = stuck_in(|it| matches!(it, crate::Notification::Updated { .. }));
    let (old, told_old) = add_with(&informer, HandlerOptions::default(), is_stuck).await;
    settle().await;
    server.say("modified a@11; deleted a@12; deleted b@13; added b#2@14; added c@15; deleted c@16");
    settle().await;
    told_old.take();
    let started = Instant::now();
    let (_new, told) = replace(&old).await;
    old.wait_for_end().await;
    assert_eq!(started.elapsed(), DRAIN);
    settle().await;
    // Of c, nobody was told.
    let told = told.take();
    assert_eq!(sorted(told[..2].to_vec()), ["deleted a@12", "deleted b@13"]);
    assert_eq!(told[2..], ["added b#2@14 initial", "synced"]);
    assert_eq!(old.pending(), 6, "what was left can still be told");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_tried_again_by_the_new_handler() {
    let (server, informer) = start("rv=10 a@5 b@6");
    let mut fails = false;
    let (old, _) = add_with(&informer, HandlerOptions::default(), move |delivery| {
        fails |= delivery.notification == crate::Notification::Synced;
        if fails { Answer::failed() } else { Answer::done() }
    })
    .await;
    settle().await;
    server.say("modified a@11; deleted b@12");
    settle().await;
    assert_eq!(old.dead_letter_count(), 2);
    let (new, told) = replace(&old).await;
    settle().await;
    assert_eq!(told.take(), ["deleted b@12", "added a@11 initial", "synced"]);
    assert_eq!(new.dead_letter_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn handlers_that_are_replaced_together_wait_for_each_other() {
    let (_server, informer) = start("rv=10 a@5");
    let (one, _) = add(&informer).await;
    let (two, _) = add_with(&informer, HandlerOptions::default(), slow(3600 * SECOND)).await;
    settle().await;
    let paused = HandlerOptions { paused: true, ..HandlerOptions::default() };
    let (new_one, told_one) = replace_with(&one, paused.clone(), |_| Answer::done()).await;
    let (new_two, told_two) = replace_with(&two, paused, |_| Answer::done()).await;
    one.wait_for_end().await;
    settle().await;
    assert_eq!(told_one.take(), nothing());
    two.wait_for_end().await;
    new_one.set_paused(false);
    new_two.set_paused(false);
    settle().await;
    let expected = ["added a@5 initial", "synced"];
    assert_eq!(
        (told_one.take(), told_two.take()),
        (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_handler_is_replaced_at_once() {
    let (server, informer) = start("rv=10 a@5");
    let (old, _) = add(&informer).await;
    settle().await;
    old.set_paused(true);
    server.say("deleted a@11");
    settle().await;
    let (_new, told) = replace(&old).await;
    settle().await;
    assert_eq!(told.take(), ["deleted a@11", "synced"]);
}

/// Also if nothing is left of those between before they have begun.
#[tokio::test(start_paused = true)]
async fn a_handler_may_be_replaced_before_it_has_begun() {
    for is_dropped in [true, false] {
        let (server, informer) = start("rv=10 a@5 b@6");
        let is_stuck = stuck_in(|it| matches!(it, crate::Notification::Deleted { .. }));
        let (old, told_old) = add_with(&informer, HandlerOptions::default(), is_stuck).await;
        settle().await;
        server.say("deleted a@11");
        settle().await;
        told_old.take();
        let (between, told_between) = replace(&old).await;
        settle().await;
        server.say("deleted b@12");
        settle().await;
        let (new, told) = replace(&between).await;
        let between = (!is_dropped).then_some(between);
        sleep(4 * SECOND).await;
        assert_eq!(told.take(), nothing(), "the first one is still there");
        sleep(2 * SECOND).await;
        let mut all = told_between.take();
        assert!(between.is_some() || all.is_empty());
        all.extend(told.take());
        assert!(new.has_synced());
        all.retain(|line| line.starts_with("deleted"));
        assert_eq!(sorted(all), ["deleted a@11", "deleted b@12"]);
    }
}

/// Between the call and the step of the process loop, too.
#[tokio::test(start_paused = true)]
async fn the_old_registration_may_be_dropped_at_once() {
    let (server, informer) = start("rv=10 a@5 b@6");
    let (old, _) = add(&informer).await;
    settle().await;
    server.say("deleted a@11");
    let (_new, told) = replace(&old).await;
    drop(old);
    settle().await;
    let told = told.take();
    let deletion = told.iter().position(|line| line == "deleted a@11");
    assert!(deletion.is_some(), "{told:?}");
    assert!(told.contains(&"added b@6 initial".to_owned()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_given_up_has_not_happened_and_one_that_is_dropped_has() {
    let (server, informer) = start("rv=10 a@5");
    let (old, told) = add(&informer).await;
    settle().await;
    drop(replace(&old));
    server.say("modified a@11");
    settle().await;
    assert_eq!(told.take(), ["added a@5 initial", "synced", "updated a@5 a@11"]);
    drop(replace(&old).await);
    server.say("modified a@12");
    timeout(SECOND, old.wait_for_end()).await.unwrap();
    settle().await;
    assert_eq!(told.take(), nothing());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_replaced_when_the_informer_has_stopped() {
    let (server, informer) = start("rv=10 a@5");
    let (old, told_old) = add_with(&informer, HandlerOptions::default(), slow(10 * SECOND)).await;
    settle().await;
    server.say("deleted a@11");
    settle().await;
    informer.stop().await;
    let (new, told) = replace(&old).await;
    timeout(SECOND, new.wait_for_end()).await.unwrap();
    assert!(!new.wait_for_sync().await);
    old.wait_for_end().await;
    assert_eq!(told_old.take(), ["added a@5 initial", "synced", "deleted a@11"], "it drains");
    assert_eq!(told.take(), nothing());
}

#[tokio::test(start_paused = true)]
async fn an_informer_that_stops_meanwhile_lets_the_new_handler_finish() {
    let (server, informer) = start("rv=10 a@5 b@6");
    let (old, _) = add_with(&informer, HandlerOptions::default(), slow(3600 * SECOND)).await;
    settle().await;
    server.say("deleted a@11");
    settle().await;
    let (new, told) = replace(&old).await;
    settle().await;
    informer.stop().await;
    new.wait_for_end().await;
    let told = told.take();
    assert_eq!(told.last().unwrap(), "synced");
    assert!(told.contains(&"added b@6 initial".to_owned()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_removed_leaves_what_it_was_not_told() {
    let (server, informer) = start("rv=10 a@5");
    let is_stuck = stuck_in(|it| matches!(it, crate::Notification::Deleted { .. }));
    let (old, _) = add_with(&informer, HandlerOptions::default(), is_stuck).await;
    settle().await;
    server.say("deleted a@11; added b@12");
    settle().await;
    assert_eq!(old.remove(SECOND).await, 2);
    let (_new, told) = replace(&old).await;
    settle().await;
    assert_eq!(told.take(), ["deleted a@11", "added b@12 initial", "synced"]);
}

/// However its task ended: here, as if its runtime was shut down.
#[tokio::test(start_paused = true)]
async fn one_whose_task_is_gone_leaves_what_it_was_not_told() {
    let (server, informer) = start("rv=10 a@5");
    let (old, _) = add(&informer).await;
    settle().await;
    old.task.abort();
    server.say("deleted a@11");
    settle().await;
    let (_new, told) = replace(&old).await;
    settle().await;
    assert_eq!(told.take(), ["deleted a@11", "synced"]);
}

#[tokio::test(start_paused = true)]
async fn one_whose_task_ends_in_the_middle_of_a_call_leaves_what_it_was_about() {
    let (server, informer) = start("rv=10 a@5");
    let is_stuck = stuck_in(|it| matches!(it, crate::Notification::Deleted { .. }));
    let (old, _) = add_with(&informer, HandlerOptions::default(), is_stuck).await;
    settle().await;
    server.say("deleted a@11");
    settle().await;
    old.task.abort();
    let (_new, told) = replace(&old).await;
    settle().await;
    assert_eq!(told.take(), ["deleted a@11", "synced"]);
}

/// The first list is applied while the old one drains.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_replaced_before_the_first_list_is_told_nothing_of_it() {
    let server = ScriptedServer::default();
    let informer = SharedInformer::start(server.clone(), SharedInformerOptions::default());
    let (old, told_old) = add(&informer).await;
    settle().await;
    let (new, told) = replace(&old).await;
    settle().await;
    server.on_list("rv=10 a@5");
    assert!(new.wait_for_sync().await);
    assert_eq!((told_old.take(), old.has_synced()), (nothing(), false));
    assert_eq!(told.take(), ["added a@5 initial", "synced"]);
}

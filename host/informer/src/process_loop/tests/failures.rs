//! Panics in what the loop calls.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_step_that_panics_is_done_again_after_a_second_and_nothing_is_lost() {
    let looping = Looping::start();
    let queue = looping.join(None).await;
    panic_on("a@5", 1);
    looping.list("10 a@5 b@7").await;
    assert_eq!(told(&queue), ["added b@7 initial"]);
    assert!(!*looping.has_synced.borrow());
    assert_ne!(looping.lister.resource_version(), "10");
    sleep(Duration::from_millis(998)).await;
    assert_eq!(told(&queue), nothing());
    sleep(Duration::from_millis(2)).await;
    assert_eq!(told(&queue), ["added a@5 initial", "synced"]);
    assert_eq!(looping.cached(), ["a@5", "b@7"]);
    assert_eq!(looping.lister.resource_version(), "10");
    assert_eq!(looping.counters.process_loop_restarts.get(), 1);
}

/// client-go: SI-17.
#[tokio::test(start_paused = true)]
async fn a_listener_that_joins_before_the_first_list_is_applied_is_told_all_of_it_as_initial() {
    let looping = Looping::start();
    panic_on("a@5", 1);
    looping.list("10 a@5 b@7").await;
    let queue = ListenerQueue::new(DeliveryPolicy::default());
    let join = Command::AddListener { queue: queue.clone(), resync_period: None };
    looping.commands.try_send(join).unwrap();
    sleep(RESTART_DELAY).await;
    assert_eq!(told(&queue), ["added b@7 initial", "added a@5 initial", "synced"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_applied_before_the_panic_is_not_applied_again() {
    let (looping, queue) = Looping::listed("10").await;
    panic_on("a@12", 1);
    looping.list("11 a@5 a@12").await;
    assert_eq!(told(&queue), ["added a@5"]);
    sleep(RESTART_DELAY).await;
    assert_eq!(told(&queue), ["updated a@5 a@12"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_meanwhile_stays_in_order() {
    let (looping, queue) = Looping::listed("10 a@5").await;
    panic_on("a@11", 1);
    looping.updated("a@11").await;
    looping.updated("a@12").await;
    looping.deleted("a@13").await;
    looping.added("a#2@14").await;
    assert_eq!(told(&queue), nothing());
    sleep(RESTART_DELAY).await;
    let expected = ["updated a@5 a@11", "updated a@11 a@12", "deleted a@13", "added a#2@14"];
    assert_eq!(told(&queue), expected);
    assert_eq!(looping.lister.resource_version(), "14");
}

#[tokio::test(start_paused = true)]
async fn the_version_does_not_go_back_when_a_list_is_applied_late() {
    let (looping, _queue) = Looping::listed("10").await;
    panic_on("a@15", 1);
    looping.list("20 a@15").await;
    looping.added("b@21").await;
    sleep(RESTART_DELAY).await;
    assert_eq!(looping.cached(), ["a@15", "b@21"]);
    assert_eq!(looping.lister.resource_version(), "21");
}

/// An object that was never applied must not outlive a list that does not have it.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_applied_is_compared_with_the_next_list() {
    let (looping, queue) = Looping::listed("10").await;
    panic_on("a@11", 1);
    looping.added("a@11").await;
    looping.list("20").await;
    sleep(RESTART_DELAY).await;
    assert_eq!(told(&queue), ["added a@11", "deleted a@11 final-state-unknown"]);
    assert_eq!(looping.cached(), nothing());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_panics_for_ever_does_not_stop_the_others() {
    let (mut looping, queue) = Looping::listed("10 a@5 b@7").await;
    panic_on("a@11", u32::MAX);
    looping.updated("a@11").await;
    for version in 12..15 {
        looping.updated(&format!("b@{version}")).await;
    }
    let late = looping.join(None).await;
    sleep(3 * RESTART_DELAY).await;
    assert_eq!(told(&queue), ["updated b@7 b@12", "updated b@12 b@13", "updated b@13 b@14"]);
    let mut told_late = told(&late);
    told_late.sort();
    assert_eq!(told_late[..2], ["added a@5 initial", "added b@7 initial"]);
    assert!(looping.counters.process_loop_restarts.get() >= 3);

    // And the informer can be stopped.
    drop(looping.reflected);
    looping.task.join_next().await.unwrap().unwrap();
    assert!(queue.is_closed());
    assert_eq!(texts(looping.lister.list()), ["a@5", "b@14"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_index_function_leaves_the_object_out_of_that_index_only() {
    let (looping, queue) = Looping::listed("10 a@5 bad@6").await;
    let index_func: IndexFunc = Arc::new(|object| match object.key.name() {
        // Without the message that a panic would print.
        "bad" => std::panic::resume_unwind(Box::new("bad")),
        name => Ok(vec![name.to_owned()]),
    });
    looping.add_index(index_func.clone()).await.unwrap();
    let exists = IndexError::Exists("index".to_owned());
    assert_eq!(looping.add_index(index_func).await, Err(exists));
    looping.updated("bad@11").await;
    looping.updated("a@12").await;
    assert_eq!(told(&queue), ["updated bad@6 bad@11", "updated a@5 a@12"]);
    assert_eq!(looping.lister.index_values("index").unwrap(), ["a"]);
    assert_eq!(looping.lister.index_failures("index"), Ok(1));
    assert_eq!(looping.counters.process_loop_restarts.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_transform_leaves_the_object_out() {
    let looping = Looping::transforming(Some(Arc::new(|object| match &*object.resource_version {
        "13" => Err("13 is refused".to_owned()),
        // Without the message that a panic would print.
        "14" => std::panic::resume_unwind(Box::new("14")),
        _ => Ok(object),
    })));
    let queue = looping.join(None).await;
    looping.list("20 a@5 b@13 c@14").await;
    looping.updated("a@14").await;
    looping.added("d@21").await;
    assert_eq!(told(&queue), ["added a@5 initial", "synced", "added d@21"]);
    assert_eq!(looping.counters.rejected.get(), 3);
    // A deletion cannot be left out.
    looping.deleted("a@13").await;
    assert_eq!(told(&queue), ["deleted a@5 final-state-unknown"]);
    assert_eq!(looping.counters.rejected.get(), 4);
}

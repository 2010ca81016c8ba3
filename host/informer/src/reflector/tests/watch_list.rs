//! The initial state as a stream, and when it is given up.

use super::*;

async fn start(prepare: impl FnOnce(&ScriptedServer)) -> (Reflecting, Vec<String>) {
    let server = ScriptedServer::default();
    prepare(&server);
    let mut reflecting = Reflecting::start(server);
    let seen = reflecting.seen().await;
    (reflecting, seen)
}

/// ★29 client-go: `TestReflectorListAndWatch`, with watch-list; ★48 (5).
#[tokio::test(start_paused = true)]
async fn the_initial_state_and_what_follows_come_over_one_watch() {
    let (reflecting, seen) = start(|server| {
        server.on_watch_list("added foo@2; added bar@3; end rv=3; added baz@4; modified foo@5");
    })
    .await;
    assert_eq!(seen, ["listed rv=3 bar@3 foo@2", "added baz@4", "updated foo@5"]);
    assert_eq!(reflecting.asked(), ["watch-list rv="]);
}

/// ★48 (6) client-go: `TestWatchList`.
#[tokio::test(start_paused = true)]
async fn changes_before_the_end_of_the_initial_state_are_part_of_it() {
    let (_reflecting, seen) = start(|server| {
        server
            .on_watch_list("added a@1; added b@2; added c@3; modified a@4; deleted b@5; end rv=5");
    })
    .await;
    assert_eq!(seen, ["listed rv=5 a@4 c@3"]);
}

/// ★47 client-go: `TestWatchListResourceVersion`.
#[tokio::test(start_paused = true)]
async fn the_version_is_that_of_the_bookmark_and_of_nothing_before_it() {
    for said in ["hang-up", "added a@1; added b@2; hang-up"] {
        let (reflecting, _) = start(|server| {
            server.on_watch_list(said).on_watch_list("");
        })
        .await;
        assert_eq!(reflecting.asked(), ["watch-list rv=", "watch-list rv="]);
    }
    let (reflecting, _) = start(|server| {
        server.on_watch_list("added a@9; end rv=2; wait 2s; hang-up");
    })
    .await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(reflecting.asked(), ["watch-list rv=", "watch rv=2"]);
}

/// ★48 (3) (4) client-go: `TestWatchList`.
#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_watch_list_is_listed() {
    for refused in ["unavailable", "rejected 422", "rejected 400", "rejected 403", "expired"] {
        let (reflecting, seen) = start(|server| {
            server.refuse_watch_list(refused).refuse_watch_list(refused).on_list("rv=1 a@1");
        })
        .await;
        assert_eq!(seen, ["listed rv=1 a@1"], "after {refused}");
        assert!(reflecting.asked().ends_with(&["watch rv=1".to_owned()]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_watch_list_is_not_asked_again_for_half_an_hour() {
    let (mut reflecting, _) = start(|server| {
        server.refuse_watch_list("rejected 400").on_list("rv=1 a@1");
    })
    .await;
    assert_eq!(reflecting.asked(), ["watch-list rv=", "list rv=0 limit=500", "watch rv=1"]);

    reflecting.server.on_list("rv=2 a@1").say("expired");
    reflecting.seen_within(FIRST_DELAY).await;
    assert_eq!(reflecting.asked(), ["list rv=1", "watch rv=2"]);

    reflecting.seen_within(WATCH_LIST_RETRY_AFTER).await;
    reflecting.asked();
    reflecting.server.on_watch_list("added a@1; end rv=3").say("expired");
    assert_eq!(reflecting.seen_within(ANY_DELAY).await, ["listed rv=3 a@1"]);
    assert_eq!(reflecting.asked(), ["watch-list rv=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_of_watch_list_is_not_remembered() {
    let (mut reflecting, _) = start(|server| {
        server.refuse_watch_list("unavailable").on_list("rv=1 a@1");
    })
    .await;
    assert_eq!(reflecting.failure(), None);
    reflecting.asked();
    reflecting.server.on_watch_list("added a@1; end rv=3").say("expired");
    reflecting.seen_within(FIRST_DELAY).await;
    assert_eq!(reflecting.asked(), ["watch-list rv=1"]);
}

/// ★48 (7) client-go: `TestWatchList`.
#[tokio::test(start_paused = true)]
async fn a_busy_or_absent_server_is_asked_for_the_same_again() {
    let (mut reflecting, seen) = start(|server| {
        server.refuse_watch_list("429").refuse_watch_list("refused");
        server.on_watch_list("429").on_watch_list("added a@1; end rv=1");
    })
    .await;
    assert_eq!(seen, Vec::<String>::new());
    assert!(reflecting.failure().is_some());
    assert_eq!(reflecting.seen_within(ANY_DELAY).await, ["listed rv=1 a@1"]);
    assert_eq!(reflecting.asked(), ["watch-list rv="; 4]);
    assert_eq!(reflecting.failure(), None);
}

/// ★48 (8) client-go: `TestWatchList`. There it is tried for ever (WL-7).
#[tokio::test(start_paused = true)]
async fn a_stream_cut_short_is_asked_for_once_more_from_scratch_then_listed() {
    let (_reflecting, seen) = start(|server| {
        server.on_watch_list("added a@1; hang-up").on_watch_list("added b@2; end rv=2");
    })
    .await;
    assert_eq!(seen, ["listed rv=2 b@2"]);

    let (mut reflecting, seen) = start(|server| {
        server.on_watch_list("added a@1; hang-up").on_watch_list("added a@1; hang-up");
        server.on_list("rv=3 a@1");
    })
    .await;
    assert_eq!(seen, ["listed rv=3 a@1"]);
    reflecting.asked();
    reflecting.server.on_list("rv=4 a@1").say("expired");
    reflecting.seen_within(FIRST_DELAY).await;
    assert_eq!(reflecting.asked(), ["list rv=3", "watch rv=4"], "it is remembered");
}

/// ★48 (9) (10) client-go: `TestWatchList`. There, the expired version is an error.
#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_after_the_initial_state_goes_on_as_a_watch() {
    let (mut reflecting, _) = start(|server| {
        server.on_watch_list("added a@1; end rv=2; added b@3; wait 2s; hang-up");
        server.refuse_watch("expired");
    })
    .await;
    reflecting.server.on_watch_list("added b@3; end rv=4");
    assert_eq!(reflecting.seen_within(3 * FIRST_DELAY).await, ["listed rv=4 b@3"]);
    assert_eq!(reflecting.asked(), ["watch-list rv=", "watch rv=3", "watch-list rv=3"]);
}

/// ★48 (1) (11) client-go: `TestWatchList`. There it waits for ever (WL-7).
#[tokio::test(start_paused = true)]
async fn an_initial_state_that_does_not_end_is_listed_after_a_minute() {
    let never_ending = [
        "added a@1",
        "added a@1; bookmark rv=2",
        // Neither bookmarks nor changes are progress.
        "added a@1; wait 30s; bookmark rv=2; wait 20s; modified a@3; bookmark rv=3; wait 20s",
    ];
    for said in never_ending {
        let (mut reflecting, seen) = start(|server| {
            server.on_watch_list(said).on_list("rv=9 a@1");
        })
        .await;
        assert_eq!(seen, Vec::<String>::new());
        assert_eq!(reflecting.seen_within(Duration::from_secs(59)).await, Vec::<String>::new());
        assert_eq!(reflecting.seen_within(Duration::from_secs(1)).await, ["listed rv=9 a@1"]);
        reflecting.asked();
        reflecting.server.on_list("rv=10 a@1").say("expired");
        reflecting.seen_within(FIRST_DELAY).await;
        assert_eq!(reflecting.asked(), ["list rv=9", "watch rv=10"], "it is remembered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_for_watch_list_that_is_not_answered_is_given_up_after_a_minute() {
    let (mut reflecting, _) = start(|server| {
        server.ignore_watch_list().on_list("rv=9 a@1");
    })
    .await;
    assert_eq!(reflecting.seen_within(Duration::from_secs(60)).await, ["listed rv=9 a@1"]);
}

#[tokio::test(start_paused = true)]
async fn an_initial_state_that_grows_may_take_as_long_as_it_needs() {
    let (mut reflecting, _) = start(|server| {
        server.on_watch_list(
            "added a@1; wait 50s; added b@2; wait 50s; added c@3; wait 50s; end rv=3",
        );
    })
    .await;
    let seen = reflecting.seen_within(Duration::from_secs(150)).await;
    assert_eq!(seen, ["listed rv=3 a@1 b@2 c@3"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_is_dropped_at_once() {
    let (mut reflecting, _) = start(|server| {
        server.on_watch_list("added a@1; end rv=1; wait 2s; expired");
        server.refuse_watch_list("expired").on_watch_list("added a@1; end rv=7");
    })
    .await;
    assert_eq!(reflecting.seen_within(3 * FIRST_DELAY).await, ["listed rv=7 a@1"]);
    assert_eq!(reflecting.asked(), ["watch-list rv=", "watch-list rv=1", "watch-list rv="]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_does_not_end_the_initial_state() {
    let (reflecting, seen) = start(|server| {
        server.on_watch_list("added a@1; rejected; added b@2; end rv=2");
    })
    .await;
    assert_eq!(seen, ["listed rv=2 a@1 b@2 left-out"]);
    assert_eq!(reflecting.counters.rejected.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_initial_object_is_left_out_unless_a_state_of_it_could_be_read() {
    let (reflecting, seen) = start(|server| {
        server.on_watch_list(
            "added a@1; rejected a; rejected b; modified b@2; rejected c; rejected d; \
             deleted d@3; end rv=3",
        );
    })
    .await;
    assert_eq!(seen, ["listed rv=3 a@1 b@2 left-out=c"]);
    assert_eq!(reflecting.counters.rejected.get(), 4);
}

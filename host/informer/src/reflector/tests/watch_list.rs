//! The initial state as a stream, and when it is given up.

use super::*;

async fn start(prepare: impl FnOnce(&ScriptedServer)) -> (Reflecting, Vec<String>) {
    let server = ScriptedServer::default();
    prepare(&server);
    let mut reflecting = Reflecting::start(server);
    let seen = reflecting.seen().await;
    (reflecting, seen)
}

/// ★29 client-go: `TestReflectorListAndWatch`, its case with watch-list.
#[tokio::test(start_paused = true)]
async fn scenario_29_reflector_list_and_watch_with_watch_list() {
    let (reflecting, seen) = start(|server| {
        server.on_watch_list(
            "added foo@1; end rv=1; \
             modified foo@2; added bar@3; added baz@4; added qux@5; added zoo@6",
        );
    })
    .await;
    let expected = [
        "listed rv=1 foo@1",
        "updated foo@2",
        "added bar@3",
        "added baz@4",
        "added qux@5",
        "added zoo@6",
    ];
    assert_eq!(seen, expected);
    assert_eq!(reflecting.asked(), ["watch-list rv="], "one watch and no list");
}

/// ★48 (2) client-go: `TestWatchList`. There it is switched off; here the server does not know it.
#[tokio::test(start_paused = true)]
async fn scenario_48_watch_list_that_is_off() {
    let (reflecting, seen) = start(|server| {
        server.refuse_watch_list("rejected 400").on_list("rv=1 a@1");
    })
    .await;
    assert_eq!(seen, ["listed rv=1 a@1"]);
    assert_eq!(reflecting.asked(), ["watch-list rv=", "list rv=0 limit=500", "watch rv=1"]);
}

/// ★48 (5) client-go: `TestWatchList`.
#[tokio::test(start_paused = true)]
async fn scenario_48_watch_list_that_ends_with_a_bookmark() {
    let (reflecting, seen) = start(|server| {
        server.on_watch_list("added p1@1; added p2@2; end rv=2");
    })
    .await;
    assert_eq!(seen, ["listed rv=2 p1@1 p2@2"]);
    assert_eq!(reflecting.asked(), ["watch-list rv="]);
}

/// ★48 (6) client-go: `TestWatchList`.
#[tokio::test(start_paused = true)]
async fn scenario_48_watch_list_with_changes_before_its_end() {
    let (reflecting, seen) = start(|server| {
        server.on_watch_list(
            "added p1@1; added p2@2; modified p1@3; added p3@4; deleted p3@5; end rv=5",
        );
    })
    .await;
    assert_eq!(seen, ["listed rv=5 p1@3 p2@2"]);
    assert_eq!(reflecting.asked(), ["watch-list rv="]);
}

/// ★47 client-go: `TestWatchListResourceVersion`.
#[tokio::test(start_paused = true)]
async fn scenario_47_watch_list_resource_version() {
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
async fn scenario_48_watch_list_that_is_refused() {
    for refused in ["unavailable", "rejected 422", "rejected 400", "rejected 403"] {
        let (reflecting, seen) = start(|server| {
            server.refuse_watch_list(refused).on_list("rv=1 p1@1").on_watch("added p2@2");
        })
        .await;
        assert_eq!(seen, ["listed rv=1 p1@1", "added p2@2"], "after {refused}");
        let asked = ["watch-list rv=", "list rv=0 limit=500", "watch rv=1"];
        assert_eq!(reflecting.asked(), asked, "after {refused}");
    }
}

/// client-go: WL-6, where a server that always says this is asked for ever, without a pause.
#[tokio::test(start_paused = true)]
async fn a_watch_list_without_a_version_that_has_expired_is_listed() {
    for refused in ["expired", "too-large"] {
        let (reflecting, seen) = start(|server| {
            server.refuse_watch_list(refused).refuse_watch_list(refused).on_list("rv=1 a@1");
        })
        .await;
        assert_eq!(seen, ["listed rv=1 a@1"], "after {refused}");
        let watch_list = "watch-list rv=";
        let asked = [watch_list, watch_list, "list rv= limit=500", "watch rv=1"];
        assert_eq!(reflecting.asked(), asked);
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
async fn scenario_48_watch_list_of_a_busy_server() {
    let (mut reflecting, _) = start(|server| {
        server.refuse_watch_list("429 1s").refuse_watch_list("429 1s");
        server.on_watch_list("added p1@1; end rv=2");
    })
    .await;
    assert_eq!(reflecting.seen_within(Duration::from_secs(3)).await, ["listed rv=2 p1@1"]);
    assert_eq!(reflecting.asked(), ["watch-list rv="; 3]);
}

/// client-go: WL-6.
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
async fn scenario_48_watch_list_that_is_cut_short() {
    let (reflecting, seen) = start(|server| {
        server.on_watch_list("added p1@1; hang-up").on_watch_list("added p2@2; end rv=2");
    })
    .await;
    assert_eq!(seen, ["listed rv=2 p2@2"], "from scratch");
    assert_eq!(reflecting.asked(), ["watch-list rv="; 2]);

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

/// ★48 (9) client-go: `TestWatchList`.
#[tokio::test(start_paused = true)]
async fn scenario_48_watch_list_that_ends_later() {
    let (mut reflecting, _) = start(|server| {
        server.on_watch_list("added p1@1; added p2@2; end rv=2; added p3@3; wait 2s; hang-up");
        server.on_watch("added p4@4");
    })
    .await;
    assert_eq!(reflecting.seen_within(Duration::from_secs(2)).await, ["added p4@4"]);
    assert_eq!(reflecting.asked(), ["watch-list rv=", "watch rv=3"]);
}

/// ★48 (10) client-go: `TestWatchList`. There, a version that has expired on opening is an error and
/// in the stream it is not; here it is the same thing in both places, and no error.
#[tokio::test(start_paused = true)]
async fn scenario_48_watch_list_whose_version_expires_later() {
    let (mut reflecting, seen) = start(|server| {
        server.on_watch_list("added p1@1; end rv=2; added p3@3; wait 2s; hang-up");
        server.refuse_watch("expired");
    })
    .await;
    assert_eq!(seen, ["listed rv=2 p1@1", "added p3@3"]);
    assert!(reflecting.seen_within(Duration::from_secs(2)).await.is_empty(), "the state is kept");
    assert_eq!(reflecting.asked(), ["watch-list rv=", "watch rv=3"]);
    assert_eq!(reflecting.failure(), None);
    reflecting.server.on_watch_list("added p3@3; end rv=4");
    assert_eq!(reflecting.seen_within(FIRST_DELAY).await, ["listed rv=4 p3@3"]);
    assert_eq!(reflecting.asked(), ["watch-list rv=3"]);
}

/// ★48 (1) (11) client-go: `TestWatchList`. There it waits for ever (WL-7).
#[tokio::test(start_paused = true)]
async fn scenario_48_watch_list_that_never_ends() {
    let never_ending = [
        "added a@1",
        // Also a bookmark whose annotation says "false".
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
        assert_eq!(reflecting.asked(), ["watch-list rv="]);
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

/// client-go: WT-2.
#[tokio::test(start_paused = true)]
async fn every_event_after_the_initial_state_moves_the_version() {
    let (reflecting, _) = start(|server| {
        server.on_watch_list("added a@9; end rv=0; added b@5; wait 2s; hang-up");
    })
    .await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(reflecting.asked(), ["watch-list rv=", "watch rv=5"]);
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

/// What is cached then is older than what was there.
#[tokio::test(start_paused = true)]
async fn an_initial_object_whose_newer_state_could_not_be_read_is_listed_again_later() {
    for (changes, asked) in [
        ("rejected a", "watch-list rv=11"),
        ("rejected a; modified a@3", "watch rv=11"),
        ("rejected a; deleted a@3", "watch rv=11"),
    ] {
        let (mut reflecting, _) = start(|server| {
            server.on_watch_list(&format!("added a@1; {changes}; end rv=10"));
        })
        .await;
        reflecting.asked();
        for _ in 0..5 {
            reflecting.server.say("wait 70s; bookmark rv=11");
        }
        reflecting.server.say("hang-up");
        reflecting.seen_within(Duration::from_secs(360)).await;
        assert_eq!(reflecting.asked()[0], asked, "{changes}");
    }
}

//! What moves the version, and how a watch that ended goes on.

use super::*;

/// The version from which the next watch goes on, after one that said this.
async fn version_after(said: &str) -> String {
    let mut reflecting = Reflecting::listed("rv=10 foo@1 bar@2").await;
    reflecting.server.say(said);
    reflecting.server.say("wait 1s; hang-up");
    reflecting.seen_within(Duration::from_secs(2)).await;
    reflecting.asked().join(" ")
}

/// ★28 client-go: `TestReflectorWatchHandler`. An object of a wrong type is rejected here by the
/// lister-watcher.
#[tokio::test(start_paused = true)]
async fn scenario_28_reflector_watch_handler() {
    let mut reflecting = Reflecting::listed("rv=10 foo@1 bar@2").await;
    reflecting.server.say("rejected; deleted foo@11; modified bar@55; added baz@32");
    reflecting.server.say("wait 1s; hang-up");
    let seen = reflecting.seen_within(Duration::from_secs(2)).await;
    assert_eq!(seen, ["deleted foo@11", "updated bar@55", "added baz@32"]);
    assert_eq!(reflecting.asked(), ["watch rv=32"], "not the highest");
    assert_eq!(reflecting.counters.rejected.get(), 1);
    assert_eq!(reflecting.counters.events.get(), 3);
}

/// ★44 client-go: `TestReflectorResourceVersionUpdate`. The version goes nowhere else here than into
/// the next request, so that shows it.
#[tokio::test(start_paused = true)]
async fn scenario_44_reflector_resource_version_update() {
    assert_eq!(version_after("added a@10").await, "watch rv=10");
    assert_eq!(version_after("modified a@20").await, "watch rv=20");
    assert_eq!(version_after("modified a@20; bookmark rv=30").await, "watch rv=30");
    let all = "added a@10; modified a@20; bookmark rv=30; deleted a@40";
    assert_eq!(version_after(all).await, "watch rv=40");
}

/// client-go: EV-1, EV-3, where an event that is refused later moves the version.
#[tokio::test(start_paused = true)]
async fn what_says_nothing_does_not_move_the_version() {
    assert_eq!(version_after("").await, "watch rv=10");
    assert_eq!(version_after("added a@20; rejected").await, "watch rv=20");
    assert_eq!(version_after("added a@20; bookmark rv=").await, "watch rv=20");
}

/// client-go: WT-3.
#[tokio::test(start_paused = true)]
async fn the_first_events_of_a_watch_from_nowhere_are_in_no_order() {
    for rv in ["", "0"] {
        let mut reflecting = Reflecting::listed(&format!("rv={rv} a@5")).await;
        reflecting.server.say("added a@5; bookmark rv=; added b@9; added c@7; wait 1s; hang-up");
        reflecting.seen_within(Duration::from_secs(2)).await;
        assert_eq!(reflecting.asked(), [format!("watch rv={rv}")]);
        reflecting.server.say("added a@5; bookmark rv=9; added d@10; wait 1s; hang-up");
        reflecting.seen_within(Duration::from_secs(2)).await;
        assert_eq!(reflecting.asked(), ["watch rv=10"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_is_handed_over_unless_it_has_no_version() {
    let mut reflecting = Reflecting::listed("rv=10 a@1").await;
    reflecting.server.say("bookmark rv=; bookmark rv=12");
    assert_eq!(reflecting.seen().await, ["bookmark rv=12"]);
}

#[tokio::test(start_paused = true)]
async fn the_version_moves_only_with_what_was_handed_over() {
    let (reflected_tx, mut reflected) = mpsc::channel(1);
    let (status_tx, _status) = watch::channel(ReflectorStatus::default());
    let server = ScriptedServer::default();
    server.on_list("rv=10 a@1").on_watch("modified a@11; modified a@12");
    let counters = Arc::new(InformerCounters::default());
    let mut reflector = Reflector::new(server, reflected_tx, status_tx, counters, None);
    // The channel has room for the list, and never for what follows.
    assert!(timeout(Duration::from_secs(1), reflector.list_and_watch()).await.is_err());
    assert_eq!(reflector.last_sync_resource_version, "10");
    assert_eq!(spelled(reflected.recv().await.unwrap()), "listed rv=10 a@1");
    assert!(reflected.try_recv().is_err());
    // Nor for another list.
    assert!(
        reflector.hand_over(Reflected::Bookmark { resource_version: "11".into() }).await.is_ok()
    );
    let replace = reflector.replace(List { resource_version: "20".to_owned(), ..List::default() });
    assert!(timeout(Duration::from_secs(1), replace).await.is_err());
    assert_eq!(reflector.last_sync_resource_version, "10");
}

/// ★43 client-go: `TestWatchTimeout`. The minimum is not configurable here, so there is no case of
/// half an hour. RF-1: the watch-list too.
#[tokio::test(start_paused = true)]
async fn scenario_43_watch_timeout() {
    let server = ScriptedServer::default();
    server.on_list("rv=10 a@1");
    let mut reflecting = Reflecting::start(server);
    reflecting.seen().await;
    for _ in 0..50 {
        reflecting.server.on_watch("wait 1s; hang-up");
    }
    reflecting.server.say("wait 1s; hang-up");
    reflecting.seen_within(Duration::from_secs(200)).await;
    let requests = reflecting.server.requests();
    assert_eq!(requests[0].text, "watch-list rv=");
    let watches = requests.iter().filter(|request| request.text.starts_with("watch"));
    let timeouts: Vec<u32> = watches.map(|request| request.timeout_seconds).collect();
    assert!(timeouts.len() > 50);
    assert!(timeouts.iter().all(|seconds| (300..600).contains(seconds)));
    assert!(timeouts.iter().any(|seconds| *seconds != timeouts[0]), "spread");
}

/// ★31 client-go: `TestReflectorListAndWatchInitConnBackoff`. The delays are not configurable here:
/// 0.8 s doubling to 30 s (RF-2), spread by up to as much again, and no list between them.
#[tokio::test(start_paused = true)]
async fn scenario_31_reflector_list_and_watch_init_conn_backoff() {
    let growing = [0.8, 1.6, 3.2, 6.4, 12.8, 25.6];
    for refusals in [5, 40] {
        let server = ScriptedServer::default();
        server.on_list("rv=10 a@1");
        for _ in 0..refusals {
            server.refuse_watch("refused");
        }
        let mut reflecting = Reflecting::start(server.clone());
        assert_eq!(reflecting.seen().await, ["listed rv=10 a@1"]);
        assert_eq!(reflecting.failure().unwrap().0, Phase::Watch);
        let mut requests = server.requests();
        while requests.len() < 2 + refusals + 1 {
            assert!(reflecting.seen_within(Duration::from_secs(1)).await.is_empty());
            requests.extend(server.requests());
        }
        let bases = growing.into_iter().chain(std::iter::repeat(30.0));
        for (pair, base) in requests[2..].windows(2).zip(bases) {
            assert_eq!(pair[1].text, "watch rv=10");
            let delay = (pair[1].at - pair[0].at).as_secs_f64();
            assert!((base..2.0 * base + 0.002).contains(&delay), "{delay} for base {base}");
        }
        assert_eq!(reflecting.failure(), None);
    }
}

/// ★32 client-go: `TestBackoffOnTooManyRequests`: one delay for the 429 on opening and one for that
/// in the stream. The closed watch ends at once without an event, which is a failure here too.
#[tokio::test(start_paused = true)]
async fn scenario_32_backoff_on_too_many_requests() {
    let server = ScriptedServer::default();
    server.on_list("rv=1").refuse_watch("429 1s").on_watch("429 1s").on_watch("hang-up");
    let mut reflecting = Reflecting::start(server.clone());
    reflecting.seen_within(Duration::from_millis(2500)).await;
    let requests = server.requests();
    let texts: Vec<_> = requests.iter().map(|request| request.text.as_str()).collect();
    let watch = "watch rv=1";
    assert_eq!(texts, ["watch-list rv=", "list rv=0 limit=500", watch, watch, watch]);
    for pair in requests[2..].windows(2) {
        let delay = (pair[1].at - pair[0].at).as_secs_f64();
        assert!((1.0..1.202).contains(&delay), "{delay}");
    }
    assert_eq!(reflecting.counters.failures.get(), 3);
}

/// ★33 client-go: `TestNoRelistOnTooManyRequests`.
#[tokio::test(start_paused = true)]
async fn scenario_33_no_relist_on_too_many_requests() {
    let server = ScriptedServer::default();
    server.on_list("rv=1");
    for _ in 0..4 {
        server.refuse_watch("429 1s");
    }
    let mut reflecting = Reflecting::start(server);
    reflecting.seen_within(Duration::from_secs(30)).await;
    let asked = reflecting.asked();
    assert_eq!(asked.iter().filter(|it| it.starts_with("list")).count(), 1);
    assert_eq!(asked.iter().filter(|it| *it == "watch rv=1").count(), 5);
    assert_eq!(reflecting.failure(), None);
}

/// client-go: WT-8, where a delay does not depend on what the server asks for.
#[tokio::test(start_paused = true)]
async fn a_busy_server_is_given_the_time_it_asks_for_within_limits() {
    let server = ScriptedServer::default();
    server.on_list("rv=10 a@1");
    server.refuse_watch("429 5s").refuse_watch("429 0s").refuse_watch("429 1000000s");
    server.on_watch("429 2s").on_watch("added b@11");
    let mut reflecting = Reflecting::start(server.clone());
    let seen = reflecting.seen_within(Duration::from_secs(90)).await;
    assert_eq!(seen, ["listed rv=10 a@1", "added b@11"]);
    let requests = server.requests();
    assert_eq!(requests.len(), 2 + 5, "no other list");
    for (pair, asked) in requests[2..].windows(2).zip([5.0, 1.0, 60.0, 2.0]) {
        assert_eq!(pair[1].text, "watch rv=10");
        let delay = (pair[1].at - pair[0].at).as_secs_f64();
        assert!((asked..1.2 * asked + 0.002).contains(&delay), "{delay} for {asked}");
    }
}

/// ★34 client-go: `TestRetryInternalError`, its first case: no retries. The time in which internal
/// errors only make another watch is 0 there unless configured, and not configurable here.
#[tokio::test(start_paused = true)]
async fn scenario_34_retry_internal_error() {
    let mut reflecting = Reflecting::listed("rv=10 a@1").await;
    reflecting.server.on_list("rv=12 a@1").say("unavailable");
    assert_eq!(reflecting.seen_within(FIRST_DELAY).await, ["listed rv=12 a@1"]);
    assert_eq!(reflecting.asked(), ["list rv=10", "watch rv=12"]);
}

/// ★45 client-go: `TestReflectorReplacesStoreOnUnsafeDelete`. The error arrives as a 500, which is
/// `Unavailable` here.
#[tokio::test(start_paused = true)]
async fn scenario_45_reflector_replaces_store_on_unsafe_delete() {
    let mut reflecting = Reflecting::listed("rv=3 a@1 b@2 c@3").await;
    reflecting.server.on_list("rv=5 a@1 b@2 c@3").say("added foo@4; unavailable");
    let seen = reflecting.seen_within(FIRST_DELAY).await;
    assert_eq!(seen, ["added foo@4", "listed rv=5 a@1 b@2 c@3"]);
    assert_eq!(reflecting.asked(), ["list rv=4", "watch rv=5"]);
}

/// client-go: WT-5, WT-7, WT-8, RF-13.
#[tokio::test(start_paused = true)]
async fn an_error_makes_a_watch_where_the_last_one_ended_or_a_list() {
    for (error, next, is_failure) in [
        ("429", "watch rv=10", true),
        ("refused", "watch rv=10", true),
        ("expired", "list rv=10", false),
        ("too-large", "list rv=10", true),
        ("unavailable", "list rv=10", true),
        ("rejected 403", "list rv=10", true),
        ("rejected 404", "list rv=10", true),
    ] {
        for on_opening in [true, false] {
            let server = ScriptedServer::default();
            server.on_list("rv=10 a@1");
            match on_opening {
                true => _ = server.refuse_watch(error),
                false => _ = server.on_watch(error),
            }
            let mut reflecting = Reflecting::start(server);
            assert_eq!(reflecting.seen().await, ["listed rv=10 a@1"]);
            assert_eq!(reflecting.failure().is_some(), is_failure, "{error}");
            assert_eq!(reflecting.asked().last().unwrap(), "watch rv=10");
            reflecting.seen_within(FIRST_DELAY).await;
            assert_eq!(reflecting.asked(), [next], "after {error}, {on_opening}");
        }
    }
}

/// The same thing whether the server says it on opening or in the stream.
#[tokio::test(start_paused = true)]
async fn a_version_that_has_expired_makes_a_list_after_a_delay() {
    for on_opening in [true, false] {
        let mut reflecting = Reflecting::listed("rv=10 a@1").await;
        match on_opening {
            true => {
                reflecting.server.refuse_watch("expired").say("wait 1s; hang-up");
                reflecting.seen_within(Duration::from_millis(1005)).await;
            }
            false => reflecting.server.say("expired"),
        }
        reflecting.asked();
        reflecting.server.on_list("rv=20 a@1");
        assert!(reflecting.seen_within(Duration::from_millis(790)).await.is_empty());
        assert_eq!(reflecting.seen_within(FIRST_DELAY).await, ["listed rv=20 a@1"]);
        assert_eq!(reflecting.asked(), ["list rv=10", "watch rv=20"]);
        assert_eq!(reflecting.counters.failures.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_in_time_is_opened_again_at_once() {
    let mut reflecting = Reflecting::listed("rv=10 a@1").await;
    reflecting.server.say("wait 80s; bookmark rv=11; wait 80s; hang-up");
    reflecting.seen_within(Duration::from_secs(161)).await;
    assert_eq!(reflecting.asked(), ["watch rv=11"]);
    assert_eq!(reflecting.failure(), None);
}

/// client-go: WT-9.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_with_nothing_accepted_makes_a_list() {
    for said in ["hang-up", "rejected; hang-up"] {
        let mut reflecting = Reflecting::listed("rv=10 a@1").await;
        reflecting.server.on_list("rv=11 a@1").say(said);
        assert_eq!(reflecting.seen_within(FIRST_DELAY).await, ["listed rv=11 a@1"]);
        assert_eq!(reflecting.asked(), ["list rv=10", "watch rv=11"]);
        assert_eq!(reflecting.counters.failures.get(), 1);
    }
}

/// client-go: WT-9, 1.34.
#[tokio::test(start_paused = true)]
async fn a_watch_is_very_short_below_a_second() {
    for (said, next) in [("wait 999ms; hang-up", "list rv=10"), ("wait 1s; hang-up", "watch rv=10")]
    {
        let mut reflecting = Reflecting::listed("rv=10 a@1").await;
        reflecting.server.say("wait 10s; hang-up");
        reflecting.server.on_watch(said).on_list("rv=11 a@1");
        reflecting.seen_within(Duration::from_secs(14)).await;
        assert_eq!(reflecting.asked()[1], next, "after {said}");
    }
}

/// client-go: WL-8, where it is a hot loop.
#[tokio::test(start_paused = true)]
async fn watches_that_end_after_each_event_are_opened_once_in_a_second() {
    let mut reflecting = Reflecting::listed("rv=10 a@1").await;
    for rv in 12..100 {
        reflecting.server.on_watch(&format!("bookmark rv={rv}; hang-up"));
    }
    reflecting.server.say("bookmark rv=11; hang-up");
    let seen = reflecting.seen_within(Duration::from_secs(10)).await;
    assert!((9..=11).contains(&seen.len()), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_taken_for_dead_and_opened_again_without_a_list() {
    let mut reflecting = Reflecting::listed("rv=10 a@1").await;
    assert!(reflecting.seen_within(Duration::from_secs(89)).await.is_empty());
    assert!(reflecting.asked().is_empty());
    reflecting.server.on_watch("added b@11");
    assert_eq!(reflecting.seen_within(Duration::from_secs(1)).await, ["added b@11"]);
    assert_eq!(reflecting.asked(), ["watch rv=10"]);
    assert_eq!(reflecting.failure(), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_watch_that_is_not_answered_is_made_again() {
    let mut reflecting = Reflecting::listed("rv=10 a@1").await;
    reflecting.server.ignore_watch().on_watch("added b@11").say("wait 1s; hang-up");
    reflecting.seen_within(Duration::from_secs(91)).await;
    assert_eq!(reflecting.asked(), ["watch rv=10"]);
    assert_eq!(reflecting.seen_within(Duration::from_secs(3)).await, ["added b@11"]);
    assert_eq!(reflecting.asked(), ["watch rv=10"]);
}

#[tokio::test(start_paused = true)]
async fn delays_are_short_again_after_an_event_or_a_watch_that_lasted() {
    for said in ["added b@11; unavailable", "wait 61s; unavailable"] {
        let server = ScriptedServer::default();
        for _ in 0..6 {
            server.on_list("unavailable");
        }
        server.on_list("rv=10 a@1").on_watch(said).on_list("rv=12 a@1");
        let mut reflecting = Reflecting::start(server);
        let mut failures = reflecting.status.clone();
        while reflecting.counters.failures.get() < 7 {
            failures.changed().await.unwrap();
        }
        reflecting.seen().await;
        assert_eq!(reflecting.seen_within(FIRST_DELAY).await, ["listed rv=12 a@1"], "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn delays_go_on_growing_after_watches_that_only_open() {
    let server = ScriptedServer::default();
    for _ in 0..8 {
        server.on_list("rv=10 a@1").on_watch("unavailable");
    }
    let mut reflecting = Reflecting::start(server.clone());
    reflecting.seen_within(Duration::from_secs(60)).await;
    assert!(reflecting.counters.lists.get() <= 7);
}

/// client-go: a watch that cannot be decoded is followed by a list at once.
#[tokio::test(start_paused = true)]
async fn a_watch_that_said_what_cannot_be_read_is_followed_by_a_list_unless_the_last_is_recent() {
    for said in ["rejected", "rejected a"] {
        let mut reflecting = Reflecting::listed("rv=10 a@1").await;
        reflecting.server.say(said);
        reflecting.server.say("added b@11; wait 30s; hang-up");
        assert_eq!(reflecting.seen_within(Duration::from_secs(31)).await, ["added b@11"]);
        assert_eq!(reflecting.asked(), ["watch rv=11"], "a list every half minute is a flood");
        for _ in 0..4 {
            reflecting.server.say("wait 70s; bookmark rv=12");
        }
        reflecting.server.on_list("rv=13 a@1 b@11").say("hang-up");
        reflecting.seen_within(Duration::from_secs(290)).await;
        assert_eq!(reflecting.asked(), ["list rv=12", "watch rv=13"]);
        // The list was complete: all is well again.
        for _ in 0..5 {
            reflecting.server.say("wait 70s; bookmark rv=14");
        }
        reflecting.server.say("hang-up");
        reflecting.seen_within(Duration::from_secs(360)).await;
        assert_eq!(reflecting.asked(), ["watch rv=14"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_which_not_every_key_is_known_is_made_again_when_the_watch_ends() {
    for (list, asked) in [("rv=10 rejected=a", "watch rv=11"), ("rv=10 rejected", "list rv=11")] {
        let mut reflecting = Reflecting::listed(list).await;
        for _ in 0..5 {
            reflecting.server.say("wait 70s; bookmark rv=11");
        }
        reflecting.server.say("hang-up");
        reflecting.seen_within(Duration::from_secs(360)).await;
        assert_eq!(reflecting.asked(), [asked]);
    }
}

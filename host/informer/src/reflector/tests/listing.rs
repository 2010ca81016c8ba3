//! Which version and which limit a list asks for.

use super::*;

/// ★29 client-go: `TestReflectorListAndWatch`, without watch-list.
#[tokio::test(start_paused = true)]
async fn the_first_list_may_come_from_the_watch_cache_in_pages() {
    let server = ScriptedServer::default();
    server.on_list("rv=1").on_watch("added foo@2; added bar@3; added baz@4; added qux@5");
    let mut reflecting = Reflecting::start(server);
    let seen = reflecting.seen().await;
    assert_eq!(seen, ["listed rv=1 ", "added foo@2", "added bar@3", "added baz@4", "added qux@5"]);
    assert_eq!(reflecting.asked(), ["watch-list rv=", "list rv=0 limit=500", "watch rv=1"]);
}

/// ★36 client-go: `TestReflectorWatchListPageSize`. The size of a page is fixed here, so the pager
/// is asked directly.
#[tokio::test(start_paused = true)]
async fn a_list_is_read_page_by_page() {
    let server = ScriptedServer::default();
    server
        .on_list("rv=10 continue=c1 a@1 b@1 c@1 d@1")
        .on_list("rv=11 continue=c2 e@1 f@1 g@1 h@1");
    server.on_list("rv=12 i@1 j@1");
    let mut listed = Vec::new();
    let list = pager::list(&server, "10", Some(4), |count| listed.push(count)).await.unwrap();
    assert_eq!((list.objects.len(), list.paginated), (10, true));
    assert_eq!(list.resource_version, "10", "that of the first page");
    assert_eq!(listed, [4, 8, 10]);
    let expected = ["list rv=10 limit=4", "list continue=c1 limit=4", "list continue=c2 limit=4"];
    assert_eq!(server.asked(), expected);
}

/// ★41 client-go: `TestReflectorFullListIfExpired`; the first list and the paged one are asked of
/// the pager directly.
#[tokio::test(start_paused = true)]
async fn a_page_that_expired_makes_one_list_without_pages() {
    let server = ScriptedServer::default();
    server.on_list("rv=11 continue=c1 a@1 rejected").on_list("expired").on_list("rv=12 a@1 b@2");
    let list = pager::list(&server, "10", Some(4), |_| {}).await.unwrap();
    assert_eq!(texts(list.objects), ["a@1", "b@2"], "each object once");
    assert!(list.rejected.is_empty());
    assert_eq!((list.resource_version.as_str(), list.paginated), ("12", true));
    assert_eq!(server.asked(), ["list rv=10 limit=4", "list continue=c1 limit=4", "list rv=10"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_otherwise_fails_the_list() {
    let server = ScriptedServer::default();
    server.on_list("rv=11 continue=c1 a@1").on_list("unavailable");
    assert!(pager::list(&server, "10", Some(4), |_| {}).await.is_err());
    server.on_list("expired");
    let expired = pager::list(&server, "10", Some(4), |_| {}).await;
    assert!(matches!(expired, Err(ListerWatcherError::Expired(_))), "on the first page");
}

#[tokio::test(start_paused = true)]
async fn a_list_request_that_is_not_answered_is_made_again() {
    let mut reflecting = Reflecting::start(ScriptedServer::default());
    reflecting.seen_within(Duration::from_secs(299)).await;
    assert_eq!(reflecting.asked(), ["watch-list rv=", "list rv=0 limit=500"]);
    reflecting.seen_within(Duration::from_secs(3)).await;
    assert_eq!(reflecting.failure().unwrap().0, Phase::List);
    reflecting.server.on_list("rv=10 a@4");
    assert_eq!(reflecting.seen().await, ["listed rv=10 a@4"]);
    assert_eq!(reflecting.asked(), ["list rv=0 limit=500", "watch rv=10"]);
}

/// ★37 ★39 client-go: `TestReflectorNotPaginatingNotConsistentReads`,
/// `TestReflectorResyncWithResourceVersion`.
#[tokio::test(start_paused = true)]
async fn a_relist_asks_for_what_is_at_least_as_new_and_without_pages() {
    let mut reflecting = Reflecting::listed("rv=10 a@4").await;
    reflecting.server.on_list("rv=20 a@4").say("expired");
    assert_eq!(reflecting.seen_within(FIRST_DELAY).await, ["listed rv=20 a@4"]);
    assert_eq!(reflecting.asked(), ["list rv=10", "watch rv=20"]);
    assert_eq!(reflecting.failure(), None, "an expired version is ordinary");
}

/// ★38 client-go: `TestReflectorPaginatingNonConsistentReadsIfWatchCacheDisabled`.
#[tokio::test(start_paused = true)]
async fn a_server_without_a_watch_cache_is_asked_for_pages_from_then_on() {
    let server = ScriptedServer::default();
    server.on_list("rv=10 continue=c1 a@4").on_list("rv=10 b@5").on_watch("expired");
    server.on_list("rv=20 continue=c2 a@4").on_list("rv=20 b@5");
    let mut reflecting = Reflecting::start(server);
    let seen = reflecting.seen_within(FIRST_DELAY).await;
    assert_eq!(seen, ["listed rv=10 a@4 b@5", "listed rv=20 a@4 b@5"]);
    let lists = reflecting.asked().into_iter().filter(|it| it.starts_with("list"));
    let expected = [
        "list rv=0 limit=500",
        "list continue=c1 limit=500",
        "list rv=10 limit=500",
        "list continue=c2 limit=500",
    ];
    assert_eq!(lists.collect::<Vec<_>>(), expected);
}

/// ★40 client-go: `TestReflectorExpiredExactResourceVersion`.
#[tokio::test(start_paused = true)]
async fn a_version_that_a_list_refuses_is_not_named_again() {
    let mut reflecting = Reflecting::listed("rv=10 a@4").await;
    reflecting.server.on_list("expired").on_list("rv=30 a@4").say("expired");
    assert_eq!(reflecting.seen_within(FIRST_DELAY).await, ["listed rv=30 a@4"]);
    assert_eq!(reflecting.asked(), ["list rv=10", "list rv=", "watch rv=30"]);
}

/// ★42 client-go: `TestReflectorFullListIfTooLarge`. The lister-watcher sorts the three historic
/// forms of that answer; here it is one error.
#[tokio::test(start_paused = true)]
async fn a_version_that_is_ahead_of_the_server_is_given_up_at_once() {
    let mut reflecting = Reflecting::listed("rv=20 a@4").await;
    for (asked, given) in [("20", "30"), ("30", "40"), ("40", "50")] {
        reflecting.server.on_list("too-large").on_list(&format!("rv={given} a@4"));
        reflecting.server.say("expired");
        reflecting.seen_within(ANY_DELAY).await;
        let expected =
            [format!("list rv={asked}"), "list rv=".to_owned(), format!("watch rv={given}")];
        assert_eq!(reflecting.asked(), expected);
    }
}

/// client-go: LS-4.
#[tokio::test(start_paused = true)]
async fn a_refused_version_is_remembered_while_lists_fail() {
    let mut reflecting = Reflecting::listed("rv=10 a@4").await;
    reflecting.server.on_list("expired").on_list("unavailable").on_list("rv=30 a@4");
    reflecting.server.say("expired");
    assert_eq!(reflecting.seen_within(4 * FIRST_DELAY).await, ["listed rv=30 a@4"]);
    let expected = ["list rv=10", "list rv=", "list rv= limit=500", "watch rv=30"];
    assert_eq!(reflecting.asked(), expected);
}

#[tokio::test(start_paused = true)]
async fn items_of_a_list_that_are_no_objects_are_counted_and_left_out() {
    let server = ScriptedServer::default();
    server.on_list("rv=10 a@4 rejected b@5 rejected");
    let mut reflecting = Reflecting::start(server);
    assert_eq!(reflecting.seen().await, ["listed rv=10 a@4 b@5 left-out"]);
    assert_eq!(reflecting.counters.rejected.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn items_that_have_a_key_are_left_out_by_it_on_every_page() {
    let server = ScriptedServer::default();
    server.on_list("rv=10 continue=c1 a@4 rejected=b").on_list("rv=10 rejected=c d@5");
    let mut reflecting = Reflecting::start(server);
    assert_eq!(reflecting.seen().await, ["listed rv=10 a@4 d@5 left-out=b left-out=c"]);
    assert_eq!(reflecting.counters.rejected.get(), 2);
}

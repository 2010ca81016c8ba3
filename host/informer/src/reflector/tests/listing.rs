//! Which version and which limit a list asks for.

use super::*;

fn add(page: Vec<Arc<Object>>, before: &mut Vec<Arc<Object>>) {
    before.extend(page);
}

/// ★29 client-go: `TestReflectorListAndWatch`, its case without watch-list. That cannot be switched
/// off here; a server that does not know it has refused the request before.
#[tokio::test(start_paused = true)]
async fn scenario_29_reflector_list_and_watch_without_watch_list() {
    let server = ScriptedServer::default();
    server.on_list("rv=1 foo@1");
    server.on_watch("modified foo@2; added bar@3; added baz@4; added qux@5; added zoo@6");
    let mut reflecting = Reflecting::start(server);
    let expected = [
        "listed rv=1 foo@1",
        "updated foo@2",
        "added bar@3",
        "added baz@4",
        "added qux@5",
        "added zoo@6",
    ];
    assert_eq!(reflecting.seen().await, expected);
    assert_eq!(reflecting.asked(), ["watch-list rv=", "list rv=0 limit=500", "watch rv=1"]);
}

/// ★36 client-go: `TestReflectorWatchListPageSize`. The size of a page is fixed here, so the pager
/// is asked directly. PG-2, PG-5.
#[tokio::test(start_paused = true)]
async fn scenario_36_reflector_watch_list_page_size() {
    let server = ScriptedServer::default();
    server
        .on_list("rv=10 continue=c1 a@1 b@1 c@1 d@1")
        .on_list("rv=11 continue=c2 e@1 f@1 g@1 h@1");
    server.on_list("rv=12 i@1 j@1");
    let mut listed = Vec::new();
    let on_page = |page, before: &mut Vec<_>| {
        add(page, before);
        listed.push(before.len());
    };
    let list = pager::list(&server, "10", Some(4), on_page).await.unwrap();
    assert_eq!((list.objects.len(), list.paginated), (10, true));
    assert_eq!(list.resource_version, "10", "that of the first page");
    assert_eq!(listed, [4, 8, 10]);
    let expected = ["list rv=10 limit=4", "list continue=c1 limit=4", "list continue=c2 limit=4"];
    assert_eq!(server.asked(), expected);
}

/// ★41 client-go: `TestReflectorFullListIfExpired`. The size of a page is fixed here, so that the
/// list at version 10 in pages and the one without are asked of the pager directly. PG-4.
#[tokio::test(start_paused = true)]
async fn scenario_41_reflector_full_list_if_expired() {
    let server = ScriptedServer::default();
    server.on_list("rv=10 a@1");
    let list = pager::list(&server, "0", Some(4), add).await.unwrap();
    assert_eq!((texts(list.objects).len(), list.paginated), (1, false));
    assert_eq!(server.asked(), ["list rv=0 limit=4"]);
    server.on_list("rv=11 continue=c1 a@1 rejected").on_list("expired").on_list("rv=12 a@1 b@2");
    let list = pager::list(&server, "10", Some(4), add).await.unwrap();
    assert_eq!(texts(list.objects), ["a@1", "b@2"], "each object once");
    assert!(list.rejected.is_empty());
    assert_eq!((list.resource_version.as_str(), list.paginated), ("12", true));
    assert_eq!(server.asked(), ["list rv=10 limit=4", "list continue=c1 limit=4", "list rv=10"]);
}

/// A server that pages whether it is asked to or not must not keep the pager busy for ever.
#[tokio::test(start_paused = true)]
async fn pages_that_expire_again_fail_the_list() {
    let server = ScriptedServer::default();
    server.on_list("rv=11 continue=c1 a@1").on_list("expired");
    server.on_list("rv=12 continue=c2 a@1").on_list("expired");
    let expired = pager::list(&server, "10", Some(4), add).await;
    assert!(matches!(expired, Err(ListerWatcherError::Expired(_))));
    let asked =
        ["list rv=10 limit=4", "list continue=c1 limit=4", "list rv=10", "list continue=c2"];
    assert_eq!(server.asked(), asked);
}

/// client-go: PG-5.
#[tokio::test(start_paused = true)]
async fn a_later_page_does_not_give_the_version() {
    let server = ScriptedServer::default();
    server.on_list("rv= continue=c1 a@1").on_list("rv=11 b@2");
    let list = pager::list(&server, "0", Some(4), add).await.unwrap();
    assert_eq!((list.resource_version.as_str(), list.objects.len()), ("", 2));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_otherwise_fails_the_list() {
    let server = ScriptedServer::default();
    server.on_list("rv=11 continue=c1 a@1").on_list("unavailable");
    assert!(pager::list(&server, "10", Some(4), add).await.is_err());
    server.on_list("expired");
    let expired = pager::list(&server, "10", Some(4), add).await;
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

/// ★37 client-go: `TestReflectorNotPaginatingNotConsistentReads`.
#[tokio::test(start_paused = true)]
async fn scenario_37_reflector_not_paginating_not_consistent_reads() {
    let mut reflecting = Reflecting::listed("rv=10 a@4").await;
    let ten = "p0@0 p1@1 p2@2 p3@3 p4@4 p5@5 p6@6 p7@7 p8@8 p9@9";
    reflecting.server.on_list(&format!("rv=10 {ten}")).say("expired");
    assert_eq!(reflecting.seen_within(FIRST_DELAY).await, [format!("listed rv=10 {ten}")]);
    assert_eq!(reflecting.asked(), ["list rv=10", "watch rv=10"], "without a limit");
}

/// ★39 client-go: `TestReflectorResyncWithResourceVersion`.
#[tokio::test(start_paused = true)]
async fn scenario_39_reflector_resync_with_resource_version() {
    let server = ScriptedServer::default();
    server.on_list("rv=10 a@4").on_watch("expired").on_list("rv=11 a@4 b@5");
    let mut reflecting = Reflecting::start(server);
    let seen = reflecting.seen_within(FIRST_DELAY).await;
    assert_eq!(seen, ["listed rv=10 a@4", "listed rv=11 a@4 b@5"]);
    let lists = reflecting.asked().into_iter().filter(|it| it.starts_with("list"));
    assert_eq!(lists.collect::<Vec<_>>(), ["list rv=0 limit=500", "list rv=10"]);
    assert_eq!(reflecting.failure(), None, "an expired version is ordinary");
}

/// ★38 client-go: `TestReflectorPaginatingNonConsistentReadsIfWatchCacheDisabled`.
#[tokio::test(start_paused = true)]
async fn scenario_38_reflector_paginating_non_consistent_reads_if_watch_cache_disabled() {
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
async fn scenario_40_reflector_expired_exact_resource_version() {
    let server = ScriptedServer::default();
    server.on_list("rv=10 a@4").on_watch("expired").on_list("expired").on_list("rv=11 a@4 b@5");
    let mut reflecting = Reflecting::start(server);
    let seen = reflecting.seen_within(FIRST_DELAY).await;
    assert_eq!(seen, ["listed rv=10 a@4", "listed rv=11 a@4 b@5"]);
    let lists = reflecting.asked().into_iter().filter(|it| it.starts_with("list"));
    assert_eq!(lists.collect::<Vec<_>>(), ["list rv=0 limit=500", "list rv=10", "list rv="]);
}

/// ★42 client-go: `TestReflectorFullListIfTooLarge`. The lister-watcher sorts the three historic
/// forms of that answer (its tests show them); here it is one error.
#[tokio::test(start_paused = true)]
async fn scenario_42_reflector_full_list_if_too_large() {
    let server = ScriptedServer::default();
    server.on_list("rv=20 a@4");
    for given in [30, 40, 50] {
        server.on_watch("expired").on_list("too-large").on_list(&format!("rv={given} a@4"));
    }
    let mut reflecting = Reflecting::start(server);
    reflecting.seen_within(4 * ANY_DELAY).await;
    let lists = reflecting.asked().into_iter().filter(|it| it.starts_with("list"));
    let lists: Vec<_> = lists.map(|it| it.replace(" limit=500", "")).collect();
    let versions = ["0", "20", "", "30", "", "40", ""].map(|rv| format!("list rv={rv}"));
    assert_eq!(lists, versions);
    assert_eq!(reflecting.failure(), None);
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

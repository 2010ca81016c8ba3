use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use kube::core::ApiResource;

use super::*;

/// A lister-watcher whose server says this, and the queries that it was asked.
fn served(status: StatusCode, body: &'static str) -> (ApiListerWatcher, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asked_there = asked.clone();
    let answer = move |uri: Uri| {
        asked_there.lock().unwrap().push(uri.to_string());
        async move { (status, [(header::RETRY_AFTER, "7")], body) }
    };
    let client = Client::new(Router::new().fallback(answer), "default");
    let kind = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
    };
    let resource = WatchedResource {
        kind,
        namespace: Some("web".to_owned()),
        label_selector: "app in (a,b)".to_owned(),
        field_selector: String::new(),
        queue: informer::QueueKind::Delta,
    };
    (ApiListerWatcher::new(client, resource), asked)
}

fn take(asked: &Mutex<Vec<String>>) -> String {
    std::mem::take(&mut *asked.lock().unwrap()).join(" ")
}

const SELECTOR: &str = "labelSelector=app+in+%28a%2Cb%29";

/// client-go: HT-3, PG-2.
#[tokio::test]
async fn a_list_asks_for_version_limit_and_continuation_and_never_for_a_match() {
    let (lister_watcher, asked) = served(StatusCode::OK, r#"{"kind":"PodList","items":[]}"#);
    let list = |version: &str, limit: Option<u32>, token: Option<&str>| ListOptions {
        resource_version: version.to_owned(),
        limit,
        continue_token: token.map(str::to_owned),
    };
    for (options, query) in [
        (list("0", Some(500), None), "resourceVersion=0&limit=500&"),
        (list("", Some(500), Some("c1")), "limit=500&continue=c1&"),
        (list("10", None, None), "resourceVersion=10&"),
        (list("", None, None), ""),
    ] {
        lister_watcher.list(&options).await.unwrap();
        assert_eq!(take(&asked), format!("/api/v1/namespaces/web/pods?{query}{SELECTOR}"));
    }
}

/// client-go: RF-1, WL-1, WT-1.
#[tokio::test]
async fn a_watch_asks_for_bookmarks_and_a_watch_list_also_for_the_initial_events() {
    let (lister_watcher, asked) = served(StatusCode::OK, "");
    let mut options = WatchOptions {
        resource_version: "10".to_owned(),
        timeout_seconds: 301,
        send_initial_events: false,
    };
    let watch = "/api/v1/namespaces/web/pods?watch=1&allowWatchBookmarks=true&timeoutSeconds=301&";
    assert!(lister_watcher.watch(&options).await.is_ok());
    assert_eq!(take(&asked), format!("{watch}resourceVersion=10&{SELECTOR}"));

    options.send_initial_events = true;
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    assert!(lister_watcher.watch(&options).await.is_ok());
    assert_eq!(take(&asked), format!("{watch}resourceVersion=10&{initial}&{SELECTOR}"));
    options.resource_version.clear();
    assert!(lister_watcher.watch(&options).await.is_ok());
    assert_eq!(take(&asked), format!("{watch}{initial}&{SELECTOR}"));
}

/// client-go: HT-7.
#[tokio::test]
async fn a_watch_that_is_cut_off_ends_without_an_error_and_without_half_an_event() {
    let body = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n{\"type\":\"ADD";
    let (lister_watcher, _) = served(StatusCode::OK, body);
    let mut watch = lister_watcher.watch(&WatchOptions::default()).await.ok().unwrap();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Added(_)))));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_refusal_says_when_to_come_again() {
    let (lister_watcher, _) = served(StatusCode::TOO_MANY_REQUESTS, "busy");
    let refused = lister_watcher.list(&ListOptions::default()).await;
    let seven = Some(Duration::from_secs(7));
    assert!(matches!(refused,
        Err(ListerWatcherError::TooManyRequests { retry_after, .. }) if retry_after == seven));
}

//! WATCH: where it starts, what it sends, how it ends.

use std::time::Duration;

use dev_api_server::Settings;
use serde_json::{Value, json};

use crate::client::{CONFIG_MAPS, start, start_with, version};

const INITIAL_EVENTS: &str = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

#[tokio::test]
async fn a_watch_resumes_from_a_version_and_follows() {
    let (_server, client) = start().await;
    let first = client.config_map("a", "x").await;
    client.config_map("b", "x").await;
    let url = format!("{CONFIG_MAPS}?watch=true&resourceVersion={}", version(&first));
    let mut events = client.watch(&url).await;
    events.expect(&["ADDED b"]).await;
    client.post("/api/v1/namespaces/other/configmaps", json!({"metadata": {"name": "z"}})).await;
    client.put(&format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "v"}})).await;
    let modified = events.next().await.unwrap();
    assert_eq!(modified["type"], "MODIFIED");
    assert_eq!(modified["object"]["kind"], "ConfigMap");
    assert_eq!(modified["object"]["data"]["k"], "v");
    client.delete(&format!("{CONFIG_MAPS}/a")).await;
    let deleted = events.next().await.unwrap();
    assert_eq!(
        (&deleted["type"], &deleted["object"]["data"]["k"]),
        (&json!("DELETED"), &json!("v"))
    );
    assert_eq!(version(&deleted["object"]), version(&modified["object"]) + 1);
}

#[tokio::test]
async fn a_watch_from_anywhere_starts_with_what_there_is() {
    let (_server, client) = start().await;
    client.config_map("a", "x").await;
    for query in ["watch=1", "watch=1&resourceVersion=0"] {
        let mut events = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
        events.expect(&["ADDED a"]).await;
    }
    let query = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let mut events = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    client.config_map("b", "x").await;
    events.expect(&["ADDED b"]).await;
}

#[tokio::test]
async fn initial_events_end_with_an_annotated_bookmark() {
    let (_server, client) = start().await;
    let names: Vec<String> = (0..150).map(|index| format!("c{index:03}")).collect();
    for name in &names {
        client.config_map(name, "x").await;
    }
    let listed = version(&client.get(CONFIG_MAPS).await.1);
    let url = format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true&{INITIAL_EVENTS}");
    let mut events = client.watch(&url).await;
    for name in &names {
        events.expect(&[&format!("ADDED {name}")]).await;
    }
    let bookmark = events.next().await.unwrap();
    assert_eq!(
        (&bookmark["type"], &bookmark["object"]["kind"]),
        (&json!("BOOKMARK"), &json!("ConfigMap"))
    );
    let annotations = &bookmark["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    assert_eq!(version(&bookmark["object"]), listed);
    client.config_map("live", "x").await;
    events.expect(&["ADDED live"]).await;
}

#[tokio::test]
async fn initial_events_are_refused_without_a_match_from_the_future_and_if_switched_off() {
    let (_server, client) = start().await;
    let (code, _) = client.get(&format!("{CONFIG_MAPS}?watch=1&sendInitialEvents=true")).await;
    assert_eq!(code, 422);
    let url = format!("{CONFIG_MAPS}?watch=1&resourceVersion=99999&{INITIAL_EVENTS}");
    let (code, status) = client.get(&url).await;
    assert_eq!((code, &status["details"]["retryAfterSeconds"]), (504, &json!(1)));
    let settings = Settings { watch_list: false, ..Settings::default() };
    let (_server, client) = start_with(settings).await;
    let (code, status) = client.get(&format!("{CONFIG_MAPS}?watch=1&{INITIAL_EVENTS}")).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
}

#[tokio::test]
async fn bookmarks_come_periodically_and_at_the_timeout() {
    let settings = Settings { bookmark_period: Duration::from_millis(50), ..Settings::default() };
    let (_server, client) = start_with(settings).await;
    let url = format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=1&timeoutSeconds=1");
    let mut events = client.watch(&url).await;
    events.expect(&["BOOKMARK -"]).await;
    // Not this watch's change, but its version is seen.
    let (_, other) = client.post("/api/v1/nodes", json!({"metadata": {"name": "n"}})).await;
    let (mut last, mut bookmarks) = (Value::Null, 0);
    while let Some(event) = events.next().await {
        assert_eq!(event["type"], "BOOKMARK");
        (last, bookmarks) = (event, bookmarks + 1);
    }
    assert!(bookmarks > 2, "{bookmarks}");
    assert_eq!(version(&last["object"]), version(&other));
    let mut events = client.watch(&format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1")).await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn what_moves_into_a_selector_is_added_and_what_moves_out_is_deleted() {
    let (_server, client) = start().await;
    let created = client.config_map("a", "db").await;
    let url = format!(
        "{CONFIG_MAPS}?watch=1&labelSelector=app%3Dweb&resourceVersion={}",
        version(&created)
    );
    let mut events = client.watch(&url).await;
    let mut versions = Vec::new();
    for (app, data) in [("web", "1"), ("web", "2"), ("db", "3"), ("db", "4"), ("web", "5")] {
        let body = json!({"metadata": {"labels": {"app": app}}, "data": {"n": data}});
        versions.push(version(&client.put(&format!("{CONFIG_MAPS}/a"), body).await.1));
    }
    events.expect(&["ADDED a", "MODIFIED a"]).await;
    let left = events.next().await.unwrap();
    // The last state that was selected, at the version at which it no longer was.
    assert_eq!((&left["type"], &left["object"]["data"]["n"]), (&json!("DELETED"), &json!("2")));
    assert_eq!(version(&left["object"]), versions[2]);
    events.expect(&["ADDED a"]).await;
    client.delete(&format!("{CONFIG_MAPS}/a")).await;
    events.expect(&["DELETED a"]).await;
}

#[tokio::test]
async fn a_watch_from_a_compacted_version_has_expired() {
    let (server, client) = start().await;
    let first = client.config_map("a", "x").await;
    client.config_map("b", "x").await;
    server.storage().compact();
    let url = format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version(&first));
    let mut events = client.watch(&url).await;
    let error = events.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(events.next().await, None);

    let settings = Settings { expired_as_http_status: true, history_max: 2, ..Settings::default() };
    let (_server, client) = start_with(settings).await;
    let first = client.config_map("a", "x").await;
    for name in ["b", "c", "d"] {
        client.config_map(name, "x").await;
    }
    let url = format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version(&first));
    let (code, status) = client.get(&url).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    let url = format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version(&first) + 1);
    client.watch(&url).await.expect(&["ADDED c", "ADDED d"]).await;
}

#[tokio::test]
async fn a_watch_that_lags_behind_the_window_is_hung_up_on() {
    let settings = Settings { history_max: 20, ..Settings::default() };
    let (server, client) = start_with(settings).await;
    let mut events = client.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    // More than any socket buffers, and nothing is read meanwhile.
    let storage = server.storage();
    for index in 0..400 {
        let data = json!({"index": index.to_string(), "padding": "x".repeat(100_000)});
        let manifest = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data
        });
        storage.apply(manifest).unwrap();
        tokio::task::yield_now().await;
    }
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    let last = last.unwrap();
    assert!(version(&last["object"]) < storage.resource_version());
    let url = format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version(&last["object"]));
    events = client.watch(&url).await;
    assert_eq!(events.next().await.unwrap()["object"]["reason"], "Expired");
}

#[tokio::test]
async fn one_object_can_be_watched_by_its_path() {
    let (_server, client) = start().await;
    client.config_map("a", "x").await;
    client.config_map("b", "x").await;
    let mut events = client.watch(&format!("{CONFIG_MAPS}/b?watch=1")).await;
    events.expect(&["ADDED b"]).await;
}

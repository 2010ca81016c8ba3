//! The embedded API server answers as a real one does: the same requests, the same outcomes.

use control_plane::ControlPlane;
use dev_api_server::{ApiServer, Settings};
use futures_util::AsyncBufReadExt;
use http::Request;
use kube::{Client, Config};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_server_answers_like_a_kube_apiserver() {
    let control_plane = ControlPlane::start().await.unwrap();
    let embedded = ApiServer::bind(([127, 0, 0, 1], 0).into(), Settings::default()).await.unwrap();
    let config = Config::new(embedded.url().parse().unwrap());
    let real = outcomes(&control_plane.client().await.unwrap()).await;
    let ours = outcomes(&Client::try_from(config).unwrap()).await;
    assert_eq!(real.len(), ours.len());
    for (real, ours) in real.iter().zip(&ours) {
        assert_eq!(real, ours, "left: kube-apiserver, right: the embedded server");
    }
    embedded.shutdown().await;
}

/// One line for each request: what a client can tell of the outcome.
async fn outcomes(client: &Client) -> Vec<String> {
    let map = |name: &str, data: Value| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name,
            "labels": { "app": name } }, "data": data })
    };
    let merge = "application/merge-patch+json";
    let json_patch = "application/json-patch+json";
    let apply = "application/apply-patch+yaml";
    let json_type = "application/json";
    let item = |name: &str| format!("{MAPS}/{name}");
    let first = map("a", json!({ "k": "1" }));
    let stale = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "a", "resourceVersion": "1" } });
    let finalizer = json!({ "metadata": { "finalizers": ["test.dev/f"] } });
    let no_finalizer = json!({ "metadata": { "finalizers": null } });
    let patch = |value: Value| json!([{ "op": "replace", "path": "/data/k", "value": value }]);
    let ssa = |name: &str| format!("{MAPS}/{name}?fieldManager=t&force=true");
    let requests: Vec<(&str, String, &str, Value)> = vec![
        ("POST", MAPS.into(), json_type, first.clone()),
        ("POST", MAPS.into(), json_type, first.clone()),
        ("GET", item("a"), json_type, Value::Null),
        ("GET", item("nothing"), json_type, Value::Null),
        ("PUT", item("a"), json_type, stale),
        ("PATCH", item("a"), merge, json!({ "data": { "k": "2", "l": "3" } })),
        ("PATCH", item("a"), json_patch, patch("4".into())),
        ("PATCH", item("a"), merge, json!({ "data": { "l": null } })),
        ("PATCH", item("nothing"), merge, json!({ "data": {} })),
        ("PATCH", item("a"), "text/plain", json!({})),
        ("PATCH", ssa("b"), apply, map("b", json!({ "x": "y" }))),
        ("PATCH", ssa("c"), apply, map("c", json!({}))),
        ("GET", format!("{MAPS}?limit=1"), json_type, Value::Null),
        ("GET", format!("{MAPS}?labelSelector=app%20in%20(a,b)"), json_type, Value::Null),
        ("GET", format!("{MAPS}?fieldSelector=metadata.name%3Dc"), json_type, Value::Null),
        ("GET", format!("{MAPS}?continue=nonsense&limit=1"), json_type, Value::Null),
        ("PATCH", item("c"), merge, finalizer),
        ("DELETE", item("c"), json_type, Value::Null),
        ("GET", item("c"), json_type, Value::Null),
        ("PATCH", item("c"), merge, no_finalizer),
        ("GET", item("c"), json_type, Value::Null),
        ("DELETE", item("b"), json_type, Value::Null),
        ("DELETE", item("b"), json_type, Value::Null),
        ("GET", "/api/v1/namespaces/default/unknowns".into(), json_type, Value::Null),
    ];
    let mut outcomes = Vec::new();
    for (method, path, content_type, body) in requests {
        let outcome = outcome(client, method, &path, content_type, &body).await;
        outcomes.push(format!("{method} {path} {body}: {outcome}"));
    }
    for watch in [
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        "resourceVersion=0",
        "sendInitialEvents=true",
        "resourceVersion=0&labelSelector=app%3Dnone",
    ] {
        outcomes.push(format!("WATCH {watch}: {}", watched(client, watch).await));
    }
    outcomes
}

async fn outcome(
    client: &Client,
    method: &str,
    path: &str,
    content_type: &str,
    body: &Value,
) -> String {
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
    let request = Request::builder().method(method).uri(path).header("content-type", content_type);
    match client.request_text(request.body(body).unwrap()).await {
        Ok(text) => described(&serde_json::from_str(&text).unwrap()),
        Err(kube::Error::Api(status)) => format!("{} {}", status.code, status.reason),
        Err(other) => panic!("{method} {path}: {other}"),
    }
}

/// What of an answer must agree: not uids, times, versions.
fn described(answer: &Value) -> String {
    let names = |items: &Value| -> Vec<String> {
        let mine = |item: &&Value| item["metadata"]["name"] != "kube-root-ca.crt";
        let items = items.as_array().into_iter().flatten().filter(mine);
        items.map(|item| item["metadata"]["name"].to_string()).collect()
    };
    let metadata = &answer["metadata"];
    format!(
        "{} {} data={:?} items={:?} itemKinds={} more={} deleting={} managers={}",
        answer["kind"],
        metadata["name"],
        // A real server knows the kind's schema, and leaves an empty map out.
        answer["data"].as_object().filter(|data| !data.is_empty()).map(|data| json!(data)),
        names(&answer["items"]),
        answer["items"].as_array().is_some_and(|it| it.iter().any(|it| it["kind"].is_string())),
        metadata["continue"].as_str().is_some_and(|token| !token.is_empty()),
        metadata["deletionTimestamp"].is_string(),
        metadata["managedFields"].as_array().is_some_and(|fields| {
            fields.iter().any(|field| field["manager"] == "t" && field["operation"] == "Apply")
        }),
    )
}

/// The events of a second's watch, objects sorted by name.
async fn watched(client: &Client, query: &str) -> String {
    let path = format!("{MAPS}?watch=1&timeoutSeconds=1&{query}");
    let stream = match client.request_stream(Request::get(path).body(Vec::new()).unwrap()).await {
        Ok(stream) => stream,
        Err(kube::Error::Api(status)) => return format!("{} {}", status.code, status.reason),
        Err(other) => panic!("{query}: {other}"),
    };
    let stream = std::pin::pin!(stream);
    let mut lines = stream.lines();
    let mut events = Vec::new();
    while let Some(Ok(line)) = futures_util::StreamExt::next(&mut lines).await {
        let event: Value = serde_json::from_str(&line).unwrap();
        let metadata = &event["object"]["metadata"];
        let end = &metadata["annotations"]["k8s.io/initial-events-end"];
        let is_plain_bookmark = event["type"] == "BOOKMARK" && end.is_null();
        if !is_plain_bookmark && metadata["name"] != "kube-root-ca.crt" {
            let kind = &event["object"]["kind"];
            events.push(format!("{} {kind} {} {end}", event["type"], metadata["name"]));
        }
    }
    events.sort();
    events.join(", ")
}

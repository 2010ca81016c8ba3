//! Writes: create, update, patch, apply, status, delete, and how they are refused.

use serde_json::{Value, json};

use crate::client::{
    CONFIG_MAPS, Client, DEFINITIONS, PODS, WIDGETS, names, start, version, widgets,
};

fn refusal(answer: (u16, Value)) -> (u16, String) {
    let (code, status) = answer;
    assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(code)));
    (code, status["reason"].as_str().unwrap().to_owned())
}

fn refused(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn a_created_object_gets_what_the_server_owns() {
    let (_server, client) = start().await;
    let body = json!({"metadata": {"name": "a", "uid": "mine", "generation": 9}, "spec": {}});
    let (code, pod) = client.post(PODS, body).await;
    assert_eq!((code, &pod["apiVersion"], &pod["kind"]), (201, &json!("v1"), &json!("Pod")));
    let metadata = &pod["metadata"];
    assert_eq!((&metadata["namespace"], &metadata["generation"]), (&json!("default"), &json!(1)));
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert!(metadata["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(client.get(&format!("{PODS}/a")).await, (200, pod.clone()));

    client.delete(&format!("{PODS}/a")).await;
    let (_, again) = client.post(PODS, json!({"metadata": {"name": "a"}})).await;
    assert_ne!(again["metadata"]["uid"], metadata["uid"]);
    let body = json!({"metadata": {"generateName": "web-"}});
    let (_, one) = client.post(PODS, body.clone()).await;
    let (_, two) = client.post(PODS, body).await;
    assert!(one["metadata"]["name"].as_str().unwrap().starts_with("web-"));
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
}

#[tokio::test]
async fn a_namespace_comes_with_its_first_object_and_takes_all_along() {
    let (_server, client) = start().await;
    let url = "/api/v1/namespaces/new/configmaps";
    client.post(url, json!({"metadata": {"name": "a"}})).await;
    let (_, namespaces) = client.get("/api/v1/namespaces").await;
    assert_eq!(names(&namespaces), ["default", "new"]);
    assert_eq!(client.delete("/api/v1/namespaces/new").await.0, 200);
    assert!(names(&client.get(url).await.1).is_empty());
}

#[tokio::test]
async fn updates_are_refused_when_the_object_has_changed() {
    let (_server, client) = start().await;
    let url = format!("{CONFIG_MAPS}/a");
    let mut object = client.config_map("a", "x").await;
    let stale = object.clone();
    object["data"] = json!({"k": "1"});
    let (code, updated) = client.put(&url, object).await;
    assert_eq!((code, version(&updated)), (200, version(&stale) + 1));
    assert_eq!(refusal(client.put(&url, stale.clone()).await), refused(409, "Conflict"));
    let patch = json!({"metadata": {"resourceVersion": stale["metadata"]["resourceVersion"]}});
    let answer = client.patch("merge-patch+json", &url, patch).await;
    assert_eq!(refusal(answer), refused(409, "Conflict"));
    let mut other = updated.clone();
    other["metadata"]["uid"] = "other".into();
    assert_eq!(refusal(client.put(&url, other).await), refused(409, "Conflict"));
    let (code, same) = client.put(&url, updated.clone()).await;
    assert_eq!((code, same), (200, updated));
    client.post(DEFINITIONS, widgets()).await;
    client.post(WIDGETS, json!({"metadata": {"name": "w"}})).await;
    let answer = client.put(&format!("{WIDGETS}/w"), json!({"spec": {}})).await;
    assert_eq!(refusal(answer), refused(422, "Invalid"));
}

#[tokio::test]
async fn no_update_is_lost_among_concurrent_clients() {
    let (_server, client) = start().await;
    client.config_map("counter", "x").await;
    async fn increment(client: Client) {
        let url = format!("{CONFIG_MAPS}/counter");
        for _ in 0..20 {
            loop {
                let (_, mut object) = client.get(&url).await;
                let count = object["data"]["n"].as_str().map_or(0, |it| it.parse().unwrap());
                object["data"] = json!({"n": (count + 1_u32).to_string()});
                if client.put(&url, object).await.0 == 200 {
                    break;
                }
            }
        }
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..5 {
        tasks.spawn(increment(client.clone()));
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let (_, object) = client.get(&format!("{CONFIG_MAPS}/counter")).await;
    assert_eq!(object["data"]["n"], "100");
}

#[tokio::test]
async fn each_patch_changes_in_its_way() {
    let (_server, client) = start().await;
    let url = format!("{PODS}/a");
    let containers = json!([{"name": "c", "image": "x:1", "tty": true}]);
    client.post(PODS, json!({"metadata": {"name": "a"}, "spec": {"containers": containers}})).await;
    let patch = json!({"spec": {"containers": [{"name": "c", "image": "x:2"}]}});
    let (_, pod) = client.patch("strategic-merge-patch+json", &url, patch.clone()).await;
    assert_eq!(pod["spec"]["containers"][0], json!({"name": "c", "image": "x:2", "tty": true}));
    assert_eq!(pod["metadata"]["generation"], 2);
    let (_, pod) = client.patch("merge-patch+json", &url, patch.clone()).await;
    assert_eq!(pod["spec"]["containers"][0], json!({"name": "c", "image": "x:2"}));
    let (_, same) = client.patch("merge-patch+json", &url, patch.clone()).await;
    assert_eq!(version(&same), version(&pod));
    let operations = json!([
        {"op": "test", "path": "/metadata/name", "value": "a"},
        {"op": "add", "path": "/metadata/labels", "value": {"k": "v"}},
    ]);
    let (_, pod) = client.patch("json-patch+json", &url, operations).await;
    assert_eq!(pod["metadata"]["labels"]["k"], "v");

    let failing = json!([{"op": "test", "path": "/metadata/name", "value": "b"}]);
    let answer = client.patch("json-patch+json", &url, failing).await;
    assert_eq!(refusal(answer), refused(422, "Invalid"));
    let answer = client.patch("merge-patch+json", &format!("{PODS}/none"), patch.clone()).await;
    assert_eq!(refusal(answer), refused(404, "NotFound"));
    let answer = client.patch("json", &url, patch.clone()).await;
    assert_eq!(refusal(answer), refused(415, "UnsupportedMediaType"));
    let rename = json!({"metadata": {"name": "b"}});
    let answer = client.patch("merge-patch+json", &url, rename).await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
    client.post(DEFINITIONS, widgets()).await;
    client.post(WIDGETS, json!({"metadata": {"name": "w"}})).await;
    let answer = client.patch("strategic-merge-patch+json", &format!("{WIDGETS}/w"), patch).await;
    assert_eq!(refusal(answer), refused(415, "UnsupportedMediaType"));
}

#[tokio::test]
async fn an_apply_creates_then_merges_and_names_its_manager() {
    let (_server, client) = start().await;
    let url = format!("{CONFIG_MAPS}/a?fieldManager=me&force=true");
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: '1'}}";
    let kind = "application/apply-patch+yaml";
    let (code, created) = client.send("PATCH", &url, kind, manifest).await;
    assert_eq!(code, 201, "{created}");
    let managed = &created["metadata"]["managedFields"][0];
    assert_eq!((&managed["manager"], &managed["operation"]), (&json!("me"), &json!("Apply")));
    assert_eq!(managed["fieldsV1"]["f:data"], json!({"f:x": {}}));
    let (code, same) = client.send("PATCH", &url, kind, manifest).await;
    assert_eq!((code, same), (200, created.clone()));
    let (_, merged) = client.send("PATCH", &url, kind, manifest.replace("x:", "y:")).await;
    assert_eq!(merged["data"], json!({"x": "1", "y": "1"}));
    assert_eq!(merged["metadata"]["managedFields"].as_array().unwrap().len(), 1);
    let (_, updated) = client.put(&format!("{CONFIG_MAPS}/a"), json!({"data": {}})).await;
    assert_eq!(updated["metadata"]["managedFields"], merged["metadata"]["managedFields"]);
    let (code, _) = client.send("PATCH", &format!("{CONFIG_MAPS}/a"), kind, manifest).await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn status_is_written_through_its_subresource_only() {
    let (_server, client) = start().await;
    let url = format!("{PODS}/a");
    let body = json!({"metadata": {"name": "a"}, "spec": {"x": 1}, "status": {"phase": "Failed"}});
    let (_, pod) = client.post(PODS, body).await;
    assert_eq!(pod["status"]["phase"], "Pending");
    let change = json!({"spec": {"x": 2}, "status": {"phase": "Running"}});
    let (_, pod) = client.patch("merge-patch+json", &format!("{url}/status"), change.clone()).await;
    assert_eq!((&pod["status"]["phase"], &pod["spec"]["x"]), (&json!("Running"), &json!(1)));
    assert_eq!(pod["metadata"]["generation"], 1);
    let mut body = pod.clone();
    body["spec"]["x"] = json!(3);
    body["status"]["phase"] = "Failed".into();
    let (_, pod) = client.put(&url, body.clone()).await;
    assert_eq!((&pod["status"]["phase"], &pod["spec"]["x"]), (&json!("Running"), &json!(3)));
    assert_eq!(client.get(&format!("{url}/status")).await.1, pod);
    let answer = client.put(&format!("{url}/status"), body).await;
    assert_eq!(refusal(answer), refused(409, "Conflict"));
    client.config_map("c", "x").await;
    let answer = client.put(&format!("{CONFIG_MAPS}/c/status"), change).await;
    assert_eq!(refusal(answer), refused(404, "NotFound"));
}

#[tokio::test]
async fn finalizers_hold_a_deleted_object_until_they_are_gone() {
    let (_server, client) = start().await;
    let url = format!("{CONFIG_MAPS}/a");
    let body = json!({"metadata": {"name": "a", "finalizers": ["example.com/x"]}});
    let (_, created) = client.post(CONFIG_MAPS, body).await;
    let watch = format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version(&created));
    let mut events = client.watch(&watch).await;
    let (code, marked) = client.delete(&url).await;
    assert_eq!((code, &marked["kind"]), (200, &json!("ConfigMap")));
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let (_, again) = client.delete(&url).await;
    assert_eq!(version(&again), version(&marked));
    let mut revived = marked.clone();
    revived["metadata"]["deletionTimestamp"] = Value::Null;
    assert_eq!(client.put(&url, revived).await.1, marked);
    let patch = json!({"metadata": {"finalizers": null}});
    assert_eq!(client.patch("merge-patch+json", &url, patch).await.0, 200);
    events.expect(&["MODIFIED a", "DELETED a"]).await;
    assert_eq!(refusal(client.get(&url).await), refused(404, "NotFound"));
}

#[tokio::test]
async fn deletes_are_answered_and_refused_as_by_a_real_server() {
    let (_server, client) = start().await;
    let a = client.config_map("a", "x").await;
    let url = format!("{CONFIG_MAPS}/a");
    let options = json!({"preconditions": {"uid": "other"}});
    let answer = client.send("DELETE", &url, "application/json", options).await;
    assert_eq!(refusal(answer), refused(409, "Conflict"));
    let (code, status) = client.delete(&url).await;
    assert_eq!((code, &status["status"]), (200, &json!("Success")));
    assert_eq!(status["details"]["uid"], a["metadata"]["uid"]);
    assert_eq!(refusal(client.delete(&url).await), refused(404, "NotFound"));
    for (name, app) in [("b", "x"), ("c", "y"), ("d", "x")] {
        client.config_map(name, app).await;
    }
    let (_, gone) = client.delete(&format!("{CONFIG_MAPS}?labelSelector=app%3Dx")).await;
    assert_eq!(names(&gone), ["b", "d"]);
    assert_eq!(names(&client.get(CONFIG_MAPS).await.1), ["c"]);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused() {
    let (_server, client) = start().await;
    client.config_map("a", "x").await;
    let json = "application/json";
    let post = async |body: Value| refusal(client.post(CONFIG_MAPS, body).await);
    let answer = client.send("POST", CONFIG_MAPS, json, "{").await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
    let answer = client.send("POST", CONFIG_MAPS, "application/xml", "<a/>").await;
    assert_eq!(refusal(answer), refused(415, "UnsupportedMediaType"));
    let answer = client.send("POST", CONFIG_MAPS, json, " ".repeat(4 << 20)).await;
    assert_eq!(refusal(answer), refused(413, "RequestEntityTooLarge"));
    for body in [
        json!([]),
        json!({"metadata": []}),
        json!({"metadata": {"name": 1}}),
        json!({"metadata": {"name": "b", "labels": {"n": 1}}}),
        json!({"metadata": {"name": "b", "namespace": "other"}}),
        json!({"metadata": {"name": "b", "resourceVersion": "1"}}),
        json!({"kind": "Pod", "metadata": {"name": "b"}}),
        json!({"apiVersion": "v2", "metadata": {"name": "b"}}),
    ] {
        assert_eq!(post(body.clone()).await, refused(400, "BadRequest"), "{body}");
    }
    for name in ["", "-b", "B", "a/b"] {
        let body = json!({"metadata": {"name": name}});
        assert_eq!(post(body).await, refused(422, "Invalid"), "{name}");
    }
    assert_eq!(post(json!({"metadata": {"name": "a"}})).await, refused(409, "AlreadyExists"));
    let answer = client.post("/api/v1/configmaps", json!({"metadata": {"name": "b"}})).await;
    assert_eq!(refusal(answer), refused(405, "MethodNotAllowed"));
    let answer = client.delete("/api/v1").await;
    assert_eq!(refusal(answer), refused(405, "MethodNotAllowed"));
    let answer = client.put(&format!("{CONFIG_MAPS}/b"), json!({})).await;
    assert_eq!(refusal(answer), refused(404, "NotFound"));
    for path in ["/", "/api/v1/nothing", "/api/v1/namespaces/x/nodes", "/apis/apps/v1/pods/%ff"] {
        assert_eq!(refusal(client.get(path).await), refused(404, "NotFound"), "{path}");
    }
    let answer = client.post(&format!("{CONFIG_MAPS}?dryRun=All"), json!({})).await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
}

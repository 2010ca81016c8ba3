//! LIST: pages, versions, selectors, representations.

use serde_json::{Value, json};

use crate::client::{
    CONFIG_MAPS, Client, DEFINITIONS, PODS, WIDGETS, names, start, version, widgets,
};

async fn five(client: &Client) -> u64 {
    for name in ["a", "b", "c", "d", "e"] {
        client.config_map(name, "x").await;
    }
    version(&client.get(CONFIG_MAPS).await.1)
}

async fn page(client: &Client, token: &Value) -> (u16, Value) {
    let token = token.as_str().unwrap();
    client.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await
}

#[tokio::test]
async fn pages_show_one_version_while_objects_come_and_go() {
    let (_server, client) = start().await;
    let listed = five(&client).await;
    let (_, first) = client.get(&format!("{CONFIG_MAPS}?limit=2")).await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    client.delete(&format!("{CONFIG_MAPS}/d")).await;
    client.config_map("c2", "x").await;
    let patch = json!({"data": {"changed": "yes"}});
    client.patch("merge-patch+json", &format!("{CONFIG_MAPS}/c"), patch).await;

    let (_, second) = page(&client, &first["metadata"]["continue"]).await;
    assert_eq!((names(&second), version(&second)), (vec!["c", "d"], listed));
    assert_eq!(second["items"][0]["data"], Value::Null);
    let (_, third) = page(&client, &second["metadata"]["continue"]).await;
    assert_eq!((names(&third), version(&third)), (vec!["e"], listed));
    assert_eq!(third["metadata"]["continue"], Value::Null);
    assert_eq!(third["metadata"]["remainingItemCount"], Value::Null);
    assert_eq!(names(&client.get(CONFIG_MAPS).await.1), ["a", "b", "c", "c2", "e"]);
}

#[tokio::test]
async fn a_continue_token_expires_with_its_version() {
    let (server, client) = start().await;
    five(&client).await;
    let (_, first) = client.get(&format!("{CONFIG_MAPS}?limit=2")).await;
    server.storage().compact();
    assert_eq!(page(&client, &first["metadata"]["continue"]).await.0, 200);
    client.config_map("f", "x").await;
    server.storage().compact();
    let (code, status) = page(&client, &first["metadata"]["continue"]).await;
    assert_eq!(
        (code, &status["reason"], &status["kind"]),
        (410, &json!("Expired"), &json!("Status"))
    );
    assert_eq!(page(&client, &json!("nonsense")).await.0, 400);
    assert_eq!(page(&client, &json!("99999999//a")).await.0, 400);
}

#[tokio::test]
async fn the_resource_version_decides_which_state_is_listed() {
    let (server, client) = start().await;
    let before = five(&client).await;
    client.delete(&format!("{CONFIG_MAPS}/a")).await;
    let at = |query: String| {
        let client = client.clone();
        async move { client.get(&format!("{CONFIG_MAPS}?{query}")).await }
    };
    let exact = at(format!("resourceVersion={before}&resourceVersionMatch=Exact")).await.1;
    assert_eq!((names(&exact).len(), version(&exact)), (5, before));
    let newer = at(format!("resourceVersion={before}&resourceVersionMatch=NotOlderThan")).await.1;
    assert_eq!((names(&newer).len(), version(&newer)), (4, before + 1));
    let any = at("resourceVersion=0&limit=1".to_owned()).await.1;
    assert_eq!(names(&any).len(), 4);

    let (code, status) = at(format!("resourceVersion={}", before + 100)).await;
    assert_eq!((code, &status["reason"]), (504, &json!("Timeout")));
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(at("resourceVersion=x".to_owned()).await.0, 400);
    assert_eq!(at("resourceVersionMatch=Exact".to_owned()).await.0, 422);
    assert_eq!(at("sendInitialEvents=true".to_owned()).await.0, 422);
    server.storage().compact();
    let (code, status) = at(format!("resourceVersion={before}&resourceVersionMatch=Exact")).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
}

#[tokio::test]
async fn selectors_and_namespaces_narrow_a_list() {
    let (_server, client) = start().await;
    client.config_map("a", "web").await;
    client.config_map("b", "db").await;
    client.post("/api/v1/namespaces/other/configmaps", json!({"metadata": {"name": "c"}})).await;
    let (_, list) = client.get(&format!("{CONFIG_MAPS}?labelSelector=app+in+(web,cache)")).await;
    assert_eq!(names(&list), ["a"]);
    let (_, list) = client.get("/api/v1/configmaps?labelSelector=app!%3Dweb&limit=1").await;
    assert_eq!((names(&list), &list["metadata"]["remainingItemCount"]), (vec!["b"], &Value::Null));
    let (_, list) = client.get("/api/v1/configmaps?fieldSelector=metadata.namespace=other").await;
    assert_eq!(names(&list), ["c"]);
    assert_eq!(client.get(&format!("{CONFIG_MAPS}?labelSelector=a+b")).await.0, 400);
    let body = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}});
    client.post(PODS, body).await;
    let selector = "fieldSelector=spec.nodeName%3Dn1,status.phase%3DPending";
    assert_eq!(names(&client.get(&format!("{PODS}?{selector}")).await.1), ["p"]);
}

#[tokio::test]
async fn items_name_their_kind_only_if_it_is_custom() {
    let (_server, client) = start().await;
    client.config_map("a", "x").await;
    let (_, list) = client.get(CONFIG_MAPS).await;
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    assert_eq!(
        (&list["items"][0]["kind"], &list["items"][0]["apiVersion"]),
        (&Value::Null, &Value::Null)
    );
    client.post(DEFINITIONS, widgets()).await;
    client.post(WIDGETS, json!({"metadata": {"name": "w"}})).await;
    assert_eq!(client.get(WIDGETS).await.1["items"][0]["kind"], "Widget");

    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = client.get_as(CONFIG_MAPS, accept).await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(names(&list), ["a"]);
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    assert_eq!(client.get_as(CONFIG_MAPS, table).await["kind"], "ConfigMapList");
}

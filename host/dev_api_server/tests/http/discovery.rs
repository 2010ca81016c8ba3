//! Discovery, and the kinds that come and go with CustomResourceDefinitions.

use serde_json::json;

use crate::client::{DEFINITIONS, WIDGETS, names, start, widgets};

#[tokio::test]
async fn built_in_kinds_are_discovered() {
    let (_server, client) = start().await;
    assert_eq!(client.get("/version").await.1["major"], "1");
    assert_eq!(client.get("/api").await.1["versions"], json!(["v1"]));
    let (_, groups) = client.get("/apis").await;
    let groups = groups["groups"].as_array().unwrap();
    let apps = groups.iter().find(|it| it["name"] == "apps").unwrap();
    assert_eq!(apps["preferredVersion"]["groupVersion"], "apps/v1");
    assert!(groups.iter().all(|it| it["name"] != ""));
    let (_, list) = client.get("/api/v1").await;
    let pods = list["resources"].as_array().unwrap().iter().find(|it| it["name"] == "pods");
    let pods = pods.unwrap();
    assert_eq!((&pods["kind"], &pods["namespaced"]), (&json!("Pod"), &json!(true)));
    assert_eq!(pods["shortNames"], json!(["po"]));
    assert!(pods["verbs"].as_array().unwrap().contains(&json!("watch")));
    assert_eq!(client.get("/apis/apps/v1").await.1["groupVersion"], "apps/v1");
    assert_eq!(client.get("/apis/none.example.com").await.0, 404);
    assert_eq!(client.get("/apis/apps/v9").await.0, 404);
}

#[tokio::test]
async fn one_request_discovers_all_groups() {
    let (_server, client) = start().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList, */*";
    let core = client.get_as("/api", accept).await;
    assert_eq!(core["kind"], "APIGroupDiscoveryList");
    let pods = core["items"][0]["versions"][0]["resources"].as_array().unwrap();
    let pods = pods.iter().find(|it| it["resource"] == "pods").unwrap();
    assert_eq!(
        (&pods["responseKind"]["kind"], &pods["scope"]),
        (&json!("Pod"), &json!("Namespaced"))
    );
    assert_eq!(pods["subresources"][0]["subresource"], "status");
    let groups = client.get_as("/apis", accept).await;
    let mut groups = groups["items"].as_array().unwrap().iter();
    assert!(
        groups.any(|it| it["metadata"]["name"] == "apps" && it["versions"][0]["version"] == "v1")
    );
    assert_eq!(client.get_as("/apis", "application/json").await["kind"], "APIGroupList");
}

#[tokio::test]
async fn a_definition_brings_its_kind_in_each_served_version_and_takes_it_along() {
    let (_server, client) = start().await;
    assert_eq!(client.get(WIDGETS).await.0, 404);
    let (code, definition) = client.post(DEFINITIONS, widgets()).await;
    assert_eq!(code, 201, "{definition}");
    let established = json!("Established");
    let mut conditions = definition["status"]["conditions"].as_array().unwrap().iter();
    assert!(conditions.any(|it| it["type"] == established && it["status"] == "True"));

    let (_, group) = client.get("/apis/example.com").await;
    assert_eq!(group["preferredVersion"]["version"], "v1");
    assert_eq!(group["versions"].as_array().unwrap().len(), 2);
    let (_, list) = client.get("/apis/example.com/v1beta1").await;
    assert_eq!(list["resources"][0]["kind"], "Widget");
    assert_eq!(list["resources"][1]["name"], "widgets/status");

    client.post(WIDGETS, json!({"metadata": {"name": "a"}, "spec": {"size": 1}})).await;
    let beta = WIDGETS.replace("/v1/", "/v1beta1/");
    let (_, list) = client.get(&beta).await;
    assert_eq!(list["kind"], "WidgetList");
    assert_eq!(list["items"][0]["apiVersion"], "example.com/v1beta1");
    let mut events = client.watch(&format!("{WIDGETS}?watch=1")).await;
    events.expect(&["ADDED a"]).await;

    client.delete(&format!("{DEFINITIONS}/widgets.example.com")).await;
    events.expect(&["DELETED a"]).await;
    assert_eq!(events.next().await, None);
    assert_eq!(client.get(WIDGETS).await.0, 404);
    assert_eq!(client.get("/apis/example.com").await.0, 404);
    client.post(DEFINITIONS, widgets()).await;
    assert!(names(&client.get(WIDGETS).await.1).is_empty());
}

#[tokio::test]
async fn a_definition_that_contradicts_itself_is_invalid() {
    let (_server, client) = start().await;
    let mut definition = widgets();
    definition["metadata"]["name"] = "gadgets.example.com".into();
    let (code, status) = client.post(DEFINITIONS, definition).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
    let mut definition = widgets();
    definition["spec"]["scope"] = json!(1);
    assert_eq!(client.post(DEFINITIONS, definition).await.0, 422);
    assert_eq!(client.get("/apis/example.com").await.0, 404);
}

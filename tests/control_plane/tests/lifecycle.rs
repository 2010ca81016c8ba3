//! The control plane itself: it starts, refuses, dies, comes back and forgets.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests fail them")]

use std::time::Instant;

use control_plane::ControlPlane;
use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn starts_dies_comes_back_and_forgets() {
    let begin = Instant::now();
    let mut control_plane = ControlPlane::start().await.unwrap();
    eprintln!("started in {:?}", begin.elapsed());
    let client = control_plane.client().await.unwrap();
    check_ready(&client).await;
    check_restricted(&control_plane).await;

    let old = create_config_map(&client, "first").await;
    let missed = create_config_map(&client, "second").await;
    assert!(watch(&client, &old).await.contains(r#""name":"second""#));

    control_plane.kill_apiserver();
    client.request_text(get("/readyz")).await.unwrap_err();
    let begin = Instant::now();
    control_plane.start_apiserver().await.unwrap();
    eprintln!("started again in {:?}", begin.elapsed());
    check_ready(&client).await;

    let (changes, next) = control_plane.etcd_changes(&etcd_key(""), 1).await.unwrap();
    let keys: Vec<_> = changes.iter().map(|it| it.key.clone()).collect();
    assert_eq!(keys, [etcd_key("first"), etcd_key("second")]);
    assert_eq!(changes[1].revision.to_string(), missed);
    assert!(changes.iter().all(|it| it.value.is_some()));

    let kept = control_plane.compact_etcd().await.unwrap();
    let error = control_plane.etcd_changes("/", next).await.unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    assert_eq!(control_plane.etcd_changes(&etcd_key(""), kept).await.unwrap().0, []);
    control_plane.start_apiserver().await.unwrap();
    for expired in [old, missed] {
        let events = watch(&client, &expired).await;
        assert!(events.contains(r#""code":410"#), "{events}");
    }
    let latest = create_config_map(&client, "third").await;
    assert!(!watch(&client, &latest).await.contains("ERROR"));
}

#[tokio::test]
async fn says_why_the_api_server_does_not_start() {
    let error = ControlPlane::start_with(&["--no-such-flag"]).await.unwrap_err().to_string();
    assert!(error.starts_with("kube-apiserver ended with exit status: 1"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}

fn etcd_key(config_map: &str) -> String {
    format!("/registry/configmaps/default/{config_map}")
}

async fn check_ready(client: &Client) {
    assert_eq!(client.request_text(get("/readyz")).await.unwrap(), "ok");
    let version: Value = client.request(get("/version")).await.unwrap();
    assert!(version["gitVersion"].as_str().unwrap().starts_with("v1."), "{version}");
}

async fn check_restricted(control_plane: &ControlPlane) {
    let kubeconfig = Kubeconfig::read_from(control_plane.restricted_kubeconfig_path()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let client = Client::try_from(config).unwrap();
    client.request_text(get("/apis")).await.unwrap();
    let error = client.request_text(get(CONFIG_MAPS)).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 403));
}

/// Creates a config map; returns its resource version.
async fn create_config_map(client: &Client, name: &str) -> String {
    let body = json!({ "metadata": { "name": name } }).to_string().into_bytes();
    let request = Request::post(CONFIG_MAPS).header("content-type", "application/json");
    let created: Value = client.request(request.body(body).unwrap()).await.unwrap();
    created["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

/// Watches config maps for a second.
async fn watch(client: &Client, resource_version: &str) -> String {
    let path = format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1&resourceVersion={resource_version}");
    client.request_text(get(&path)).await.unwrap()
}

fn get(path: &str) -> Request<Vec<u8>> {
    Request::get(path).body(Vec::new()).unwrap()
}

//! A plain HTTP client, and what the tests say often.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, Response};
use dev_api_server::{ApiServer, Settings};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Sends requests to one server; every answer is a code and JSON.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    http: HttpClient<HttpConnector, Full<Bytes>>,
}

/// The events of an open watch.
pub(crate) struct Events {
    body: hyper::body::Incoming,
    received: Vec<u8>,
}

pub(crate) async fn start() -> (ApiServer, Client) {
    start_with(Settings::default()).await
}

pub(crate) async fn start_with(settings: Settings) -> (ApiServer, Client) {
    let server = ApiServer::bind(([127, 0, 0, 1], 0).into(), settings).await.unwrap();
    let http = HttpClient::builder(TokioExecutor::new()).build_http();
    let client = Client { url: server.url(), http };
    (server, client)
}

impl Client {
    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Response<hyper::body::Incoming> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).unwrap();
        timeout(PATIENCE, self.http.request(request)).await.expect("no answer").unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl ToString,
    ) -> (u16, Value) {
        let headers = [("content-type", content_type)];
        let response = self.request(method, path, &headers, body.to_string()).await;
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, "", "").await
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Value {
        let response = self.request("GET", path, &[("accept", accept)], String::new()).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send("POST", path, "application/json", body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.send("PUT", path, "application/json", body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.send("DELETE", path, "", "").await
    }

    /// A patch of the content type `application/{kind}`.
    pub(crate) async fn patch(&self, kind: &str, path: &str, body: Value) -> (u16, Value) {
        self.send("PATCH", path, &format!("application/{kind}"), body).await
    }

    /// Creates a ConfigMap in `default` with the label `app`.
    pub(crate) async fn config_map(&self, name: &str, app: &str) -> Value {
        let body = json!({"metadata": {"name": name, "labels": {"app": app}}});
        let (code, object) = self.post(CONFIG_MAPS, body).await;
        assert_eq!(code, 201, "{object}");
        object
    }

    pub(crate) async fn watch(&self, path: &str) -> Events {
        let response = self.request("GET", path, &[], String::new()).await;
        assert_eq!(response.status(), 200);
        Events { body: response.into_body(), received: Vec::new() }
    }
}

impl Events {
    /// The next event; none if the server ended the watch.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|it| *it == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("no event")?;
            self.received.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    }

    /// The next events as `TYPE name`.
    pub(crate) async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            let event = self.next().await.expect("the watch ended");
            let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-");
            assert_eq!(format!("{} {name}", event["type"].as_str().unwrap()), *expected);
        }
    }
}

/// The resource version, as a number.
pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|it| it["metadata"]["name"].as_str().unwrap()).collect()
}

/// A definition of `widgets.example.com`, served in v1 and v1beta1, with a status.
pub(crate) fn widgets() -> Value {
    let version = |name: &str| {
        json!({
            "name": name, "served": true, "storage": name == "v1", "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object"}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version("v1beta1"), version("v1")],
        },
    })
}

pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(crate) const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(10);

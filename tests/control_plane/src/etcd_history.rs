//! Every change that etcd has made, read from its history: what the API server's objects really
//! were.

use futures_util::{AsyncBufReadExt as _, StreamExt as _};
use http::Request;
use k8s_openapi::ByteString;
use kube::Client;
use serde_json::{Value, json};

/// A key that was written or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdChange {
    /// For the object in it, the resource version.
    pub revision: u64,
    /// For example `/registry/configmaps/default/a`.
    pub key: String,
    /// None: it was deleted.
    pub value: Option<Vec<u8>>,
}

/// The changes under `prefix` from one revision to another, oldest first. The last revision must be
/// that of a change.
pub(crate) async fn changes(
    etcd: &Client,
    prefix: &str,
    first: u64,
    last: u64,
) -> Result<Vec<EtcdChange>, String> {
    // Everything from the smallest key on.
    let all = ByteString(vec![0]);
    let create = json!({ "key": all, "range_end": all, "start_revision": first.to_string() });
    let request = Request::post(WATCH)
        .body(json!({ "create_request": create }).to_string().into_bytes())
        .map_err(|error| error.to_string())?;
    let stream = etcd.request_stream(request).await.map_err(|error| error.to_string())?;
    let mut lines = stream.lines();
    let mut changes = Vec::new();
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        if answer["error"].is_object() || answer["result"]["canceled"] == true {
            return Err(format!("revision {first} cannot be read: {line}"));
        }
        for event in answer["result"]["events"].as_array().into_iter().flatten() {
            let change = change(event).ok_or_else(|| format!("not a change: {event}"))?;
            let revision = change.revision;
            if change.key.starts_with(prefix) {
                changes.push(change);
            }
            if revision >= last {
                return Ok(changes);
            }
        }
    }
    Err(format!("the history ends before revision {last}"))
}

fn change(event: &Value) -> Option<EtcdChange> {
    let bytes = |name: &str| serde_json::from_value(event["kv"][name].clone()).ok();
    let ByteString(key) = bytes("key")?;
    // What is the default, or empty, is left out.
    let value = match event["type"].as_str() {
        Some("DELETE") => None,
        _ => Some(bytes("value").unwrap_or_default().0),
    };
    Some(EtcdChange {
        revision: event["kv"]["mod_revision"].as_str()?.parse().ok()?,
        key: String::from_utf8(key).ok()?,
        value,
    })
}

pub(crate) const WATCH: &str = "/v3/watch";

//! The server's end, and its objects as seen from its own process.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{CONFIG_MAPS, start};

#[tokio::test]
async fn shutdown_ends_open_watches_and_idle_connections_at_once() {
    let (server, client) = start().await;
    client.config_map("a", "x").await;
    let mut events = client.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    events.expect(&["ADDED a"]).await;
    let silent = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
    let addr = server.local_addr();
    let asked = Instant::now();
    server.shutdown().await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(events.next().await, None);
    drop(silent);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn the_process_writes_objects_that_clients_see() {
    let (server, client) = start().await;
    let storage = server.storage();
    let manifest = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "namespace": "shop", "uid": "x", "resourceVersion": "1"},
        "spec": {"containers": [{"name": "c"}], "gone": null}, "status": {"phase": "Running"},
    });
    let created = storage.apply(manifest.clone()).unwrap();
    let url = "/api/v1/namespaces/shop/pods/a";
    let (_, pod) = client.get(url).await;
    assert_eq!((&pod, &pod["status"]["phase"]), (&*created, &json!("Running")));
    assert_eq!(pod["spec"].get("gone"), None);
    client.patch("merge-patch+json", url, json!({"metadata": {"labels": {"by": "client"}}})).await;
    let change = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"},
        "status": {"phase": "Succeeded"},
    });
    let changed = storage.apply(change).unwrap();
    assert_eq!(changed["status"]["phase"], "Succeeded");
    assert_eq!(changed["metadata"]["labels"]["by"], "client");
    assert_eq!(changed["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(storage.get("v1", "Pod", "shop", "a"), Some(changed));
    storage.delete("v1", "Pod", "shop", "a").unwrap();
    assert_eq!(client.get(url).await.0, 404);

    assert_eq!(storage.delete("v1", "Pod", "shop", "a").unwrap_err().reason, "NotFound");
    let unknown = json!({"apiVersion": "v1", "kind": "Unknown", "metadata": {"name": "a"}});
    let error = storage.apply(unknown).unwrap_err();
    assert_eq!((error.code, error.to_string().contains("Unknown")), (400, true));
    for manifest in [Value::Null, json!([]), json!({"apiVersion": "v1", "kind": "Pod"})] {
        assert!(storage.apply(manifest).is_err());
    }
}

//! A directory of manifests whose edits become events.

use std::fs;
use std::path::{Path, PathBuf};

use dev_api_server::{ApiServer, ManifestsDir, Storage};
use serde_json::json;

use crate::client::{CONFIG_MAPS, Client, Events, start, widgets};

/// A directory, removed at the end of the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("manifests-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn write(&self, file: &str, content: &str) {
        fs::write(self.0.join(file), content).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn config_map(name: &str, value: &str) -> String {
    let metadata = format!("metadata: {{name: {name}}}");
    let data = format!("data: {{v: '{value}'}}");
    format!("---\n{{apiVersion: v1, kind: ConfigMap, {metadata}, {data}}}\n")
}

/// A server that follows the directory, and a watch on its ConfigMaps.
async fn follow(dir: &Path) -> (ApiServer, ManifestsDir, Client, Events) {
    let (server, client) = start().await;
    let manifests = ManifestsDir::open(server.storage(), dir).await.unwrap();
    let events = client.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    (server, manifests, client, events)
}

fn value(storage: &Storage, name: &str) -> String {
    let object = storage.get("v1", "ConfigMap", "default", name).unwrap();
    object["data"]["v"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn edits_become_events() {
    let dir = Dir::new("edits");
    dir.write("a.yaml", &(config_map("a", "1") + &config_map("b", "1")));
    dir.write("ignored.txt", "not a manifest");
    let (server, manifests, client, mut events) = follow(&dir.0).await;
    events.expect(&["ADDED a", "ADDED b"]).await;

    let labels = json!({"metadata": {"labels": {"by": "client"}}});
    client.patch("merge-patch+json", &format!("{CONFIG_MAPS}/a"), labels).await;
    events.expect(&["MODIFIED a"]).await;
    dir.write("a.yaml", &(config_map("a", "2") + &config_map("b", "1")));
    let modified = events.next().await.unwrap();
    assert_eq!(modified["object"]["data"]["v"], "2");
    assert_eq!(modified["object"]["metadata"]["labels"]["by"], "client");
    dir.write("a.yaml", &config_map("a", "2"));
    events.expect(&["DELETED b"]).await;

    fs::create_dir(dir.0.join("below")).unwrap();
    dir.write("below/c.json", r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}"#);
    events.expect(&["ADDED c"]).await;
    fs::remove_dir_all(dir.0.join("below")).unwrap();
    events.expect(&["DELETED c"]).await;
    fs::remove_file(dir.0.join("a.yaml")).unwrap();
    events.expect(&["DELETED a"]).await;

    manifests.close().await;
    dir.write("d.yaml", &config_map("d", "1"));
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    assert_eq!(server.storage().get("v1", "ConfigMap", "default", "d"), None);
}

#[tokio::test]
async fn a_save_by_rename_is_one_update_and_a_moved_manifest_none() {
    let dir = Dir::new("rename");
    dir.write("a.yaml", &config_map("a", "1"));
    let (server, _manifests, _client, mut events) = follow(&dir.0).await;
    events.expect(&["ADDED a"]).await;
    fs::rename(dir.0.join("a.yaml"), dir.0.join("a.yaml~")).unwrap();
    dir.write(".a.yaml.swp", &config_map("swap", "1"));
    fs::rename(dir.0.join(".a.yaml.swp"), dir.0.join("a.yaml")).unwrap();
    dir.write("a.yaml", &config_map("a", "2"));
    events.expect(&["MODIFIED a"]).await;
    let before = server.storage().resource_version();
    fs::rename(dir.0.join("a.yaml"), dir.0.join("moved.yml")).unwrap();
    dir.write("z.yaml", &config_map("z", "1"));
    events.expect(&["ADDED z"]).await;
    assert_eq!(server.storage().resource_version(), before + 1);
}

#[tokio::test]
async fn a_broken_file_counts_as_it_last_did() {
    let dir = Dir::new("broken");
    dir.write("a.yaml", &(config_map("a", "1") + &config_map("b", "1")));
    let (server, _manifests, _client, mut events) = follow(&dir.0).await;
    events.expect(&["ADDED a", "ADDED b"]).await;
    for (index, broken) in ["kind: [", "", "kind: ConfigMap\n"].iter().enumerate() {
        dir.write("a.yaml", broken);
        let name = format!("other{index}");
        dir.write(
            "b.yaml",
            &(0..=index).map(|it| config_map(&format!("other{it}"), "1")).collect::<String>(),
        );
        events.expect(&[&format!("ADDED {name}")]).await;
        assert_eq!(value(&server.storage(), "b"), "1");
    }
    dir.write("a.yaml", &config_map("a", "3"));
    events.expect(&["DELETED b", "MODIFIED a"]).await;
}

#[tokio::test]
async fn custom_objects_wait_for_their_definition_and_go_with_it() {
    let dir = Dir::new("custom");
    dir.write("a.yaml", "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}}");
    let (server, _manifests, _client, mut events) = follow(&dir.0).await;
    let widget = || server.storage().get("example.com/v1", "Widget", "default", "w");
    assert_eq!(widget(), None);
    for round in ["first", "second"] {
        dir.write("crd.json", &widgets().to_string());
        dir.write("done.yaml", &config_map(round, "1"));
        events.expect(&[&format!("ADDED {round}")]).await;
        assert!(widget().is_some(), "{round}");
        fs::remove_file(dir.0.join("crd.json")).unwrap();
        fs::remove_file(dir.0.join("done.yaml")).unwrap();
        // Applied in the same scan, after what is gone was deleted.
        let gone = format!("no-{round}");
        dir.write(&format!("{gone}.yaml"), &config_map(&gone, "1"));
        events.expect(&[&format!("DELETED {round}"), &format!("ADDED {gone}")]).await;
        assert_eq!(widget(), None);
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error() {
    let (server, _client) = start().await;
    assert!(ManifestsDir::open(server.storage(), "/nowhere/manifests").await.is_err());
}

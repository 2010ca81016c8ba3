//! The server as kube's client sees it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::oneshot;
use kube::{Client, ResourceExt};

use super::*;
use crate::http_client;
use crate::recording::RecordingPlan;

const PODS: usize = 25;
const UPDATES: usize = 40;

fn start(test: &str) -> (SocketAddr, Client) {
    let name = format!("informerd-replay-{test}-{}.ndjson", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    RecordingPlan { pods: PODS, updates: UPDATES, seed: 7 }.write_file(&path).unwrap();
    let server = ReplayServer::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let address = server.address().unwrap();
    thread::spawn(|| server.serve());
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    (address, Client::try_from(config).unwrap())
}

fn order(address: SocketAddr, path: &str) {
    http_client::post(address, path).unwrap();
}

#[tokio::test]
async fn a_list_comes_whole_and_in_pages() {
    let (address, client) = start("list");
    order(address, "/replay/release");
    let (kind, _) =
        oneshot::pinned_kind(&client, &GroupVersionKind::gvk("", "v1", "Pod")).await.unwrap();
    assert_eq!(kind.plural, "pods");
    let pods = Api::<Pod>::all(client);
    let whole = pods.list(&ListParams::default()).await.unwrap();
    assert_eq!(whole.items.len(), PODS);
    let mut paged = Vec::new();
    let mut params = ListParams::default().limit(10);
    loop {
        let page = pods.list(&params).await.unwrap();
        paged.extend(page.items);
        match page.metadata.continue_ {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    assert_eq!(paged, whole.items);
}

#[tokio::test]
async fn a_watch_list_gives_the_initial_state_then_what_is_replayed() {
    let (address, client) = start("watch");
    order(address, "/replay/release");
    order(address, "/replay/updates?count=10");
    let pods = Api::<Pod>::all(client);
    let params = WatchParams { send_initial_events: true, ..WatchParams::default() };
    let mut watch = pods.watch(&params, "0").await.unwrap().boxed();
    let mut last = None;
    for index in 0..PODS + 1 + UPDATES {
        match watch.next().await.unwrap().unwrap() {
            WatchEvent::Added(_) => assert!(index < PODS),
            WatchEvent::Bookmark(bookmark) => {
                assert_eq!(index, PODS);
                assert!(bookmark.metadata.annotations.contains_key("k8s.io/initial-events-end"));
            }
            WatchEvent::Modified(pod) => last = pod.resource_version(),
            other => panic!("{other:?}"),
        }
        if index == PODS + 5 {
            order(address, "/replay/updates");
        }
    }
    assert_eq!(last.as_deref(), Some("1000065"));
    let stats: ReplayStats = http_client::get_json(address, "/replay/stats").unwrap();
    assert_eq!((stats.following, stats.updates), (1, UPDATES));
}

#[tokio::test]
async fn a_watch_resumes_where_it_was() {
    let (address, client) = start("resume");
    order(address, "/replay/updates");
    let pods = Api::<Pod>::all(client);
    let mut watch = pods.watch(&WatchParams::default(), "1000060").await.unwrap().boxed();
    let Some(Ok(WatchEvent::Modified(pod))) = watch.next().await else { panic!("no update") };
    assert_eq!(pod.resource_version().as_deref(), Some("1000061"));
}

#[tokio::test]
async fn the_updates_begin_anew_with_versions_that_go_on() {
    let (address, client) = start("anew");
    order(address, &format!("/replay/updates?count={}", 2 * UPDATES + 3));
    let pods = Api::<Pod>::all(client);
    let mut watch = pods.watch(&WatchParams::default(), "1000025").await.unwrap().boxed();
    let mut names = Vec::new();
    for number in 1..=2 * UPDATES + 3 {
        let Some(Ok(WatchEvent::Modified(pod))) = watch.next().await else { panic!("no update") };
        assert_eq!(pod.resource_version(), Some((1_000_025 + number).to_string()));
        names.push(pod.name_any());
    }
    assert_eq!(names[..UPDATES], names[UPDATES..2 * UPDATES]);
}

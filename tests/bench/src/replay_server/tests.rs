//! The server as kube's client sees it, and client-go's informers.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::discovery::oneshot;
use kube::{Client, ResourceExt};

use super::*;
use crate::encoding::encode;
use crate::http_client;
use crate::recording::{RecordingPlan, unseen};
use crate::subject::{InformerdOptions, RunningSubject, Subject};

const PODS: usize = 25;
const UPDATES: usize = 40;

fn start(test: &str) -> (SocketAddr, Client) {
    let path = record(test);
    let server = ReplayServer::bind(&path).unwrap();
    // What is read later is read now.
    server.shared.wire(Encoding::Json).unwrap();
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    serve(server)
}

/// Writes the recording into a folder of its own.
fn record(test: &str) -> PathBuf {
    let name = format!("informerd-replay-{test}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("recording.ndjson");
    RecordingPlan { pods: PODS, updates: UPDATES, seed: 7 }.write_file(&path).unwrap();
    path
}

fn serve(server: ReplayServer) -> (SocketAddr, Client) {
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
    assert_eq!((stats.following, stats.sent), (1, UPDATES));
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

#[tokio::test]
async fn an_expired_watch_ends_and_the_last_state_is_listed() {
    let (address, client) = start("expire");
    order(address, "/replay/release");
    let pods = Api::<Pod>::all(client);
    let first = pods.list(&ListParams::default()).await.unwrap();
    let mut watch = pods.watch(&WatchParams::default(), "1000025").await.unwrap().boxed();
    order(address, "/replay/expire");
    match watch.next().await {
        Some(Ok(WatchEvent::Error(status))) => assert_eq!(status.code, 410),
        other => panic!("{other:?}"),
    }
    assert!(watch.next().await.is_none());
    let last = pods.list(&ListParams::default()).await.unwrap();
    assert_eq!(last.metadata.resource_version.as_deref(), Some("1000068"));
    assert_eq!(last.items.len(), first.items.len());
    let newest = last.items.iter().filter_map(|pod| pod.resource_version()).max();
    assert_eq!(newest.as_deref(), Some("1000068"));
}

#[tokio::test]
async fn each_client_gets_the_encoding_that_it_asks_for() {
    let path = record("encodings");
    let folder = path.parent().unwrap();
    encode(&path).unwrap();
    let (address, client) = serve(ReplayServer::bind(&path).unwrap());
    order(address, "/replay/release");

    let whole = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await.unwrap();
    let of_metadata = Api::<PartialObjectMeta<Pod>>::all(client);
    let of_metadata = of_metadata.list(&ListParams::default().limit(20)).await.unwrap();
    assert_eq!(of_metadata.items.len(), 20);
    assert_eq!(of_metadata.items[0].metadata, whole.items[0].metadata);
    assert_eq!(of_metadata.items[0].types.as_ref().unwrap().kind, "PartialObjectMetadata");

    for (subject, encoding) in [
        (Subject::ClientGoDynamic, Encoding::Json),
        (Subject::ClientGoTypedJson, Encoding::Json),
        (Subject::ClientGoTypedProtobuf, Encoding::Protobuf),
        (Subject::ClientGoMetadata, Encoding::MetadataProtobuf),
    ] {
        let server = ReplayServer::bind(&path).unwrap();
        let shared = server.shared.clone();
        let (address, _) = serve(server);
        let folder = folder.join(subject.name());
        fs::create_dir(&folder).unwrap();
        let no_informerd = InformerdOptions { binary: PathBuf::new(), buffer: None };
        let mut running = subject.start(&no_informerd, address, &folder, (PODS, UPDATES)).unwrap();
        for (path, handled) in [
            ("/replay/release", PODS),
            ("/replay/updates", PODS + UPDATES),
            ("/replay/expire", PODS + UPDATES + unseen(PODS)),
        ] {
            order(address, path);
            wait_for(&mut running, handled, &format!("{subject:?}, {path}"));
        }
        let served: Vec<_> = shared.wires.lock().unwrap().keys().copied().collect();
        assert_eq!(served, [encoding]);
    }
    fs::remove_dir_all(folder).unwrap();
}

fn wait_for(running: &mut RunningSubject, handled: usize, when: &str) {
    let begin = Instant::now();
    while running.counts().unwrap().delivered < handled as u64 {
        assert!(begin.elapsed() < Duration::from_secs(60), "{when}");
    }
}

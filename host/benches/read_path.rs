//! From the bytes of a watch to objects, as the reflector gets them: frames, header, managedFields cut. And the
//! floor beside it, on the same bytes: what looking for line ends, checking UTF-8, copying, and skipping JSON take.
//!
//! `cargo bench --workspace --bench read_path`; bytes per second are those of the watch.

use std::hint::black_box;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use futures_util::StreamExt;
use host::api_server::{ApiListerWatcher, WatchedResource};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use informer::{ListerWatcher, QueueKind, WatchEvent, WatchOptions};
use kube::Client;
use kube::client::Body;
use kube::core::{ApiResource, GroupVersionKind};
use serde::de::IgnoredAny;
use tokio::runtime::Builder;

const POD: &str = include_str!("../../tests/bench/pod.json");

/// In one watch, each an HTTP frame of its own.
const EVENTS: usize = 1_000;

fn main() {
    divan::main();
}

#[divan::bench]
fn informerd(bencher: Bencher<'_, '_>) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let event = event();
    let lister_watcher = runtime.block_on(async { lister_watcher(event.clone()) });
    bencher.counter(BytesCount::new(EVENTS * event.len())).bench_local(|| {
        runtime.block_on(async {
            let mut watch = lister_watcher.watch(&WatchOptions::default()).await.expect("a watch");
            for _ in 0..EVENTS {
                let event = watch.next().await.expect("an event").expect("an event");
                assert!(matches!(black_box(event), WatchEvent::Modified(_)));
            }
        });
    });
}

#[divan::bench]
fn line_ends(bencher: Bencher<'_, '_>) {
    per_event(bencher, |event| memchr::memchr(b'\n', event));
}

#[divan::bench]
fn utf_8(bencher: Bencher<'_, '_>) {
    per_event(bencher, |event| str::from_utf8(event).is_ok());
}

#[divan::bench]
fn copy(bencher: Bencher<'_, '_>) {
    per_event(bencher, <[u8]>::to_vec);
}

#[divan::bench]
fn skip_json(bencher: Bencher<'_, '_>) {
    per_event(bencher, |event| serde_json::from_slice::<IgnoredAny>(event).is_ok());
}

#[divan::bench]
fn json_tree(bencher: Bencher<'_, '_>) {
    per_event(bencher, |event| serde_json::from_slice::<serde_json::Value>(event).is_ok());
}

fn per_event<T>(bencher: Bencher<'_, '_>, work: impl Fn(&[u8]) -> T) {
    let event = event();
    let events = event.repeat(EVENTS);
    bencher.counter(BytesCount::new(events.len())).bench_local(|| {
        for event in black_box(&events).chunks(event.len()) {
            black_box(work(event));
        }
    });
}

fn event() -> Bytes {
    format!("{{\"type\":\"MODIFIED\",\"object\":{}}}\n", POD.trim()).into()
}

fn lister_watcher(event: Bytes) -> ApiListerWatcher {
    let answer = move |_: Request<Body>| {
        let frames = vec![event.clone(); EVENTS];
        let frames = frames.into_iter().map(|event| Ok::<_, std::io::Error>(Frame::data(event)));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        std::future::ready(Ok::<_, std::io::Error>(Response::new(body)))
    };
    let client = Client::new(tower::service_fn(answer), "default");
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods");
    let (label_selector, field_selector) = (String::new(), String::new());
    let queue = QueueKind::default();
    let pods = WatchedResource { kind, namespace: None, label_selector, field_selector, queue };
    ApiListerWatcher::new(client, pods)
}

//! What many objects take: in the cache, while they are listed again, and for handlers that join.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, BoxStream, StreamExt};

use super::*;
use crate::compactor;
use crate::lister_watcher::{ListOptions, ListPage, ListerWatcherError, WatchEvent, WatchOptions};
use crate::object::Object;

/// A server with Pods. The first half of them is its initial list, the others come over the watch,
/// which expires when somebody says so.
#[derive(Clone, Default)]
struct Pods(Arc<Shared>);

#[derive(Default)]
struct Shared {
    watches: AtomicUsize,
    expires: tokio::sync::Notify,
}

const PODS: usize = 2_000;

fn pod(i: usize) -> Arc<Object> {
    compactor::tests::pod(i, 1)
}

impl ListerWatcher for Pods {
    type Watch = BoxStream<'static, Result<WatchEvent, ListerWatcherError>>;

    async fn list(&self, _: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        let objects = (0..PODS).map(pod).collect();
        Ok(ListPage { resource_version: "2".to_owned(), objects, ..ListPage::default() })
    }

    async fn watch(&self, options: &WatchOptions) -> Result<Self::Watch, ListerWatcherError> {
        let is_first = self.0.watches.fetch_add(1, Ordering::Relaxed) == 0;
        if !is_first && options.send_initial_events {
            let message = "no watch-list this time".to_owned();
            return Err(ListerWatcherError::Rejected { code: 400, message });
        }
        let mut events: Vec<_> = (0..PODS).map(|i| WatchEvent::Added(pod(i))).collect();
        let (resource_version, initial_events_end) = ("1".to_owned(), true);
        let bookmark = WatchEvent::Bookmark { resource_version, initial_events_end };
        events.insert(PODS / 2, bookmark);
        events.truncate(if options.send_initial_events { events.len() } else { 0 });
        let initial = stream::iter(events.into_iter().map(Ok));
        let shared = self.0.clone();
        let end = stream::once(async move {
            if !is_first {
                std::future::pending::<()>().await;
            }
            shared.expires.notified().await;
            Err(ListerWatcherError::Expired("asked for".to_owned()))
        });
        Ok(initial.chain(end).boxed())
    }
}

fn compressed(informer: &SharedInformer) -> usize {
    let cached = informer.lister().list();
    cached.iter().filter(|object| object.json.is_compressed()).count()
}

#[tokio::test(start_paused = true)]
async fn many_objects_are_compressed_by_whatever_way_they_come_and_nobody_notices() {
    let upper: TransformFunc = Arc::new(Ok);
    for transform in [None, Some(upper)] {
        for queue in [QueueKind::Delta, QueueKind::InOrder] {
            let (server, options) =
                (Pods::default(), SharedInformerOptions { queue, transform: transform.clone() });
            let informer = SharedInformer::start(server.clone(), options);
            let (_first, told_first) = add(&informer).await;
            assert!(informer.wait_for_sync().await);
            settle().await;
            assert_eq!(told_first.take().len(), PODS + 1);
            let few = PODS - compressed(&informer);
            assert!((1..100).contains(&few), "{few} are text");

            // A list that brings nothing new is neither told nor kept.
            let before = informer.lister().list();
            server.0.expires.notify_one();
            sleep(60 * SECOND).await;
            assert_eq!(informer.counters().lists.get(), 2);
            assert_eq!(informer.lister().resource_version(), "2");
            assert_eq!(told_first.take(), nothing());
            if transform.is_none() {
                let is_cached =
                    |it: &Arc<Object>| Arc::ptr_eq(it, &informer.lister().get(&it.key).unwrap());
                assert!(before.iter().all(is_cached));
            }

            // Nor does a handler that joins inflate what it is told of.
            let (_second, told_second) = add(&informer).await;
            settle().await;
            assert_eq!(told_second.take().len(), PODS + 1);
            assert!(PODS - compressed(&informer) < 100);
            for i in 0..PODS {
                assert_eq!(informer.lister().get(&pod(i).key), Some(pod(i)));
            }
        }
    }
}

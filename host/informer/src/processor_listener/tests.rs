use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::objects::object;
use crate::recorder::{Answer, Recorder};

const SECOND: Duration = Duration::from_secs(1);

fn push_initial(queue: &ListenerQueue, count: usize) {
    for n in 0..count {
        let object = object(&format!("o{n}@1"));
        queue.push(Notification::Added { object, in_initial_list: true }, Instant::now());
    }
}

/// ★60 client-go: `TestSingleFileCounting`. Here nothing is counted: `Synced` stands in the queue
/// behind the initial list, so there is no counter that could become negative.
#[tokio::test(start_paused = true)]
async fn scenario_60_single_file_counting() {
    for informer_synced_first in [true, false] {
        let queue = ListenerQueue::new(DeliveryPolicy::default());
        let has_synced = || queue.has_synced();
        push_initial(&queue, 100);
        assert!(!has_synced());
        if informer_synced_first {
            queue.push(Notification::Synced, Instant::now());
            queue.wake();
        }
        let (recorder, told) = Recorder::answering(|delivery| match delivery.notification {
            Notification::Added { .. } => Answer::After(SECOND, Handled::Done),
            _ => Answer::done(),
        });
        let mut task = JoinSet::new();
        task.spawn(run(queue.clone(), recorder));
        sleep(99 * SECOND + SECOND / 2).await;
        assert_eq!(queue.pending().counts().delivered, 99);
        assert!(!has_synced());
        sleep(SECOND).await;
        assert_eq!(queue.pending().counts().delivered, 100);
        if !informer_synced_first {
            assert!(!has_synced());
            queue.push(Notification::Synced, Instant::now());
            queue.wake();
            sleep(SECOND).await;
        }
        assert!(has_synced());
        assert_eq!(told.take().last().unwrap(), "synced");
        // Whatever comes, it stays.
        push_initial(&queue, 1);
        assert!(has_synced());
        sleep(2 * SECOND).await;
        assert!(has_synced());
    }
}

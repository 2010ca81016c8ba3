use super::*;
use crate::objects::{key, object};
use crate::recorder::line;

mod failures;
mod merging;
mod purging;
mod succession;

/// The queue with a clock of its own; notifications are text, as the recorder writes them.
struct Queue {
    pending: PendingNotifications,
    delivering: Option<Delivery>,
    now: Instant,
}

impl Queue {
    fn new(policy: DeliveryPolicy) -> Self {
        let pending = PendingNotifications::new(policy);
        Self { pending, delivering: None, now: Instant::now() }
    }

    /// Never merges unless it must.
    fn roomy() -> Self {
        Self::new(DeliveryPolicy::default())
    }

    /// Merges always.
    fn merging() -> Self {
        Self::new(DeliveryPolicy { buffer_max: 0, ..DeliveryPolicy::default() })
    }

    fn push(&mut self, text: &str) -> &mut Self {
        assert!(self.pending.push(notification(text), self.now));
        self
    }

    fn push_all(&mut self, texts: &[&str]) -> &mut Self {
        for text in texts {
            self.push(text);
        }
        self
    }

    fn next(&mut self) -> Option<String> {
        match self.pending.next(self.now) {
            Next::Deliver(delivery) => Some(line(self.delivering.insert(delivery))),
            Next::Wait(_) | Next::Closed => None,
        }
    }

    /// Delivers everything that is due now, with success.
    fn deliver_all(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.next() {
            lines.push(line);
            self.done();
        }
        lines
    }

    fn done(&mut self) {
        assert_eq!(self.finish(Handled::Done), None);
    }

    fn finish(&mut self, handled: Handled) -> Option<Duration> {
        let delivery = self.delivering.take().expect("a delivery is running");
        self.pending.finish(&delivery, handled, self.now)
    }

    /// It ends, as it is.
    fn left(&mut self) -> super::succession::Left {
        self.delivering.take().into_iter().for_each(|it| self.pending.give_back(it));
        self.pending.left()
    }

    /// The delivery failed; gives the wait before the next attempt.
    fn retry(&mut self, after: Option<Duration>) -> Option<Duration> {
        self.finish(Handled::Retry { after, reason: "not now".to_owned() })
    }

    fn fail(&mut self) {
        let failed = Handled::Failed { reason: "never".to_owned() };
        assert_eq!(self.finish(failed), None);
    }

    fn wait(&mut self, wait: Duration) {
        self.now += wait;
    }

    fn dead(&self) -> Vec<(String, String)> {
        let dead_letters = self.pending.dead_letters();
        assert_eq!(dead_letters.len(), self.pending.dead_letter_count());
        let dead = dead_letters.into_iter();
        dead.map(|it| (it.key.to_string(), it.resource_version)).collect()
    }
}

fn notification(text: &str) -> Notification {
    let words: Vec<_> = text.split(' ').collect();
    match words[..] {
        ["added", it] => Notification::Added { object: object(it), in_initial_list: false },
        ["added", it, "initial"] => {
            Notification::Added { object: object(it), in_initial_list: true }
        }
        ["updated", old, new] => Notification::Updated { old: object(old), new: object(new) },
        ["deleted", it] => Notification::Deleted { last: object(it), final_state_unknown: false },
        ["synced"] => Notification::Synced,
        _ => panic!("no notification: {text:?}"),
    }
}

#[test]
fn notifications_are_delivered_one_by_one_in_order_of_arrival() {
    let mut queue = Queue::roomy();
    let arrived = ["added a@1", "added b@2", "updated a@1 a@3", "deleted b@4", "updated a@3 a@5"];
    for text in arrived {
        queue.push(text);
    }
    assert_eq!(queue.pending.len(), 5);
    assert_eq!(queue.deliver_all(), arrived);
    assert_eq!(queue.pending.len(), 0);
    let counts = queue.pending.counts();
    assert_eq!((counts.delivered, counts.failed, counts.merged), (5, 0, 0));
}

#[test]
fn nothing_is_due_while_nothing_is_queued() {
    let mut queue = Queue::roomy();
    assert_eq!(queue.pending.next(queue.now), Next::Wait(None));
}

#[test]
fn synced_comes_after_all_that_arrived_before_it() {
    let mut queue = Queue::roomy();
    queue.push("added a@1 initial").push("added b@2 initial").push("synced").push("added c@3");
    let expected = ["added a@1 initial", "added b@2 initial", "synced", "added c@3"];
    assert_eq!(queue.deliver_all(), expected);
    assert_eq!(queue.pending.counts().delivered, 3, "synced is about no object");
}

#[test]
fn a_closed_queue_takes_nothing_in_and_delivers_what_it_has() {
    let mut queue = Queue::roomy();
    queue.push("added a@1").push("added b@2").push("synced");
    assert_eq!(queue.next().unwrap(), "added a@1");
    queue.retry(Some(Duration::from_secs(1)));
    queue.pending.close();
    assert!(!queue.pending.push(notification("added c@3"), queue.now));
    assert_eq!(queue.deliver_all(), ["added b@2"]);
    let due = queue.now + Duration::from_secs(1);
    assert_eq!(queue.pending.next(queue.now), Next::Wait(Some(due)));
    queue.wait(Duration::from_secs(1));
    assert_eq!(queue.deliver_all(), ["added a@1 attempt=2", "synced"]);
    assert_eq!(queue.pending.next(queue.now), Next::Closed);
}

#[test]
fn dead_letters_do_not_keep_a_closed_queue_open() {
    let mut queue = Queue::roomy();
    queue.push("added a@1");
    queue.next();
    queue.fail();
    queue.pending.close();
    assert_eq!(queue.pending.next(queue.now), Next::Closed);
    assert_eq!(queue.pending.len(), 0);
    assert_eq!(queue.dead(), [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn a_notification_has_waited_since_the_first_that_merged_into_it() {
    const SECOND: Duration = Duration::from_secs(1);
    let mut queue = Queue::merging();
    queue.push("added a@1 initial");
    assert_eq!(queue.deliver_all().len(), 1);
    queue.push("updated a@1 a@2");
    queue.wait(SECOND);
    queue.push("updated a@2 a@3");
    queue.wait(SECOND);
    assert_eq!(queue.next().as_deref(), Some("updated a@1 a@3"));
    // A retry waits because it must.
    queue.retry(Some(SECOND));
    queue.wait(SECOND);
    assert_eq!(queue.deliver_all(), ["updated a@1 a@3 attempt=2"]);
    let waits = queue.pending.counts().waits;
    assert_eq!(waits.sum(), 2 * SECOND);
    assert_eq!(waits.buckets().map(|(_, count)| count).sum::<u64>(), 1, "not of the initial list");
}

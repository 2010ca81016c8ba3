//! The notifications that wait in order, of a handler that keeps up or nearly does.
//!
//! Each passes through here, most of them at once, so that costs as little as it can: no more than
//! the end of a queue is touched. What is newest of an object must be known only where notifications merge;
//! that is found out when it is asked for the first time, and kept until the queue is empty.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::event_handler::Notification;
use crate::hash::HashMap;
use crate::object::ObjectKey;

/// One that waits.
pub(super) struct Ready {
    pub(super) notification: Notification,
    /// When it was queued, or the first that merged into it.
    pub(super) since: Instant,
}

#[derive(Default)]
pub(super) struct ReadyNotifications {
    /// By arrival. The first one is not empty.
    slots: VecDeque<Slot>,
    /// Slots that are not empty.
    len: usize,
    bytes: usize,
    /// The newest entry of each object; none as long as nobody asks.
    newest: Option<HashMap<ObjectKey, u64>>,
}

struct Slot {
    arrival: u64,
    /// None once it was taken out of the middle.
    ready: Option<Ready>,
}

impl ReadyNotifications {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Of JSON that they keep alive.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn first_arrival(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.arrival)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Notification)> {
        self.slots.iter().filter_map(|Slot { arrival, ready }| {
            ready.as_ref().map(|ready| (*arrival, &ready.notification))
        })
    }

    pub(super) fn get(&self, arrival: u64) -> Option<&Notification> {
        let slot = self.slots.get(self.position(arrival).ok()?)?;
        slot.ready.as_ref().map(|ready| &ready.notification)
    }

    /// The newest entry of each object.
    pub(super) fn newest(&mut self) -> &HashMap<ObjectKey, u64> {
        if self.newest.is_none() {
            let keys = self.iter().filter_map(|(arrival, it)| Some((it.key()?.clone(), arrival)));
            self.newest = Some(keys.collect());
        }
        self.newest.get_or_insert_default()
    }

    /// Puts one in its place, which is the end, or where one was taken out.
    pub(super) fn insert(&mut self, arrival: u64, ready: Ready) {
        if let (Some(newest), Some(key)) = (&mut self.newest, ready.notification.key()) {
            newest.insert(key.clone(), arrival);
        }
        self.bytes += ready.notification.bytes();
        self.len += 1;
        let slot = Slot { arrival, ready: Some(ready) };
        if self.slots.back().is_none_or(|last| last.arrival < arrival) {
            return self.slots.push_back(slot);
        }
        match self.position(arrival) {
            Ok(position) => self.slots[position] = slot,
            Err(position) => self.slots.insert(position, slot),
        }
    }

    pub(super) fn pop_first(&mut self) -> Option<(u64, Ready)> {
        let Slot { arrival, ready } = self.slots.pop_front()?;
        let ready = ready?;
        self.removed(arrival, &ready);
        Some((arrival, ready))
    }

    pub(super) fn remove(&mut self, arrival: u64) -> Option<Ready> {
        let position = self.position(arrival).ok()?;
        let ready = self.slots.get_mut(position)?.ready.take()?;
        self.removed(arrival, &ready);
        Some(ready)
    }

    fn removed(&mut self, arrival: u64, Ready { notification, .. }: &Ready) {
        self.bytes -= notification.bytes();
        self.len -= 1;
        if let (Some(newest), Some(key)) = (&mut self.newest, notification.key())
            && newest.get(key) == Some(&arrival)
        {
            newest.remove(key);
        }
        if self.len == 0 {
            self.newest = None;
            self.slots.clear();
            // An initial list is much longer than what follows.
            self.slots.shrink_to(SLOTS_KEPT);
        }
        while self.slots.front().is_some_and(|slot| slot.ready.is_none()) {
            self.slots.pop_front();
        }
        if self.slots.len() > SLOTS_KEPT && self.slots.len() / 2 > self.len {
            self.slots.retain(|slot| slot.ready.is_some());
        }
    }

    /// For so many without another allocation.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.slots.capacity() + self.newest.as_ref().map_or(0, HashMap::capacity)
    }

    fn position(&self, arrival: u64) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&arrival, |slot| slot.arrival)
    }
}

/// Slots that an idle queue keeps, and empty ones that one keeps in any case.
const SLOTS_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::object;

    fn ready(name: &str) -> Ready {
        let object = object(&format!("{name}@1"));
        let notification = Notification::Added { object, in_initial_list: false };
        Ready { notification, since: Instant::now() }
    }

    fn arrivals(queue: &ReadyNotifications) -> Vec<u64> {
        queue.iter().map(|(arrival, _)| arrival).collect()
    }

    #[test]
    fn what_is_taken_out_of_the_middle_leaves_no_trace() {
        let mut queue = ReadyNotifications::default();
        (1..=5).for_each(|arrival| queue.insert(arrival, ready(&format!("o{arrival}"))));
        assert!(queue.remove(3).is_some() && queue.remove(3).is_none());
        queue.insert(3, ready("o3"));
        assert_eq!(arrivals(&queue), [1, 2, 3, 4, 5]);
        assert!(queue.remove(2).is_some() && queue.get(2).is_none());
        assert_eq!(queue.pop_first().map(|(arrival, _)| arrival), Some(1));
        assert_eq!((queue.first_arrival(), queue.len()), (Some(3), 3));
        while queue.pop_first().is_some() {}
        assert_eq!((queue.first_arrival(), queue.len(), queue.bytes()), (None, 0, 0));
    }

    #[test]
    fn the_newest_of_an_object_is_known_from_the_first_question_on() {
        let mut queue = ReadyNotifications::default();
        for (arrival, name) in [(1, "a"), (2, "b"), (3, "a")] {
            queue.insert(arrival, ready(name));
        }
        let key = |name| ObjectKey::new(None, name);
        assert_eq!(queue.newest().get(&key("a")), Some(&3));
        queue.insert(4, ready("b"));
        assert_eq!(queue.newest().get(&key("b")), Some(&4));
        queue.remove(4);
        assert_eq!(queue.newest().get(&key("b")), None, "the one before may not be merged with");
    }

    #[test]
    fn objects_that_come_and_go_do_not_fill_the_queue_of_one_that_does_not_move() {
        let mut queue = ReadyNotifications::default();
        queue.insert(1, ready("first"));
        queue.insert(2, ready("other"));
        for arrival in 3..10_000 {
            queue.insert(arrival, ready("other"));
            queue.remove(arrival - 1);
        }
        assert_eq!(arrivals(&queue), [1, 9_999]);
        assert!(queue.slots.len() <= SLOTS_KEPT + 1, "{}", queue.slots.len());
    }
}

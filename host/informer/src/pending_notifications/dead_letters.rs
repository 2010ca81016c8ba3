//! Objects whose delivery has failed for good: shown, tried again, or given up.

use tokio::time::Instant;

use super::{Parked, PendingNotifications};
use crate::event_handler::Notification;
use crate::object::ObjectKey;

/// Dead letters are bounded by the objects that exist, and by this many that do not any more.
pub const GONE_DEAD_LETTERS_MAX: usize = 1000;

/// An object whose delivery has failed for good. A newer state of it is delivered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which object.
    pub key: ObjectKey,
    /// The state that was not delivered.
    pub resource_version: String,
    /// Why the last attempt failed.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

impl PendingNotifications {
    /// Tries the dead letters again, of one object or of all; gives how many.
    pub(crate) fn retry_dead_letters(&mut self, key: Option<&ObjectKey>, now: Instant) -> usize {
        let mut count = 0;
        for (parked_key, parked) in &mut self.parked {
            if parked.due.is_none() && key.is_none_or(|key| key == parked_key) {
                parked.due = Some(now);
                parked.attempts = 0;
                self.gone.remove(&parked.arrival);
                self.due.insert((now, parked_key.clone()));
                count += 1;
            }
        }
        count
    }

    /// Gives the dead letters up, of one object or of all; gives how many. A deletion is forgotten.
    /// Of an object that is there, what was told last is kept, to begin the next notification with.
    pub(crate) fn purge_dead_letters(&mut self, key: Option<&ObjectKey>) -> usize {
        let is_purged = |parked_key: &ObjectKey, parked: &mut Parked| {
            parked.due.is_none() && key.is_none_or(|key| key == parked_key)
        };
        let mut count = 0;
        for (key, mut parked) in self.parked.extract_if(is_purged) {
            count += 1;
            self.gone.remove(&parked.arrival);
            let was_alone = parked.notifications.len() == 1;
            let Some(newest) = parked.notifications.pop_back() else { continue };
            if matches!(newest, Notification::Deleted { .. }) {
                continue;
            }
            // What stood before it is the deletion of another object of that name.
            parked.notifications = [newest].into();
            parked.attempted &= was_alone;
            self.purged.insert(key, parked);
        }
        count
    }

    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        let dead = self.parked.iter().filter(|(_, parked)| parked.due.is_none());
        let mut dead_letters: Vec<DeadLetter> = dead
            .map(|(key, parked)| DeadLetter {
                key: key.clone(),
                resource_version: parked.resource_version(),
                reason: parked.reason.clone(),
                attempts: parked.attempts,
            })
            .collect();
        dead_letters.sort_by(|a, b| a.key.cmp(&b.key));
        dead_letters
    }

    pub(crate) fn dead_letter_count(&self) -> usize {
        self.parked.len() - self.due.len()
    }
}

impl Parked {
    fn resource_version(&self) -> String {
        let newest = self.notifications.back().and_then(Notification::object);
        newest.map_or_else(String::new, |object| object.resource_version.to_string())
    }
}

//! A handler that is told only of the objects that pass a filter.
//!
//! An object that comes to pass the filter is added for it, and one that no longer does is deleted.
//!
//! client-go: `FilteringResourceEventHandler` (PD-14).

use std::collections::HashSet;
use std::sync::Arc;

use crate::event_handler::{Delivery, Handled, Notification, ResourceEventHandler};
use crate::object::{Object, ObjectKey};

/// Gives `handler` what passes `filter`, which must be pure: an update is judged by its old and its
/// new state. `Synced` always passes. A filter that panics fails the delivery, as a handler would.
///
/// client-go has no notifications that merge or fail. Here they can leave out the state in which an
/// object stopped passing; so the handler is told of a deletion also when nothing else is left of an
/// object that it was given.
pub struct FilteringResourceEventHandler<F, H> {
    filter: F,
    handler: H,
    /// What the handler was given, until it has handled the deletion.
    given: HashSet<ObjectKey>,
}

impl<F, H> FilteringResourceEventHandler<F, H>
where
    F: Fn(&Object) -> bool + Send + 'static,
    H: ResourceEventHandler,
{
    /// Puts the filter before the handler.
    pub fn new(filter: F, handler: H) -> Self {
        Self { filter, handler, given: HashSet::new() }
    }

    /// What the handler is told of this, if anything.
    fn filtered(&self, notification: &Notification) -> Option<Notification> {
        let passes = |object: &Arc<Object>| (self.filter)(object);
        match notification {
            Notification::Added { object, .. } if passes(object) => Some(notification.clone()),
            Notification::Added { object, .. } => self.given_deleted(object, false),
            Notification::Updated { old, new } => match (passes(old), passes(new)) {
                (true, true) => Some(notification.clone()),
                (false, true) => {
                    Some(Notification::Added { object: new.clone(), in_initial_list: false })
                }
                (true, false) => {
                    Some(Notification::Deleted { last: old.clone(), final_state_unknown: false })
                }
                (false, false) => self.given_deleted(new, false),
            },
            Notification::Deleted { last, .. } if passes(last) => Some(notification.clone()),
            Notification::Deleted { last, final_state_unknown } => {
                self.given_deleted(last, *final_state_unknown)
            }
            Notification::Synced => Some(Notification::Synced),
        }
    }

    /// The deletion of an object that does not pass, if the handler still has it.
    fn given_deleted(&self, last: &Arc<Object>, final_state_unknown: bool) -> Option<Notification> {
        let deleted = Notification::Deleted { last: last.clone(), final_state_unknown };
        self.given.contains(&last.key).then_some(deleted)
    }
}

impl<F, H> ResourceEventHandler for FilteringResourceEventHandler<F, H>
where
    F: Fn(&Object) -> bool + Send + 'static,
    H: ResourceEventHandler,
{
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        let Some(notification) = self.filtered(&delivery.notification) else {
            return Handled::Done;
        };
        if let Notification::Added { object, .. } | Notification::Updated { new: object, .. } =
            &notification
        {
            // Before the call: also if that fails, the handler has seen the object.
            self.given.insert(object.key.clone());
        }
        let delivery = Delivery { notification, attempt: delivery.attempt };
        let handled = self.handler.handle(&delivery).await;
        if let (Notification::Deleted { last, .. }, Handled::Done) =
            (&delivery.notification, &handled)
        {
            self.given.remove(&last.key);
        }
        handled
    }
}

#[cfg(test)]
mod tests;

//! The pipeline's last step: one notification becomes one call of the guest, and one line in the
//! log.
//!
//! in:   a delivery from a processor listener
//! out:  a call into the [`SharedGuest`]; how it ended
//! runs: in the listener's task, on the guests' own threads.

use std::sync::Arc;
use std::time::Duration;

use informer::{Delivery, Handled, Notification, Object, ResourceEventHandler};
use kube::core::ApiResource;

use super::bindings::informerd::handler::types::{Failure, Retry};
use super::call_objects::CallObject;
use super::log_budget::{REASON_BYTES_MAX, one_line};
use super::shared_guest::{Call, SharedGuest};

/// One handler's place at one informer.
pub struct GuestHandler {
    handler: Arc<str>,
    kind: Arc<ApiResource>,
    guest: SharedGuest,
    place: usize,
}

impl GuestHandler {
    /// `place` is one of those that the guest works for.
    pub fn new(handler: &str, kind: ApiResource, guest: SharedGuest, place: usize) -> Self {
        Self { handler: handler.into(), kind: kind.into(), guest, place }
    }

    fn call(&self, notification: &Notification) -> (&'static str, Call) {
        match notification {
            Notification::Added { object, in_initial_list } => (
                "OnAdd",
                Call::Add { object: self.object(object), in_initial_list: *in_initial_list },
            ),
            Notification::Updated { old, new } => {
                ("OnUpdate", Call::Update { old: self.object(old), new: self.object(new) })
            }
            Notification::Deleted { last, final_state_unknown } => (
                "OnDelete",
                Call::Delete { last: self.object(last), final_state_unknown: *final_state_unknown },
            ),
            Notification::Synced => ("OnSynced", Call::Synced),
        }
    }

    fn object(&self, object: &Arc<Object>) -> CallObject {
        CallObject { kind: self.kind.clone(), object: object.clone() }
    }

    /// One line. Absent values are left out of it.
    fn report(&self, event: &str, delivery: &Delivery, handled: &Handled) {
        let handler = &*self.handler;
        let Delivery { notification, attempt } = delivery;
        let object = notification.object();
        let resource = object.map(|_| &*self.kind.plural);
        let key = object.map(|object| object.key.as_str());
        let rv = object.map(|object| &*object.resource_version);
        let uid = object.map(|object| &*object.uid);
        let (mut old_rv, mut initial, mut final_state_unknown) = (None, None, None);
        match notification {
            Notification::Added { in_initial_list: true, .. } => initial = Some(true),
            Notification::Updated { old, .. } => old_rv = Some(&*old.resource_version),
            Notification::Deleted { final_state_unknown: true, .. } => {
                final_state_unknown = Some(true);
            }
            _ => {}
        }
        macro_rules! line {
            ($level:ident, $($result:tt)*) => {
                tracing::$level!(
                    target: DELIVERY_LOG,
                    handler, resource, key, rv, old_rv, uid, initial, final_state_unknown,
                    $($result)*, "{event}"
                )
            };
        }
        match handled {
            Handled::Done => line!(info, result = "ok"),
            Handled::Retry { reason, .. } => line!(warn, result = "failed", attempt, reason),
            Handled::Failed { reason } => line!(warn, result = "refused", attempt, reason),
        }
    }
}

/// The log target of the line that each delivery gets.
const DELIVERY_LOG: &str = "delivery";

impl ResourceEventHandler for GuestHandler {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        let (event, call) = self.call(&delivery.notification);
        let answer = match self.guest.call(self.place, call).await {
            Ok(None) => return Handled::Done,
            Ok(Some(answer)) => Ok(answer),
            Err(error) => Err(error),
        };
        let handled = match answer {
            Ok(Ok(())) => Handled::Done,
            Ok(Err(Failure::Retry(Retry { after_ms, reason }))) => {
                let after = after_ms.map(|after_ms| Duration::from_millis(after_ms.into()));
                Handled::Retry { after, reason: one_line(&reason, REASON_BYTES_MAX) }
            }
            Ok(Err(Failure::Permanent(reason))) => {
                Handled::Failed { reason: one_line(&reason, REASON_BYTES_MAX) }
            }
            // The instance is gone; the next attempt gets a fresh one.
            Err(error) => Handled::Retry { after: None, reason: error.to_string() },
        };
        self.report(event, delivery, &handled);
        handled
    }
}

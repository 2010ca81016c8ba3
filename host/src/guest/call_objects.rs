//! The objects that a running call may read, by ticket.

use std::sync::Arc;

use informer::{JsonText, Object, UnreadableJson};
use kube::core::ApiResource;

use super::bindings::informerd::handler::types::ObjectKey;
use super::instance::CallError;

/// One state of one object, and what kind it is of.
#[derive(Clone)]
pub(super) struct CallObject {
    pub(super) kind: Arc<ApiResource>,
    pub(super) object: Arc<Object>,
}

impl CallObject {
    pub(super) fn key(&self) -> ObjectKey {
        let Self { kind, object } = self;
        ObjectKey {
            group: kind.group.clone(),
            version: kind.version.clone(),
            kind: kind.kind.clone(),
            namespace: object.key.namespace().map(str::to_owned),
            name: object.key.name().to_owned(),
            uid: object.uid.to_string(),
            resource_version: object.resource_version.to_string(),
        }
    }

    /// As [`CallObject::key`], in the room that the one before took.
    pub(super) fn key_in<'k>(&self, key: &'k mut Option<ObjectKey>) -> &'k ObjectKey {
        let Self { kind, object } = self;
        let Some(key) = key else { return key.insert(self.key()) };
        let put = |text: &str, into: &mut String| {
            into.clear();
            into.push_str(text);
        };
        put(&kind.group, &mut key.group);
        put(&kind.version, &mut key.version);
        put(&kind.kind, &mut key.kind);
        match object.key.namespace() {
            Some(namespace) => put(namespace, key.namespace.get_or_insert_default()),
            None => key.namespace = None,
        }
        put(object.key.name(), &mut key.name);
        put(&object.uid, &mut key.uid);
        put(&object.resource_version, &mut key.resource_version);
        key
    }
}

/// Tickets are never given twice to one instance, so one that was kept from an earlier call is
/// recognised.
#[derive(Default)]
pub(super) struct CallObjects {
    next_ticket: u32,
    /// In the order in which tickets were given.
    given: Vec<(u32, CallObject)>,
    /// The JSON that was read last, and its ticket: guests read one value after the other, and it may
    /// have been compressed. No more than one, so that tickets cost no memory.
    read_last: Option<(u32, JsonText)>,
}

impl CallObjects {
    pub(super) fn ticket(&mut self, object: CallObject) -> Result<u32, CallError> {
        if self.room() == 0 {
            return Err(CallError::ContractBroken(format!(
                "asked for more than {TICKETS_MAX} objects in one call: release those that are done with"
            )));
        }
        let ticket = self.next_ticket;
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.given.push((ticket, object));
        Ok(ticket)
    }

    /// How many more tickets can be given.
    pub(super) fn room(&self) -> usize {
        TICKETS_MAX - self.given.len()
    }

    /// The call has returned.
    pub(super) fn clear(&mut self) {
        self.given.clear();
        self.read_last = None;
    }

    pub(super) fn get(&self, ticket: u32) -> Result<&CallObject, CallError> {
        Ok(&self.given[self.position(ticket)?].1)
    }

    /// The object's JSON.
    pub(super) fn json(&mut self, ticket: u32) -> Result<&JsonText, CallError> {
        let last = self.read_last.take().filter(|(last, _)| *last == ticket);
        let text = match last {
            Some((_, text)) => text,
            None => {
                let object = &self.get(ticket)?.object;
                object.json.text().map_err(|error| unreadable(object, &error))?
            }
        };
        let (_, text) = self.read_last.insert((ticket, text));
        Ok(text)
    }

    pub(super) fn release(&mut self, tickets: &[u32]) -> Result<(), CallError> {
        self.read_last = None;
        for ticket in tickets {
            self.given.remove(self.position(*ticket)?);
        }
        Ok(())
    }

    fn position(&self, ticket: u32) -> Result<usize, CallError> {
        // Numbers start again after the last one, so their order is that of their distances.
        let first = self.given.first().map_or(ticket, |(first, _)| *first);
        let distance = |ticket: u32| ticket.wrapping_sub(first);
        let found = self.given.binary_search_by_key(&distance(ticket), |(it, _)| distance(*it));
        found.map_err(|_| {
            CallError::ContractBroken(format!(
                "ticket {ticket} is not of this call, or was released: tickets must not be kept \
                 (keep what was read, or the object's name)"
            ))
        })
    }
}

/// No module is to blame for it.
pub(super) fn unreadable(object: &Object, error: &UnreadableJson) -> CallError {
    CallError::HostBug(format!("{}: {error}", object.key))
}

/// Tickets of one call at a time. Each keeps a state of an object from being freed.
pub(super) const TICKETS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> CallObject {
        let kind = ApiResource {
            group: String::new(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            plural: "pods".to_owned(),
        };
        let key = informer::ObjectKey::new(Some("a"), "b");
        let object =
            Object { key, uid: "".into(), resource_version: "1".into(), json: "{}".into() };
        CallObject { kind: kind.into(), object: object.into() }
    }

    #[test]
    fn a_key_takes_the_place_of_another_one_completely() {
        let (mut key, namespaced) = (None, object());
        let mut cluster_scoped = object();
        Arc::make_mut(&mut cluster_scoped.kind).group = "apps".to_owned();
        let state = Arc::get_mut(&mut cluster_scoped.object).unwrap();
        state.key = informer::ObjectKey::new(None, "a-longer-name");
        (state.uid, state.resource_version) = ("u".into(), "".into());
        for object in [&namespaced, &cluster_scoped, &namespaced] {
            let expected = format!("{:?}", object.key());
            assert_eq!(format!("{:?}", object.key_in(&mut key)), expected);
        }
    }

    #[test]
    fn tickets_are_of_one_call_and_released_ones_make_room() {
        let mut objects = CallObjects { next_ticket: u32::MAX - 1, ..CallObjects::default() };
        let tickets: Vec<u32> = (0..3).filter_map(|_| objects.ticket(object()).ok()).collect();
        assert_eq!(tickets, [u32::MAX - 1, u32::MAX, 0]);
        assert!(tickets.iter().all(|ticket| objects.get(*ticket).is_ok()));
        objects.release(&tickets[..2]).unwrap();
        assert!(objects.get(u32::MAX).is_err() && objects.get(0).is_ok());
        assert!(objects.release(&[u32::MAX]).is_err());
        objects.clear();
        assert!(objects.get(0).is_err());
        let full = (0..2 * TICKETS_MAX).filter_map(|_| objects.ticket(object()).ok()).count();
        assert_eq!(full, TICKETS_MAX);
        let first = objects.given[0].0;
        objects.release(&[first, first + 7]).unwrap();
        assert_eq!(objects.room(), 2);
    }
}

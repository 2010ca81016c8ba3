//! Tells whose pod it is that fails: its ReplicaSet and Deployment, how many replicas of that are
//! available, and how many other pods of the same owner fail as well.
//!
//! Reads them from the cache while it handles the pod, so its spec grants
//! `read: [{ apiVersion: apps/v1, kind: ReplicaSet }, { apiVersion: apps/v1, kind: Deployment }]`. Without
//! the grants it tells of the owner no more than the pod itself does.

mod trouble;

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use crate::trouble::{Owner, controller, trouble};
use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Field, Level, log};
use informerd::handler::{cache, objects};

struct PodOwners;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(PodOwners);

impl Guest for PodOwners {
    fn watches() -> Vec<Watch> {
        vec![Watch {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespaces: Vec::new(),
            label_selector: String::new(),
            field_selector: String::new(),
        }]
    }

    fn init() -> Result<(), String> {
        Ok(())
    }

    fn on_add(key: ObjectKey, object: Ticket, _initial: bool) -> Result<(), Failure> {
        if let Some(reason) = trouble_of(object) {
            tell(&key, object, &reason);
        }
        Ok(())
    }

    fn on_update(key: ObjectKey, old: Ticket, new: Ticket) -> Result<(), Failure> {
        match trouble_of(new) {
            Some(reason) if trouble_of(old).as_ref() != Some(&reason) => tell(&key, new, &reason),
            _ => {}
        }
        Ok(())
    }

    fn on_delete(_key: ObjectKey, _last: Ticket, _unknown: bool) -> Result<(), Failure> {
        Ok(())
    }

    fn on_synced() -> Result<(), Failure> {
        Ok(())
    }
}

fn trouble_of(pod: Ticket) -> Option<String> {
    trouble(&objects::get(pod, "/status")?)
}

fn owner_of(object: Ticket) -> Option<Owner> {
    controller(&objects::get(object, "/metadata/ownerReferences")?)
}

fn tell(key: &ObjectKey, pod: Ticket, reason: &str) {
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let mut text = format!("{namespace}/{} fails: {reason}", key.name);
    let mut fields = vec![field("pod", &key.name), field("reason", reason)];
    let mut owner = owner_of(pod);
    if let Some(owner) = &owner {
        let siblings = failing_siblings(&owner.uid, &key.uid);
        if siblings > 0 {
            text.push_str(&format!(", and {siblings} more of its owner's"));
        }
    }
    while let Some(Owner { api_version, kind, name, .. }) = owner {
        text.push_str(&format!("; of {kind} {name}"));
        fields.push(field(&kind.to_lowercase(), &name));
        let found = cache::get(&api_version, &kind, Some(namespace), &name);
        if let Some(available) = found.and_then(availability) {
            text.push_str(&format!(" ({available})"));
        }
        owner = found.and_then(owner_of);
    }
    log(Level::Warn, &text, &fields);
}

/// Pods of the same owner that fail, page by page.
fn failing_siblings(owner_uid: &str, but: &str) -> usize {
    let (mut failing, mut cursor) = (0, None::<String>);
    loop {
        // The index is there and the cursor is the host's, so that there is nothing to go wrong.
        let page = cache::list_by_index("v1", "Pod", "owner", owner_uid, 100, cursor.as_deref());
        let Ok(page) = page else { return failing };
        let others = page.objects.iter().filter(|pod| objects::key(**pod).uid != but);
        failing += others.filter(|pod| trouble_of(**pod).is_some()).count();
        cache::release(&page.objects);
        cursor = page.cursor;
        if cursor.is_none() {
            return failing;
        }
    }
}

fn availability(owner: Ticket) -> Option<String> {
    let wanted = objects::get(owner, "/spec/replicas")?;
    let available = objects::get(owner, "/status/availableReplicas").unwrap_or("0".into());
    Some(format!("{available} of {wanted} available"))
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.into(), value: value.into() }
}

//! Every state that the objects of one resource ever had, from etcd's own history.
//!
//! Not from what writers were answered: an answer can be lost with the API server that was to give
//! it, and the write be there.

use std::collections::BTreeMap;

use control_plane::EtcdChange;
use serde_json::Value;

use crate::test_objects::View;

/// One resource's history, by key.
#[derive(Clone, Debug, Default)]
pub struct ServerHistory {
    /// Oldest first.
    pub(crate) changes: BTreeMap<String, Vec<Change>>,
    /// All observers began after it, and before the next change.
    pub(crate) begun_at: u64,
}

/// An object was written or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) version: u64,
    /// Also of a deletion: of what was deleted.
    pub(crate) uid: String,
    pub(crate) is_deletion: bool,
}

impl ServerHistory {
    /// The history, in the namespace `default`, of the resource whose objects lie under `prefix`.
    /// The API server must store them as JSON.
    pub fn read(changes: &[EtcdChange], prefix: &str, begun_at: u64) -> Self {
        let mut history = Self { changes: BTreeMap::new(), begun_at };
        for EtcdChange { revision, key, value } in changes {
            let key = key.strip_prefix(prefix).filter(|key| key.starts_with("default/"));
            let Some(key) = key else { continue };
            let changes = history.changes.entry(key.to_owned()).or_default();
            let uid = match value {
                Some(json) => {
                    let object: Value = serde_json::from_slice(json).expect("stored as JSON");
                    object["metadata"]["uid"].as_str().expect("stored with its uid").to_owned()
                }
                None => changes.last().expect("nothing is deleted that was not there").uid.clone(),
            };
            let is_deletion = value.is_none();
            changes.push(Change { version: *revision, uid, is_deletion });
        }
        history
    }

    /// How many objects there ever were under different names.
    pub fn keys(&self) -> usize {
        self.changes.len()
    }

    /// Writes and deletions.
    pub fn len(&self) -> usize {
        self.changes.values().map(Vec::len).sum()
    }

    /// Nothing ever happened.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What is there in the end.
    pub fn view(&self) -> View {
        let last = self.changes.iter().filter_map(|(key, changes)| Some((key, changes.last()?)));
        last.filter(|(_, change)| !change.is_deletion)
            .map(|(key, change)| (key.clone(), (change.uid.clone(), change.version.to_string())))
            .collect()
    }

    /// What happened to one object, in one line.
    pub fn of(&self, key: &str) -> String {
        let changes = self.changes.get(key).into_iter().flatten();
        let word = |it: &Change| if it.is_deletion { "delete" } else { "write" };
        let words = changes.map(|it| format!("{} {}@{}", word(it), it.uid, it.version));
        words.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn newest_version(&self) -> u64 {
        let last = self.changes.values().filter_map(|changes| changes.last());
        last.map(|change| change.version).max().unwrap_or_default()
    }
}

//! What one handler may read of the informers' caches: the collections that it watches, and what of others its
//! spec grants.
//!
//! Absent and forbidden look the same to the guest, counts, cursors and errors included; what it asked for in
//! vain is in the host's log.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::{Arc, Mutex, PoisonError};

use informer::{Lister, NAMESPACE_INDEX, Object, ObjectKey};
use kube::core::ApiResource;

use super::call_objects::CallObject;
use super::log_budget::one_line;
use crate::json_pointer;
use crate::label_selector::LabelSelector;

/// One informer's cache, and what is in it.
pub struct ReadableCollection {
    /// The kind of its objects.
    pub kind: Arc<ApiResource>,
    /// None: all namespaces, or a cluster-scoped kind.
    pub namespace: Option<String>,
    /// The names of the objects in it that may be read; none: of all of them.
    pub names: Option<BTreeSet<String>>,
    /// The cache; it has the [`OWNER_INDEX`].
    pub lister: Lister,
}

/// All that one handler may read.
pub(super) struct ReadableCache {
    handler: Box<str>,
    collections: Vec<ReadableCollection>,
    /// What the guest asked for and may not read, told once each.
    refused: Mutex<BTreeSet<String>>,
}

/// Some of the objects that were asked for, and the cursor of those after them.
pub(super) type CachePage = (Vec<CallObject>, Option<String>);

impl ReadableCache {
    pub(super) fn new(handler: Box<str>, collections: Vec<ReadableCollection>) -> Self {
        Self { handler, collections, refused: Mutex::default() }
    }

    /// The object of this name.
    pub(super) fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<CallObject> {
        // It would be somebody else's key.
        if name.contains('/') || namespace.is_some_and(|it| it.contains('/')) {
            return None;
        }
        let key = ObjectKey::new(namespace, name);
        let found = |of: &ReadableCollection| Some(of.call_object(of.lister.get(&key)?));
        self.collections(api_version, kind, namespace, Some(name)).into_iter().find_map(found)
    }

    /// The objects after `cursor` that the selector selects, `limit` at most.
    pub(super) fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        label_selector: &str,
        (limit, cursor): (usize, Option<&str>),
    ) -> Result<CachePage, String> {
        // Its requirements are checked for each object, and no epoch interrupts that.
        if label_selector.len() > SELECTOR_BYTES_MAX {
            let bytes = label_selector.len();
            return Err(format!(
                "the label selector has {bytes} bytes, more than {SELECTOR_BYTES_MAX}"
            ));
        }
        let selector = LabelSelector::parse(label_selector)
            .map_err(|problem| format!("the label selector {label_selector:?}: {problem}"))?;
        let after = after(cursor)?;
        let mut objects = Vec::new();
        for of in self.collections(api_version, kind, namespace, None) {
            let found = match namespace {
                None => of.lister.objects_where(|key| of.shows(key.name()) && is_after(key, after)),
                Some(namespace) => of.by_index(NAMESPACE_INDEX, namespace)?,
            };
            objects.extend(found.into_iter().map(|object| of.call_object(object)));
        }
        Ok(page(
            objects,
            |object| selector.selects_all() || is_selected(&selector, object),
            limit,
            after,
        ))
    }

    /// The objects after `cursor` under this value of an index, `limit` at most.
    pub(super) fn list_by_index(
        &self,
        api_version: &str,
        kind: &str,
        index: &str,
        value: &str,
        (limit, cursor): (usize, Option<&str>),
    ) -> Result<CachePage, String> {
        if ![NAMESPACE_INDEX, OWNER_INDEX].contains(&index) {
            return Err(format!(
                "there is no index {index:?}: there are {NAMESPACE_INDEX:?} and {OWNER_INDEX:?}"
            ));
        }
        let after = after(cursor)?;
        let mut objects = Vec::new();
        for of in self.collections(api_version, kind, None, None) {
            let found = of.by_index(index, value)?;
            objects.extend(found.into_iter().map(|object| of.call_object(object)));
        }
        Ok(page(objects, |_| true, limit, after))
    }

    /// Those in which such an object can be.
    fn collections(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Vec<&ReadableCollection> {
        let in_place = |of: &&ReadableCollection| {
            of.kind.api_version == api_version
                && of.kind.kind == kind
                && (namespace.is_none()
                    || of.namespace.is_none()
                    || of.namespace.as_deref() == namespace)
        };
        let mut collections: Vec<_> = self.collections.iter().filter(in_place).collect();
        // A name is told of only if that is what it lacks.
        let lacks_name = name.filter(|_| !collections.is_empty());
        collections.retain(|of| name.is_none_or(|name| of.shows(name)));
        if collections.is_empty() {
            let name = lacks_name.map(|name| format!(" {name:?}")).unwrap_or_default();
            let place = namespace.map(|it| format!(" in {it}")).unwrap_or_default();
            self.refuse(&format!("{api_version} {kind}{name}{place}"));
        }
        collections
    }

    fn refuse(&self, asked: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = one_line(asked, REFUSED_BYTES_MAX);
        if refused.len() < REFUSED_MAX && refused.insert(asked.clone()) {
            let problem = format!(
                "the module reads {asked} from the cache and gets nothing: the handler does not watch it, \
                 and its spec does not grant it (spec.grants.read)"
            );
            tracing::warn!(handler = &*self.handler, problem, "not granted");
        }
    }
}

impl ReadableCollection {
    fn by_index(&self, index: &str, value: &str) -> Result<Vec<Arc<Object>>, String> {
        let found = self.lister.by_index(index, value).map_err(|error| error.to_string());
        found.map(|mut objects| {
            objects.retain(|object| self.shows(object.key.name()));
            objects
        })
    }

    /// Whether an object of this name may be read, if it is there.
    fn shows(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }

    fn call_object(&self, object: Arc<Object>) -> CallObject {
        CallObject { kind: self.kind.clone(), object }
    }
}

/// The first `limit` of these objects that are after the cursor and pass.
fn page(
    objects: Vec<CallObject>,
    passes: impl Fn(&Object) -> bool,
    limit: usize,
    after: Option<&str>,
) -> CachePage {
    let objects = objects.into_iter().filter(|it| is_after(&it.object.key, after));
    // A heap, since the order of most objects is never asked for.
    let mut objects: BinaryHeap<_> = objects.map(|it| Reverse(ByKey(it))).collect();
    let mut page = Vec::<CallObject>::new();
    while let Some(Reverse(ByKey(next))) = objects.pop() {
        // Two collections may have the same object.
        let is_twin = page.last().is_some_and(|last| last.object.key == next.object.key);
        if is_twin || !passes(&next.object) {
            continue;
        }
        if page.len() == limit {
            let cursor = page.last().map(|last| format!("{CURSOR}{}", last.object.key));
            return (page, cursor);
        }
        page.push(next);
    }
    (page, None)
}

struct ByKey(CallObject);

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.object.key.cmp(&other.0.object.key)
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByKey {}

/// The key that a cursor stands for.
fn after(cursor: Option<&str>) -> Result<Option<&str>, String> {
    let key = |cursor: &'_ str| {
        format!("{cursor:?} is not a cursor: pass what the page before gave, or none")
    };
    cursor.map(|it| it.strip_prefix(CURSOR).ok_or_else(|| key(it))).transpose()
}

fn is_after(key: &ObjectKey, after: Option<&str>) -> bool {
    after.is_none_or(|after| key.as_str() > after)
}

fn is_selected(selector: &LabelSelector, object: &Object) -> bool {
    // What cannot be read has no labels, as far as anybody can tell.
    let json = object.json.text().ok();
    let labels = json.as_deref().and_then(|json| json_pointer::get(json, "/metadata/labels"));
    let labels = labels.and_then(|json| serde_json::from_str(json).ok());
    selector.matches(&labels.unwrap_or_default())
}

/// The uids of an object's owners; an [`informer::IndexFunc`].
pub fn owners(object: &Object) -> Result<Vec<String>, String> {
    #[derive(serde::Deserialize)]
    struct OwnerReference {
        uid: String,
    }
    let json = object.json.text().map_err(|error| error.to_string())?;
    let json = json_pointer::get(&json, "/metadata/ownerReferences").unwrap_or("null");
    let owners: Option<Vec<OwnerReference>> =
        serde_json::from_str(json).map_err(|error| format!("metadata.ownerReferences: {error}"))?;
    Ok(owners.into_iter().flatten().map(|owner| owner.uid).collect())
}

/// The index that the caches of handlers have that read them: by [`owners`].
pub const OWNER_INDEX: &str = "owner";

/// What a cursor begins with: a key alone would be taken for one.
const CURSOR: &str = "after:";

/// A selector of a thousand requirements.
const SELECTOR_BYTES_MAX: usize = 4 << 10;

/// A guest can make up names without end.
const REFUSED_MAX: usize = 32;
const REFUSED_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod grant_property;

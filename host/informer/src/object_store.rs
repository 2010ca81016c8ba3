//! The objects of a cache, by namespace and key.
//!
//! An object brings its key along, so nothing but a pointer is kept of it here; and what stands in
//! one namespace stands together, so finding it there takes no index.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::hash::{HashMap, HashSet};
use crate::object::{Object, ObjectKey};

#[derive(Default)]
pub(crate) struct ObjectStore {
    /// None of them is empty. Cluster-scoped objects are in `""`.
    namespaces: HashMap<Box<str>, HashSet<ByKey>>,
    len: usize,
}

/// Hashed and compared by its key alone.
struct ByKey(Arc<Object>);

#[expect(clippy::mutable_key_type, reason = "what it is hashed by, its key, never changes")]
impl ObjectStore {
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.namespaces.get(namespace(key))?.get(key).map(|ByKey(object)| object)
    }

    /// Gives what it took the place of.
    pub(crate) fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let of = match self.namespaces.get_mut(namespace(&object.key)) {
            Some(of) => of,
            None => self.namespaces.entry(namespace(&object.key).into()).or_default(),
        };
        let old = of.replace(ByKey(object));
        self.len += usize::from(old.is_none());
        old.map(|ByKey(object)| object)
    }

    pub(crate) fn remove(&mut self, key: &ObjectKey) -> Option<Arc<Object>> {
        let of = self.namespaces.get_mut(namespace(key))?;
        let ByKey(object) = of.take(key)?;
        self.len -= 1;
        if of.is_empty() {
            self.namespaces.remove(namespace(key));
        } else if of.len() < of.capacity() / 8 {
            of.shrink_to(of.len() * 2);
        }
        Some(object)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.namespaces.values().flatten().map(|ByKey(object)| object)
    }

    /// Those that have an object.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.keys().map(|namespace| &**namespace)
    }

    pub(crate) fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        let of = self.namespaces.get(namespace).into_iter();
        of.flatten().map(|ByKey(object)| object)
    }
}

impl FromIterator<Arc<Object>> for ObjectStore {
    /// Of two with one key the later stays.
    fn from_iter<I: IntoIterator<Item = Arc<Object>>>(objects: I) -> Self {
        let mut store = Self::default();
        objects.into_iter().for_each(|object| _ = store.insert(object));
        store
    }
}

fn namespace(key: &ObjectKey) -> &str {
    key.namespace().unwrap_or_default()
}

impl Borrow<ObjectKey> for ByKey {
    fn borrow(&self) -> &ObjectKey {
        &self.0.key
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{key, object, texts};

    #[test]
    fn objects_are_found_by_key_and_by_namespace() {
        let mut store: ObjectStore =
            ["web/a@1", "db/a@2", "a@3", "web/b@4", "web/a@5"].map(object).into_iter().collect();
        assert_eq!(store.len(), 4);
        assert_eq!(store.get(&key("web/a")), Some(&object("web/a@5")), "the later");
        assert_eq!(store.get(&key("web/c")), None);
        assert_eq!(store.get(&key("no/a")), None);
        let found = |store: &ObjectStore, it| texts(store.of_namespace(it).cloned());
        assert_eq!(found(&store, "web"), ["web/a@5", "web/b@4"]);
        assert_eq!(found(&store, ""), ["a@3"]);
        assert_eq!(store.insert(object("web/b@6")), Some(object("web/b@4")));
        assert_eq!(store.remove(&key("web/b")), Some(object("web/b@6")));
        assert_eq!(store.remove(&key("web/b")), None);
        assert_eq!(store.remove(&key("a")), Some(object("a@3")));
        assert_eq!(texts(store.iter().cloned()), ["db/a@2", "web/a@5"]);
        let mut namespaces: Vec<_> = store.namespaces().collect();
        namespaces.sort();
        assert_eq!((namespaces, store.len()), (vec!["db", "web"], 2));
    }

    #[test]
    fn a_namespace_that_becomes_small_gives_its_room_back() {
        let mut store: ObjectStore = (0..1000).map(|i| object(&format!("web/{i}@1"))).collect();
        for i in 10..1000 {
            assert!(store.remove(&key(&format!("web/{i}"))).is_some());
        }
        assert!(store.namespaces["web"].capacity() < 200);
        assert_eq!(store.of_namespace("web").count(), 10);
    }
}

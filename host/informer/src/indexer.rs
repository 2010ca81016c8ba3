//! The cache: the latest state of every object, and indices over them, updated together.
//!
//! in:   the process loop, which alone holds the [`Indexer`]
//! out:  [`Lister`] clones for whoever reads
//!
//! The cache has no event types and no history. Each call takes the lock once, so a reader sees
//! either all of a change or nothing of it.
//!
//! client-go: `cache`, `threadSafeMap` and `index` (rules ST and IX).

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::hash::{HashMap, HashSet};
use crate::object::{Object, ObjectKey};
use crate::object_store::ObjectStore;

/// Derives the values under which an object is found: none, one or several. Must be pure.
/// An error or a panic leaves the object out of this index and is counted.
pub type IndexFunc = Arc<dyn Fn(&Object) -> Result<Vec<String>, String> + Send + Sync>;

/// The index that every cache has: by namespace, `""` for cluster-scoped objects.
pub const NAMESPACE_INDEX: &str = "namespace";

/// Why an index was not added, or cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The name was never added.
    #[error("no index named {0:?}")]
    Unknown(String),
    /// The name is taken; nothing was added.
    #[error("an index named {0:?} exists already")]
    Exists(String),
    /// The function failed on the object that was asked with.
    #[error("the index {name:?} has no values for {key}: {reason}")]
    NoValues {
        /// Which index.
        name: String,
        /// Which object.
        key: ObjectKey,
        /// What the function said.
        reason: String,
    },
    /// The informer has stopped; nothing was added.
    #[error("the informer has stopped")]
    Stopped,
}

/// The writing end of the cache; there is one.
pub struct Indexer(Arc<RwLock<Cache>>);

/// Changes of the cache that belong together.
pub struct Transaction<'a>(RwLockWriteGuard<'a, Cache>);

/// The reading end of the cache. Objects are shared, never copied; the order is arbitrary.
#[derive(Clone)]
pub struct Lister(Arc<RwLock<Cache>>);

#[derive(Default)]
struct Cache {
    /// They are the namespace index, too.
    objects: ObjectStore,
    indices: HashMap<String, Index>,
    resource_version: String,
}

struct Index {
    index_func: IndexFunc,
    keys_by_value: HashMap<Arc<str>, HashSet<ObjectKey>>,
    /// The other way round: the function is asked once for each state of an object, and not again
    /// when the state is an old one, which may be compressed.
    values_by_key: HashMap<ObjectKey, Box<[Arc<str>]>>,
    /// Objects that are left out because the function failed.
    failed: HashSet<ObjectKey>,
}

impl Indexer {
    /// An empty cache with the namespace index.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// A reading end.
    pub fn lister(&self) -> Lister {
        Lister(self.0.clone())
    }

    /// Several changes that readers see all at once: until the transaction is dropped, they wait.
    ///
    /// client-go: `ThreadSafeStoreWithTransaction`.
    pub fn transaction(&mut self) -> Transaction<'_> {
        // Index functions are the only foreign code under this lock, and their panics are caught.
        Transaction(self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// [`Transaction::update`] alone.
    pub fn update(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        self.transaction().update(object)
    }

    /// [`Transaction::put`] alone.
    pub fn put(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        self.transaction().put(object)
    }

    /// [`Transaction::delete`] alone.
    pub fn delete(&mut self, key: &ObjectKey, deleted_at: Option<&str>) -> Option<Arc<Object>> {
        self.transaction().delete(key, deleted_at)
    }

    /// Puts these objects in the place of all others, and the indices with them, as one change.
    /// Gives what was stored before. Of two objects with one key the later is stored.
    ///
    /// client-go: `ThreadSafeStore.Replace`.
    pub fn replace(
        &mut self,
        objects: Vec<Arc<Object>>,
        resource_version: String,
    ) -> std::collections::HashMap<ObjectKey, Arc<Object>> {
        let Transaction(mut cache) = self.transaction();
        let cache = &mut *cache;
        cache.resource_version = resource_version;
        let old = std::mem::replace(&mut cache.objects, objects.into_iter().collect());
        for (name, index) in &mut cache.indices {
            index.rebuild(name, &old, &cache.objects);
        }
        old.iter().map(|object| (object.key.clone(), object.clone())).collect()
    }

    /// Notes that nothing happened up to this version (a bookmark, or the end of a list).
    pub fn set_resource_version(&mut self, resource_version: String) {
        self.transaction().0.resource_version = resource_version;
    }

    /// Adds an index, over the objects that are there too.
    pub fn add_index(&mut self, name: &str, index_func: IndexFunc) -> Result<(), IndexError> {
        let Transaction(mut cache) = self.transaction();
        if name == NAMESPACE_INDEX || cache.indices.contains_key(name) {
            return Err(IndexError::Exists(name.to_owned()));
        }
        let mut index = Index::new(index_func);
        index.rebuild(name, &ObjectStore::default(), &cache.objects);
        cache.indices.insert(name.to_owned(), index);
        Ok(())
    }
}

impl Default for Indexer {
    fn default() -> Self {
        Self::new()
    }
}

impl Transaction<'_> {
    /// Stores the object and gives the one it took the place of. The cache is then at the object's
    /// resource version, if it has one.
    pub fn update(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        self.0.reached(&object.resource_version);
        self.0.store(object)
    }

    /// As [`Transaction::update`], but the cache stays at the version where it is: the object is
    /// one of a list that has not been applied completely, or it was in the cache already.
    pub fn put(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        self.0.store(object)
    }

    /// Forgets the object and gives what was stored. The cache is then at the resource version of
    /// the deletion, if one is given.
    pub fn delete(&mut self, key: &ObjectKey, deleted_at: Option<&str>) -> Option<Arc<Object>> {
        if let Some(resource_version) = deleted_at {
            self.0.reached(resource_version);
        }
        self.0.reindex(key, None);
        self.0.objects.remove(key)
    }
}

impl Lister {
    /// The object with this key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.read().objects.get(key).cloned()
    }

    /// Whether there is an object with this key.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.read().objects.get(key).is_some()
    }

    /// All objects.
    pub fn list(&self) -> Vec<Arc<Object>> {
        self.objects_where(|_| true)
    }

    /// All objects, and the version that the cache is at with exactly these.
    pub fn snapshot(&self) -> (Vec<Arc<Object>>, String) {
        let cache = self.read();
        (cache.objects.iter().cloned().collect(), cache.resource_version.clone())
    }

    /// The objects whose key passes the filter.
    pub fn objects_where(&self, filter: impl Fn(&ObjectKey) -> bool) -> Vec<Arc<Object>> {
        let cache = self.read();
        cache.objects.iter().filter(|object| filter(&object.key)).cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read().objects.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of JSON in the cache. Visits every object.
    pub fn json_bytes(&self) -> usize {
        self.read().objects.iter().map(|object| object.json.len()).sum()
    }

    /// The version that the cache is at: everything up to it has been applied. Empty at first.
    pub fn resource_version(&self) -> String {
        self.read().resource_version.clone()
    }

    /// The objects under this value of this index.
    pub fn by_index(&self, name: &str, value: &str) -> Result<Vec<Arc<Object>>, IndexError> {
        let cache = self.read();
        Ok(cache.under(name, value)?.into_iter().cloned().collect())
    }

    /// The objects that this index finds under any of the values that it has for `object`, each once.
    /// `object` itself need not be cached.
    ///
    /// client-go: `Indexer.Index`.
    pub fn index(&self, name: &str, object: &Object) -> Result<Vec<Arc<Object>>, IndexError> {
        if name == NAMESPACE_INDEX {
            return self.by_index(name, object.key.namespace().unwrap_or_default());
        }
        let cache = self.read();
        let index = cache.index(name)?;
        let values = index.values_of(Some(object)).map_err(|reason| IndexError::NoValues {
            name: name.to_owned(),
            key: object.key.clone(),
            reason,
        })?;
        let keys = values.iter().filter_map(|value| index.keys_by_value.get(&**value)).flatten();
        let keys: HashSet<&ObjectKey> = keys.collect();
        Ok(keys.into_iter().filter_map(|key| cache.objects.get(key).cloned()).collect())
    }

    /// The keys under this value of this index, sorted.
    pub fn index_keys(&self, name: &str, value: &str) -> Result<Vec<ObjectKey>, IndexError> {
        let cache = self.read();
        let keys = cache.under(name, value)?.into_iter().map(|object| object.key.clone());
        Ok(keys.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// All values of this index that have at least one object, sorted.
    pub fn index_values(&self, name: &str) -> Result<Vec<String>, IndexError> {
        let cache = self.read();
        let values: BTreeSet<&str> = match name {
            NAMESPACE_INDEX => cache.objects.namespaces().collect(),
            name => cache.index(name)?.keys_by_value.keys().map(|value| &**value).collect(),
        };
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// How many objects this index leaves out because its function failed on them.
    pub fn index_failures(&self, name: &str) -> Result<usize, IndexError> {
        match name {
            NAMESPACE_INDEX => Ok(0),
            name => Ok(self.read().index(name)?.failed.len()),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Cache> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn index(&self, name: &str) -> Result<&Index, IndexError> {
        self.indices.get(name).ok_or_else(|| IndexError::Unknown(name.to_owned()))
    }

    fn under(&self, name: &str, value: &str) -> Result<Vec<&Arc<Object>>, IndexError> {
        if name == NAMESPACE_INDEX {
            return Ok(self.objects.of_namespace(value).collect());
        }
        let keys = self.index(name)?.keys_by_value.get(value).into_iter().flatten();
        Ok(keys.filter_map(|key| self.objects.get(key)).collect())
    }

    /// An object without a version, since a server or a transform left it out, says nothing of it.
    fn reached(&mut self, resource_version: &str) {
        if !resource_version.is_empty() {
            self.resource_version = resource_version.to_owned();
        }
    }

    fn store(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        self.reindex(&object.key, Some(&object));
        self.objects.insert(object)
    }

    fn reindex(&mut self, key: &ObjectKey, new: Option<&Object>) {
        for (name, index) in &mut self.indices {
            index.reindex(name, key, new);
        }
    }
}

impl Index {
    fn new(index_func: IndexFunc) -> Self {
        Self {
            index_func,
            keys_by_value: HashMap::default(),
            values_by_key: HashMap::default(),
            failed: HashSet::default(),
        }
    }

    /// Over the new objects instead of the old ones.
    fn rebuild(&mut self, name: &str, old: &ObjectStore, new: &ObjectStore) {
        for object in old.iter().filter(|object| new.get(&object.key).is_none()) {
            self.reindex(name, &object.key, None);
        }
        let is_there = |it: &Arc<Object>| old.get(&it.key).is_some_and(|old| Arc::ptr_eq(old, it));
        for object in new.iter().filter(|object| !is_there(object)) {
            self.reindex(name, &object.key, Some(object));
        }
    }

    fn reindex(&mut self, name: &str, key: &ObjectKey, new: Option<&Object>) {
        let values = self.values_of(new);
        match &values {
            Ok(_) => _ = self.failed.remove(key),
            Err(reason) => {
                if self.failed.insert(key.clone()) {
                    tracing::warn!(index = name, %key, reason, "an object is left out of an index");
                }
            }
        }
        let values = values.unwrap_or_default();
        let is_same = |old: &[Arc<str>]| old.iter().map(|old| &**old).eq(&values);
        if self.values_by_key.get(key).map_or(values.is_empty(), |old| is_same(old)) {
            return;
        }
        for value in self.values_by_key.remove(key).into_iter().flatten() {
            if let Some(keys) = self.keys_by_value.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys_by_value.remove(&value);
                }
            }
        }
        if values.is_empty() {
            return;
        }
        let values: Box<[Arc<str>]> = values.into_iter().map(|it| self.shared(it)).collect();
        for value in &values {
            self.keys_by_value.entry(value.clone()).or_default().insert(key.clone());
        }
        self.values_by_key.insert(key.clone(), values);
    }

    /// The value that is there already, if it is.
    fn shared(&self, value: String) -> Arc<str> {
        let there = self.keys_by_value.get_key_value(&*value);
        there.map_or_else(|| value.into(), |(value, _)| value.clone())
    }

    /// A panic is an error: the function is pure, so calling it again would not help.
    fn values_of(&self, object: Option<&Object>) -> Result<Vec<String>, String> {
        let Some(object) = object else { return Ok(Vec::new()) };
        catch_unwind(AssertUnwindSafe(|| (self.index_func)(object)))
            .unwrap_or_else(|_| Err("the index function panicked".to_owned()))
    }
}

#[cfg(test)]
mod tests;

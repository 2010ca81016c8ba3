//! `Storage`: every object, and the window of changes that watches resume from.
//!
//! in: writes (`writes.rs`) under one lock; out: objects as of a resource version, and the changes
//! after one. Each change takes the next number of one global counter, and `compacted` is the
//! resource version up to which changes are forgotten: what is older has `Expired`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::resources::{DEFINITIONS, NAMESPACES, Resource, Resources, defined_by};
use crate::status::Status;

/// The server's objects, for use in its own process. Clones are handles to the same objects.
#[derive(Clone)]
pub struct Storage(Arc<Mutex<State>>);

/// Where an object is, among those of its resource. The namespace is empty if it has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The object that a request is about. The name is empty until a created object gets one.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) resource: Arc<Resource>,
    pub(crate) key: ObjectKey,
}

/// An object as it was at one resource version.
pub(crate) type Object = Arc<Value>;

/// All objects of one `plural.group`.
pub(crate) type Objects = BTreeMap<ObjectKey, Object>;

/// One write that changed something.
pub(crate) struct Change {
    pub(crate) resource_version: u64,
    pub(crate) group_resource: Arc<str>,
    pub(crate) key: ObjectKey,
    /// The object before; none if this created it.
    pub(crate) previous: Option<Object>,
    /// The object after; if deleted, its last state at the deletion's resource version.
    pub(crate) object: Object,
    pub(crate) deleted: bool,
}

pub(crate) struct State {
    pub(crate) resources: Resources,
    pub(crate) resource_version: u64,
    objects: HashMap<Arc<str>, Objects>,
    history: VecDeque<Arc<Change>>,
    history_max: usize,
    compacted: u64,
    latest: watch::Sender<u64>,
}

impl Storage {
    /// Storage that remembers `history_max` changes and holds only the namespace `default`.
    pub(crate) fn new(history_max: usize) -> Storage {
        let state = State {
            resources: Resources::built_in(),
            resource_version: FIRST_RESOURCE_VERSION,
            objects: HashMap::new(),
            history: VecDeque::new(),
            history_max,
            compacted: FIRST_RESOURCE_VERSION,
            latest: watch::Sender::new(FIRST_RESOURCE_VERSION),
        };
        let storage = Storage(Arc::new(Mutex::new(state)));
        storage.lock().ensure_namespace("default").expect("default is a name");
        storage
    }

    /// Creates the object that the manifest names, or merges the manifest into it: maps are merged
    /// (status too), lists are replaced, null removes. Its namespace is created if need be.
    pub fn apply(&self, manifest: Value) -> Result<Arc<Value>, Status> {
        self.lock().apply(None, &manifest)
    }

    /// Deletes an object; one with finalizers stays, marked, until they are gone.
    pub fn delete(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), Status> {
        let mut state = self.lock();
        let target = state.target(api_version, kind, namespace, name)?;
        state.delete(&target, &Value::Null).map(|_| ())
    }

    /// The object, if it exists.
    pub fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let state = self.lock();
        let target = state.target(api_version, kind, namespace, name).ok()?;
        state.get(&target)
    }

    /// Forgets all changes so far: whoever resumes from before now has to list again.
    pub fn compact(&self) {
        let mut state = self.lock();
        state.compacted = state.resource_version;
        state.history.clear();
    }

    /// The resource version of the newest change.
    pub fn resource_version(&self) -> u64 {
        self.lock().resource_version
    }

    /// Nothing that holds the lock panics halfway through a change, so poison is no danger.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn get(&self, target: &Target) -> Option<Object> {
        self.objects.get(&target.resource.group_resource)?.get(&target.key).cloned()
    }

    /// Tells of each new resource version.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// The objects as they were: now, or any time since the last compaction.
    pub(crate) fn objects_at(
        &self,
        resource: &Resource,
        resource_version: u64,
    ) -> Result<Cow<'_, Objects>, Status> {
        if resource_version < self.compacted {
            return Err(Status::too_old_resource_version(resource_version, self.compacted));
        }
        let objects = self.objects.get(&resource.group_resource);
        let mut objects = objects.map_or_else(Cow::default, Cow::Borrowed);
        let newer =
            self.history.iter().rev().take_while(|it| it.resource_version > resource_version);
        for change in newer.filter(|it| it.group_resource == resource.group_resource) {
            let key = change.key.clone();
            match &change.previous {
                Some(previous) => objects.to_mut().insert(key, previous.clone()),
                None => objects.to_mut().remove(&key),
            };
        }
        Ok(objects)
    }

    /// At most `limit` changes of a resource, oldest first, and the resource version they lead to.
    pub(crate) fn changes_after(
        &self,
        resource_version: u64,
        resource: &Resource,
        limit: usize,
    ) -> Result<(Vec<Arc<Change>>, u64), Status> {
        if resource_version < self.compacted {
            return Err(Status::too_old_resource_version(resource_version, self.compacted));
        }
        let seen = self.history.partition_point(|it| it.resource_version <= resource_version);
        let unseen = self.history.range(seen..);
        let changes = unseen.filter(|it| it.group_resource == resource.group_resource);
        let changes: Vec<Arc<Change>> = changes.take(limit).cloned().collect();
        let reached = match changes.last() {
            Some(last) if changes.len() == limit => last.resource_version,
            _ => self.resource_version.max(resource_version),
        };
        Ok((changes, reached))
    }

    /// Stores an object under the next resource version.
    pub(crate) fn put(&mut self, target: &Target, mut value: Value) -> Result<Object, Status> {
        let group_resource = &target.resource.group_resource;
        if **group_resource == *DEFINITIONS {
            let name = &target.key.name;
            let defined = defined_by(&value).map_err(|(field, problem)| {
                Status::invalid("CustomResourceDefinition", name, field, &problem)
            })?;
            self.resources.define(name, defined);
        }
        let resource_version = self.stamp(&mut value);
        let object = Arc::new(value);
        let objects = self.objects.entry(group_resource.clone()).or_default();
        let previous = objects.insert(target.key.clone(), object.clone());
        self.record(target, resource_version, previous, object.clone(), false);
        Ok(object)
    }

    /// Removes an object for good, and what cannot be without it.
    pub(crate) fn remove(&mut self, target: &Target) -> Option<Object> {
        let group_resource = &target.resource.group_resource;
        let previous = self.objects.get_mut(group_resource)?.remove(&target.key)?;
        let mut value = Value::clone(&previous);
        let resource_version = self.stamp(&mut value);
        let object = Arc::new(value);
        self.record(target, resource_version, Some(previous), object.clone(), true);
        match &**group_resource {
            DEFINITIONS => self.remove_custom_objects(&target.key.name),
            NAMESPACES => self.delete_in_namespace(&target.key.name),
            _ => {}
        }
        Some(object)
    }

    fn remove_custom_objects(&mut self, group_resource: &str) {
        for target in self.targets(|resource, _| *resource.group_resource == *group_resource) {
            self.remove(&target);
        }
        self.resources.withdraw(group_resource);
    }

    fn delete_in_namespace(&mut self, namespace: &str) {
        for target in self.targets(|_, key| key.namespace == namespace) {
            // Nothing can refuse: the object is there and no precondition is given.
            let _ = self.delete(&target, &Value::Null);
        }
    }

    fn targets(&self, wanted: impl Fn(&Resource, &ObjectKey) -> bool) -> Vec<Target> {
        let mut targets = Vec::new();
        for (group_resource, objects) in &self.objects {
            let mut served = self.resources.iter();
            let Some(resource) = served.find(|it| it.group_resource == *group_resource) else {
                continue;
            };
            let keys = objects.keys().filter(|key| wanted(resource, key));
            targets.extend(keys.map(|key| Target { resource: resource.clone(), key: key.clone() }));
        }
        targets
    }

    fn stamp(&mut self, value: &mut Value) -> u64 {
        self.resource_version += 1;
        value["metadata"]["resourceVersion"] = self.resource_version.to_string().into();
        self.resource_version
    }

    fn record(
        &mut self,
        target: &Target,
        resource_version: u64,
        previous: Option<Object>,
        object: Object,
        deleted: bool,
    ) {
        let group_resource = target.resource.group_resource.clone();
        let key = target.key.clone();
        let change = Change { resource_version, group_resource, key, previous, object, deleted };
        self.history.push_back(Arc::new(change));
        while self.history.len() > self.history_max {
            let oldest = self.history.pop_front();
            self.compacted = oldest.map_or(self.compacted, |it| it.resource_version);
        }
        self.latest.send_replace(resource_version);
    }
}

/// Where the counter starts, so that tests meet versions of more than one digit.
const FIRST_RESOURCE_VERSION: u64 = 1000;

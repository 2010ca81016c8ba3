//! Writes: create, update, patch, apply and delete, as a real server's registry does them.
//!
//! in: bodies that clients control; out: one change in `storage.rs`, or none if nothing differs, or
//! a `Status`. Everything here runs under the storage's lock, so a read and its write are one step.

use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::patch::Patch;
use crate::resources::{DEFINITIONS, NAMESPACES, Resource};
use crate::status::Status;
use crate::storage::{Object, ObjectKey, State, Target};

/// What of an object a write may change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Part {
    /// All but the status, if that is a subresource.
    Object,
    /// The status alone.
    Status,
    /// Both at once: for those in the server's own process.
    Everything,
}

impl State {
    pub(crate) fn target(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Target, Status> {
        let resource = self.resources.of_kind(api_version, kind).ok_or_else(|| {
            Status::bad_request(format!("no matches for kind {kind:?} in version {api_version:?}"))
        })?;
        let namespace = match (resource.namespaced, namespace) {
            (false, _) => "",
            (true, "") => "default",
            (true, namespace) => namespace,
        };
        let key = ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() };
        Ok(Target { resource, key })
    }

    pub(crate) fn create(
        &mut self,
        target: &Target,
        mut body: Value,
        part: Part,
    ) -> Result<Object, Status> {
        let mut target = target.clone();
        let resource = target.resource.clone();
        check(&mut body, &target)?;
        if target.key.name.is_empty() {
            target.key.name = self.new_name(&target, &body);
        }
        check_name(&target)?;
        if body["metadata"]["resourceVersion"].as_str().is_some_and(|it| !it.is_empty()) {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Status::bad_request(message));
        }
        if self.get(&target).is_some() {
            return Err(Status::already_exists(&resource, &target.key.name));
        }
        if resource.namespaced {
            self.ensure_namespace(&target.key.namespace)?;
        }
        let has_generation = resource.is_custom || body.get("spec").is_some();
        let metadata = map(&mut body, "metadata");
        metadata.retain(|field, _| !SERVER_OWNED.contains(&field.as_str()));
        metadata.insert("name".to_owned(), target.key.name.as_str().into());
        metadata.insert("uid".to_owned(), new_uid().into());
        metadata.insert("creationTimestamp".to_owned(), now().into());
        if has_generation {
            metadata.insert("generation".to_owned(), 1.into());
        }
        if part == Part::Object && resource.has_status {
            map_of(&mut body).remove("status");
        }
        set_defaults(&resource, &mut body);
        self.put(&target, body)
    }

    pub(crate) fn update(
        &mut self,
        target: &Target,
        mut body: Value,
        part: Part,
    ) -> Result<Object, Status> {
        let resource = &*target.resource;
        let Some(old) = self.get(target) else {
            return Err(Status::not_found(resource, &target.key.name));
        };
        check(&mut body, target)?;
        check_unchanged(target, &old, &body, part)?;
        let mut next = match part {
            Part::Status => with_field_of(Value::clone(&old), &body, "status"),
            Part::Object if resource.has_status => with_field_of(body, &old, "status"),
            Part::Object | Part::Everything => body,
        };
        next["apiVersion"] = old["apiVersion"].clone();
        let metadata = map(&mut next, "metadata");
        for field in SERVER_OWNED {
            metadata.remove(field);
            if let Some(value) = old["metadata"].get(field) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        if let Some(managed) = old["metadata"].get("managedFields") {
            metadata.entry("managedFields").or_insert_with(|| managed.clone());
        }
        set_defaults(resource, &mut next);
        if next == *old {
            return Ok(old);
        }
        if !content(resource, &next).eq(content(resource, &old)) {
            increment_generation(&mut next);
        }
        if is_terminating(&next) && !has_finalizers(&next) {
            // apiserver: Store.deleteWithoutFinalizers removes the last stored state, without an
            // event of the finalizers' removal, and answers with what was asked for.
            self.remove(target);
            return Ok(Object::new(next));
        }
        self.put(target, next)
    }

    /// The object after the patch, and whether the patch created it: only an apply does.
    pub(crate) fn patch(
        &mut self,
        target: &Target,
        patch: &Patch,
        part: Part,
    ) -> Result<(Object, bool), Status> {
        let name = &target.key.name;
        patch.check_for(&target.resource)?;
        let Some(old) = self.get(target) else {
            if !matches!(patch, Patch::Apply { .. }) || part == Part::Status {
                return Err(Status::not_found(&target.resource, name));
            }
            let mut body = json!({});
            patch.apply(&mut body).map_err(|it| refused(target, &it))?;
            return Ok((self.create(target, body, part)?, true));
        };
        let mut body = Value::clone(&old);
        body["apiVersion"] = target.resource.api_version().into();
        patch.apply(&mut body).map_err(|it| refused(target, &it))?;
        Ok((self.update(target, body, part)?, false))
    }

    /// Creates what the manifest names, or merges into it what changed since `previous`.
    pub(crate) fn apply(
        &mut self,
        previous: Option<&Value>,
        manifest: &Value,
    ) -> Result<Object, Status> {
        let text = |pointer| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let target = self.target(api_version, kind, namespace, name)?;
        let existing = self.get(&target);
        let mut changes = match (previous, &existing) {
            (Some(previous), Some(_)) => difference(previous, manifest),
            _ => manifest.clone(),
        };
        if let Some(metadata) = changes.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| !SERVER_OWNED.contains(&field.as_str()));
        }
        let mut body = existing.as_deref().cloned().unwrap_or_else(|| json!({}));
        body["apiVersion"] = api_version.into();
        json_patch::merge(&mut body, &changes);
        match existing {
            Some(_) => self.update(&target, body, Part::Everything),
            None => self.create(&target, body, Part::Everything),
        }
    }

    /// The object's last state and whether it is gone: with finalizers it is only marked.
    pub(crate) fn delete(
        &mut self,
        target: &Target,
        options: &Value,
    ) -> Result<(Object, bool), Status> {
        let (resource, name) = (&target.resource, &target.key.name);
        let Some(object) = self.get(target) else { return Err(Status::not_found(resource, name)) };
        for field in ["uid", "resourceVersion"] {
            let actual = &object["metadata"][field];
            match options["preconditions"][field].as_str() {
                Some(expected) if actual != expected => {
                    let why = format!("the precondition's {field} is {expected}, not {actual}");
                    return Err(Status::conflict(resource, name, why));
                }
                _ => {}
            }
        }
        if !has_finalizers(&object) {
            return Ok((self.remove(target).unwrap_or(object), true));
        }
        if is_terminating(&object) {
            return Ok((object, false));
        }
        let mut next = Value::clone(&object);
        next["metadata"]["deletionTimestamp"] = now().into();
        next["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        increment_generation(&mut next);
        Ok((self.put(target, next)?, false))
    }

    /// Creates the namespace if it does not exist, where a real server would refuse.
    pub(crate) fn ensure_namespace(&mut self, name: &str) -> Result<(), Status> {
        let target = self.target("v1", "Namespace", "", name)?;
        if self.get(&target).is_none() {
            self.create(&target, json!({}), Part::Everything)?;
        }
        Ok(())
    }

    fn new_name(&self, target: &Target, body: &Value) -> String {
        let text = |field: &str| body["metadata"][field].as_str().unwrap_or_default();
        let (name, prefix) = (text("name"), text("generateName"));
        if !name.is_empty() || prefix.is_empty() {
            return name.to_owned();
        }
        loop {
            let mut target = target.clone();
            target.key.name = format!("{prefix}{}", name_suffix());
            if self.get(&target).is_none() {
                return target.key.name;
            }
        }
    }
}

/// Makes the body say what the path says, refuses one that says otherwise, and one whose metadata
/// is not of the right types. From here on `metadata` is a map.
fn check(body: &mut Value, target: &Target) -> Result<(), Status> {
    let resource = &*target.resource;
    let Some(object) = body.as_object_mut() else {
        return Err(Status::bad_request("the body is not an object"));
    };
    same_or_set(object, "apiVersion", &resource.api_version())?;
    same_or_set(object, "kind", &resource.kind)?;
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(Status::bad_request("metadata is not an object"));
    };
    metadata.retain(|_, value| !value.is_null());
    if resource.namespaced {
        same_or_set(metadata, "namespace", &target.key.namespace)?;
    } else {
        metadata.remove("namespace");
    }
    if !target.key.name.is_empty() {
        same_or_set(metadata, "name", &target.key.name)?;
    }
    for (field, value) in metadata.iter() {
        let strings = |it: &Map<String, Value>| it.values().all(Value::is_string);
        let ok = match field.as_str() {
            "name" | "generateName" | "resourceVersion" | "uid" => value.is_string(),
            "labels" | "annotations" => value.as_object().is_some_and(strings),
            "finalizers" => value.as_array().is_some_and(|it| it.iter().all(Value::is_string)),
            "ownerReferences" | "managedFields" => value.is_array(),
            _ => true,
        };
        if !ok {
            return Err(Status::bad_request(format!("metadata.{field} is of the wrong type")));
        }
    }
    Ok(())
}

fn same_or_set(map: &mut Map<String, Value>, field: &str, expected: &str) -> Result<(), Status> {
    match map.get(field) {
        Some(actual) if actual == expected => Ok(()),
        None | Some(Value::Null) => {
            map.insert(field.to_owned(), expected.into());
            Ok(())
        }
        Some(Value::String(empty)) if empty.is_empty() => {
            map.insert(field.to_owned(), expected.into());
            Ok(())
        }
        Some(actual) => {
            let message = format!("the {field} in the body ({actual}) is not {expected:?}");
            Err(Status::bad_request(message))
        }
    }
}

/// A DNS subdomain; RBAC's names are freer, they only have to fit in a path.
fn check_name(target: &Target) -> Result<(), Status> {
    let (resource, name) = (&target.resource, &target.key.name);
    let invalid = |problem| Status::invalid(&resource.kind, name, "metadata.name", problem);
    if name.is_empty() {
        return Err(invalid("Required value: name or generateName is required"));
    }
    let alphanumeric = |it: Option<char>| it.is_some_and(|it| it.is_ascii_alphanumeric());
    let ok = if resource.group == "rbac.authorization.k8s.io" {
        name != "." && name != ".." && !name.contains(['/', '%'])
    } else {
        let allowed =
            |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-' || it == '.';
        name.len() <= 253
            && name.chars().all(allowed)
            && alphanumeric(name.chars().next())
            && alphanumeric(name.chars().last())
    };
    if ok { Ok(()) } else { Err(invalid("Invalid value: must be a lowercase RFC 1123 subdomain")) }
}

/// Optimistic locking: what the client has read must be what is there.
fn check_unchanged(target: &Target, old: &Value, body: &Value, part: Part) -> Result<(), Status> {
    let (resource, name) = (&target.resource, &target.key.name);
    let given = |field: &str| {
        body["metadata"][field].as_str().filter(|it| !it.is_empty()).map(str::to_owned)
    };
    if given("uid").is_some_and(|uid| old["metadata"]["uid"] != uid) {
        let why = "the UID in the body does not match the UID in record";
        return Err(Status::conflict(resource, name, why));
    }
    match given("resourceVersion") {
        Some(version) if old["metadata"]["resourceVersion"] != version => {
            let why = "the object has been modified; please apply your changes to the latest \
                       version and try again";
            Err(Status::conflict(resource, name, why))
        }
        None if resource.is_custom && part != Part::Everything => {
            let field = "metadata.resourceVersion";
            let problem = "Invalid value: 0: must be specified for an update";
            Err(Status::invalid(&resource.kind, name, field, problem))
        }
        _ => Ok(()),
    }
}

/// What a real server or its controllers would fill in at once and clients wait for.
fn set_defaults(resource: &Resource, object: &mut Value) {
    match &*resource.group_resource {
        NAMESPACES => {
            let name = object["metadata"]["name"].clone();
            let labels = map(map_value(object, "metadata"), "labels");
            labels.insert("kubernetes.io/metadata.name".to_owned(), name);
            map(object, "status").entry("phase").or_insert("Active".into());
        }
        "pods" => {
            map(object, "status").entry("phase").or_insert("Pending".into());
        }
        DEFINITIONS => {
            let condition = |kind: &str, reason: &str| {
                json!({
                    "type": kind, "status": "True", "reason": reason, "message": "",
                    "lastTransitionTime": object["metadata"]["creationTimestamp"],
                })
            };
            let names_accepted = condition("NamesAccepted", "NoConflicts");
            let established = condition("Established", "InitialNamesAccepted");
            let versions = object["spec"]["versions"].as_array();
            let stored = versions.into_iter().flatten().filter(|it| it["storage"] == true);
            let stored: Vec<&Value> = stored.map(|it| &it["name"]).collect();
            object["status"] = json!({
                "conditions": [names_accepted, established],
                "acceptedNames": object["spec"]["names"], "storedVersions": stored,
            });
        }
        _ => {}
    }
}

/// The fields whose change makes a new generation.
fn content<'a>(
    resource: &'a Resource,
    object: &'a Value,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(field, _)| match field.as_str() {
        "apiVersion" | "kind" | "metadata" => false,
        "status" => !resource.has_status,
        _ => true,
    })
}

fn increment_generation(object: &mut Value) {
    if let Some(generation) = object["metadata"]["generation"].as_u64() {
        object["metadata"]["generation"] = (generation + 1).into();
    }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|it| !it.is_empty())
}

fn is_terminating(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

fn with_field_of(mut object: Value, other: &Value, field: &str) -> Value {
    let fields = map_of(&mut object);
    match other.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
    object
}

fn map_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was just made a map")
}

fn map_value<'a>(object: &'a mut Value, field: &str) -> &'a mut Value {
    map_of(object).entry(field).or_insert_with(|| json!({}))
}

fn map<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    map_of(map_value(object, field))
}

/// The RFC 7386 patch that leads from one value to another.
fn difference(from: &Value, to: &Value) -> Value {
    let (Some(from), Some(to)) = (from.as_object(), to.as_object()) else { return to.clone() };
    let removed = from.keys().filter(|field| !to.contains_key(*field));
    let mut patch: Map<_, _> = removed.map(|field| (field.clone(), Value::Null)).collect();
    for (field, value) in to {
        match from.get(field) {
            Some(old) if old == value => {}
            Some(old) => drop(patch.insert(field.clone(), difference(old, value))),
            None => drop(patch.insert(field.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

fn refused(target: &Target, problem: &str) -> Status {
    Status::invalid(&target.resource.kind, &target.key.name, "patch", problem)
}

pub(crate) fn now() -> String {
    format!("{:.0}", Timestamp::now())
}

fn new_uid() -> String {
    let (high, low) = (random(), random());
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    let (d, e) = ((low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
    format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
}

fn name_suffix() -> String {
    let letters = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = random();
    let mut letter = || {
        let index = random % letters.len() as u64;
        random /= letters.len() as u64;
        char::from(letters[index as usize])
    };
    (0..5).map(|_| letter()).collect()
}

/// Each `RandomState` hashes differently; unpredictable enough for names.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Metadata that clients cannot set.
const SERVER_OWNED: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "selfLink",
    "uid",
];

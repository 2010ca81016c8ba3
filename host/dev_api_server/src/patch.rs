//! Patches: the four content types of PATCH.
//!
//! JSON patch and merge patch are the RFCs'. A strategic merge patch knows the usual lists by field
//! name (`MERGE_KEYS`), not by schema, and replaces the others. Server-side apply is the same merge
//! and a `managedFields` entry: no conflicts, and a field left out of the next apply stays.

use serde_json::{Map, Value, json};

use crate::resources::Resource;
use crate::status::Status;
use crate::writes::now;

/// A change to an object, as a client describes it.
#[derive(Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    StrategicMerge(Value),
    Apply { manifest: Value, field_manager: String },
}

impl Patch {
    pub(crate) fn parse(
        content_type: &str,
        field_manager: &str,
        body: &[u8],
    ) -> Result<Patch, Status> {
        let malformed =
            |error: serde_json::Error| Status::bad_request(format!("malformed patch: {error}"));
        let map = || match serde_json::from_slice(body).map_err(malformed)? {
            map @ Value::Object(_) => Ok(map),
            _ => Err(Status::bad_request("malformed patch: it is not an object")),
        };
        match content_type {
            "application/json-patch+json" => {
                serde_json::from_slice(body).map(Patch::Json).map_err(malformed)
            }
            "application/merge-patch+json" => map().map(Patch::Merge),
            "application/strategic-merge-patch+json" => map().map(Patch::StrategicMerge),
            "application/apply-patch+yaml" => apply_patch(field_manager, body),
            _ => Err(Status::unsupported_media_type(content_type, MEDIA_TYPES)),
        }
    }

    /// A real server has no schema to merge custom objects strategically by.
    pub(crate) fn check_for(&self, resource: &Resource) -> Result<(), Status> {
        if resource.is_custom && matches!(self, Patch::StrategicMerge(_)) {
            let content_type = "application/strategic-merge-patch+json";
            return Err(Status::unsupported_media_type(content_type, MEDIA_TYPES));
        }
        Ok(())
    }

    /// Changes the object; if it cannot, says why.
    pub(crate) fn apply(&self, object: &mut Value) -> Result<(), String> {
        match self {
            Patch::Json(patch) => {
                json_patch::patch(object, patch).map_err(|error| error.to_string())?;
            }
            Patch::Merge(patch) => json_patch::merge(object, patch),
            Patch::StrategicMerge(patch) => strategic_merge(object, patch),
            Patch::Apply { manifest, field_manager } => {
                let before = object.clone();
                strategic_merge(object, manifest);
                manage(object, &before, manifest, field_manager);
            }
        }
        Ok(())
    }
}

fn apply_patch(field_manager: &str, body: &[u8]) -> Result<Patch, Status> {
    let manifest: Value = from_yaml(body)?;
    if manifest["apiVersion"].as_str().is_none() || manifest["kind"].as_str().is_none() {
        return Err(Status::bad_request("an apply patch must have apiVersion and kind"));
    }
    if field_manager.is_empty() {
        return Err(Status::bad_request("fieldManager is required for apply patch"));
    }
    if manifest["metadata"].get("managedFields").is_some_and(|it| !it.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    Ok(Patch::Apply { manifest, field_manager: field_manager.to_owned() })
}

/// YAML, or JSON, which is read faster as what it is.
pub(crate) fn from_yaml(body: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(body).or_else(|_| serde_saphyr::from_slice(body)).map_err(|error| {
        Status::bad_request(format!("error decoding YAML: {}", error.without_snippet()))
    })
}

fn strategic_merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() || patch.get("$patch").is_some_and(|it| it == "replace") {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (field, value) in patch {
        if let Some(list) = field.strip_prefix("$deleteFromPrimitiveList/") {
            let (list, gone) = (target.get_mut(list).and_then(Value::as_array_mut), value);
            let is_gone = |it: &Value| gone.as_array().is_some_and(|gone| gone.contains(it));
            list.into_iter().for_each(|list| list.retain(|it| !is_gone(it)));
        } else if field.starts_with('$') {
            // The other directives order lists or drop union members: cosmetic without a schema.
        } else if value.is_null() {
            target.remove(field);
        } else if let Some(elements) = value.as_array() {
            merge_list(target, field, elements);
        } else {
            strategic_merge(target.entry(field).or_insert(Value::Null), value);
        }
    }
}

fn merge_list(target: &mut Map<String, Value>, field: &str, elements: &[Value]) {
    let list = target.entry(field).or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else { return };
    let keys = MERGE_KEYS.iter().filter(|(_, fields)| fields.contains(&field));
    let mut keys = keys.map(|(key, _)| key);
    let key = keys.find(|key| elements.iter().all(|it| it.get(key).is_some()));
    let replaces = |it: &Value| it.get("$patch").is_some_and(|it| it == "replace");
    if (key.is_none() && field != "finalizers") || elements.iter().any(replaces) {
        list.clear();
    }
    for element in elements.iter().filter(|it| !replaces(it)) {
        let found = list.iter().position(|it| match key {
            Some(key) => it.get(key) == element.get(key),
            None => field == "finalizers" && it == element,
        });
        if element.get("$patch").is_some_and(|it| it == "delete") {
            found.map(|index| list.remove(index));
            continue;
        }
        let index = found.unwrap_or_else(|| {
            list.push(Value::Null);
            list.len() - 1
        });
        strategic_merge(&mut list[index], element);
    }
}

/// Notes in `managedFields` what the manager applied, unless that is what it says already.
fn manage(object: &mut Value, before: &Value, manifest: &Value, manager: &str) {
    let mut fields = fields_v1(manifest);
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|field, _| field != "f:apiVersion" && field != "f:kind");
    }
    let entry = json!({
        "manager": manager, "operation": "Apply", "apiVersion": manifest["apiVersion"],
        "time": now(), "fieldsType": "FieldsV1", "fieldsV1": fields,
    });
    let changed = object != before;
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let entries = metadata.entry("managedFields").or_insert_with(|| json!([]));
    let Some(entries) = entries.as_array_mut() else { return };
    let same = |it: &&mut Value| it["manager"] == manager && it["operation"] == "Apply";
    match entries.iter_mut().find(same) {
        Some(old) if changed || old["fieldsV1"] != entry["fieldsV1"] => *old = entry,
        Some(_) => {}
        None => entries.push(entry),
    }
}

fn fields_v1(value: &Value) -> Value {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(field, value)| (format!("f:{field}"), fields_v1(value))).collect()
}

const MEDIA_TYPES: &str = "application/json-patch+json, application/merge-patch+json, \
     application/strategic-merge-patch+json, application/apply-patch+yaml";

/// What tells the elements of a list apart, for the lists of the built-in kinds.
const MERGE_KEYS: &[(&str, &[&str])] = &[
    ("name", &["containers", "initContainers", "ephemeralContainers", "env", "volumes"]),
    ("name", &["imagePullSecrets", "secrets"]),
    ("mountPath", &["volumeMounts"]),
    ("devicePath", &["volumeDevices"]),
    ("containerPort", &["ports"]),
    ("port", &["ports"]),
    ("type", &["conditions", "addresses"]),
    ("uid", &["ownerReferences"]),
    ("ip", &["hostAliases"]),
    ("topologyKey", &["topologySpreadConstraints"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(mut object: Value, patch: Value) -> Value {
        strategic_merge(&mut object, &patch);
        object
    }

    #[test]
    fn a_strategic_merge_keeps_what_a_list_element_does_not_mention() {
        let old =
            json!({"containers": [{"name": "a", "image": "x:1", "tty": true}, {"name": "b"}]});
        let patch = json!({
            "$setElementOrder/containers": [{"name": "a"}, {"name": "c"}],
            "containers": [
                {"name": "a", "image": "x:2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}
            ],
        });
        let new =
            json!({"containers": [{"name": "a", "image": "x:2", "tty": true}, {"name": "c"}]});
        assert_eq!(merged(old, patch), new);
    }

    #[test]
    fn a_strategic_merge_replaces_lists_it_does_not_know_and_removes_nulls() {
        let old = json!({"args": ["a", "b"], "finalizers": ["x", "y"], "gone": 1});
        let patch = json!({
            "args": ["c"], "finalizers": ["y", "z"], "$deleteFromPrimitiveList/finalizers": ["x"],
            "gone": null,
        });
        assert_eq!(merged(old, patch), json!({"args": ["c"], "finalizers": ["y", "z"]}));
    }
}

//! One custom resource as the server has it, and the handler that it describes.

use std::path::{Component, Path, PathBuf};

use informer::{Object, ObjectKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ResourcePolicy;
use super::status::ResourceStatus;
use crate::handlers::definition::{DefinitionSource, HandlerDefinition, ModuleFile};
use crate::handlers::spec::{HandlerSpec, validate_name};

/// What is read of a custom resource.
pub(super) struct HandlerObject {
    pub(super) key: ObjectKey,
    pub(super) uid: String,
    /// `metadata.generation`: another one when the spec, and not only the status, has changed.
    pub(super) generation: i64,
    /// Somebody has deleted it, and a finalizer keeps it.
    pub(super) is_deleting: bool,
    spec: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Document {
    metadata: Metadata,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    generation: i64,
    deletion_timestamp: Option<String>,
}

impl HandlerObject {
    /// The object, and what its status says; a status that is not ours is none.
    pub(super) fn read(object: &Object) -> anyhow::Result<(Self, ResourceStatus)> {
        let json = object.json.text()?;
        let Document { metadata, spec, status } = serde_json::from_str(&json)?;
        let status = status.and_then(|status| serde_json::from_str(status.get()).ok());
        let this = Self {
            key: object.key.clone(),
            uid: object.uid.to_string(),
            generation: metadata.generation,
            is_deleting: metadata.deletion_timestamp.is_some(),
            spec,
        };
        Ok((this, status.unwrap_or_default()))
    }

    /// It asks for the same as the other one.
    pub(super) fn is_same_generation(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.generation, it.is_deleting);
        self.uid == other.uid && of(self) == of(other)
    }

    /// The handler that it describes. Looks at the module's file. Errors name the field.
    pub(super) fn definition(&self, policy: &ResourcePolicy) -> Result<HandlerDefinition, String> {
        let name = self.key.name().to_owned();
        let namespace = self.key.namespace().unwrap_or_default().to_owned();
        validate_name(&name)?;
        let spec = self.spec.as_ref().ok_or("spec is missing")?;
        let spec = HandlerSpec::from_json(spec.get())?;
        let module_dir = policy.module_dir.as_deref();
        let file = spec.module.path().map(|path| module_in(module_dir, path)).transpose()?;
        let is_confined = !policy.cluster_wide.contains(&namespace);
        Ok(HandlerDefinition {
            name: self.key.to_string(),
            file,
            namespace: is_confined.then(|| namespace.clone()),
            source: DefinitionSource::Resource { namespace, name, generation: self.generation },
            spec,
        })
    }
}

/// The module at a path in the folder. Errors do not tell who may only write custom resources how the folder
/// is called.
fn module_in(module_dir: Option<&Path>, path: &Path) -> Result<ModuleFile, String> {
    let problem = |problem: &str| format!("spec.module.path {}: {problem}", path.display());
    let Some(folder) = module_dir else {
        return Err(problem(
            "this host takes no modules by their path from custom resources: start it with \
             --module-dir DIR",
        ));
    };
    let is_inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !path.components().all(is_inside) {
        return Err(problem("it must be relative, and without `..`"));
    }
    let module: PathBuf = folder.join(path);
    let module = ModuleFile::at(&module).map_err(|error| problem(&error.to_string()))?;
    match module.path.starts_with(folder) && module.path.is_file() {
        true => Ok(module),
        false => Err(problem("it must be a file in the host's modules folder, and no link out")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    fn object(name: &str, rest: Value) -> HandlerObject {
        let mut json = json!({ "metadata": { "generation": 3 } });
        json.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let object = Object {
            key: ObjectKey::new(Some("team-a"), name),
            uid: "u".into(),
            resource_version: "7".into(),
            json: json.to_string().into(),
        };
        HandlerObject::read(&object).unwrap().0
    }

    fn with_module(path: &str) -> HandlerObject {
        object("pods", json!({ "spec": { "module": { "path": path } } }))
    }

    #[test]
    fn a_resource_is_confined_to_its_namespace_unless_the_operator_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.wasm"), "").unwrap();
        let policy = |cluster_wide: &[&str]| {
            let namespaces = cluster_wide.iter().map(ToString::to_string);
            ResourcePolicy::new(Some(folder.path()), namespaces).unwrap()
        };
        let definition = with_module("a.wasm").definition(&policy(&["team-b"])).unwrap();
        assert_eq!(definition.name, "team-a/pods");
        assert_eq!(definition.namespace.as_deref(), Some("team-a"));
        assert_eq!(definition.source.to_string(), "Handler team-a/pods");
        let definition = with_module("./a.wasm").definition(&policy(&["team-a"])).unwrap();
        assert_eq!(definition.namespace, None);
    }

    #[test]
    fn a_module_is_a_file_in_the_operators_folder_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("modules")).unwrap();
        fs::create_dir(folder.path().join("modules/folder")).unwrap();
        fs::write(folder.path().join("outside.wasm"), "").unwrap();
        let link = folder.path().join("modules/link.wasm");
        std::os::unix::fs::symlink("../outside.wasm", link).unwrap();
        let policy = ResourcePolicy::new(Some(&folder.path().join("modules")), []).unwrap();
        for (path, expected) in [
            ("../outside.wasm", "without `..`"),
            ("folder/../../outside.wasm", "without `..`"),
            ("/etc/passwd", "must be relative"),
            ("link.wasm", "no link out"),
            ("folder", "must be a file"),
            ("", "must be a file"),
            ("missing.wasm", "No such file"),
        ] {
            let error = with_module(path).definition(&policy).unwrap_err();
            assert!(error.contains("spec.module.path"), "{error}");
            assert!(error.contains(expected), "{path:?} gave {error}");
            assert!(!error.contains(folder.path().to_str().unwrap()), "{error}");
        }
        let error = with_module("a.wasm").definition(&ResourcePolicy::default()).unwrap_err();
        assert!(error.contains("--module-dir"), "{error}");
        let error = ResourcePolicy::new(Some(Path::new("/nowhere")), []).unwrap_err();
        assert!(error.to_string().contains("--module-dir"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_names_the_field() {
        let policy = ResourcePolicy::default();
        for (name, rest, expected) in [
            ("a", json!({}), "spec is missing"),
            ("a", json!({ "spec": {} }), "module"),
            ("a", json!({ "spec": { "module": { "path": "a" }, "modul": 1 } }), "modul"),
            (
                "a",
                json!({ "spec": { "module": { "path": "a" }, "limits": { "memory": "1" } } }),
                "spec.limits.memory",
            ),
            ("a.b", json!({ "spec": { "module": { "path": "a" } } }), "metadata.name"),
        ] {
            let error = object(name, rest).definition(&policy).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}

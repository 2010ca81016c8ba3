//! The handlers directory: which handlers its files describe.
//!
//! A `.yaml` or `.yml` file is a handler spec and names its module. A `.wasm` file that no spec
//! names is a handler by itself, named for the file; it says itself what it watches. Files whose names
//! begin with a dot are left alone: who writes a file anew writes such a one first and renames it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::definition::{DefinitionSource, HandlerDefinition, ModuleFile};
use super::spec::{HandlerSpec, validate_name};

/// A file that describes no handler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct LoadError {
    /// Which.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads the directory: its handlers by name, and what is wrong with the other files. An error means
/// that the directory itself cannot be read.
pub fn read_directory(directory: &Path) -> io::Result<(Vec<HandlerDefinition>, Vec<LoadError>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A pipe would wait for its writer for ever.
        if !is_hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    let mut found = Vec::new();
    let mut errors = Vec::new();
    let mut bad_specs = String::new();
    for file in files.iter().filter(|file| has_extension(file, SPEC)) {
        match read_spec(directory, file) {
            Ok(handler) => found.push((file, handler)),
            Err(problem) => {
                bad_specs.push_str(&read_text(file).unwrap_or_default());
                errors.push(LoadError { file: file.clone(), problem });
            }
        }
    }
    let modules: HashSet<PathBuf> =
        found.iter().filter_map(|(_, handler)| Some(handler.file.as_ref()?.path.clone())).collect();
    for file in files.iter().filter(|file| has_extension(file, MODULE)) {
        let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        // A module whose spec is broken must not run without it.
        if modules.contains(&canonical(file)) || bad_specs.contains(name) {
            continue;
        }
        match module_alone(directory, file) {
            Ok(handler) => found.push((file, handler)),
            Err(problem) => errors.push(LoadError { file: file.clone(), problem }),
        }
    }
    let mut handlers = BTreeMap::<String, HandlerDefinition>::new();
    for (file, handler) in found {
        match handlers.entry(handler.name.clone()) {
            Entry::Vacant(free) => {
                free.insert(handler);
            }
            Entry::Occupied(taken) => errors.push(LoadError {
                file: file.clone(),
                problem: format!(
                    "the name {:?} is taken by {}: rename one of them",
                    handler.name,
                    taken.get().source
                ),
            }),
        }
    }
    Ok((handlers.into_values().collect(), errors))
}

/// Reads one spec or module that an operator names. As in a handlers directory, the module of a spec must
/// be in the spec's folder. An error says what is wrong with the file.
pub fn read_definition(file: &Path) -> Result<HandlerDefinition, LoadError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let read = match file.metadata() {
        Err(error) => Err(error.to_string()),
        Ok(metadata) if !metadata.is_file() => Err("it is no file".to_owned()),
        Ok(_) if has_extension(file, SPEC) => read_spec(folder, file),
        Ok(_) if has_extension(file, MODULE) => module_alone(folder, file),
        Ok(_) => Err("it is neither a handler spec (.yaml) nor a module (.wasm)".to_owned()),
    };
    let error = |problem| LoadError { file: file.to_owned(), problem };
    let definition = read.map_err(error)?;
    Ok(HandlerDefinition { source: DefinitionSource::Operator(file.to_owned()), ..definition })
}

fn read_spec(directory: &Path, file: &Path) -> Result<HandlerDefinition, String> {
    let (name, spec) = HandlerSpec::from_yaml(&read_text(file)?)?;
    // A url needs no file.
    let Some(path) = spec.module.path() else { return Ok(definition(name, file, None, spec)) };
    let path = directory.join(path);
    let at = |problem: &str| format!("spec.module.path {}: {problem}", path.display());
    let module = ModuleFile::at(&path).map_err(|error| at(&error.to_string()))?;
    if !module.path.starts_with(canonical(directory)) {
        return Err(at("the module must be in the handlers directory"));
    }
    Ok(definition(name, file, Some(module), spec))
}

fn module_alone(directory: &Path, file: &Path) -> Result<HandlerDefinition, String> {
    let stem = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let name = stem.replace('_', "-").to_lowercase();
    validate_name(&name).map_err(|problem| format!("{problem} (taken from the file's name)"))?;
    let module = ModuleFile::at(file).map_err(|error| error.to_string())?;
    if !module.path.starts_with(canonical(directory)) {
        return Err(
            "the module must be in the handlers directory, and this is a link out of it".to_owned()
        );
    }
    let spec = HandlerSpec::of_module(file.to_owned());
    Ok(definition(name, file, Some(module), spec))
}

fn definition(
    name: String,
    file: &Path,
    module: Option<ModuleFile>,
    spec: HandlerSpec,
) -> HandlerDefinition {
    let source = DefinitionSource::File(file.to_owned());
    HandlerDefinition { name, source, file: module, namespace: None, spec }
}

/// A spec's text.
fn read_text(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = fs::File::open(file).map_err(|error| error.to_string())?;
    let read = file.take(SPEC_BYTES_MAX + 1).read_to_string(&mut text);
    match read.map_err(|error| error.to_string())? as u64 > SPEC_BYTES_MAX {
        true => Err(format!("it has more than {SPEC_BYTES_MAX} bytes")),
        false => Ok(text),
    }
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension().and_then(OsStr::to_str).is_some_and(|it| extensions.contains(&it))
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

const SPEC: &[&str] = &["yaml", "yml"];
const MODULE: &[&str] = &["wasm"];

/// As much as an object of the API server may have, and half of that in reserve.
const SPEC_BYTES_MAX: u64 = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "apiVersion: informerd.dev/v1alpha1\nkind: Handler\n\
                        metadata: { name: NAME }\nspec: { module: { path: PATH } }\n";

    fn directory(test: &str, files: &[(&str, String)]) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("informerd-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            fs::write(directory.join(name), text).unwrap();
        }
        directory
    }

    fn spec(name: &str, path: &str) -> String {
        SPEC.replace("NAME", name).replace("PATH", path)
    }

    #[test]
    fn a_spec_takes_its_module_and_a_module_without_one_stands_alone() {
        let directory = directory(
            "alone",
            &[
                ("a.yaml", spec("first", "named.wasm")),
                ("named.wasm", String::new()),
                ("Pod_Reporter.wasm", String::new()),
                ("README.txt", String::new()),
                (".being-written.yaml", "half".to_owned()),
            ],
        );
        let (handlers, errors) = read_directory(&directory).unwrap();
        let names: Vec<&str> = handlers.iter().map(|handler| &*handler.name).collect();
        assert_eq!(names, ["first", "pod-reporter"]);
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn each_bad_file_is_named_and_the_others_are_loaded() {
        let directory = directory(
            "bad",
            &[
                ("a.yaml", spec("same", "good.wasm")),
                ("b.yaml", spec("same", "good.wasm")),
                ("c.yaml", spec("missing", "missing.wasm")),
                ("d.yaml", spec("outside", "../outside.wasm")),
                ("e.yaml", format!("{}  typo: 1\n", spec("typo", "typo.wasm"))),
                ("typo.wasm", String::new()),
                ("good.wasm", String::new()),
                ("long.yaml", "#".repeat(3 << 20)),
            ],
        );
        fs::write(directory.join("../outside.wasm"), "").unwrap();
        std::os::unix::fs::symlink("../outside.wasm", directory.join("z-link.wasm")).unwrap();
        let (handlers, errors) = read_directory(&directory).unwrap();
        assert_eq!(handlers.len(), 1, "{handlers:?}");
        let mut problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        problems.sort();
        let expected = [
            "taken by",
            "missing.wasm",
            "must be in the handlers directory",
            "e.yaml",
            "more than 2097152 bytes",
            "a link out of it",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problem} without {expected}");
        }
    }
}

//! The handlers directory: which handlers its files describe.
//!
//! A `.yaml` or `.yml` file is a handler spec and names its module. A `.wasm` file that no spec
//! names is a handler by itself, named for the file; it says itself what it watches.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::spec::{HandlerSpec, validate_name};
use crate::modules::{Location, ModuleSource};

/// A handler that the directory describes.
#[derive(Clone, Debug)]
pub struct HandlerFile {
    /// Unique in the directory.
    pub name: String,
    /// The file that describes it: a spec, or the module itself.
    pub file: PathBuf,
    /// Where the wasm is; a path is absolute.
    pub module: ModuleSource,
    /// As written, or with nothing but the module.
    pub spec: HandlerSpec,
}

/// A file that describes no handler.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct LoadError {
    /// Which.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads the directory: its handlers by name, and what is wrong with the other files. An error means
/// that the directory itself cannot be read.
pub fn read_directory(directory: &Path) -> io::Result<(Vec<HandlerFile>, Vec<LoadError>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let file = entry?.path();
        // A pipe would wait for its writer for ever.
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    let mut found = Vec::new();
    let mut errors = Vec::new();
    let mut bad_specs = String::new();
    for file in files.iter().filter(|file| has_extension(file, &["yaml", "yml"])) {
        match read_spec(directory, file) {
            Ok(handler) => found.push(handler),
            Err(problem) => {
                bad_specs.push_str(&String::from_utf8_lossy(&fs::read(file).unwrap_or_default()));
                errors.push(LoadError { file: file.clone(), problem });
            }
        }
    }
    let modules: HashSet<PathBuf> =
        found.iter().filter_map(|handler| handler.module.path()).map(Path::to_owned).collect();
    for file in files.iter().filter(|file| has_extension(file, &["wasm"])) {
        let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        // A module whose spec is broken must not run without it.
        if modules.contains(&canonical(file)) || bad_specs.contains(name) {
            continue;
        }
        match module_alone(file) {
            Ok(handler) => found.push(handler),
            Err(problem) => errors.push(LoadError { file: file.clone(), problem }),
        }
    }
    let mut handlers = BTreeMap::<String, HandlerFile>::new();
    for handler in found {
        match handlers.entry(handler.name.clone()) {
            Entry::Vacant(free) => {
                free.insert(handler);
            }
            Entry::Occupied(taken) => errors.push(LoadError {
                problem: format!(
                    "the name {:?} is taken by {}: rename one of them",
                    handler.name,
                    taken.get().file.display()
                ),
                file: handler.file,
            }),
        }
    }
    Ok((handlers.into_values().collect(), errors))
}

fn read_spec(directory: &Path, file: &Path) -> Result<HandlerFile, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let (name, spec) = HandlerSpec::from_yaml(&text)?;
    let mut module = spec.module.clone();
    if let Some(path) = spec.module.path() {
        module.location = Location::Path(module_in(directory, path)?);
    }
    Ok(HandlerFile { name, file: file.to_owned(), module, spec })
}

/// The module that a spec names by its path.
fn module_in(directory: &Path, named: &Path) -> Result<PathBuf, String> {
    let path = directory.join(named);
    let module = path
        .canonicalize()
        .map_err(|error| format!("spec.module.path {}: {error}", path.display()))?;
    if !module.starts_with(canonical(directory)) {
        return Err(format!(
            "spec.module.path {}: the module must be in the handlers directory",
            named.display()
        ));
    }
    Ok(module)
}

fn module_alone(file: &Path) -> Result<HandlerFile, String> {
    let stem = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let name = stem.replace('_', "-").to_lowercase();
    validate_name(&name).map_err(|problem| format!("{problem} (taken from the file's name)"))?;
    let spec = HandlerSpec::of_module(file.to_owned());
    let module = ModuleSource::file(canonical(file));
    Ok(HandlerFile { name, file: file.to_owned(), module, spec })
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension().and_then(OsStr::to_str).is_some_and(|it| extensions.contains(&it))
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

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
            ],
        );
        fs::write(directory.join("../outside.wasm"), "").unwrap();
        let (handlers, errors) = read_directory(&directory).unwrap();
        assert_eq!(handlers.len(), 1, "{handlers:?}");
        let mut problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        problems.sort();
        let expected = ["taken by", "missing.wasm", "must be in the handlers directory", "e.yaml"];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problem} without {expected}");
        }
    }
}

//! `informerd new`: a project in which a handler can be written at once.
//!
//! in: a name and a language; out: a folder with what stands in `guests/templates`, which is compiled in.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::handlers::validate_name;

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name is of no use to Kubernetes, or to a language.
    #[error("{0}")]
    Name(String),
    /// There is no template.
    #[error("there is no template for {language:?}: --lang is one of {}", languages().collect::<Vec<_>>().join(", "))]
    Language {
        /// What was asked for.
        language: String,
    },
    /// Nothing is ever overwritten.
    #[error("{} is there already: choose another name, or remove it", folder.display())]
    Exists {
        /// Where the project would be.
        folder: PathBuf,
    },
    /// The file system refused.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// What there are templates for, sorted.
pub fn languages() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|template| template.language)
}

/// Makes the folder `name` in a folder that is there; gives where it is.
pub fn new_project(parent: &Path, language: &str, name: &str) -> Result<PathBuf, ScaffoldError> {
    validate_project_name(name).map_err(ScaffoldError::Name)?;
    let template = TEMPLATES.iter().find(|template| template.language == language);
    let template =
        template.ok_or_else(|| ScaffoldError::Language { language: language.to_owned() })?;
    let folder = parent.join(name);
    fs::create_dir(&folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ScaffoldError::Exists { folder: folder.clone() },
        _ => ScaffoldError::Write { path: folder.clone(), error },
    })?;
    for file in template.files {
        let path = folder.join(file.name.trim_end_matches(".template").replace("{{name}}", name));
        file.write(&path, name).map_err(|error| ScaffoldError::Write { path, error })?;
    }
    Ok(folder)
}

/// The name becomes a handler's, and part of what the language's tools name.
fn validate_project_name(name: &str) -> Result<(), String> {
    let begins_with_letter = name.starts_with(|c: char| c.is_ascii_lowercase());
    if validate_name(name).is_ok() && begins_with_letter {
        return Ok(());
    }
    Err(format!(
        "{name:?} cannot be a handler's name: at most 63 lower-case letters, digits and `-`, a letter \
         first and no `-` last, for example `pod-greeter`"
    ))
}

struct Template {
    language: &'static str,
    files: &'static [TemplateFile],
}

struct TemplateFile {
    /// In the project, but for `{{name}}` and a last `.template`.
    name: &'static str,
    is_executable: bool,
    text: &'static str,
}

impl TemplateFile {
    fn write(&self, path: &Path, name: &str) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mode = if self.is_executable { 0o777 } else { 0o666 };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(self.text.replace("{{name}}", name).as_bytes())
    }
}

/// Written by `build/templates.rs`.
const TEMPLATES: &[Template] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_contract_and_its_own_name() {
        let parent = tempfile::tempdir().unwrap();
        for language in languages() {
            let name = format!("my-{language}");
            let folder = new_project(parent.path(), language, &name).unwrap();
            let readme = fs::read_to_string(folder.join("README.md")).unwrap();
            assert!(readme.starts_with(&format!("# {name}\n")), "{readme}");
            let spec = fs::read_to_string(folder.join(format!("handlers/{name}.yaml"))).unwrap();
            assert!(spec.contains(&format!("path: \"{name}.wasm\"")), "{spec}");
        }
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("a")).unwrap();
        fs::write(parent.path().join("b"), "precious").unwrap();
        for name in ["a", "b"] {
            let error = new_project(parent.path(), "rust", name).unwrap_err();
            assert!(matches!(error, ScaffoldError::Exists { .. }), "{error}");
        }
        assert_eq!(fs::read_dir(parent.path().join("a")).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(parent.path().join("b")).unwrap(), "precious");
        let error = new_project(&parent.path().join("nowhere"), "rust", "a").unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[test]
    fn names_and_languages_that_cannot_be_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["", "..", "a/b", "/tmp", "A", "a_b", "1a", "-a", "a-", "a.b", "ä"] {
            let error = new_project(parent.path(), "rust", name).unwrap_err().to_string();
            assert!(error.contains("pod-greeter"), "{name}: {error}");
        }
        let error = new_project(parent.path(), "cobol", "a").unwrap_err().to_string();
        assert!(error.contains("\"cobol\"") && error.contains("rust"), "{error}");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}

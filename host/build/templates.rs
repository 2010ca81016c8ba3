//! Embeds `guests/templates`: what `informerd new` makes.
//!
//! in: the folders there. out: `templates.rs` in `OUT_DIR`, read by `src/scaffold.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// A file's name in the project, and where it is.
type Files = BTreeMap<String, PathBuf>;

pub(crate) fn embed() -> Result<(), String> {
    try_embed().map_err(|error| format!("failed to embed guests/templates: {error}"))
}

fn try_embed() -> io::Result<()> {
    let host = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let templates = host.join("../guests/templates").canonicalize()?;
    println!("cargo::rerun-if-changed={}", templates.display());
    let common = files(&templates.join(COMMON))?;
    let mut text = String::from("&[\n");
    for language in folders(&templates)? {
        if language == COMMON {
            continue;
        }
        let mut project = common.clone();
        project.extend(files(&templates.join(&language))?);
        let language = language.replace('_', "-");
        writeln!(text, "    Template {{ language: {language:?}, files: &[").ok();
        for (name, path) in project {
            let is_executable = fs::metadata(&path)?.permissions().mode() & 0o100 != 0;
            writeln!(
                text,
                "        TemplateFile {{ name: {name:?}, is_executable: {is_executable}, \
                 text: include_str!({path:?}) }},"
            )
            .ok();
        }
        text.push_str("    ] },\n");
    }
    text.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("templates.rs"), text)
}

fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().is_dir() {
            folders.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    folders.sort();
    Ok(folders)
}

/// All files below a folder, links followed.
fn files(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    let mut folders = vec![(String::new(), folder.to_path_buf())];
    while let Some((prefix, folder)) = folders.pop() {
        // A link's target is not in the folder that cargo was told of.
        println!("cargo::rerun-if-changed={}", folder.canonicalize()?.display());
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == COMPILED_PYTHON {
                continue;
            }
            let name = format!("{prefix}{name}");
            if path.is_dir() {
                folders.push((format!("{name}/"), path));
            } else {
                files.insert(name, path.canonicalize()?);
            }
        }
    }
    Ok(files)
}

/// What is in every project.
const COMMON: &str = "common";
/// What Python leaves beside the files that it has run.
const COMPILED_PYTHON: &str = "__pycache__";

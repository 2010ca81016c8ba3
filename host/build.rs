//! What the host makes components with: the texts of `wit/`, and the WASI adapter in binary. And what
//! `informerd new` makes projects of.
//!
//! out: `contract.rs` (name and text of each WIT file), `quiet_p1.wasm` and `templates.rs` in `OUT_DIR`.

#[path = "build/templates.rs"]
mod templates;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    match contract().and_then(|()| adapter()).and_then(|()| templates::embed()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The compiler reads the texts itself, and so sees when one of them changes.
fn contract() -> Result<(), String> {
    let folder = folder_of("CARGO_MANIFEST_DIR")?.join("../wit");
    println!("cargo::rerun-if-changed={}", folder.display());
    let listed = |error| format!("failed to list {}: {error}", folder.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(&folder).map_err(listed)? {
        let path = entry.map_err(listed)?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            texts.push(format!("({path:?}, include_str!({path:?}))"));
        }
    }
    texts.sort();
    write("contract.rs", format!("[{}]", texts.join(", ")).as_bytes())
}

fn adapter() -> Result<(), String> {
    let path = Path::new("src/guest/wasi/quiet_p1.wat");
    println!("cargo::rerun-if-changed={}", path.display());
    let wasm = wat::parse_file(path).map_err(|error| error.to_string())?;
    write("quiet_p1.wasm", &wasm)
}

fn write(name: &str, contents: &[u8]) -> Result<(), String> {
    let path = folder_of("OUT_DIR")?.join(name);
    fs::write(&path, contents)
        .map_err(|error| format!("failed to write {}: {error}", path.display()))
}

fn folder_of(variable: &str) -> Result<PathBuf, String> {
    let folder = env::var_os(variable).ok_or_else(|| format!("cargo did not set {variable}"))?;
    Ok(folder.into())
}

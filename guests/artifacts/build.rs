//! Compiles every sibling crate to a component, and writes down where each one is.
//!
//! in: `guests/*`, `wit/`. out: `artifacts.rs` in `OUT_DIR`. One nested cargo builds them all, in a
//! target folder of its own: the outer cargo holds the lock of the usual one.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let guests_folder = folder_of("CARGO_MANIFEST_DIR")?.join("..");
    let out_folder = folder_of("OUT_DIR")?;
    let guests = guests(&guests_folder)
        .map_err(|error| format!("failed to list {}: {error}", guests_folder.display()))?;
    watch_sources(&guests_folder, &guests);
    add_target()?;

    let target_folder = target_folder(&out_folder);
    build(&guests_folder, &target_folder, &guests)?;
    let artifacts = artifacts_rs(&guests, &target_folder.join(TARGET).join(PROFILE))?;
    let path = out_folder.join("artifacts.rs");
    fs::write(&path, artifacts)
        .map_err(|error| format!("failed to write {}: {error}", path.display()))
}

/// The sibling crates, sorted.
fn guests(guests_folder: &Path) -> io::Result<Vec<String>> {
    let mut guests = Vec::new();
    for entry in fs::read_dir(guests_folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != env!("CARGO_PKG_NAME") && entry.path().join("Cargo.toml").is_file() {
            guests.push(name);
        }
    }
    guests.sort();
    Ok(guests)
}

/// A new guest is noticed by its line in the workspace's Cargo.toml.
fn watch_sources(guests_folder: &Path, guests: &[String]) {
    let workspace = guests_folder.join("..");
    let mut paths = vec![
        guests_folder.join(env!("CARGO_PKG_NAME")).join("build.rs"),
        workspace.join("Cargo.toml"),
        workspace.join("Cargo.lock"),
        workspace.join("wit"),
    ];
    for guest in guests {
        paths.push(guests_folder.join(guest).join("Cargo.toml"));
        paths.push(guests_folder.join(guest).join("src"));
    }
    for path in paths {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// Nothing pins a toolchain here, so nothing else brings the target along.
fn add_target() -> Result<(), String> {
    if has_target()? {
        return Ok(());
    }
    let hint = format!("the guests need a Rust target; run `rustup target add {TARGET}`");
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    match added {
        Ok(status) if status.success() && has_target()? => Ok(()),
        Ok(status) => Err(format!("{hint} (tried: {status})")),
        Err(error) => Err(format!("{hint} (tried: {error})")),
    }
}

fn has_target() -> Result<bool, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("failed to ask rustc for its targets: {error}"))?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}

/// Beside the outer build's profiles, so that all of them share one build of the guests.
fn target_folder(out_folder: &Path) -> PathBuf {
    let is_target_folder = |it: &&Path| it.join("CACHEDIR.TAG").is_file();
    out_folder.ancestors().find(is_target_folder).unwrap_or(out_folder).join("guests")
}

fn build(guests_folder: &Path, target_folder: &Path, guests: &[String]) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--target", TARGET, "--profile", PROFILE]);
    command.arg("--manifest-path").arg(guests_folder.join("../Cargo.toml"));
    command.arg("--target-dir").arg(target_folder);
    for guest in guests {
        // With the version, since crates.io has a `spin`, too.
        command.arg("--package").arg(format!("{guest}@{}", env!("CARGO_PKG_VERSION")));
    }
    for (name, _) in env::vars_os().filter(|(name, _)| is_outer_builds(name)) {
        command.env_remove(name);
    }
    // Set and empty, it also overrules flags in a config file.
    command.env("CARGO_ENCODED_RUSTFLAGS", "");
    let status = command.status().map_err(|error| format!("failed to start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("failed to build the guests: {status}")) }
}

/// Whether a variable tells about the outer build: its flags, wrappers (clippy's) and settings. The
/// outer build's jobserver stays, so that both share its jobs, and so does how to reach crates.io.
fn is_outer_builds(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let stays = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    let of_the_script =
        ["DEBUG", "HOST", "NUM_JOBS", "OPT_LEVEL", "OUT_DIR", "PROFILE", "RUSTFLAGS", "TARGET"];
    let of_cargo = ["CARGO", "CLIPPY_", "RUSTC", "RUSTDOC"];
    of_the_script.contains(&&*name)
        || of_cargo.iter().any(|it| name.starts_with(it))
            && !stays.iter().any(|it| name.starts_with(it))
}

fn artifacts_rs(guests: &[String], folder: &Path) -> Result<String, String> {
    let mut constants = String::new();
    let mut all = String::from("/// Every guest's name and path.\n");
    all.push_str("pub const ALL: &[(&str, &str)] = &[\n");
    for guest in guests {
        let path = folder.join(guest).with_extension("wasm");
        if !path.is_file() {
            return Err(format!("{guest} is built, but {} is not there", path.display()));
        }
        let constant = guest.to_uppercase();
        writeln!(constants, "/// The path of `guests/{guest}` as a component.").ok();
        writeln!(constants, "pub const {constant}: &str = {path:?};").ok();
        writeln!(all, "    (\"{guest}\", {constant}),").ok();
    }
    Ok(format!("{constants}{all}];\n"))
}

fn folder_of(variable: &str) -> Result<PathBuf, String> {
    let folder = env::var_os(variable).ok_or_else(|| format!("cargo did not set {variable}"))?;
    Ok(folder.into())
}

const TARGET: &str = "wasm32-wasip2";
/// Described in the workspace's Cargo.toml.
const PROFILE: &str = "guest";

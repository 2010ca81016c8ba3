//! What the jobs stand on: where things are, the toolchain's parts, and the builds.
//!
//! Whatever of it is there already is left alone, and nothing is said.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

/// The sources and the builds; their root is the current folder.
pub(crate) struct Workspace {
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// The folder in it where the programs of this profile are.
    programs: PathBuf,
}

impl Workspace {
    /// Makes its root the current folder.
    pub(crate) fn enter() -> Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package.ancestors().nth(2).unwrap_or(package);
        env::set_current_dir(root).with_context(|| format!("cannot work in {}", root.display()))?;
        // Where cargo puts programs: this is one.
        let this = env::current_exe().context("cannot tell where this program is")?;
        let programs = this.parent().unwrap_or(root).to_path_buf();
        let target = programs.ancestors().find(|it| it.join("CACHEDIR.TAG").is_file());
        let target = target.unwrap_or(Path::new("target"));
        let target = target.strip_prefix(root).unwrap_or(target).to_path_buf();
        Ok(Self { target, programs })
    }

    /// Builds a program of the workspace; gives the call of it.
    pub(crate) fn build_program(&self, name: &str) -> Result<Command> {
        // With the whole workspace's features, so that `cargo test` need not compile crates again.
        run(cargo().args(["build", "--workspace", "--bin", name]))?;
        Ok(Command::new(self.programs.join(name)))
    }

    /// Builds a program with optimisations, to measure with it; gives where it is.
    pub(crate) fn build_release_program(&self, name: &str) -> Result<PathBuf> {
        run(cargo().args(["build", "--release", "--workspace", "--bin", name]))?;
        Ok(self.target.join("release").join(name))
    }

    /// Builds guests as components; gives the folder where each is, as `<name>.wasm`.
    pub(crate) fn build_guests(&self, guests: &[&str]) -> Result<PathBuf> {
        add_wasm_target()?;
        // The folder, the profile and the flags of guests/artifacts/build.rs: one build for both.
        let folder = self.target.join("guests");
        let mut build = cargo();
        build.args(["build", "--locked", "--target", WASM_TARGET, "--profile", "guest"]);
        build.arg("--target-dir").arg(&folder).env("CARGO_ENCODED_RUSTFLAGS", "");
        for guest in guests {
            build.args(["--package", guest]);
        }
        run(&mut build)?;
        Ok(folder.join(WASM_TARGET).join("guest"))
    }
}

/// Cargo, as if it was called from a shell.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` set these for this program; build scripts that look at them would run again.
    for (name, _) in env::vars_os().filter(|(name, _)| is_about_this_program(name)) {
        command.env_remove(name);
    }
    command
}

/// Whether cargo has a subcommand that is installed apart from it.
pub(crate) fn has_subcommand(subcommand: &str) -> Result<bool> {
    let answer = cargo().args([subcommand, "--version"]).output();
    Ok(answer.context("cannot start cargo")?.status.success())
}

/// Adds a part of the Rust toolchain that brings along a subcommand of cargo.
pub(crate) fn add_component(subcommand: &str, component: &str) -> Result<()> {
    if has_subcommand(subcommand)? {
        return Ok(());
    }
    println!("Adding {component} to the Rust toolchain.");
    rustup(&["component", "add", component])
}

/// Adds the target that handlers are compiled for.
pub(crate) fn add_wasm_target() -> Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .output()
        .context("cannot ask rustc for its targets")?;
    let libraries = String::from_utf8_lossy(&answer.stdout);
    if answer.status.success() && Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    eprintln!("Adding {WASM_TARGET}, the Rust target that handlers are compiled for.");
    rustup(&["target", "add", WASM_TARGET])
}

/// Runs a command to its end. The error tells what to run by hand.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Runs a command whose output is shown, and gives what it was.
pub(crate) fn run_echoing(command: &mut Command) -> Result<(ExitStatus, Vec<String>)> {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = started.with_context(|| format!("cannot start `{}`", line(command)))?;
    let mut lines = Vec::new();
    for output in child.stdout.take().into_iter().flat_map(|it| BufReader::new(it).lines()) {
        let output =
            output.with_context(|| format!("cannot read what `{}` says", line(command)))?;
        println!("{output}");
        lines.push(output);
    }
    Ok((child.wait()?, lines))
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = [program].into_iter().chain(command.get_args());
    words.map(|it| it.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn rustup(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("rustup");
    command.args(arguments);
    let line = line(&command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`{line}` failed ({status}); once it works by hand, start again"),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no rustup for `{line}`: install it (https://rustup.rs), or get the same from \
             where your Rust came from"
        ),
        Err(error) => Err(error).context(format!("cannot start `{line}`")),
    }
}

fn is_about_this_program(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|it| name.starts_with(it))
}

const WASM_TARGET: &str = "wasm32-wasip2";

//! The programs of the Go module `tests/conformance/go`, in which client-go itself runs.
//!
//! Each is built once per client-go version and state of the sources, into `target/client-go/` of
//! the workspace; two builders at once wait for each other.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

/// The folder of the Go module, which pins client-go.
const GO_MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance/go");
const GO_MOD: &str = include_str!("../../conformance/go/go.mod");
const CLIENT_GO: &str = "k8s.io/client-go";

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Runs traces in virtual time, which exists in Go's tests only.
    Oracle,
    /// Dynamic informers on a real API server.
    SideBySide,
    /// One informer, as what informerd is measured beside.
    Informer,
    /// Writes a recorded watch in the API server's other encodings.
    EncodeRecording,
}

impl Program {
    /// Where it is, built if it is not there yet.
    ///
    /// # Errors
    ///
    /// If there is no Go or its build fails.
    pub fn path(self) -> anyhow::Result<PathBuf> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = package.ancestors().nth(2).unwrap_or(package);
        let built = format!("target/client-go/{}-{:016x}", version(), self.hash_of_sources()?);
        let folder = workspace.join(built);
        let program = folder.join(self.name());
        if program.is_file() {
            return Ok(program);
        }

        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let lock = folder.join("lock");
        // Held until the file is closed at the end of this function.
        let building =
            File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
        building.lock().with_context(|| format!("cannot lock {}", lock.display()))?;
        if !program.is_file() {
            self.build(&program)?;
        }
        Ok(program)
    }

    /// The name of its package and of its folder.
    fn name(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::SideBySide => "side_by_side",
            Self::Informer => "informer",
            Self::EncodeRecording => "encode_recording",
        }
    }

    fn build_command(self) -> &'static [&'static str] {
        match self {
            Self::Oracle => &["test", "-c", "-trimpath", "-o"],
            Self::SideBySide | Self::Informer | Self::EncodeRecording => {
                &["build", "-trimpath", "-o"]
            }
        }
    }

    /// Builds it and moves it to `program` when it is whole.
    fn build(self, program: &Path) -> anyhow::Result<()> {
        let (name, command) = (self.name(), self.build_command());
        let unfinished = program.with_extension(format!("{}.tmp", process::id()));
        eprintln!("client_go: building {name} on client-go {} with Go, once", version());
        let begin = Instant::now();
        let output = Command::new("go")
            .current_dir(GO_MODULE)
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .args(command)
            .arg(&unfinished)
            .arg(format!("./{name}"))
            .stdin(Stdio::null())
            .output();
        let output = match output {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "this needs client-go itself, and `go` is not on the PATH: install Go 1.26 or \
                 later (https://go.dev/dl)"
            ),
            output => output.context("cannot run `go`")?,
        };
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("`go {} ./{name}` in {GO_MODULE} failed:\n{errors}", command[0]);
        }
        fs::rename(&unfinished, program)
            .with_context(|| format!("cannot create {}", program.display()))?;
        eprintln!("client_go: built it in {} s", begin.elapsed().as_secs());
        Ok(())
    }

    /// Tells one state of its sources from another.
    fn hash_of_sources(self) -> anyhow::Result<u64> {
        let module = Path::new(GO_MODULE);
        let mut sources = vec![module.join("go.mod"), module.join("go.sum")];
        let folder = module.join(self.name());
        let unreadable = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(unreadable)? {
            sources.push(entry.with_context(unreadable)?.path());
        }
        sources.sort();
        let mut hasher = DefaultHasher::new();
        for source in sources {
            let content =
                fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
            source.file_name().hash(&mut hasher);
            content.hash(&mut hasher);
        }
        Ok(hasher.finish())
    }
}

/// The version of client-go that runs in them.
pub fn version() -> &'static str {
    GO_MOD
        .lines()
        .filter_map(|line| line.trim().strip_prefix(CLIENT_GO)?.split_whitespace().next())
        .find(|word| word.starts_with('v'))
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_mod_pins_client_go() {
        assert!(version().starts_with("v0."));
    }
}

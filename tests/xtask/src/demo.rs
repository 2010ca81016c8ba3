//! The demo: the host on its embedded API server, example handlers, a short life of objects.
//!
//! in: `tests/xtask/demo`, the guests. out: folders of its own under `target/demo`, narration and
//! the host's log on standard output. The life goes on when the host has said what was expected of
//! it, never by the clock alone.

mod expectations;
mod life;
mod running_host;

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::expectations::Expectations;
use self::life::{AT_THE_END, LIFE, START, STARTED, TRAP_SPEC};
use self::running_host::RunningHost;
use crate::setup::{Workspace, line};

/// What follows the life.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// The host is stopped, and how it ended is checked.
    Once,
    /// It is there to be played with.
    StayUp,
}

/// Builds, starts and plays. Gives the host's own exit code.
pub(crate) fn run(workspace: &Workspace, end: End) -> Result<ExitCode> {
    say("Building the example handlers (guests/) as WebAssembly components.");
    let modules = workspace.build_guests(&GUESTS)?;
    say("Building the host (informerd). The first time takes some minutes.");
    let mut informerd = workspace.build_program("informerd")?;
    let folders = Folders::prepare(workspace, &modules)?;
    informerd.args(["dev", "--http", "127.0.0.1:0", "--log", "info", "--handlers"]);
    informerd.arg(&folders.handlers).arg("--manifests").arg(&folders.manifests);
    say(STARTED.narration);
    println!("$ {}\n", line(&informerd));
    let mut host = RunningHost::start(&mut informerd)?;
    play(&mut host, &folders)?;

    let was_interrupted = host.is_stopping();
    match end {
        _ if was_interrupted => {}
        End::Once => host.stop(),
        End::StayUp => tell_what_to_play_with(&host, &folders),
    }
    let mut summary = Expectations::new(AT_THE_END);
    let status = host.wait(&mut summary)?;
    if end == End::Once {
        ensure!(!was_interrupted, "interrupted before the life was over");
        ensure!(status.success(), "the host ended with {status}, not with 0");
        ensure!(summary.are_met(), "the host ended without a line with {}", summary.missing());
        say("Everything was seen that should be.");
    }
    Ok(exit_code(status))
}

/// Each step is told before it is done. Ends early when the user stops the host.
fn play(host: &mut RunningHost, folders: &Folders) -> Result<()> {
    host.wait_for(&mut Expectations::new(STARTED.expected))?;
    for step in LIFE {
        host.pause(reading_time())?;
        if host.is_stopping() {
            break;
        }
        say(step.narration);
        host.pause(reading_time())?;
        for (file, content) in step.edits {
            folders.edit(file, *content)?;
        }
        host.wait_for(&mut Expectations::new(step.expected))?;
    }
    host.pause(reading_time())
}

fn tell_what_to_play_with(host: &RunningHost, folders: &Folders) {
    say("The life is over, and the host stays up. What to play with:");
    let manifests = folders.manifests.display();
    println!("  edit, add and remove files in {manifests}");
    if let Some(url) = host.api_server() {
        println!("  kubectl --server {url} --namespace shop get pods,configmaps");
    }
    if let Some(address) = host.http_address() {
        println!("  curl http://{address}/readyz");
        println!("  curl http://{address}/metrics");
    }
    println!("Ctrl-C ends it, with a summary.\n");
}

/// What the host is given. Nobody else's while this is there.
struct Folders {
    handlers: PathBuf,
    manifests: PathBuf,
    /// Held locked.
    _lock: File,
}

impl Folders {
    /// Makes them afresh: the handlers, and the manifests from which the life starts.
    fn prepare(workspace: &Workspace, modules: &Path) -> Result<Self> {
        let demo = workspace.target.join("demo");
        let lock = lock(&workspace.target.join("demo.lock"))?;
        match fs::remove_dir_all(&demo) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context(format!("cannot clear {}", demo.display()));
            }
            _ => {}
        }
        let folders = Self {
            handlers: demo.join("handlers"),
            manifests: demo.join("manifests"),
            _lock: lock,
        };
        for folder in [&folders.handlers, &folders.manifests] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        for guest in GUESTS {
            let file = format!("{guest}.wasm");
            fs::copy(modules.join(&file), folders.handlers.join(&file))
                .with_context(|| format!("cannot copy {file} from {}", modules.display()))?;
        }
        fs::write(folders.handlers.join("trap.yaml"), TRAP_SPEC)
            .context("cannot write the handler spec trap.yaml")?;
        for (file, content) in START {
            folders.edit(file, Some(content))?;
        }
        Ok(folders)
    }

    /// Writes a manifest, or removes it.
    fn edit(&self, file: &str, content: Option<&str>) -> Result<()> {
        let path = self.manifests.join(file);
        let edited = match content {
            Some(content) => fs::write(&path, content),
            None => fs::remove_file(&path),
        };
        edited.with_context(|| format!("cannot edit {}", path.display()))
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another demo is running; end that one first"),
        Err(TryLockError::Error(error)) => {
            Err(error).context(format!("cannot lock {}", path.display()))
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    // As a shell has it: 128 and the signal.
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// A line of our own, set off from the host's.
fn say(text: &str) {
    match io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
        true => println!("\n\x1b[1m{text}\x1b[0m"),
        false => println!("\n{text}"),
    }
}

/// Long enough to read two lines, where somebody reads.
fn reading_time() -> Duration {
    Duration::from_millis(if io::stdout().is_terminal() { 1500 } else { 100 })
}

const GUESTS: [&str; 3] = ["pod_reporter", "config_map_diff", "trap"];

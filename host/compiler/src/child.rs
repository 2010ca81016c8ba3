//! The parent's side: one child, from its start to its end.
//!
//! in:   the program, the module
//! out:  what the child wrote, or which limit ended it
//! runs: in the caller's task; whoever drops it kills the child and all that it started. Should this
//!       process be killed, the child ends at its CPU time.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::limited::REFUSED;
use crate::limits::{ChildLimits, Limits};

/// Why there is no native code. Each but the first says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The module is not one that can be used: the child's own words.
    #[error("it cannot be used: {}", String::from_utf8_lossy(.0))]
    Refused(Vec<u8>),
    /// It took too much CPU time.
    #[error("compiling it takes more than {0} s of CPU time: make it smaller, or split it")]
    CpuTime(u64),
    /// It took too long.
    #[error(
        "compiling it takes longer than {0:?}: make it smaller, or give the host more CPU time"
    )]
    WallTime(Duration),
    /// It took too much memory.
    #[error("compiling it takes more than {} MiB of memory: make it smaller, or split it", .0 >> 20)]
    Memory(u64),
    /// There is too much native code.
    #[error("compiled, it has more than {} MiB: make it smaller, or split it", .0 >> 20)]
    Output(usize),
    /// The program that compiles could not be started.
    #[error(
        "cannot start {program}, which compiles modules: {error} (it must be this informerd, and the \
         host must be allowed to start processes)"
    )]
    Program {
        /// Its path.
        program: String,
        /// What the system said.
        error: String,
    },
    /// Somebody killed the child; usually the kernel, when it runs out of memory.
    #[error("what compiles it was killed; is there enough memory for {} MiB more?", .0 >> 20)]
    Killed(u64),
    /// The child ended in a way that nobody thought of.
    #[error(
        "what compiles it ended early ({status}): {said}; the module is damaged, or this is a bug of \
         informerd or wasmtime"
    )]
    Ended {
        /// An exit code or a signal.
        status: String,
        /// Its last words; the first few of them.
        said: String,
    },
    /// What the child wrote is not what this process can run.
    #[error("what was compiled cannot be loaded: {0} (is the program that compiles this one?)")]
    NotLoaded(String),
}

impl CompileError {
    /// Whether it is the module that has to change, and not this host or what it runs on.
    pub fn is_of_the_module(&self) -> bool {
        match self {
            Self::Refused(_)
            | Self::CpuTime(_)
            | Self::Memory(_)
            | Self::Output(_)
            | Self::Ended { .. } => true,
            Self::WallTime(_) | Self::Program { .. } | Self::Killed(_) | Self::NotLoaded(_) => {
                false
            }
        }
    }
}

/// Starts `program` with the arguments and its limits, gives it the module, and gives what it wrote.
pub(crate) async fn run(
    program: &Path,
    arguments: &[String],
    limits: &Limits,
    module: &[u8],
) -> Result<Vec<u8>, CompileError> {
    let mut child = Running::start(program, arguments)?;
    match timeout(limits.wall, child.outcome(limits, module)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CompileError::WallTime(limits.wall)),
    }
}

/// A child, in a process group of its own. Killed with all its group when it is dropped before it ends.
struct Running(Child);

impl Running {
    fn start(program: &Path, arguments: &[String]) -> Result<Self, CompileError> {
        let child = Command::new(program)
            .args(arguments)
            // Nothing of ours: no environment, no folder, and every file of ours closes on exec.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        child.map(Self).map_err(|error| CompileError::Program {
            program: program.display().to_string(),
            error: error.to_string(),
        })
    }

    async fn outcome(&mut self, limits: &Limits, module: &[u8]) -> Result<Vec<u8>, CompileError> {
        let ended = |error: io::Error| CompileError::Ended {
            status: "its pipes broke".to_owned(),
            said: error.to_string(),
        };
        let (stdin, stdout, stderr) =
            (self.0.stdin.take(), self.0.stdout.take(), self.0.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // It may end without reading all of it; how it ends says more.
                let _ = stdin.write_all(module).await;
            }
        };
        let output = async {
            let output = read_at_most(stdout, limits.output + 1).await.map_err(ended)?;
            match output.len() > limits.output {
                true => Err(CompileError::Output(limits.output)),
                false => Ok(output),
            }
        };
        let said = async {
            let mut stderr = stderr;
            let said = read_at_most(stderr.as_mut(), SAID_BYTES).await.map_err(ended)?;
            // Nobody may be able to block on it.
            if let Some(stderr) = &mut stderr {
                copy(stderr, &mut sink()).await.map_err(ended)?;
            }
            Ok(said)
        };
        let ((), output, said) = tokio::try_join!(
            async {
                feed.await;
                Ok(())
            },
            output,
            said
        )?;
        let status = self.0.wait().await.map_err(ended)?;
        match status.code() {
            Some(0) => Ok(output),
            Some(code) if code == i32::from(REFUSED) => Err(CompileError::Refused(output)),
            _ => Err(reason(status, &String::from_utf8_lossy(&said), &limits.child)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // None once it has been waited for: the number may be another process's by then.
        let group = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What a status that is neither success nor refusal says.
fn reason(status: ExitStatus, said: &str, limits: &ChildLimits) -> CompileError {
    match status.signal() {
        Some(signal) if signal == Signal::XCPU.as_raw() => {
            CompileError::CpuTime(limits.cpu_seconds)
        }
        Some(signal) if signal == Signal::KILL.as_raw() => {
            CompileError::Killed(limits.address_space)
        }
        // Rust's words when an allocation fails.
        Some(signal)
            if signal == Signal::ABORT.as_raw() && said.contains("memory allocation of") =>
        {
            CompileError::Memory(limits.address_space)
        }
        _ => CompileError::Ended {
            status: status.to_string(),
            said: said.trim().escape_debug().to_string(),
        },
    }
}

async fn read_at_most(from: Option<impl AsyncRead + Unpin>, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    if let Some(from) = from {
        from.take(bytes as u64).read_to_end(&mut read).await?;
    }
    Ok(read)
}

/// So much of what a child says on standard error is kept.
const SAID_BYTES: usize = 1024;

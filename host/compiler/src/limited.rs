//! The child's side: first its limits, then the work.
//!
//! in:   a module, on standard input
//! out:  native code on standard output, or, with the exit code [`REFUSED`], what is wrong with the module
//! runs: on the only thread of a process that has nothing open but its standard streams.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::ChildLimits;

/// The module was looked at, and is not one that can be used.
pub(crate) const REFUSED: u8 = 3;

/// What the child's `main` comes down to. `compile` gives native code, or what is wrong with the module
/// in words that its caller understands.
///
/// Once a limit is set nothing raises it: neither the module nor what compiles it has a say.
pub fn run_child(
    limits: &ChildLimits,
    compile: impl FnOnce(&[u8]) -> Result<Vec<u8>, Vec<u8>>,
) -> ExitCode {
    match set(limits).and_then(|()| answer(compile)) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(compile: impl FnOnce(&[u8]) -> Result<Vec<u8>, Vec<u8>>) -> io::Result<ExitCode> {
    let mut module = Vec::new();
    io::stdin().lock().read_to_end(&mut module)?;
    let (said, code) = match compile(&module) {
        Ok(native) => (native, ExitCode::SUCCESS),
        Err(refusal) => (refusal, ExitCode::from(REFUSED)),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(&said)?;
    stdout.flush()?;
    Ok(code)
}

fn set(limits: &ChildLimits) -> io::Result<()> {
    // The signal of the first tells that it was this limit; the second is for who ignores it.
    set_limit(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds + 1)?;
    set_limit(Resource::As, limits.address_space, limits.address_space)?;
    // It may write to nothing but its standard streams, and open next to nothing.
    set_limit(Resource::Fsize, 0, 0)?;
    set_limit(Resource::Nofile, OPEN_FILES, OPEN_FILES)?;
    // What a child dies of may be a secret of who wrote the module.
    set_limit(Resource::Core, 0, 0)?;
    // Neither processes nor threads, unless it belongs to root, whom the kernel does not count.
    set_limit(Resource::Nproc, 0, 0)
}

/// Lower than what it already is, never higher.
fn set_limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let highest = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(current.min(highest)), maximum: Some(maximum.min(highest)) };
    setrlimit(resource, limit)
        .map_err(|error| io::Error::other(format!("cannot set a limit ({resource:?}): {error}")))
}

/// The standard streams, and some for a panic that looks for its backtrace.
const OPEN_FILES: u64 = 8;

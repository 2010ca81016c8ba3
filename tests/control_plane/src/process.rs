//! One running program: its log, its death, and that it never outlives the tests.

use std::env;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc;
use std::thread;

use crate::error::Error;

/// How much of a log's end an error quotes.
const TAIL_BYTES: u64 = 4096;

/// A child process that is killed when this is dropped, or when the test process dies.
#[derive(Debug)]
pub struct Process {
    program: &'static str,
    binary: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `binary`; what it prints is appended to `log`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start<A: AsRef<OsStr>>(
        program: &'static str,
        binary: &Path,
        args: impl IntoIterator<Item = A>,
        log: PathBuf,
    ) -> Result<Self, Error> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::io("create", &log))?;
        let errors = output.try_clone().map_err(Error::io("write", &log))?;

        let mut command = dying_with_parent(binary);
        // The tests' own environment (ETCD_*, proxies) must not reconfigure the program.
        command.env_clear().args(args).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = spawn(command).map_err(Error::io("run", binary))?;
        Ok(Self { program, binary: binary.to_path_buf(), log, child })
    }

    /// The program's name, for messages.
    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn check_alive(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(source) => Err(Error::io("wait for", &self.binary)(source)),
        }
    }

    fn ended(&self, status: ExitStatus) -> Error {
        let (program, binary) = (self.program, self.binary.clone());
        Error::Ended { program, binary, status, tail: self.log_tail() }
    }
}

impl Drop for Process {
    /// SIGKILL: nothing is said good-bye to and nothing is flushed.
    fn drop(&mut self) {
        // Both fail only if the process has ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of a log file, or why it cannot be read.
pub(crate) fn log_tail(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        Ok(tail)
    };
    match read() {
        Ok(tail) => String::from_utf8_lossy(&tail).into_owned(),
        Err(error) => format!("(the log {} cannot be read: {error})", log.display()),
    }
}

/// A command that runs `binary` through util-linux's `setpriv`, so that the kernel kills it when
/// its parent dies. Where there is no such `setpriv`, only `Drop` and a terminal's Ctrl-C end it.
fn dying_with_parent(binary: &Path) -> Command {
    static SETPRIV: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|setpriv| {
            let mut probe = Command::new(setpriv);
            probe.args(["--pdeathsig", "KILL", "true"]).stderr(Stdio::null());
            probe.status().is_ok_and(|status| status.success())
        })
    });
    match &*SETPRIV {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL"]).arg(binary);
            command
        }
        None => Command::new(binary),
    }
}

/// Spawns from a thread that lives as long as this process: for the kernel, a child's parent is
/// the thread that spawned it, and each test runs in a thread of its own.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static ORDERS: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (orders, queue) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in queue {
                // Nobody to tell is nobody to serve.
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, answer) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts processes is gone");
    ORDERS.send((command, reply)).map_err(|_| gone(mpsc::RecvError))?;
    answer.recv().map_err(gone)?
}

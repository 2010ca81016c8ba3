//! What can go wrong, each with the program it concerns, the end of its log and the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why the control plane's programs could not be had, started or asked.
#[derive(thiserror::Error)]
pub enum Error {
    /// There are no programs and nothing to build them with.
    #[error(
        "{program} is not built, and `go` is not on the PATH: install Go 1.26 or later \
         (https://go.dev/dl); etcd and kube-apiserver may also be in a folder that \
         KUBEBUILDER_ASSETS names"
    )]
    NoGo {
        /// The program that is missing.
        program: &'static str,
    },

    /// `KUBEBUILDER_ASSETS` points at a folder that lacks a program.
    #[error(
        "KUBEBUILDER_ASSETS is {}, but there is no {program} in it: put it there, or unset the \
         variable to have both programs built with Go",
        folder.display()
    )]
    NoProgram {
        /// The missing file's name.
        program: &'static str,
        /// The folder that was searched.
        folder: PathBuf,
    },

    /// The Go build failed.
    #[error("`go build` of {program} failed; {} ends with:\n{tail}", log.display())]
    Build {
        /// The program that was being built.
        program: &'static str,
        /// The whole output of `go build`.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// A file, folder or process could not be made or used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },

    /// A program ended instead of serving.
    #[error(
        "{program} ended with {status} before it was ready (if its binary is broken, delete \
         {} and start again); its log ends with:\n{tail}", binary.display()
    )]
    Ended {
        /// The program that ended.
        program: &'static str,
        /// The file that was run.
        binary: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        tail: String,
    },

    /// A program runs but does not serve in time.
    #[error(
        "{program} was not ready after {seconds} s (on a busy machine run fewer tests at once); \
         last answer: {answer}; its log ends with:\n{tail}"
    )]
    NotReady {
        /// The program that was waited for.
        program: &'static str,
        /// How long it was given.
        seconds: u64,
        /// What it said last when asked.
        answer: String,
        /// The last lines of its log.
        tail: String,
    },

    /// A running program refused a request.
    #[error("{program} did not answer {request}: {reason}; its log ends with:\n{tail}")]
    Request {
        /// The program that was asked.
        program: &'static str,
        /// What it was asked.
        request: &'static str,
        /// What came back.
        reason: String,
        /// The last lines of its log.
        tail: String,
    },
}

impl Error {
    /// For `map_err` on an I/O result.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }
}

impl fmt::Debug for Error {
    /// The same text, since tests show an error through `unwrap`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

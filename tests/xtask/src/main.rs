//! What a newcomer and a contributor run. Arguments → one of three jobs → exit code.

mod checks;
mod demo;
mod guests;
mod setup;

use std::env;
use std::process::ExitCode;

use crate::setup::Workspace;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["demo"] => Workspace::enter().and_then(|it| demo::run(&it, demo::End::StayUp)),
        ["demo", "--once"] => Workspace::enter().and_then(|it| demo::run(&it, demo::End::Once)),
        ["test"] => {
            Workspace::enter().and_then(|it| checks::run_all(&it)).map(|()| ExitCode::SUCCESS)
        }
        ["guests", options @ ..] => {
            Workspace::enter().and_then(|it| guests::run(&it, &guests::Options::parse(options)))
        }
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        unknown => {
            eprint!("error: there is no `cargo xtask {}`\n\n{USAGE}", unknown.join(" "));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

const USAGE: &str = "\
Usage: cargo xtask <job>

  demo          Build the host and the example handlers, run them on the embedded API server,
                and play a short life of pods and config maps. The host then stays up to be
                played with, until Ctrl-C.
  demo --once   The same without staying up: stop the host, and fail unless everything was
                seen that should be.
  test          Run everything that must hold: format, lints, tests, licences, the demo.
  guests [NAME ...] [--json]
                Build the audit trail of every language, or of these, play the same life to each,
                and measure what each costs. --json: the last line is one JSON object.

All jobs set up what they need and say so. Beforehand there must be Rust with rustup
(https://rustup.rs), and for `test` Go (https://go.dev/dl) or KUBEBUILDER_ASSETS, a folder that
holds etcd and kube-apiserver.
";

/// As clap's, and the shell's own.
const EXIT_USAGE: u8 = 2;

//! What a newcomer and a contributor run. Arguments → a job → exit code.

mod bench;
mod checks;
mod conformance;
mod demo;
mod guests;
mod hostile;
mod setup;

use std::env;
use std::process::ExitCode;

use crate::setup::Workspace;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments.as_slice() {
        ["demo"] => Workspace::enter().and_then(|it| demo::run(&it, demo::End::StayUp)),
        ["demo", "--once"] => Workspace::enter().and_then(|it| demo::run(&it, demo::End::Once)),
        ["test"] => Workspace::enter().and_then(|it| checks::run_all(&it)).map(done),
        ["conformance", options @ ..] => match conformance_options(options) {
            Some(options) => {
                Workspace::enter().and_then(|it| conformance::run(&it, options)).map(done)
            }
            None => return unknown(&arguments),
        },
        ["bench", "peers", options @ ..] => {
            Workspace::enter().and_then(|it| bench::peers(&it, options)).map(done)
        }
        ["hostile"] => hostile(hostile::Options { json: false }),
        ["hostile", "--json"] => hostile(hostile::Options { json: true }),
        ["guests", options @ ..] => {
            Workspace::enter().and_then(|it| guests::run(&it, &guests::Options::parse(options)))
        }
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => return unknown(&arguments),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn hostile(options: hostile::Options) -> anyhow::Result<ExitCode> {
    Workspace::enter().and_then(|it| hostile::run(&it, options)).map(done)
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn conformance_options(words: &[&str]) -> Option<conformance::Options> {
    let mut options = conformance::Options::default();
    for word in words {
        match *word {
            "--nightly" => options.nightly = true,
            "--json" => options.json = true,
            _ => return None,
        }
    }
    Some(options)
}

fn unknown(arguments: &[&str]) -> ExitCode {
    eprint!("error: there is no `cargo xtask {}`\n\n{USAGE}", arguments.join(" "));
    ExitCode::from(EXIT_USAGE)
}

const USAGE: &str = "\
Usage: cargo xtask <job>

  demo          Build the host and the example handlers, run them on the embedded API server,
                and play a short life of pods and config maps. The host then stays up to be
                played with, until Ctrl-C.
  demo --once   The same without staying up: stop the host, and fail unless everything was
                seen that should be.
  test          Run everything that must hold: format, lints, tests, conformance, licences, the
                demo.
  conformance [--nightly] [--json]
                Compare with client-go: the scenarios of its own tests, thousands of traces through
                both, both side by side on one API server, and bugs made on purpose that this has
                to notice. --nightly: 100 times as many traces. --json: one line at the end.
  bench peers [--quick] [--json] [--help]
                Measure informerd beside client-go and kube-rs on one recording: CPU, memory and
                the goals of both. --quick: 10,000 pods, once, in a few minutes. --json: one line
                per figure and peer.
  guests [NAME ...] [--json]
                Build the audit trail of every language, or of these, play the same life to each,
                and measure what each costs. --json: the last line is one JSON object.
  hostile [--json]
                Run guests that attack in every way that is known, each beside a good one, look at
                what becomes of them and at what they leave behind; measure how much longer good
                handlers wait when some hostile ones run beside them, and what a handler misses that
                is replaced again and again. --json: one line at the end.

All jobs set up what they need and say so. Beforehand there must be Rust with rustup
(https://rustup.rs), for `conformance`, `bench`
and `test` Go (https://go.dev/dl), and for `test` and
`guests` Python 3 with venv and Node.js (https://nodejs.org).
";

/// As clap's, and the shell's own.
const EXIT_USAGE: u8 = 2;

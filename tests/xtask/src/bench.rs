//! informerd beside its peers, by the program of `tests/bench`.
//!
//! in: `tests/bench`. out: the figures, on standard output, and nothing else there; with `--json`, one line per figure
//! and peer.

use std::process::Command;

use anyhow::Result;

use crate::setup::{Workspace, add_wasm_target, run};

/// The program knows the options, and builds what it measures.
pub(crate) fn peers(workspace: &Workspace, options: &[&str]) -> Result<()> {
    add_wasm_target()?;
    let bench = workspace.build_release_program("bench")?;
    run(Command::new(bench).args(options))
}

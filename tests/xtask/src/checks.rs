//! Everything that must hold, step by step; the first step that fails ends it.
//!
//! The order is that of cost: what fails soonest comes first, and what takes minutes to build comes
//! just before what needs it.

use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::conformance;
use crate::demo;
use crate::setup::{Workspace, add_component, add_wasm_target, cargo, has_subcommand, run};

pub(crate) fn run_all(workspace: &Workspace) -> Result<()> {
    let begin = Instant::now();
    let mut timings = Vec::new();
    for (name, explanation, step) in STEPS {
        println!("\n== {name}: {explanation}");
        let step_begin = Instant::now();
        step(workspace).with_context(|| format!("step `{name}`"))?;
        timings.push(format!("{name} {}", seconds(step_begin.elapsed())));
    }
    let total = seconds(begin.elapsed());
    println!("\n== All passed in {total}: {}", timings.join(", "));
    Ok(())
}

type Step = (&'static str, &'static str, fn(&Workspace) -> Result<()>);

const STEPS: [Step; 8] = [
    ("set-up", "the parts of the Rust toolchain that are used", set_up),
    ("format", "cargo fmt", format),
    ("lints", "cargo clippy, where a warning is an error", lints),
    ("control plane", "etcd and kube-apiserver; a first build takes many minutes", control_plane),
    ("tests", "cargo test, with a real API server", tests),
    ("conformance", "cargo xtask conformance: the same as client-go", conformance),
    ("licences", "cargo deny: licences, sources and duplicates of what we build on", licences),
    ("demo", "cargo xtask demo --once", play_demo),
];

fn set_up(_: &Workspace) -> Result<()> {
    add_wasm_target()?;
    add_component("fmt", "rustfmt")?;
    add_component("clippy", "clippy")
}

fn format(_: &Workspace) -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"])).context("`cargo fmt` mends it")
}

fn lints(_: &Workspace) -> Result<()> {
    let mut clippy = cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    run(&mut clippy)
}

/// The tests would build it, too, but where nobody sees why they take so long.
fn control_plane(workspace: &Workspace) -> Result<()> {
    run(&mut workspace.build_program("control-plane-assets")?)
}

fn tests(_: &Workspace) -> Result<()> {
    // What takes long in the next step is not done twice.
    run(cargo().args(["test", "--workspace", "--", "--skip", conformance::SIDE_BY_SIDE]))
}

fn conformance(workspace: &Workspace) -> Result<()> {
    conformance::run(workspace, conformance::Options::default())
}

fn licences(_: &Workspace) -> Result<()> {
    if has_subcommand("deny")? {
        // Not the advisories: what others publish must not fail a change of ours.
        return run(cargo().args(DENY));
    }
    let hint = "cargo-deny is not installed (`cargo install cargo-deny --locked`)";
    match env::var_os("CI") {
        Some(_) => println!("WARNING: left out although this is CI: {hint}"),
        None => println!("left out: {hint}"),
    }
    Ok(())
}

fn play_demo(workspace: &Workspace) -> Result<()> {
    demo::run(workspace, demo::End::Once).map(drop)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// Who brings in a duplicate is told by the same without `--hide-inclusion-graph`.
const DENY: [&str; 6] = ["deny", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];

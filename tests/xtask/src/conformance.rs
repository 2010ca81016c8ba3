//! Conformance with client-go: its scenarios, the same traces through both, both side by side on one
//! API server, and whether all of that would notice a bug.
//!
//! in: `host/informer`, `tests/conformance`, `tests/side_by_side.rs`. out: what was compared, on
//! standard output; with `--json`, one line at the end.

mod mutants;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::setup::{self, Workspace, cargo, line, run_echoing};

/// How much is compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// 100 times as many traces.
    pub(crate) nightly: bool,
    /// One line of JSON at the end.
    pub(crate) json: bool,
}

/// Runs everything; fails if anything differs, or a mutant was not caught. Where tests fail, the rest
/// is still compared.
pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<()> {
    println!("\n-- Scenarios of client-go's own tests, and the table of differences");
    let (scenarios, scenario_tests) = scenarios()?;
    println!("\n-- Traces through both");
    let traces = traces(workspace, options.nightly)?;
    println!("\n-- Side by side on one API server");
    let side_by_side = side_by_side();
    println!("\n-- Mutants: bugs that the traces must notice");
    let mutants = mutants::run(workspace)?;

    let count = |name: &str| traces[name].as_u64().unwrap_or_default();
    let caught = mutants.count - mutants.survivors.len();
    let report = json!({
        "client_go": traces["client_go"],
        "seed": traces["seed"],
        "scenarios_passed": scenarios.len(),
        "queue_traces": count("queue_traces"),
        "store_traces": count("store_traces"),
        "informer_traces": count("informer_traces"),
        "mismatches": count("mismatches"),
        "mutants": mutants.count,
        "mutants_caught": caught,
    });
    println!(
        "\n{} of {SCENARIOS} scenarios passed; {} queue, {} store and {} informer traces compared \
         with client-go {}, {} mismatches; {caught} of {} mutants caught",
        scenarios.len(),
        count("queue_traces"),
        count("store_traces"),
        count("informer_traces"),
        traces["client_go"].as_str().unwrap_or_default(),
        count("mismatches"),
        mutants.count,
    );
    if options.json {
        println!("{report}");
    }
    scenario_tests?;
    side_by_side?;
    let missing: Vec<usize> =
        (1..=SCENARIOS).filter(|number| !scenarios.contains(number)).collect();
    ensure!(missing.is_empty(), "no test passed for the scenarios {missing:?}");
    ensure!(count("mismatches") == 0, "informerd and client-go differ, see above");
    ensure!(mutants.survivors.is_empty(), "not caught: {}", mutants.survivors.join(", "));
    Ok(())
}

/// The numbers of the scenarios of which every test passed, and whether all of these tests did.
fn scenarios() -> Result<(BTreeSet<usize>, Result<()>)> {
    let mut tests = cargo();
    // Of the whole workspace, here and below: with the features of a part of it, all that this
    // builds on would be built once more.
    tests.args(["test", "--workspace", "--lib", "--test", "main", "--no-fail-fast"]);
    tests.args(["--", "scenario_", "differences"]);
    let (status, lines) = run_echoing(&mut tests)?;
    let numbers = |end: &str| -> BTreeSet<usize> {
        lines.iter().filter_map(|it| it.strip_suffix(end)).filter_map(scenario_number).collect()
    };
    let succeeded = match status.success() {
        true => Ok(()),
        false => Err(anyhow!("`{}` failed ({status})", line(&tests))),
    };
    Ok((&numbers(" ... ok") - &numbers(" ... FAILED"), succeeded))
}

/// `test reflector::tests::scenario_28_reflector_watch_handler` → 28.
fn scenario_number(test: &str) -> Option<usize> {
    let (_, name) = test.split_once("scenario_")?;
    name.split('_').next()?.parse().ok()
}

/// What the program `conformance` says at its end.
fn traces(workspace: &Workspace, nightly: bool) -> Result<Value> {
    let mut conformance = workspace.build_program("conformance")?;
    conformance.arg("--json");
    if nightly {
        conformance.arg("--nightly");
    }
    let (status, lines) = run_echoing(&mut conformance)?;
    let report = lines.last().and_then(|line| serde_json::from_str(line).ok());
    report.with_context(|| format!("`{}` ended with {status} and no report", line(&conformance)))
}

fn side_by_side() -> Result<()> {
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--test", "main", "--", SIDE_BY_SIDE, "--nocapture"]);
    setup::run(&mut tests)
}

/// Of section 2 of what is known of client-go's own tests: the most important ones.
const SCENARIOS: usize = 60;

/// The tests that stand beside client-go; `checks` leaves them to this job.
pub(crate) const SIDE_BY_SIDE: &str = "side_by_side::";

//! Hostile guests: each way to attack that is known, by guests made for it, beside good ones; how much longer
//! the good ones wait for what they are told; and what a handler misses that is replaced again and again.
//!
//! in: `tests/hostile`, the tests that it names, `tests/measure_neighbours.rs`, `tests/measure_reloads.rs`. out: what was contained, on
//! standard output; with `--json`, one line at the end.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::setup::{Workspace, cargo, line, run_echoing};

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// One line of JSON at the end.
    pub(crate) json: bool,
}

/// Fails unless everything that can be tried was contained, and nothing was lost over the reloads. Times are told and
/// fail nothing: they depend on the machine, and on what else that does.
pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<()> {
    println!("\n-- Guests that attack, each beside a good one");
    let mut cases = Cases::default();
    let mut suite = cargo();
    suite.args(["test", "--workspace", "--test", "hostile", "--", "--nocapture"]);
    let (status, said) = run_echoing(&mut suite)?;
    for line in &said {
        cases.read(line);
    }
    ensure!(cases.guests > 0, "`{}` failed before its first guest ({status})", line(&suite));

    println!("\n-- Attacks that other tests show contained");
    let elsewhere = std::mem::take(&mut cases.elsewhere);
    let mut tests = cargo();
    tests.args([
        "test",
        "--workspace",
        "--lib",
        "--test",
        "main",
        "--no-fail-fast",
        "--",
        "--exact",
    ]);
    let (_, said) = run_echoing(tests.args(elsewhere.iter().map(|(_, test)| test)))?;
    for (case, test) in &elsewhere {
        // A test that is not there would not fail.
        cases.tried(case, said.contains(&format!("test {test} ... ok")));
    }

    println!("\n-- Good handlers beside hostile ones, and alone");
    let neighbours = measured(workspace, "measure-neighbours")?;
    println!("{neighbours}");
    println!("\n-- A handler that is replaced under load");
    let reloads = measured(workspace, "measure-reloads")?;
    println!("{reloads}");

    let (count, contained) = (cases.cases.len(), cases.contained());
    println!(
        "\n{contained} of {count} ways to attack contained, by {} guests and {} tests of their own; nothing \
         to attack yet: {}\ngood handlers' 99th percentile: {} ms alone, {} ms beside 5 % hostile ones, {} \
         times as long\n{} reloads: {} changes lost, {} calls of two generations at once, 99th percentile of \
         the gap {} ms",
        cases.guests,
        cases.tests,
        cases.not_applicable.join(", "),
        neighbours["p99_ms_alone"],
        neighbours["p99_ms_beside"],
        neighbours["p99_ratio"],
        reloads["reloads"],
        reloads["lost"],
        reloads["overlaps"],
        reloads["gap_ms_p99"],
    );
    if options.json {
        let mut report = json!({
            "cases": count,
            "contained": contained,
            "guests": cases.guests,
            "not_applicable": cases.not_applicable,
            "neighbours": neighbours,
        });
        for name in ["reloads", "lost", "overlaps", "gap_ms_p99"] {
            report[name] = reloads[name].clone();
        }
        println!("{report}");
    }
    let failed: Vec<&str> = cases.failed().collect();
    ensure!(failed.is_empty(), "not contained: {}", failed.join(", "));
    ensure!(status.success(), "`{}` failed, see above ({status})", line(&suite));
    let is_clean = [&reloads["lost"], &reloads["overlaps"]].iter().all(|it| **it == json!(0));
    ensure!(is_clean, "a handler that is replaced misses something, or is called twice at once");
    Ok(())
}

/// What a program measures, built with optimisations: its last line, as JSON.
fn measured(workspace: &Workspace, program: &str) -> Result<Value> {
    let measure = workspace.build_release_program(program)?;
    let output =
        Command::new(&measure).output().with_context(|| format!("cannot run {program}"))?;
    let (said, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{program} failed: {complaints}");
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("what {program} says is not JSON: {last}"))
}

/// What is known of each case, by its number.
#[derive(Default)]
struct Cases {
    /// Whether all that tried it were contained.
    cases: BTreeMap<String, bool>,
    guests: usize,
    tests: usize,
    /// A case, and the test that shows it.
    elsewhere: Vec<(String, String)>,
    not_applicable: Vec<String>,
}

impl Cases {
    /// A line of the suite, such as `contained H1 loops: …`.
    fn read(&mut self, line: &str) {
        let after = |start: &str| {
            let (case, rest) = line.strip_prefix(start)?.split_once(' ')?;
            Some((case.to_owned(), rest.to_owned()))
        };
        if let Some((case, _)) = after("contained ") {
            self.guest(&case, true);
        } else if let Some((case, _)) = after("NOT CONTAINED ") {
            self.guest(&case, false);
        } else if let Some(elsewhere) = after("elsewhere ") {
            self.elsewhere.push(elsewhere);
        } else if let Some((case, _)) = after("not applicable ") {
            self.not_applicable.push(case);
        }
    }

    fn guest(&mut self, case: &str, is_contained: bool) {
        self.guests += 1;
        self.note(case, is_contained);
    }

    fn tried(&mut self, case: &str, is_contained: bool) {
        self.tests += 1;
        self.note(case, is_contained);
    }

    fn note(&mut self, case: &str, is_contained: bool) {
        *self.cases.entry(case.to_owned()).or_insert(true) &= is_contained;
    }

    fn contained(&self) -> usize {
        self.cases.values().filter(|is_contained| **is_contained).count()
    }

    fn failed(&self) -> impl Iterator<Item = &str> {
        let failed = self.cases.iter().filter(|(_, is_contained)| !**is_contained);
        failed.map(|(case, _)| case.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_contained_if_every_guest_of_it_is() {
        let mut cases = Cases::default();
        for line in [
            "running 1 test",
            "contained H1 loops: 1 dead letters: used more than its 100ms",
            "contained H2 loops at start: refused: no",
            "NOT CONTAINED H1 loops elsewhere: it handled everything",
            "elsewhere H42 guest::tests::a_panic",
            "not applicable H39 no handler can write",
            "contained",
        ] {
            cases.read(line);
        }
        assert_eq!((cases.cases.len(), cases.contained(), cases.guests), (2, 1, 3));
        assert_eq!(cases.failed().collect::<Vec<_>>(), ["H1"]);
        assert_eq!(cases.elsewhere, [("H42".to_owned(), "guest::tests::a_panic".to_owned())]);
        assert_eq!(cases.not_applicable, ["H39"]);
        cases.tried("H42", false);
        assert_eq!(cases.contained(), 1);
    }
}

//! Hostile guests: each way to attack that is known, by guests made for it, beside good ones; and how much longer
//! the good ones wait for what they are told.
//!
//! in: `tests/hostile`, the tests that it names, `tests/measure_neighbours.rs`. out: what was contained, on
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

/// Fails unless everything that can be tried was contained. How long the good ones wait is told, and fails
/// nothing: it depends on the machine, and on what else that does.
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
    for (case, test) in std::mem::take(&mut cases.elsewhere) {
        let (status, said) = run_echoing(cargo().args(exactly(&test)))?;
        // A test that is not there would not fail.
        let is_ok = status.success() && said.contains(&format!("test {test} ... ok"));
        cases.tried(&case, is_ok);
    }

    println!("\n-- Good handlers beside hostile ones, and alone");
    let measure = workspace.build_release_program("measure-neighbours")?;
    let measured = Command::new(&measure).output().context("cannot measure")?;
    let complaints = String::from_utf8_lossy(&measured.stderr);
    ensure!(measured.status.success(), "measure-neighbours failed: {complaints}");
    let neighbours: Value = serde_json::from_slice(&measured.stdout)
        .context("what measure-neighbours says is not JSON")?;

    let of = |name: &str| neighbours[name].as_f64().unwrap_or_default();
    let (count, contained) = (cases.cases.len(), cases.contained());
    println!(
        "\n{contained} of {count} ways to attack contained, by {} guests and {} tests of their own; not tried \
         yet: {}; nothing to attack yet: {}\ngood handlers' 99th percentile {:.2} ms alone, \
         {:.2} ms beside 5 % hostile ones: {:.2} times",
        cases.guests,
        cases.tests,
        cases.later.join(", "),
        cases.not_applicable.join(", "),
        of("p99_ms_alone"),
        of("p99_ms_beside"),
        of("p99_ratio"),
    );
    if options.json {
        println!(
            "{}",
            json!({
                "cases": count,
                "contained": contained,
                "guests": cases.guests,
                "later": cases.later,
                "not_applicable": cases.not_applicable,
                "neighbours": neighbours,
            })
        );
    }
    let failed: Vec<&str> = cases.failed().collect();
    ensure!(failed.is_empty(), "not contained: {}", failed.join(", "));
    ensure!(status.success(), "`{}` failed, see above ({status})", line(&suite));
    Ok(())
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
    later: Vec<String>,
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
        } else if let Some((case, _)) = after("later ") {
            self.later.push(case);
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

/// Cargo's words to run one test, of whatever crate.
fn exactly(test: &str) -> [&str; 8] {
    ["test", "--workspace", "--lib", "--test", "main", "--", "--exact", test]
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
            "later H50 a new module every second",
            "not applicable H39 no handler can write",
            "contained",
        ] {
            cases.read(line);
        }
        assert_eq!((cases.cases.len(), cases.contained(), cases.guests), (2, 1, 3));
        assert_eq!(cases.failed().collect::<Vec<_>>(), ["H1"]);
        assert_eq!(cases.elsewhere, [("H42".to_owned(), "guest::tests::a_panic".to_owned())]);
        assert_eq!((cases.later[0].as_str(), cases.not_applicable[0].as_str()), ("H50", "H39"));
        cases.tried("H42", false);
        assert_eq!(cases.contained(), 1);
    }
}

//! `DIFFERENCES.md` is true: each difference from client-go is shown by a test that exists.

use std::fs;
use std::path::Path;

use crate::sources::{repository, test_functions};

const COLUMNS: [&str; 5] = ["rule", "client-go", "informerd", "why", "shown by"];

#[test]
fn every_difference_from_client_go_is_shown_by_a_test() {
    let root = repository();
    let document = fs::read_to_string(root.join("host/informer/DIFFERENCES.md"));
    let wrong = wrong_rows(&document.expect("DIFFERENCES.md"), &root);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with the table; nothing if it is fine.
fn wrong_rows(document: &str, root: &Path) -> Vec<String> {
    let mut rows = document.lines().filter(|line| line.starts_with('|')).map(cells);
    if rows.next().is_none_or(|head| head != COLUMNS) {
        return vec![format!("the columns of the table are not {COLUMNS:?}")];
    }
    let rows: Vec<_> = rows.skip(1).collect();
    if rows.is_empty() {
        return vec!["the table is empty".to_owned()];
    }
    let mut wrong = Vec::new();
    for cells in rows {
        for reason in wrong_row(&cells, root) {
            wrong.push(format!("{}: {reason}", cells.join(" | ")));
        }
    }
    wrong
}

fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split('|').map(str::trim).collect()
}

fn wrong_row(cells: &[&str], root: &Path) -> Vec<String> {
    if cells.len() != COLUMNS.len() || cells.iter().any(|cell| cell.is_empty()) {
        return vec!["a cell is empty or missing".to_owned()];
    }
    // What stands between backticks.
    let tests: Vec<_> = cells[4].split('`').skip(1).step_by(2).collect();
    if tests.is_empty() {
        return vec!["no test is named".to_owned()];
    }
    tests.into_iter().filter_map(|test| missing(test, root)).collect()
}

/// Why `path/from/root.rs::function` is no test.
fn missing(test: &str, root: &Path) -> Option<String> {
    let Some((path, name)) = test.split_once("::") else {
        return Some(format!("{test} is not written as path::function"));
    };
    let Ok(source) = fs::read_to_string(root.join(path)) else {
        return Some(format!("there is no file {path}"));
    };
    let found = test_functions(&source).iter().any(|function| function.name == name);
    (!found).then(|| format!("there is no test {name} in {path}"))
}

#[test]
fn a_table_that_is_not_true_is_found() {
    let check = |row: &str| {
        let head = "| rule | client-go | informerd | why | shown by |\n|---|---|---|---|---|\n";
        wrong_rows(&format!("# Text\n\n{head}{row}"), &repository())
    };
    let this = "host/informer/tests/differences.rs::a_table_that_is_not_true_is_found";
    assert!(check(&format!("| X-1 | a | b | c | `{this}` |")).is_empty());
    for (row, reason) in [
        ("", "is empty"),
        ("| X-1 | a | b | c | |", "a cell is empty"),
        ("| X-1 | a | b | `x.rs::y` |", "a cell is empty or missing"),
        ("| X-1 | a | b | c | a test |", "no test is named"),
        ("| X-1 | a | b | c | `cells` |", "path::function"),
        ("| X-1 | a | b | c | `host/no.rs::cells` |", "no file host/no.rs"),
        ("| X-1 | a | b | c | `host/informer/tests/differences.rs::cells` |", "no test cells"),
        (&format!("| X-1 | a | b | c | `{this}`, `{this}_` |"), "no test a_table"),
    ] {
        let wrong = check(row);
        assert!(wrong.len() == 1 && wrong[0].contains(reason), "{row}: {wrong:?}");
    }
    assert!(!wrong_rows("| other | columns |\n", &repository()).is_empty());
}

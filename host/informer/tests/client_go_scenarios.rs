//! The sixty scenarios of client-go that must hold, none lost. The test of the third is named
//! `scenario_03_` and client-go's name for it, and its comment begins with `★3 client-go:` and that
//! name; a scenario of several parts has several tests.

use std::collections::BTreeSet;
use std::fs;

use crate::sources::{TestFunction, repository, rust_files, test_functions};

const SCENARIOS: std::ops::RangeInclusive<usize> = 1..=60;

#[test]
fn every_scenario_of_client_go_has_a_test_of_its_name() {
    let crate_folder = repository().join("host/informer");
    let files = ["src", "tests"].map(|folder| rust_files(&crate_folder.join(folder))).concat();
    let mut wrong = Vec::new();
    let mut shown = BTreeSet::new();
    for path in files {
        let source = fs::read_to_string(&path).expect("a source file is text");
        for function in test_functions(&source) {
            match scenario(&function) {
                Ok(scenario) => shown.extend(scenario),
                Err(reason) => wrong.push(format!("{}: {reason}", path.display())),
            }
        }
    }
    let missing = SCENARIOS.filter(|number| !shown.contains(number));
    wrong.extend(missing.map(|number| format!("no test shows scenario {number}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The scenario that a test shows, if any; an error if name and comment do not agree.
fn scenario(TestFunction { name, doc }: &TestFunction) -> Result<Option<usize>, String> {
    let from_name = name.strip_prefix("scenario_").and_then(|rest| rest.split_once('_'));
    let star = doc.strip_prefix('★').and_then(|rest| rest.split_once("client-go: `Test"));
    let (Some((digits, name_there)), Some((number, rest))) = (from_name, star) else {
        return match (from_name, doc.contains('★')) {
            (None, false) => Ok(None),
            (None, true) => Err(format!("{name} shows a scenario and is not named after it")),
            (Some(_), _) => Err(format!("{name} has no comment that begins with its scenario")),
        };
    };
    let number = number.split_once(' ').map_or("", |(number, _)| number);
    let number =
        number.parse().ok().filter(|it| SCENARIOS.contains(it) && doc.matches('★').count() == 1);
    let number =
        number.ok_or_else(|| format!("{name} does not say which one scenario it shows"))?;
    let there = snake_case(rest.split_once('`').map_or("", |(there, _)| there));
    match digits == format!("{number:02}") && name_there.starts_with(&there) {
        true => Ok(Some(number)),
        false => Err(format!("{name} should be named scenario_{number:02}_{there}")),
    }
}

/// `DeltaFIFO_addUpdate` is `delta_fifo_add_update`.
fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (n, char) in chars.iter().enumerate() {
        let is_upper = |n: usize| chars.get(n).is_some_and(|it| it.is_ascii_uppercase());
        let is_lower = |n: usize| chars.get(n).is_some_and(|it| it.is_ascii_lowercase());
        let begins_word =
            is_upper(n) && n > 0 && (is_lower(n - 1) || is_upper(n - 1) && is_lower(n + 1));
        if begins_word {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

#[test]
fn names_and_comments_must_agree() {
    let test = |name: &str, doc: &str| {
        scenario(&TestFunction { name: name.to_owned(), doc: doc.to_owned() })
    };
    let doc = "★3 client-go: `TestDeltaFIFO_addUpdate`.";
    assert_eq!(test("scenario_03_delta_fifo_add_update", doc), Ok(Some(3)));
    assert_eq!(test("scenario_03_delta_fifo_add_update_twice", doc), Ok(Some(3)));
    assert_eq!(test("free", "Ours."), Ok(None));
    let parts = "★48 (3) (4) client-go: `TestWatchList`.";
    assert_eq!(test("scenario_48_watch_list_that_is_refused", parts), Ok(Some(48)));
    let rv = "★25 client-go: `TestThreadSafeStoreRV`.";
    assert_eq!(test("scenario_25_thread_safe_store_rv", rv), Ok(Some(25)));
    for (name, doc) in [
        ("scenario_3_delta_fifo_add_update", doc),
        ("scenario_04_delta_fifo_add_update", doc),
        ("scenario_03_delta_fifo_update", doc),
        ("free", doc),
        ("scenario_03_delta_fifo_add_update", ""),
        ("scenario_61_more", "★61 client-go: `TestMore`."),
        ("scenario_03_more", "★3 ★4 client-go: `TestMore`."),
    ] {
        assert!(test(name, doc).is_err(), "{name}: {doc}");
    }
}

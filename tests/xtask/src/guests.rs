//! The audit trail (`guests/audit`) in every language: built, put through the conformance suite, measured.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use crate::setup::{Workspace, add_wasm_target, cargo, line};

/// What is asked for.
pub(crate) struct Options {
    /// All if empty.
    languages: Vec<String>,
    json: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Self {
        let languages = arguments.iter().filter(|it| **it != "--json");
        Self {
            languages: languages.map(|it| it.replace('-', "_")).collect(),
            json: arguments.contains(&"--json"),
        }
    }
}

/// Fails if one language does.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    add_wasm_target()?;
    let all = toolchains::languages().map_err(anyhow::Error::msg)?;
    if let Some(unknown) = options.languages.iter().find(|it| !all.contains(it)) {
        bail!("there is no guests/audit/{unknown}: the languages are {}", all.join(", "));
    }
    let wanted = if options.languages.is_empty() { &all } else { &options.languages };
    let measure = workspace.build_release_program("measure-guests")?;
    let mut rows = Vec::new();
    for language in wanted {
        eprintln!("== {language}");
        rows.push(row(language, &measure));
    }
    print!("{}", table(&rows));
    let passed = rows.iter().all(|row| row["passed"] == json!(true));
    if options.json {
        println!("{}", json!({ "languages": rows }));
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of one language. A problem is told, and does not keep the others.
fn row(language: &str, measure: &Path) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("language".to_owned(), language.replace('_', "-").into());
    let (passed, figures) = match build_and_check(language, measure) {
        Ok(figures) => (true, figures),
        Err(error) => {
            eprintln!("{language} failed: {error:#}");
            row.insert("problem".to_owned(), format!("{error:#}").into());
            (false, Map::new())
        }
    };
    row.insert("passed".to_owned(), passed.into());
    row.extend(figures);
    row
}

fn build_and_check(language: &str, measure: &Path) -> Result<Map<String, Value>> {
    let module = toolchains::build(&format!("audit/{language}")).map_err(anyhow::Error::msg)?;
    let test = format!("guest_conformance::{language}");
    let mut suite = cargo();
    suite.args(["test", "--workspace", "--test", "main", "--", "--exact", &test]);
    let output = suite.output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    // A test that is not there would not fail.
    if !said.contains(&format!("test {test} ... ok")) {
        let complained = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed:\n{said}{complained}", line(&suite));
    }
    let output = Command::new(measure).arg(&module).output().context("cannot measure")?;
    if !output.status.success() {
        bail!("it cannot be measured: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("what measure-guests says is not JSON")
}

/// For people; markdown, so that it can be put into the documentation.
fn table(rows: &[Map<String, Value>]) -> String {
    let mut text = String::from(
        "\n| language | passed | size | compile | instantiate | memory of 1 | of 100 | call: name | \
         by pointer | parsing 6 KB |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let number = |name: &str| row.get(name).and_then(Value::as_f64);
        let shown = |name, unit: &str| match number(name) {
            Some(number) => format!("{number:.1} {unit}"),
            None => "-".to_owned(),
        };
        let mebibytes = |name| match number(name) {
            Some(bytes) => format!("{:.2} MiB", bytes / 1024.0 / 1024.0),
            None => "-".to_owned(),
        };
        let passed = if row["passed"] == json!(true) { "yes" } else { "NO" };
        let cells = [
            row["language"].as_str().unwrap_or_default().to_owned(),
            passed.to_owned(),
            mebibytes("size_bytes"),
            shown("compile_ms", "ms"),
            shown("instantiate_ms", "ms"),
            mebibytes("memory_of_1_bytes"),
            mebibytes("memory_of_100_bytes"),
            shown("call_name_us", "µs"),
            shown("call_pointers_us", "µs"),
            shown("call_parse_us", "µs"),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

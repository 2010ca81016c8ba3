//! The tests of the project, read from the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// A function with `#[test]`, or the like of another runtime, and its doc comment as one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestFunction {
    pub(crate) name: String,
    pub(crate) doc: String,
}

/// The folder that all paths in the documents start from.
pub(crate) fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("the crate stands in host/informer").to_owned()
}

/// The Rust files below a folder.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            files.append(&mut rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

pub(crate) fn test_functions(source: &str) -> Vec<TestFunction> {
    let mut functions = Vec::new();
    let (mut doc, mut is_test) = (Vec::new(), false);
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else {
            let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let (true, Some((name, _))) = (is_test, rest.and_then(|it| it.split_once('('))) {
                functions.push(TestFunction { name: name.to_owned(), doc: doc.join(" ") });
            }
            doc.clear();
            is_test = false;
        }
    }
    functions
}

#[test]
fn test_functions_are_found_with_their_comments() {
    let source = "/// What it\n/// shows.\n#[test]\nfn one() {}\n\nfn no_test() {}\n\
                  #[tokio::test(start_paused = true)]\nasync fn two() {\n    call();\n}\n\
                  /// Not of three.\nstruct S;\n#[test]\n#[ignore]\nfn three() {}\n";
    let found = |name: &str, doc: &str| TestFunction { name: name.to_owned(), doc: doc.to_owned() };
    let expected = [found("one", "What it shows."), found("two", ""), found("three", "")];
    assert_eq!(test_functions(source), expected);
}

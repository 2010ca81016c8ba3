//! What `informerd new` makes, tried as a new user would: made, tested, built and run as its README says, then
//! changed, built and run again.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tests::binary;

/// One test for each folder in `guests/templates` but `common`.
macro_rules! languages {
    ($($language:ident)*) => {
        $(
            #[test]
            fn $language() {
                a_new_user_sees_their_handler_run_and_their_change(&shown(stringify!($language)));
            }
        )*

        const LANGUAGES: &[&str] = &[$(stringify!($language)),*];
    };
}

languages! {
    c
    cpp
    zig
    assemblyscript
    core_module
    rust
    go
    javascript
    typescript
    python
    stdin
}

#[test]
fn every_template_is_tested() {
    let mut languages: Vec<String> = LANGUAGES.iter().copied().map(shown).collect();
    languages.sort_unstable();
    assert_eq!(languages, host::scaffold::languages().collect::<Vec<_>>());
}

#[test]
fn languages_are_told_and_mistakes_explained() {
    let folder = tempfile::tempdir().unwrap();
    let help = text(&new(folder.path(), &["--help"]).stdout);
    for language in LANGUAGES {
        assert!(help.contains(&shown(language)), "{help}");
    }
    for (arguments, expected) in [
        (&["--lang", "cobol", "a"][..], &["cobol", "rust"][..]),
        (&["a"], &["--lang"]),
        (&["--lang", "rust"], &["NAME"]),
        (&["--lang", "rust", "../a"], &["\"../a\"", "pod-greeter"]),
    ] {
        let output = new(folder.path(), arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        for words in expected {
            assert!(said.contains(words), "{arguments:?}: {said:?} without {words:?}");
        }
    }
    assert!(new(folder.path(), &["--lang", "rust", "a"]).status.success());
    let again = new(folder.path(), &["--lang", "rust", "a"]);
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("a is there already"), "{}", text(&again.stderr));
}

fn a_new_user_sees_their_handler_run_and_their_change(language: &str) {
    let parent = tempfile::tempdir().unwrap();
    let name = format!("my-{language}");
    let made = new(parent.path(), &["--lang", language, &name]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let project = parent.path().join(&name);
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    let commands = |heading| toolchains::commands(&readme, heading).unwrap();

    shell(&project, &commands("Install"));
    shell(&project, &commands("Build"));
    run_until(&project, &commands("Run"), "hello demo/web-1");

    let changed = change_sources(&project, "hello", "welcome");
    assert!(changed > 0, "the word `hello` is nowhere in the project");
    shell(&project, &commands("Build"));
    run_until(&project, &commands("Run"), "welcome demo/web-1");
}

/// A language as users write it.
fn shown(language: &str) -> String {
    language.replace('_', "-")
}

fn new(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("new").args(arguments).current_dir(folder).output().unwrap()
}

/// Runs a project's commands as in a shell of the user's.
fn shell(project: &Path, commands: &str) {
    let output = user(project, commands).output().unwrap();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{commands}{said}{complained}");
}

/// Runs `informerd` as the README says until the log has these words.
fn run_until(project: &Path, commands: &str, words: &str) {
    let commands = commands.replace("informerd dev", "exec informerd dev --http 127.0.0.1:0");
    let mut running = Stopped(user(project, &commands).stderr(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(running.0.stderr.take().unwrap());
    let mut seen = String::new();
    for line in log.lines() {
        let line = line.unwrap();
        if line.contains(words) {
            return;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("{words:?} is not in the log of\n{commands}{seen}");
}

/// Killed when the test has seen enough, or fails.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shell in the project's folder that finds `informerd`, and none of the variables of the cargo that runs
/// the tests.
fn user(project: &Path, commands: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", commands]).current_dir(project);
    for (name, _) in std::env::vars_os() {
        let cargos = name.to_string_lossy();
        let is_tool = cargos.starts_with("CARGO") || cargos.starts_with("RUST");
        if is_tool && !matches!(&*cargos, "CARGO_HOME" | "RUSTUP_HOME") {
            shell.env_remove(&name);
        }
    }
    let mut paths = vec![binary().parent().unwrap().to_path_buf()];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    shell.env("PATH", std::env::join_paths(paths).unwrap());
    shell
}

/// Replaces a word in all files of a project that are text and not about it; gives how many there are.
fn change_sources(project: &Path, from: &str, to: &str) -> usize {
    let mut folders = vec![project.to_path_buf()];
    let mut changed = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                // What tools put there, and what is informerd's.
                if !["target", "node_modules", "informerd-handler", "wit"].contains(&&*name)
                    && !name.starts_with('.')
                {
                    folders.push(path);
                }
            } else if !name.ends_with(".md")
                && let Ok(text) = fs::read_to_string(&path)
                && text.contains(from)
            {
                fs::write(&path, text.replace(from, to)).unwrap();
                changed += 1;
            }
        }
    }
    changed
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

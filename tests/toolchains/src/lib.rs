//! Builds a guest that cargo cannot build as its README says: the commands under `## Install`, unless
//! they were run before, and those under `## Build`. So the READMEs are right, or the tests fail.
//!
//! in:  `guests/<kind>/<language>/README.md`
//! out: `target/modules/<kind>_<language>.wasm`; what is installed is in `target/tools`.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders in `guests/audit`, sorted: every language that there is.
pub fn languages() -> Result<Vec<String>, String> {
    let audit = workspace().join("guests/audit");
    let named = |error: std::io::Error| format!("{}: {error}", audit.display());
    let mut languages = Vec::new();
    for folder in fs::read_dir(&audit).map_err(named)? {
        let folder = folder.map_err(named)?;
        if folder.path().join("README.md").is_file() {
            languages.push(folder.file_name().to_string_lossy().into_owned());
        }
    }
    languages.sort();
    Ok(languages)
}

/// Builds `<kind>/<language>`; gives where the module is. The error tells what to install, or what the
/// compiler said.
pub fn build(guest: &str) -> Result<PathBuf, String> {
    let target = workspace().join("target");
    let folder = workspace().join("guests").join(guest);
    let readme = folder.join("README.md");
    let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(&readme).map_err(|error| named(&readme, error))?;

    let tools = target.join("tools");
    fs::create_dir_all(&tools).map_err(|error| named(&tools, error))?;
    // One at a time, whichever process asks: they share what they install.
    let lock = File::create(tools.join("lock")).map_err(|error| named(&tools, error))?;
    lock.lock().map_err(|error| named(&tools, error))?;

    let install = commands(&text, "Install")?;
    let mut hasher = DefaultHasher::new();
    install.hash(&mut hasher);
    let installed = tools.join(format!("installed-{:016x}", hasher.finish()));
    if !installed.exists() {
        run(guest, &folder, "Install", &install)?;
        fs::write(&installed, &install).map_err(|error| named(&installed, error))?;
    }
    let module = target.join("modules").join(guest.replace('/', "_")).with_extension("wasm");
    run(guest, &folder, "Build", &commands(&text, "Build")?)?;
    match module.is_file() {
        true => Ok(module),
        false => Err(format!("{guest} is built, but {} is not there", module.display())),
    }
}

/// Runs the commands under `## Test` of a folder in `guests`. The error tells what they said.
pub fn test(guest: &str) -> Result<(), String> {
    let folder = workspace().join("guests").join(guest);
    let readme = folder.join("README.md");
    let text = fs::read_to_string(&readme);
    let text = text.map_err(|error| format!("{}: {error}", readme.display()))?;
    run(guest, &folder, "Test", &commands(&text, "Test")?)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shell commands under a heading; an error if there are none.
pub fn commands(readme: &str, heading: &str) -> Result<String, String> {
    let mut is_under_heading = false;
    let mut is_in_block = false;
    let mut commands = String::new();
    for line in readme.lines() {
        match line {
            "```sh" => is_in_block = true,
            "```" => is_in_block = false,
            _ if is_in_block && is_under_heading => commands.extend([line, "\n"]),
            _ if !is_in_block && line.starts_with('#') => {
                is_under_heading = line.trim_start_matches('#').trim() == heading;
            }
            _ => {}
        }
    }
    match commands.is_empty() {
        true => Err(format!("there is no ```sh under a heading `{heading}` in the README.md")),
        false => Ok(commands),
    }
}

fn run(guest: &str, folder: &Path, heading: &str, commands: &str) -> Result<(), String> {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", commands]).current_dir(folder);
    // Those of the cargo that runs the tests are not meant for another one.
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_TARGET_DIR"] {
        shell.env_remove(variable);
    }
    let output = shell.output().map_err(|error| format!("failed to start sh: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "guests/{guest}/README.md, `{heading}` failed ({}):\n{commands}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_under_a_heading_are_found() {
        let readme = "# a\n```sh\nno\n```\n## Install\ntext\n```sh\none\n# two\n```\nmore\n```sh\n\
                      three\n```\n## Build\n```c\nno\n```\n";
        assert_eq!(commands(readme, "Install").unwrap(), "one\n# two\nthree\n");
        assert!(commands(readme, "Build").unwrap_err().contains("`Build`"));
    }
}

//! Where and with what it was measured: figures without it say little.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

/// What a reader needs to judge the figures.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) informerd: String,
    pub(crate) commit: String,
    pub(crate) kube: String,
    pub(crate) client_go: String,
    pub(crate) go: String,
    pub(crate) allocator: String,
    /// Of the minute before the first subject: what else was running.
    pub(crate) load_before: String,
    /// Of the last minute.
    pub(crate) load_after: String,
}

impl Machine {
    /// `is_ours`: informerd was just built from what lies here.
    pub(crate) fn here(informerd: &Path, is_ours: bool) -> Self {
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = read("/proc/meminfo");
        let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let memory = memory.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Self {
            cpu: model.map_or_else(unknown, |(_, model)| model.to_owned()),
            cores: available_parallelism().map_or(0, usize::from),
            memory_gib: memory.unwrap_or(0) >> 20,
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            rustc: said(Command::new("rustc").arg("--version")),
            informerd: said(Command::new(informerd).arg("--version")),
            commit: if is_ours { commit() } else { unknown() },
            kube: locked_version("kube"),
            client_go: client_go::version().to_owned(),
            go: said(Command::new("go").arg("env").arg("GOVERSION")),
            allocator: allocator(),
            load_before: load(),
            load_after: String::new(),
        }
    }
}

/// How many threads of this machine ran or wanted to, on average, in the last minute.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()
}

/// That of subjects that bring none. They take over this process' environment.
fn allocator() -> String {
    let mut text = match std::env::var("LD_PRELOAD") {
        Ok(library) => {
            let name = Path::new(&library).file_name().unwrap_or_default();
            format!("{} (LD_PRELOAD)", name.to_string_lossy())
        }
        Err(_) => "the system's".to_owned(),
    };
    for (name, value) in std::env::vars().filter(|(name, _)| name.starts_with("MALLOC_")) {
        text += &format!(", {name}={value}");
    }
    text
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn said(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    output.map_or_else(unknown, |it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
}

/// Of the host and its handler; the benchmark itself may be newer.
fn commit() -> String {
    let git = |args: &[&str]| said(Command::new("git").current_dir(WORKSPACE).args(args));
    let last = git(&["rev-parse", "--short", "HEAD"]);
    match git(&["status", "--porcelain", "--", "host", "guests", "wit"]).is_empty() {
        true => last,
        false => format!("{last} and changes"),
    }
}

fn locked_version(package: &str) -> String {
    let begin = format!("name = \"{package}\"\nversion = \"");
    let rest = LOCK.split_once(&begin).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split('"').next()).map_or_else(unknown, str::to_owned)
}

fn unknown() -> String {
    "unknown".to_owned()
}

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

const LOCK: &str = include_str!("../../../Cargo.lock");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert!(locked_version("kube").contains('.'));
        assert_eq!(locked_version("no such package"), "unknown");
    }
}

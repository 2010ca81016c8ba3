//! What this process holds of the machine, as Linux tells.

use std::fs;
use std::path::Path;

/// At one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Resident memory.
    pub bytes: u64,
    /// Open file descriptors.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Processes that were started and not waited for.
    pub children: usize,
}

impl ProcessUsage {
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let threads = entries(Path::new("/proc/self/task"));
        let children = |thread: &String| {
            fs::read_to_string(format!("/proc/self/task/{thread}/children")).unwrap_or_default()
        };
        Self {
            bytes: kilobytes.expect("the kernel tells it") << 10,
            files: entries(Path::new("/proc/self/fd")).len(),
            children: threads.iter().map(|it| children(it).split_whitespace().count()).sum(),
            threads: threads.len(),
        }
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("Linux").filter_map(Result::ok);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

//! A child process and what the kernel tells about it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

/// A child that is killed when this is dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    /// The lines of its standard output.
    lines: Receiver<String>,
}

/// What a process has used, from `/proc`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time of all its threads, those that ended included.
    pub(crate) cpu: Duration,
    /// `VmRSS` in KiB.
    pub(crate) rss: u64,
    /// `VmHWM` in KiB: the highest `VmRSS` so far.
    pub(crate) peak_rss: u64,
}

impl Process {
    /// Its standard error is ours.
    pub(crate) fn start(name: &str, mut command: Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot start {name}"))?;
        let output = child.stdout.take().context("a piped output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name: name.to_owned(), child, lines })
    }

    /// The next line that it prints, if there is one by then.
    pub(crate) fn line(&mut self, wait: Duration) -> anyhow::Result<Option<String>> {
        match self.lines.recv_timeout(wait) {
            Ok(line) => Ok(Some(line)),
            Err(_) => self.check_alive().map(|()| None),
        }
    }

    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} ended early: {status}", self.name),
        }
    }

    /// Makes the next `peak_rss` the highest from now on.
    pub(crate) fn forget_peak_rss(&self) -> anyhow::Result<()> {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&file, "5").with_context(|| format!("cannot write {file}"))
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let id = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        Ok(Usage {
            cpu: cpu_time(&stat).context("an unexpected /proc/PID/stat")?,
            rss: kibibytes(&status, "VmRSS:").context("no VmRSS")?,
            peak_rss: kibibytes(&status, "VmHWM:").context("no VmHWM")?,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `utime` and `stime`, the 14th and 15th field; the second may hold spaces and parentheses.
fn cpu_time(stat: &str) -> Option<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
    Some(TICK * ticks)
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// What Linux counts in for programs (`USER_HZ`), on every architecture that matters here.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_an_odd_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 9 0 1 1 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
    }

    #[test]
    fn this_process_has_used_something() {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        assert!(kibibytes(&status, "VmRSS:").unwrap() > 100);
        assert_eq!(kibibytes(&status, "VmNone:"), None);
    }
}

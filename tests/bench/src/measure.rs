//! Measures one subject once: from before its first object until all updates are delivered.
//!
//! in:   a recording, a subject
//! out:  a [`Sample`]
//! runs: one server and one subject at a time, each a process of its own

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::http_client;
use crate::process::{Process, Usage};
use crate::replay_server::ReplayStats;
use crate::subject::{Counts, InformerdOptions, RunningSubject, Subject};

/// What was measured. Sizes are in KiB, CPU time is user and system time of all threads.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sample {
    pub(crate) subject: Subject,
    pub(crate) pods: usize,
    pub(crate) updates: usize,
    /// Ready and connected, the first object not yet received.
    pub(crate) ready_cpu_s: f64,
    pub(crate) ready_rss: u64,
    /// From the first object to the last of the initial list, handled.
    pub(crate) sync_wall_s: f64,
    pub(crate) sync_cpu_s: f64,
    /// A second later.
    pub(crate) synced_rss: u64,
    pub(crate) synced_peak_rss: u64,
    /// From the first update to the last, handled.
    pub(crate) update_wall_s: f64,
    pub(crate) update_cpu_s: f64,
    pub(crate) delivered: u64,
    pub(crate) merged: u64,
    pub(crate) failed: u64,
    /// A second later.
    pub(crate) updated_rss: u64,
    pub(crate) peak_rss: u64,
}

/// What all subjects have in common.
pub(crate) struct Measurement<'a> {
    pub(crate) recording: &'a Path,
    pub(crate) pods: usize,
    pub(crate) updates: usize,
    /// At most so many updates are on the way to informerd. A peer reads when it is done with what
    /// it has, so it gets them all at once.
    pub(crate) batch: usize,
    pub(crate) informerd: &'a InformerdOptions,
}

impl Sample {
    pub(crate) fn cpu_us_per_update(&self) -> f64 {
        self.update_cpu_s * 1e6 / (self.delivered.max(1)) as f64
    }

    /// What the objects cost: without what the process needs anyway.
    pub(crate) fn rss_kib_per_object(&self) -> f64 {
        self.synced_rss.saturating_sub(self.ready_rss) as f64 / self.pods as f64
    }

    pub(crate) fn total_rss_kib_per_object(&self) -> f64 {
        self.synced_rss as f64 / self.pods as f64
    }

    pub(crate) fn updated_rss_kib_per_object(&self) -> f64 {
        self.updated_rss.saturating_sub(self.ready_rss) as f64 / self.pods as f64
    }

    pub(crate) fn updates_per_s(&self) -> f64 {
        self.delivered as f64 / self.update_wall_s
    }
}

impl Measurement<'_> {
    pub(crate) fn run(&self, subject: Subject) -> anyhow::Result<Sample> {
        let (_server, address) = start_server(self.recording)?;
        let folder = Folder::create()?;
        let numbers = (self.pods, self.updates);
        let mut running = subject.start(self.informerd, address, &folder.0, numbers)?;

        until(address, &mut running, "ask for the objects", |stats| stats.waiting > 0)?;
        thread::sleep(SETTLE);
        let ready = running.usage()?;

        let begin = Instant::now();
        http_client::post(address, "/replay/release")?;
        let wanted = self.pods as u64;
        let (listed, synced) = handled(&mut running, "sync", |counts| {
            counts.synced && counts.delivered + counts.merged >= wanted
        })?;
        let sync_wall_s = begin.elapsed().as_secs_f64();
        until(address, &mut running, "watch", |stats| stats.following > 0)?;
        thread::sleep(SETTLE);

        let settled = running.usage()?;
        let begin = Instant::now();
        let (counts, updated) = self.replay(subject, address, &mut running, &listed)?;
        let update_wall_s = begin.elapsed().as_secs_f64();
        thread::sleep(SETTLE);
        let last = running.usage()?;

        Ok(Sample {
            subject,
            pods: self.pods,
            updates: self.updates,
            ready_cpu_s: ready.cpu.as_secs_f64(),
            ready_rss: ready.rss,
            sync_wall_s,
            sync_cpu_s: (synced.cpu - ready.cpu).as_secs_f64(),
            synced_rss: settled.rss,
            synced_peak_rss: settled.peak_rss,
            update_wall_s,
            update_cpu_s: (updated.cpu - settled.cpu).as_secs_f64(),
            delivered: counts.delivered - listed.delivered,
            merged: counts.merged - listed.merged,
            failed: counts.failed,
            updated_rss: last.rss,
            peak_rss: last.peak_rss,
        })
    }

    /// Until every update is delivered, or has become part of one that is.
    fn replay(
        &self,
        subject: Subject,
        address: SocketAddr,
        running: &mut RunningSubject,
        listed: &Counts,
    ) -> anyhow::Result<(Counts, Usage)> {
        let batch = if subject.is_informerd() { self.batch.max(1) } else { self.updates };
        let before = listed.delivered + listed.merged;
        let mut sent = 0;
        loop {
            let count = batch.min(self.updates - sent);
            http_client::post(address, &format!("/replay/updates?count={count}"))?;
            sent += count;
            let wanted = before + sent as u64;
            let done = handled(running, "handle the updates", |counts| {
                counts.delivered + counts.merged >= wanted
            })?;
            if sent == self.updates {
                return Ok(done);
            }
        }
    }
}

pub(crate) fn start_server(recording: &Path) -> anyhow::Result<(Process, SocketAddr)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("replay-server").arg(recording);
    let mut server = Process::start("the replay server", command)?;
    let line = server.line(PHASE_MAX)?.context("the replay server does not start")?;
    Ok((server, line.parse()?))
}

/// Waits for the server to have been asked for something.
fn until(
    server: SocketAddr,
    running: &mut RunningSubject,
    what: &str,
    is_so: impl Fn(&ReplayStats) -> bool,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let stats: ReplayStats = http_client::get_json(server, "/replay/stats")?;
        if is_so(&stats) {
            return Ok(());
        }
        running.check_alive()?;
        anyhow::ensure!(begin.elapsed() < PHASE_MAX, "it does not {what}: {stats:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits for the subject to have handled something; gives what it has used by then.
fn handled(
    running: &mut RunningSubject,
    what: &str,
    is_so: impl Fn(&Counts) -> bool,
) -> anyhow::Result<(Counts, Usage)> {
    let begin = Instant::now();
    loop {
        let counts = running.counts()?;
        if is_so(&counts) {
            return Ok((counts, running.usage()?));
        }
        anyhow::ensure!(begin.elapsed() < PHASE_MAX, "it does not {what}: {counts:?}");
    }
}

/// A temporary folder.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn create() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("informerd-bench-{}", std::process::id()));
        // A run that was killed may have left it.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Before a size is read, what was freed may be given back.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);

/// No phase of any subject takes this long, unless something is wrong.
pub(crate) const PHASE_MAX: Duration = Duration::from_secs(600);

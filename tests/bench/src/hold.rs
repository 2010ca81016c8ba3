//! Whether informerd holds what a large cluster does to it: many objects, many handlers, changes at a fixed rate
//! for a long time, and then in a burst.
//!
//! in:   numbers
//! out:  for each phase what was delivered, how long it waited, and what it cost
//! runs: the replay server and informerd, each a process of its own
//!
//! Changes are due at fixed times, whether or not those before have been delivered. How long a notification waited
//! for its handler is what `/metrics` says: from the bytes being read until the guest is called is a little more.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::http_client::{self, Connection};
use crate::measure::{Folder, PHASE_MAX, SETTLE, start_server};
use crate::process::Process;
use crate::recording::RecordingPlan;
use crate::replay_server::ReplayStats;
use crate::subject::spawn_informerd;
use crate::{Recording, binaries, build_informerd};

/// How much, and for how long.
#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// How many pods are cached
    #[arg(long, value_name = "N", default_value_t = 150_000)]
    pods: usize,
    /// How many handlers are told of each change
    #[arg(long, value_name = "N", default_value_t = 100)]
    handlers: usize,
    /// Changes a second
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    rate: usize,
    /// For so many seconds
    #[arg(long, value_name = "N", default_value_t = 1_800)]
    seconds: usize,
    /// Changes a second in the burst that follows
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    burst: usize,
    /// For so many seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    burst_seconds: usize,
    /// Measure this program instead of building informerd
    #[arg(long, value_name = "FILE")]
    informerd: Option<PathBuf>,
}

/// What is told.
#[derive(Debug, Serialize)]
struct Held {
    pods: usize,
    handlers: usize,
    /// From its start until every handler has had every pod.
    start_s: f64,
    rss_mib_at_start: u64,
    steady: Phase,
    burst: Phase,
}

#[derive(Debug, Serialize)]
struct Phase {
    changes: usize,
    /// As they were sent; the figures mean nothing if that is far from what was asked.
    changes_per_second: f64,
    /// Notifications that are missing when nothing more comes.
    lost: i64,
    /// Notifications that became part of another one, of all.
    merged_percent: f64,
    failed: u64,
    /// In milliseconds, upper bounds of the buckets.
    wait_p50_ms: f64,
    wait_p99_ms: f64,
    wait_p999_ms: f64,
    /// From the last change until everything was delivered.
    drained_s: f64,
    /// Of one core, in percent.
    cpu_percent: f64,
    /// Of the phase, and at its end.
    rss_mib_min: u64,
    rss_mib_max: u64,
    rss_mib_at_end: u64,
}

pub(crate) fn run(args: &HoldArgs) -> anyhow::Result<()> {
    let binaries = binaries()?;
    let binary = match &args.informerd {
        Some(binary) => binary.clone(),
        None => build_informerd(&binaries)?,
    };
    let plan = RecordingPlan { pods: args.pods, updates: UPDATES, seed: 1 };
    let recording = Recording::write(&binaries, plan)?;
    let (_server, server) = start_server(&recording.0)?;
    http_client::post(server, "/replay/release")?;
    let folder = Folder::create()?;
    let begin = Instant::now();
    let mut host = Host::start(&binary, server, &folder, args)?;
    let listed = (args.pods * args.handlers) as u64;
    host.until("hand out the initial list", |counts| counts.handled() >= listed)?;
    let start_s = begin.elapsed().as_secs_f64();
    thread::sleep(SETTLE);
    let rss_mib_at_start = host.process.usage()?.rss >> 10;
    eprintln!("started in {start_s:.1} s");
    let steady = host.hold(args.rate, args.seconds)?;
    let burst = host.hold(args.burst, args.burst_seconds)?;
    let (pods, handlers) = (args.pods, args.handlers);
    let held = Held { pods, handlers, start_s, rss_mib_at_start, steady, burst };
    println!("{}", serde_json::to_string_pretty(&held)?);
    Ok(())
}

/// informerd, and what it is asked and told through.
struct Host {
    process: Process,
    metrics: Connection,
    server: SocketAddr,
    handlers: usize,
    /// Changes that the server has sent so far.
    sent: usize,
}

impl Host {
    fn start(
        binary: &Path,
        server: SocketAddr,
        folder: &Folder,
        args: &HoldArgs,
    ) -> anyhow::Result<Self> {
        let directory = folder.0.join("handlers");
        fs::create_dir(&directory)?;
        fs::copy(artifacts::NO_OP, directory.join("no_op.wasm")).context("guests/no_op")?;
        for number in 0..args.handlers {
            let spec = HANDLER_SPEC.replace("NUMBER", &number.to_string());
            fs::write(directory.join(format!("no-op-{number}.yaml")), spec)?;
        }
        let (mut process, address) = spawn_informerd(binary, server, &folder.0)?;
        let begin = Instant::now();
        loop {
            match Connection::open(address) {
                Ok(metrics) => {
                    let handlers = args.handlers;
                    return Ok(Self { process, metrics, server, handlers, sent: 0 });
                }
                Err(error) if begin.elapsed() > PHASE_MAX => return Err(error),
                Err(_) => thread::sleep(ASK_PERIOD),
            }
            process.check_alive()?;
        }
    }

    /// Changes at a rate for a while.
    fn hold(&mut self, rate: usize, seconds: usize) -> anyhow::Result<Phase> {
        let changes = rate * seconds;
        let mut orders = Connection::open(self.server)?;
        let (counts, usage) = (self.counts()?, self.process.usage()?);
        let (mut rss_min, mut rss_max) = (usage.rss, usage.rss);
        let (begin, mut due, mut looked) = (Instant::now(), 0, Instant::now());
        while due < changes {
            thread::sleep(ORDER_PERIOD);
            let now_due = changes.min((begin.elapsed().as_secs_f64() * rate as f64) as usize);
            orders.request("POST", &format!("/replay/updates?count={}", now_due - due))?;
            due = now_due;
            if looked.elapsed() > LOOK_PERIOD {
                looked = Instant::now();
                let rss = self.process.usage()?.rss;
                (rss_min, rss_max) = (rss_min.min(rss), rss_max.max(rss));
            }
        }
        let took = begin.elapsed();
        let stats: ReplayStats = http_client::get_json(self.server, "/replay/stats")?;
        let sent = (stats.sent - self.sent) as f64;
        self.sent = stats.sent;
        let end = Instant::now();
        let wanted = counts.handled() + (changes * self.handlers) as u64;
        let after = self.until("deliver the changes", |counts| counts.handled() >= wanted)?;
        let drained = end.elapsed();
        let last = self.process.usage()?;
        let waits = after.waits.since(&counts.waits);
        let merged = after.merged - counts.merged;
        Ok(Phase {
            changes,
            changes_per_second: (sent / took.as_secs_f64()).round(),
            lost: wanted as i64 - after.handled() as i64,
            merged_percent: hundredths(merged as f64 / (changes * self.handlers) as f64 * 100.0),
            failed: after.failed - counts.failed,
            wait_p50_ms: waits.percentile_ms(0.5),
            wait_p99_ms: waits.percentile_ms(0.99),
            wait_p999_ms: waits.percentile_ms(0.999),
            drained_s: hundredths(drained.as_secs_f64()),
            cpu_percent: hundredths(
                (last.cpu - usage.cpu).as_secs_f64() / (took + drained).as_secs_f64() * 100.0,
            ),
            rss_mib_min: rss_min >> 10,
            rss_mib_max: rss_max.max(last.rss) >> 10,
            rss_mib_at_end: last.rss >> 10,
        })
    }

    /// Waits, at most [`PHASE_MAX`], for all handlers together to have done something.
    fn until(&mut self, what: &str, is_so: impl Fn(&Counts) -> bool) -> anyhow::Result<Counts> {
        let begin = Instant::now();
        loop {
            let counts = self.counts()?;
            if is_so(&counts) {
                return Ok(counts);
            }
            if begin.elapsed() > PHASE_MAX {
                anyhow::bail!("it does not {what}: {counts:?}");
            }
            self.process.check_alive()?;
            thread::sleep(ASK_PERIOD);
        }
    }

    fn counts(&mut self) -> anyhow::Result<Counts> {
        Ok(Counts::of_metrics(&self.metrics.request("GET", "/metrics")?))
    }
}

/// Of all handlers together.
#[derive(Debug, Default)]
struct Counts {
    delivered: u64,
    merged: u64,
    failed: u64,
    waits: Waits,
}

/// How many waited at most so many milliseconds.
#[derive(Debug, Default)]
struct Waits(BTreeMap<u64, u64>);

impl Counts {
    fn handled(&self) -> u64 {
        self.delivered + self.merged
    }

    fn of_metrics(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let Ok(value) = value.parse::<u64>() else { continue };
            match name {
                "informerd_handler_delivered_total" => counts.delivered += value,
                "informerd_handler_merged_total" => counts.merged += value,
                "informerd_handler_failed_total" => counts.failed += value,
                "informerd_handler_delivery_wait_seconds_bucket" => {
                    let bound = labels.strip_prefix("le=\"").and_then(|it| it.split_once('"'));
                    let bound = bound.and_then(|(bound, _)| bound.parse::<f64>().ok());
                    let micros = bound.map_or(u64::MAX, |bound| (bound * 1e6).round() as u64);
                    *counts.waits.0.entry(micros).or_default() += value;
                }
                _ => {}
            }
        }
        counts
    }
}

impl Waits {
    fn since(&self, before: &Self) -> Self {
        let before = |bound: &u64| before.0.get(bound).copied().unwrap_or(0);
        Self(self.0.iter().map(|(bound, count)| (*bound, count - before(bound))).collect())
    }

    /// The bound of the bucket in which it is.
    fn percentile_ms(&self, part: f64) -> f64 {
        let all = self.0.values().last().copied().unwrap_or(0);
        let mut buckets = self.0.iter();
        let bucket = buckets.find(|(_, count)| **count as f64 >= all as f64 * part);
        bucket.map_or(0.0, |(micros, _)| *micros as f64 / 1e3)
    }
}

fn hundredths(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

const HANDLER_SPEC: &str = "\
apiVersion: informerd.dev/v1alpha1
kind: Handler
metadata: { name: no-op-NUMBER }
spec:
  module: { path: no_op.wasm }
";

/// Updates that are recorded; after them the server begins anew.
const UPDATES: usize = 20_000;

const ORDER_PERIOD: Duration = Duration::from_millis(2);
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Each time all handlers' metrics are rendered.
const ASK_PERIOD: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_handlers_are_counted_together() {
        let metrics = "informerd_handler_delivered_total{handler=\"a\"} 17\n\
                       informerd_handler_delivered_total{handler=\"b\"} 3\n\
                       informerd_handler_merged_total{handler=\"b\"} 1\n\
                       informerd_handler_delivery_wait_seconds_bucket{le=\"0.0001\",handler=\"a\"} 90\n\
                       informerd_handler_delivery_wait_seconds_bucket{le=\"0.001\",handler=\"a\"} 99\n\
                       informerd_handler_delivery_wait_seconds_bucket{le=\"+Inf\",handler=\"a\"} 100\n";
        let counts = Counts::of_metrics(metrics);
        assert_eq!((counts.handled(), counts.merged), (21, 1));
        let waits = counts.waits.since(&Waits::default());
        assert_eq!((waits.percentile_ms(0.5), waits.percentile_ms(0.99)), (0.1, 1.0));
        assert!(waits.percentile_ms(0.999) > 1e9);
    }
}

//! Runs the same traces through informerd's informer and through client-go, and compares what
//! happened: for anybody who knows client-go, what a handler sees must be predictable.
//!
//! [`comparison`] makes traces from a seed, has both sides run them, and shrinks one that differs;
//! [`oracle`] is client-go as a child process. What can happen in a trace stands in a file per kind.

mod oracle;
mod comparison;
mod objects;
mod queue_traces;
mod store_traces;
mod informer_traces;

use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use clap::Parser;
use serde_json::{Value, json};

use comparison::{Mismatch, TraceKind, compare, differs};
use informer_traces::InformerTraces;
use oracle::Oracle;
use queue_traces::QueueTraces;
use store_traces::StoreTraces;

/// Compares informerd with client-go, trace by trace.
#[derive(Debug, Parser)]
#[command(name = "conformance")]
struct Cli {
    /// How many traces through a queue
    #[arg(long, value_name = "N", default_value_t = QueueTraces::PER_RUN)]
    queue_traces: u32,
    /// How many traces through a store
    #[arg(long, value_name = "N", default_value_t = StoreTraces::PER_RUN)]
    store_traces: u32,
    /// How many traces through a whole informer
    #[arg(long, value_name = "N", default_value_t = InformerTraces::PER_RUN)]
    informer_traces: u32,
    /// 100 times as many of each
    #[arg(long)]
    nightly: bool,
    /// Makes the same traces again [default: another one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print one line of JSON at the end
    #[arg(long)]
    json: bool,
    /// Run this trace only, as a mismatch prints it
    #[arg(long, value_name = "JSON", conflicts_with_all = ["queue_traces", "store_traces", "informer_traces", "nightly", "seed"])]
    replay: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.replay {
        Some(trace) => replay(trace, cli.json),
        None => compare_all(&cli),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_NOT_COMPARED)
        }
    }
}

/// Whether everything was equal.
fn compare_all(cli: &Cli) -> anyhow::Result<bool> {
    let seed = cli.seed.unwrap_or_else(seconds_since_epoch);
    println!("client-go {}, seed {seed}", client_go::version());
    let times = if cli.nightly { NIGHTLY_TIMES } else { 1 };
    let mut oracle = Oracle::start()?;
    let mut report = Report { seed, counts: Vec::new(), mismatches: Vec::new() };
    report.compare::<QueueTraces>(cli.queue_traces.saturating_mul(times), &mut oracle)?;
    report.compare::<StoreTraces>(cli.store_traces.saturating_mul(times), &mut oracle)?;
    report.compare::<InformerTraces>(cli.informer_traces.saturating_mul(times), &mut oracle)?;
    if cli.json {
        println!("{}", report.json());
    }
    Ok(report.mismatches.is_empty())
}

/// Whether both sides do the same in this trace.
fn replay(trace: &str, as_json: bool) -> anyhow::Result<bool> {
    let trace: Value = serde_json::from_str(trace).context("--replay: the trace is not JSON")?;
    let mut oracle = Oracle::start()?;
    let mismatch = match trace["kind"].as_str() {
        Some(QueueTraces::NAME) => replay_one::<QueueTraces>(trace, &mut oracle)?,
        Some(StoreTraces::NAME) => replay_one::<StoreTraces>(trace, &mut oracle)?,
        Some(InformerTraces::NAME) => replay_one::<InformerTraces>(trace, &mut oracle)?,
        kind => anyhow::bail!(
            "--replay: the trace's `kind` is {}, and must be one of {}, {}, {}",
            kind.unwrap_or("missing"),
            QueueTraces::NAME,
            StoreTraces::NAME,
            InformerTraces::NAME,
        ),
    };
    match &mismatch {
        Some(mismatch) => print!("{}", in_words(mismatch)),
        None => println!("equal"),
    }
    if as_json {
        let details = Vec::from_iter(&mismatch);
        println!("{}", json!({ "mismatches": details.len(), "details": details }));
    }
    Ok(mismatch.is_none())
}

fn replay_one<K: TraceKind>(trace: Value, oracle: &mut Oracle) -> anyhow::Result<Option<Mismatch>> {
    let trace = serde_json::from_value(trace)
        .with_context(|| format!("--replay: this is not a {} trace", K::NAME))?;
    differs::<K>(trace, oracle)
}

/// What was compared, and what differs.
struct Report {
    seed: u64,
    counts: Vec<(&'static str, u32)>,
    mismatches: Vec<Mismatch>,
}

impl Report {
    fn compare<K: TraceKind>(&mut self, traces: u32, oracle: &mut Oracle) -> anyhow::Result<()> {
        let begin = Instant::now();
        let compared = compare::<K>(traces, self.seed, oracle)
            .with_context(|| format!("{} traces of seed {}", K::NAME, self.seed))?;
        if compared.traces > 0 {
            let seconds = begin.elapsed().as_secs_f64();
            let rate = f64::from(compared.traces) / seconds;
            println!("{}: {} traces in {seconds:.1} s, {rate:.0}/s", K::NAME, compared.traces);
        }
        if let Some(mismatch) = compared.mismatch {
            print!("{}", in_words(&mismatch));
            self.mismatches.push(mismatch);
        }
        self.counts.push((K::NAME, compared.traces));
        Ok(())
    }

    fn json(&self) -> Value {
        let mut json = json!({
            "client_go": client_go::version(),
            "seed": self.seed,
            "mismatches": self.mismatches.len(),
            "details": self.mismatches,
        });
        for (name, traces) in &self.counts {
            json[format!("{name}_traces")] = json!(traces);
        }
        json
    }
}

fn in_words(mismatch: &Mismatch) -> String {
    let Mismatch { trace, step, ours, client_go } = mismatch;
    format!(
        "DIFFERENT in step {step}\n  informerd: {ours}\n  client-go: {client_go}\n  \
         cargo run -p conformance -- --replay '{trace}'\n"
    )
}

fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const NIGHTLY_TIMES: u32 = 100;

/// Not a difference, but no result either.
const EXIT_NOT_COMPARED: u8 = 2;

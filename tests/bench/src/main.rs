//! Measures informerd beside its peers on one recording, as `README.md` says.
//!
//! The server and the peers are this program, too, started with a subcommand: what is measured is
//! always built together.

mod http_client;
mod hold;
mod kube_peer;
mod machine;
mod measure;
mod pod_template;
mod process;
mod recording;
mod replay_server;
mod report;
mod subject;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

use hold::HoldArgs;
use kube_peer::PeerArgs;
use machine::Machine;
use measure::{Measurement, Sample};
use recording::RecordingPlan;
use replay_server::ReplayServer;
use report::Report;
use subject::{InformerdOptions, Subject};

/// Measures informerd beside its peers.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    bench: BenchArgs,
}

/// What else there is to do, and what this program starts itself as.
#[derive(Debug, Subcommand)]
enum Role {
    /// Measures what informerd does under changes at a fixed rate, for long, and in a burst
    Hold(HoldArgs),
    /// Serves a recording; prints its address.
    #[command(hide = true)]
    ReplayServer { recording: PathBuf },
    /// Is kube-rs' reflector.
    #[command(hide = true)]
    KubePeer(PeerArgs),
}

/// What is measured, and how often.
#[derive(Debug, Args)]
struct BenchArgs {
    /// How many pods are cached; may be given more than once [default: 10000 and 50000]
    #[arg(long, value_name = "N")]
    pods: Vec<usize>,
    /// How many updates follow
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    updates: usize,
    /// How often each subject is measured
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// 2,000 pods, 10,000 updates, one run: does it work at all?
    #[arg(long, conflicts_with_all = ["pods", "updates", "runs"])]
    quick: bool,
    /// Only these; may be given more than once [default: all]
    #[arg(long, value_enum)]
    subject: Vec<Subject>,
    /// At most so many updates on the way to informerd; more are sent when these are delivered
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    batch: usize,
    /// `delivery.buffer` of the handler spec
    #[arg(long, value_name = "N")]
    buffer: Option<usize>,
    /// Of the recording
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Measure this program instead of building informerd
    #[arg(long, value_name = "FILE")]
    informerd: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Write results/NAME.md and results/NAME.json, too
    #[arg(long, value_name = "NAME")]
    write: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.role {
        None => bench(&cli.bench),
        Some(Role::Hold(args)) => hold::run(&args),
        Some(Role::ReplayServer { recording }) => {
            let server = ReplayServer::bind(&recording)?;
            println!("{}", server.address()?);
            Ok(server.serve()?)
        }
        Some(Role::KubePeer(args)) => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(kube_peer::run(args))
        }
    }
}

fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    anyhow::ensure!(!cfg!(debug_assertions), "figures of a debug build say nothing: use --release");
    let binaries = binaries()?;
    let binary = match &args.informerd {
        Some(binary) => binary.clone(),
        None => build_informerd(&binaries)?,
    };
    let mut machine = Machine::here(&binary, args.informerd.is_none());
    let informerd = InformerdOptions { binary, buffer: args.buffer };
    let mut samples = Vec::new();
    for pods in args.sizes() {
        let updates = if args.quick { 10_000 } else { args.updates };
        let recording =
            Recording::write(&binaries, RecordingPlan { pods, updates, seed: args.seed })?;
        let measurement = Measurement {
            recording: &recording.0,
            pods,
            updates,
            batch: args.batch,
            informerd: &informerd,
        };
        for run in 1..=if args.quick { 1 } else { args.runs } {
            for subject in args.subjects() {
                eprint!("{pods} pods, run {run}, {}: ", subject.title());
                let sample =
                    measurement.run(subject).with_context(|| subject.title().to_owned())?;
                eprintln!("{}", in_short(&sample));
                samples.push(sample);
            }
        }
    }
    machine.load_after = machine::load();
    let report = Report { command: command(args.informerd.as_deref()), machine, samples };
    if let Some(name) = &args.write {
        report.write_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results"), name)?;
    }
    print!("{}", if args.json { report.to_json()? } else { report.to_markdown() });
    Ok(())
}

impl BenchArgs {
    fn sizes(&self) -> Vec<usize> {
        match self.pods.as_slice() {
            _ if self.quick => vec![2_000],
            [] => vec![10_000, 50_000],
            pods => pods.to_vec(),
        }
    }

    fn subjects(&self) -> Vec<Subject> {
        match self.subject.as_slice() {
            [] => Subject::value_variants().to_vec(),
            subjects => subjects.to_vec(),
        }
    }
}

/// What was typed, without the path of this machine that it may have.
fn command(informerd: Option<&Path>) -> String {
    let mut command = "cargo run --release -p bench --".to_owned();
    for argument in std::env::args().skip(1) {
        command.push(' ');
        command.push_str(&argument);
    }
    match informerd {
        Some(file) => command.replace(&file.display().to_string(), "FILE"),
        None => command,
    }
}

/// The folder of this program: `target/release`.
fn binaries() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().context("a program is in a folder")?.to_owned())
}

fn build_informerd(binaries: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--package", "host", "--bin", "informerd"]);
    build.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    let status = build.status().context("cannot start cargo to build informerd")?;
    anyhow::ensure!(status.success(), "informerd was not built");
    Ok(binaries.join("informerd"))
}

/// A recording's file; some 680 MB for 50,000 pods and as many updates.
struct Recording(PathBuf);

impl Recording {
    fn write(binaries: &Path, plan: RecordingPlan) -> anyhow::Result<Self> {
        let RecordingPlan { pods, updates, seed } = plan;
        let path = binaries.join(format!("recording-{pods}-{updates}-{seed}.ndjson"));
        eprintln!("recording {pods} pods and {updates} updates");
        plan.write_file(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn in_short(sample: &Sample) -> String {
    format!(
        "{:.1} µs per update, {:.1} KiB per pod, {:.1} s CPU to sync, {} merged",
        sample.cpu_us_per_update(),
        sample.rss_kib_per_object(),
        sample.sync_cpu_s,
        sample.merged
    )
}

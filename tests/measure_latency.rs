//! Measures how long it takes from a write to a real API server until a handler has it: informerd with a
//! sandboxed handler beside client-go's dynamic informer with a handler in its own process. Prints a line of JSON.
//!
//! The two watch at the same time, each in a process of its own that each round starts anew: whatever delays the API
//! server or the machine delays both, and each takes the processors from the other now and then. Writes are due at fixed
//! times whether or not the ones before have arrived. A latency begins when the write is sent. It ends for client-go as
//! its handler is entered, and for informerd, whose clock a guest does not see, when the call of the handler has
//! returned and the host logs it: a little later.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, value_parser};
use client_go::Program;
use control_plane::ControlPlane;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::{binary, print_figures};
use tokio::time::{Instant, sleep, sleep_until};

#[tokio::main]
async fn main() -> ExitCode {
    print_figures(measure(Options::parse()).await)
}

async fn measure(options: Options) -> Result<Value> {
    let control_plane = ControlPlane::start().await?;
    let pods = Pods::create(&control_plane).await?;
    let kubeconfig = control_plane.kubeconfig_path();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let (mut informerd, mut client_go);
        // Neither is always the first to start.
        if round % 2 == 0 {
            informerd = Observer::informerd(kubeconfig).await?;
            client_go = Observer::client_go(kubeconfig).await?;
        } else {
            client_go = Observer::client_go(kubeconfig).await?;
            informerd = Observer::informerd(kubeconfig).await?;
        }
        let [our, their] = pods.measure([&mut informerd, &mut client_go], options).await?;
        ours.push(our);
        theirs.push(their);
    }
    let of = |rounds: &[Latencies]| {
        json!({
            "p50_ms": Spread::of(rounds, 0.5).json(),
            "p99_ms": Spread::of(rounds, 0.99).json(),
        })
    };
    // Of each round, since both had the same writes.
    let ratio = |part| {
        let rounds = ours.iter().zip(&theirs);
        let ratios = rounds.map(|(ours, theirs)| ours.percentile(part) / theirs.percentile(part));
        Spread::of_figures(ratios.collect()).json()
    };
    Ok(json!({
        "writes_per_second": options.rate,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "objects": OBJECTS,
        "informerd": of(&ours),
        "client_go_dynamic": of(&theirs),
        "p50_ratio": ratio(0.5),
        "p99_ratio": ratio(0.99),
    }))
}

/// Measures how long it takes from a write until a handler has it, beside client-go
#[derive(Clone, Copy, Parser)]
struct Options {
    /// Writes a second
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    rate: u32,
    /// How long each round takes
    #[arg(long, default_value_t = 15, value_parser = value_parser!(u32).range(1..))]
    seconds: u32,
    /// How often both are started anew
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
}

/// What is written: pods as an API server of a cluster has them, of 6 to 7 KB.
struct Pods(Api<DynamicObject>);

impl Pods {
    async fn create(control_plane: &ControlPlane) -> Result<Self> {
        let client = control_plane.client().await?;
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        let pods: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
        let recorded: Value = serde_json::from_str(include_str!("bench/pod.json"))?;
        for number in 0..OBJECTS {
            let mut pod = recorded.clone();
            let metadata = &recorded["metadata"];
            pod["metadata"] = json!({ "name": name(number), "labels": metadata["labels"],
                "annotations": metadata["annotations"] });
            pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
            let status = Patch::Merge(json!({ "status": recorded["status"] }));
            pods.patch_status(&name(number), &PatchParams::default(), &status).await?;
        }
        Ok(Self(pods))
    }

    /// Writes for a while; how long it took until each observer knew.
    async fn measure(
        &self,
        mut observers: [&mut Observer; 2],
        options: Options,
    ) -> Result<[Latencies; 2]> {
        sleep(SETTLE).await;
        let writes = options.rate * options.seconds;
        let (begin, mut sent) = (Instant::now(), HashMap::new());
        for number in 0..writes {
            sleep_until(begin + Duration::from_secs(number.into()) / options.rate).await;
            let at = Timestamp::now();
            let change = json!({ "metadata": { "annotations": { "sent": at.to_string() } } });
            let name = name(number as usize * 7919 % OBJECTS);
            let changed =
                self.0.patch(&name, &PatchParams::default(), &Patch::Merge(change)).await?;
            sent.insert(changed.metadata.resource_version.context("a version")?, at);
        }
        let took = begin.elapsed();
        let rate = f64::from(writes) / took.as_secs_f64();
        ensure!(
            rate >= 0.95 * f64::from(options.rate),
            "only {rate:.1} writes a second are possible here: choose a lower --rate"
        );
        let knows_all = |heard: &Heard| sent.keys().all(|version| heard.told.contains_key(version));
        for observer in &mut observers {
            observer.until("is told of every write", knows_all).await?;
        }
        Ok(observers.map(|observer| {
            let heard = observer.heard();
            let times = sent.iter().map(|(version, at)| heard.told[version].duration_since(*at));
            let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e3).collect();
            times.sort_by(f64::total_cmp);
            Latencies(times)
        }))
    }
}

fn name(number: usize) -> String {
    format!("checkout-api-{number}")
}

/// A process that watches all pods.
struct Observer {
    process: Child,
    heard: Arc<Mutex<Heard>>,
    /// A handlers directory.
    _folder: tempfile::TempDir,
}

/// What it said so far.
#[derive(Default)]
struct Heard {
    has_synced: bool,
    /// When it had which resource version.
    told: HashMap<String, Timestamp>,
}

impl Observer {
    async fn informerd(kubeconfig: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::copy(artifacts::NO_OP, folder.path().join("no_op.wasm")).context("guests/no_op")?;
        let mut command = Command::new(binary());
        command.arg("run").arg("--kubeconfig").arg(kubeconfig);
        command.arg("--handlers").arg(folder.path()).args(["--http", "127.0.0.1:0"]);
        command.args(["--log", "warn,delivery=info", "--log-format", "json"]);
        command.stderr(Stdio::piped());
        let mut process = command.spawn().context("informerd does not start")?;
        let lines = process.stderr.take().context("it is piped")?;
        Self::of(process, lines, folder, |heard: &mut Heard, line: InformerdLine| {
            heard.has_synced |= line.message == "OnSynced";
            if let (Some(version), Ok(at)) = (line.rv, line.timestamp.parse()) {
                heard.told.insert(version, at);
            }
        })
        .await
    }

    async fn client_go(kubeconfig: &Path) -> Result<Self> {
        let mut command = Command::new(Program::SideBySide.path()?);
        command.arg("-kubeconfig").arg(kubeconfig).args(["-namespace", "", "pods.v1."]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("client-go does not start")?;
        let lines = process.stdout.take().context("it is piped")?;
        let folder = tempfile::tempdir()?;
        Self::of(process, lines, folder, |heard: &mut Heard, line: ClientGoLine| {
            heard.has_synced |= line.what == "synced";
            if let (Some(version), Ok(at)) = (line.rv, Timestamp::from_microsecond(line.at)) {
                heard.told.insert(version, at);
            }
        })
        .await
    }

    /// Has its initial list.
    async fn of<L: for<'de> Deserialize<'de> + 'static>(
        process: Child,
        lines: impl Read + Send + 'static,
        folder: tempfile::TempDir,
        take_in: fn(&mut Heard, L),
    ) -> Result<Self> {
        let heard = Arc::<Mutex<Heard>>::default();
        let hearing = heard.clone();
        thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(line) => take_in(&mut locked(&hearing), line),
                    Err(_) => eprintln!("{line}"),
                }
            }
        });
        let mut observer = Self { process, heard, _folder: folder };
        observer.until("has its initial list", |heard| heard.has_synced).await?;
        Ok(observer)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        locked(&self.heard)
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&Heard) -> bool) -> Result<()> {
        let is_late = Instant::now() + LATE;
        while !is_so(&self.heard()) {
            if let Some(ended) = self.process.try_wait()? {
                anyhow::bail!("an observer ended before it {what}: {ended}");
            }
            ensure!(Instant::now() < is_late, "it takes too long until an observer {what}");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn locked(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct InformerdLine {
    timestamp: String,
    message: String,
    rv: Option<String>,
}

#[derive(Deserialize)]
struct ClientGoLine {
    what: String,
    /// In microseconds since 1970.
    #[serde(default)]
    at: i64,
    rv: Option<String>,
}

/// Of one round, in milliseconds and in order.
struct Latencies(Vec<f64>);

impl Latencies {
    fn percentile(&self, part: f64) -> f64 {
        let index = (self.0.len() as f64 * part) as usize;
        self.0[index.min(self.0.len() - 1)]
    }
}

/// One percentile over all rounds.
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(rounds: &[Latencies], part: f64) -> Self {
        Self::of_figures(rounds.iter().map(|round| round.percentile(part)).collect())
    }

    fn of_figures(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let (min, max) = (figures[0], figures[figures.len() - 1]);
        Self { min, median: figures[figures.len() / 2], max }
    }

    fn json(&self) -> Value {
        json!({ "median": hundredths(self.median), "min": hundredths(self.min), "max": hundredths(self.max) })
    }
}

fn hundredths(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

const OBJECTS: usize = 100;

/// After the initial list, the observer's threads may come to rest.
const SETTLE: Duration = Duration::from_secs(2);

/// Then it does not happen any more.
const LATE: Duration = Duration::from_secs(60);

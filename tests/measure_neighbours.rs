//! Measures what hostile handlers cost their neighbours: how long it takes from a write until a good handler
//! has handled it, with and without hostile ones beside it. Prints a line of JSON.
//!
//! Both are measured in turns on one host. Writes are due at fixed times whether or not the ones before have arrived,
//! and a latency begins when its write was due.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use dev_api_server::{ApiServer, Settings, Storage};
use host::guest::GuestLimits;
use host::handlers::{HandlerState, read_directory};
use host::host::Host;
use host::modules::{FetchPolicy, ModuleFetcher};
use kube::{Client, Config};
use serde_json::{Value, json};
use tests::{compiler, hostile_guest, print_figures};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main]
async fn main() -> ExitCode {
    print_figures(measure(Options::parse()).await)
}

async fn measure(options: Options) -> Result<Value> {
    let deliveries = Deliveries::default();
    let log = Targets::new().with_target("delivery", Level::INFO).with_target("guest", Level::INFO);
    tracing_subscriber::registry().with(deliveries.clone().with_filter(log)).init();
    let neighbourhood = Neighbourhood::start(&options, deliveries).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        alone.push(neighbourhood.measure(&options).await?);
        for (number, ..) in HOSTILE {
            neighbourhood.load(&format!("hostile-{number}")).await?;
        }
        beside.push(neighbourhood.measure(&options).await?);
        for (number, ..) in HOSTILE {
            let name = format!("hostile-{number}");
            neighbourhood.host.handlers().remove(&name, Duration::ZERO).await;
        }
    }
    let milliseconds = |of: &[Latencies], part: f64| {
        let times = of.iter().map(|it| it.percentile(part)).collect();
        (median(times).as_secs_f64() * 1e5).round() / 100.0
    };
    let (p99_alone, p99_beside) = (milliseconds(&alone, 0.99), milliseconds(&beside, 0.99));
    Ok(json!({
        "good_handlers": options.good,
        "hostile_handlers": HOSTILE.len(),
        "writes_per_second": options.rate,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "seed": options.seed,
        "p50_ms_alone": milliseconds(&alone, 0.5),
        "p50_ms_beside": milliseconds(&beside, 0.5),
        "p99_ms_alone": p99_alone,
        "p99_ms_beside": p99_beside,
        "p99_ratio": (p99_beside / p99_alone * 100.0).round() / 100.0,
    }))
}

/// Measures what hostile handlers cost their neighbours
#[derive(Parser)]
struct Options {
    /// Good handlers; with so many as there are by default, the five hostile ones are 5 % of all
    #[arg(long, default_value_t = 95, value_parser = at_least_one())]
    good: usize,
    /// Writes a second
    #[arg(long, default_value_t = 20, value_parser = at_least_one())]
    rate: usize,
    /// How long each half of a round takes
    #[arg(long, default_value_t = 10, value_parser = at_least_one())]
    seconds: usize,
    /// How often it is measured without hostile handlers and with them
    #[arg(long, default_value_t = 3, value_parser = at_least_one())]
    rounds: usize,
    /// Of the order of writes
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// A host on an embedded API server, with its good handlers.
struct Neighbourhood {
    host: Host,
    storage: Storage,
    deliveries: Deliveries,
    folder: tempfile::TempDir,
    _server: ApiServer,
}

impl Neighbourhood {
    async fn start(options: &Options, deliveries: Deliveries) -> Result<Self> {
        let server = ApiServer::bind((Ipv4Addr::LOCALHOST, 0).into(), Settings::default()).await?;
        let storage = server.storage();
        for object in 0..OBJECTS {
            write(&storage, object)?;
        }
        let client = Client::try_from(Config::new(server.url().parse()?))?;
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let modules = ModuleFetcher::new(FetchPolicy::default());
        let (compiler, ceilings) = (compiler().clone(), GuestLimits::MAX);
        let host = Host::start(client, compiler, modules, http, ceilings).await?;
        let folder = tempfile::tempdir()?;
        let good = hostile_guest("no_attack", &[]);
        let path = folder.path();
        for number in 0..options.good {
            write_handler(path, &format!("{GOOD}{number}"), &good, "")?;
        }
        for (number, guest, changes, limits) in HOSTILE {
            let wasm = hostile_guest(guest, changes);
            write_handler(path, &format!("hostile-{number}"), &wasm, limits)?;
        }
        let neighbourhood = Self { host, storage, deliveries, folder, _server: server };
        for number in 0..options.good {
            neighbourhood.load(&format!("{GOOD}{number}")).await?;
        }
        Ok(neighbourhood)
    }

    /// Loads a handler of the folder.
    async fn load(&self, name: &str) -> Result<()> {
        let (handlers, _) = read_directory(self.folder.path())?;
        let handler = handlers.into_iter().find(|it| it.name == name).context("it was written")?;
        self.host.handlers().apply(handler)?;
        let mut state = self.host.handlers().settled(name).await;
        if let Some(HandlerState::Quarantined(_)) = state {
            // For what it did the last time.
            self.host.handlers().reload(name);
            state = self.host.handlers().settled(name).await;
        }
        ensure!(state == Some(HandlerState::Running), "{name}: {state:?}");
        self.is_idle().await
    }

    /// Writes for a while; how long each write took to each good handler.
    async fn measure(&self, options: &Options) -> Result<Latencies> {
        self.is_idle().await?;
        self.deliveries.take();
        let mut random = fastrand::Rng::with_seed(options.seed);
        let writes = options.rate * options.seconds;
        let mut due_times = HashMap::new();
        let begin = Instant::now();
        for number in 0..writes {
            let due = begin + Duration::from_secs_f64(number as f64 / options.rate as f64);
            tokio::time::sleep_until(due.into()).await;
            self.let_out();
            let version = write(&self.storage, random.usize(..OBJECTS))?;
            due_times.insert(version, due);
        }
        let expected = writes * options.good;
        let is_late = Instant::now() + LATE;
        while self.deliveries.len() < expected && Instant::now() < is_late {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let told = self.deliveries.take().into_iter();
        let times = told.filter_map(|(version, at)| Some(at - *due_times.get(&version)?));
        let times: Vec<Duration> = times.collect();
        ensure!(times.len() == expected, "{} of {expected} deliveries", times.len());
        Ok(Latencies::new(times))
    }

    /// Lets hostile handlers attack again that were put in quarantine: measured is what they cost until then.
    fn let_out(&self) {
        for (number, ..) in HOSTILE {
            let name = format!("hostile-{number}");
            let status = self.host.handlers().status(&name);
            if status.is_some_and(|it| matches!(it.state, HandlerState::Quarantined(_))) {
                self.host.handlers().reload(&name);
            }
        }
    }

    /// Waits until no good handler has anything left to do.
    async fn is_idle(&self) -> Result<()> {
        let is_late = Instant::now() + LATE;
        let is_idle = || {
            let statuses = self.host.handlers().statuses();
            let mut good = statuses.iter().filter(|it| it.name.starts_with(GOOD));
            good.all(|it| it.has_synced && it.pending == 0)
        };
        while !is_idle() {
            ensure!(Instant::now() < is_late, "good handlers are stuck");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Changes an object; gives its new resource version.
fn write(storage: &Storage, object: usize) -> Result<String> {
    // Hostile guests attack at names that begin with `b`.
    let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": format!("b-{object}"), "namespace": "default" },
        "data": { "changed-after": storage.resource_version().to_string() } });
    let object = storage.apply(manifest).map_err(|status| anyhow::anyhow!("{status:?}"))?;
    Ok(object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned())
}

fn write_handler(folder: &Path, name: &str, wasm: &[u8], limits: &str) -> Result<()> {
    fs::write(folder.join(format!("{name}.wasm")), wasm)?;
    let spec = format!(
        "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: {{ name: {name} }}\nspec:\n  \
         module: {{ path: {name}.wasm }}\n  watches: [{{ apiVersion: v1, kind: ConfigMap }}]\n  \
         limits: {{ {limits} }}\n"
    );
    Ok(fs::write(folder.join(format!("{name}.yaml")), spec)?)
}

/// In order.
struct Latencies(Vec<Duration>);

impl Latencies {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    fn percentile(&self, part: f64) -> Duration {
        let index = (self.0.len() as f64 * part) as usize;
        self.0[index.min(self.0.len() - 1)]
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// When each good handler had handled which state, as the host logs it.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<(String, Instant)>>>);

impl Deliveries {
    fn len(&self) -> usize {
        self.0.lock().expect("nothing panics with the lock").len()
    }

    fn take(&self) -> Vec<(String, Instant)> {
        std::mem::take(&mut *self.0.lock().expect("nothing panics with the lock"))
    }
}

impl<S: Subscriber> Layer<S> for Deliveries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = Instant::now();
        let mut fields = Fields::default();
        event.record(&mut fields);
        if fields.is_good && fields.is_delivery {
            self.0.lock().expect("nothing panics with the lock").push((fields.version, now));
        }
    }
}

#[derive(Default)]
struct Fields {
    is_good: bool,
    is_delivery: bool,
    version: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "handler" => self.is_good = value.starts_with(GOOD),
            "result" => self.is_delivery = value == "ok",
            "rv" => self.version = value.to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

const GOOD: &str = "good-";

/// Then it does not come any more.
const LATE: Duration = Duration::from_secs(60);
const OBJECTS: usize = 50;

/// What is there of the list of hostile guests, its file, what is changed in it, and its limits.
type Hostile = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);
const HOSTILE: [Hostile; 5] = [
    ("h1", "spins", &[], ""),
    ("h6", "grows_memory", &[], ""),
    ("h11", "traps", &[], ""),
    ("h21", "floods_log", &[], ""),
    // Some 50 ms.
    ("h49", "burns", &[("20000000", "100000000")], "cpuPerCall: 10s"),
];

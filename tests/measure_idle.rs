//! Measures what handlers cost that have nothing to do: an informerd of its own, on an embedded API server, with many
//! handlers that have handled their initial lists and are told nothing more. Prints a line of JSON.
//!
//! First none of them hibernates; then, in another process, all do, and all are woken, `--rounds` times. What waking one
//! costs is what the process takes more to tell something to all while they hibernate than while they are awake. CPU time
//! is told, since wall time depends on what else the machine does.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use dev_api_server::{ApiServer, Settings, Storage};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{binary, config_map_with, print_figures};
use tokio::runtime::{Handle, Runtime};

/// Measures what handlers cost that have nothing to do
#[derive(Parser)]
struct Options {
    /// How many
    #[arg(long, default_value_t = 1000)]
    handlers: usize,
    /// Of how many modules, as many as handlers at most
    #[arg(long, default_value_t = 1)]
    modules: usize,
    /// How often all hibernate and are woken
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> ExitCode {
    print_figures(measure(&Options::parse()))
}

fn measure(options: &Options) -> Result<Value> {
    let modules = 1..=options.handlers;
    ensure!(modules.contains(&options.modules), "as many modules as handlers at most");
    let runtime = Runtime::new()?;
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let server = runtime.block_on(ApiServer::bind(address, Settings::default()))?;
    let storage = server.storage();
    change(&storage, 0)?;

    let mut figures = json!({ "handlers": options.handlers, "modules": options.modules });
    let mut add = |prefix: &str, of: Value| {
        for (name, value) in of.as_object().into_iter().flatten() {
            figures[format!("{prefix}{name}")] = value.clone();
        }
    };
    let mut host = Host::start(&server.url(), runtime.handle())?;
    add("", host.load(options, "")?);
    drop(host);
    if options.rounds > 0 {
        let mut host = Host::start(&server.url(), runtime.handle())?;
        host.load(options, &format!("  hibernateAfter: {}s\n", HIBERNATE_AFTER.as_secs()))?;
        add("hibernating_", host.hibernating(options)?);
        add("wake_", host.wake(options, &storage)?);
    }
    Ok(figures)
}

/// An informerd, killed when it is dropped.
struct Host {
    process: Child,
    folder: TempDir,
    http: String,
    client: reqwest::Client,
    runtime: Handle,
    /// With no handler.
    empty: Usage,
}

impl Host {
    fn start(server: &str, runtime: &Handle) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("handlers"))?;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "measured",
            "clusters": [{ "name": "measured", "cluster": { "server": server } }],
            "contexts": [{ "name": "measured", "context": { "cluster": "measured", "user": "measured" } }],
            "users": [{ "name": "measured", "user": {} }],
        });
        fs::write(at("kubeconfig"), kubeconfig.to_string())?;
        // Free until somebody takes it; nobody else does here.
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string();
        let process = Command::new(binary())
            .args(["run", "--log=warn", "--http", &http])
            .arg("--kubeconfig")
            .arg(at("kubeconfig"))
            .arg("--handlers")
            .arg(at("handlers"))
            .arg("--cache-dir")
            .arg(at("cache"))
            .arg("--admin-socket")
            .arg(at("admin.sock"))
            .stdin(Stdio::null())
            .spawn()?;
        let client = reqwest::Client::builder().timeout(HTTP_MAX).build()?;
        let (runtime, empty) = (runtime.clone(), Usage::default());
        let mut host = Self { process, folder, http, client, runtime, empty };
        host.until("the host starts", |host| Ok(host.get("readyz").is_ok()))?;
        sleep(SETTLE);
        host.empty = host.usage()?;
        Ok(host)
    }

    /// Gives what they hold, each of them, while they are awake.
    fn load(&mut self, options: &Options, spec: &str) -> Result<Value> {
        let begin = Instant::now();
        let folder = self.folder.path().join("handlers");
        let module = fs::read(artifacts::CONFIG_MAP_DIFF)?;
        for number in 0..options.modules {
            // Of its own digest.
            let differs = custom_section(&format!("module {number}"));
            fs::write(folder.join(module_file(number)), [&*module, &differs].concat())?;
        }
        for number in 0..options.handlers {
            let module = module_file(number % options.modules);
            let yaml = format!(
                "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: {{ name: handler-{number} }}\n\
                 spec:\n  module: {{ path: {module} }}\n{spec}"
            );
            write_at_once(&folder, &format!("handler-{number}.yaml"), &yaml)?;
        }
        let all = options.handlers as u64;
        self.until("all handlers run", |host| Ok(host.sum("handler_synced")? == all))?;
        let took = begin.elapsed();
        sleep(SETTLE);
        let usage = self.usage()?;
        let mut figures = self.each(&usage, options);
        figures["load_seconds"] = json!(rounded(took.as_secs_f64()));
        figures["load_cpu_ms"] = json!(rounded(
            (usage.cpu - self.empty.cpu).as_secs_f64() * 1e3 / options.handlers as f64
        ));
        figures["threads"] = json!(usage.threads);
        figures["mappings"] = json!(usage.mappings);
        figures["files"] = json!(usage.files);
        Ok(figures)
    }

    /// What they hold, each of them, while they hibernate.
    fn hibernating(&mut self, options: &Options) -> Result<Value> {
        self.until_all_hibernate(options)?;
        sleep(SETTLE);
        let usage = self.usage()?;
        Ok(self.each(&usage, options))
    }

    /// What it costs, each of them, to be woken.
    fn wake(&mut self, options: &Options, storage: &Storage) -> Result<Value> {
        let (mut asleep, mut awake) = (Vec::new(), Vec::new());
        for round in 0..options.rounds {
            self.until_all_hibernate(options)?;
            asleep.push(self.tell_all(options, storage, 2 * round + 1)?);
            awake.push(self.tell_all(options, storage, 2 * round + 2)?);
        }
        let wakes = self.sum("handler_wakes")?;
        ensure!(wakes == (options.handlers * options.rounds) as u64, "{wakes} wakes");
        let least = |times: Vec<Duration>| times.into_iter().min().unwrap_or_default();
        let each = |time: Duration| time.as_secs_f64() * 1e6 / options.handlers as f64;
        let (asleep, awake) = (each(least(asleep)), each(least(awake)));
        let inside = self.sum_of_seconds("handler_wake_seconds")? * 1e6 / wakes as f64;
        Ok(json!({
            "cpu_us": rounded(asleep - awake),
            "told_awake_cpu_us": rounded(awake),
            "told_asleep_cpu_us": rounded(asleep),
            "instantiate_and_init_us": rounded(inside),
        }))
    }

    /// The CPU time that it takes to tell all of them of one change.
    fn tell_all(&mut self, options: &Options, storage: &Storage, value: usize) -> Result<Duration> {
        let all = options.handlers as u64;
        let told = self.sum("handler_delivered")?;
        let before = self.usage()?.cpu;
        change(storage, value)?;
        // Metrics cost the host something, too: none while it works.
        sleep(TELL_MAX);
        let took = self.usage()?.cpu - before;
        ensure!(
            self.sum("handler_delivered")? == told + all,
            "not all were told within {TELL_MAX:?}"
        );
        Ok(took)
    }

    fn until_all_hibernate(&mut self, options: &Options) -> Result<()> {
        let all = options.handlers as u64;
        self.until("all hibernate", |host| Ok(host.sum("handler_hibernating")? == all))
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let begin = Instant::now();
        while !holds(self)? {
            if let Some(status) = self.process.try_wait()? {
                bail!("the host ended ({status}) before: {what}");
            }
            ensure!(begin.elapsed() < WAIT_MAX, "not within {WAIT_MAX:?}: {what}");
            sleep(PERIOD);
        }
        Ok(())
    }

    /// Of each handler.
    fn each(&self, usage: &Usage, options: &Options) -> Value {
        let each = |of: fn(&Usage) -> u64| {
            let more = of(usage) as f64 - of(&self.empty) as f64;
            rounded(more / options.handlers as f64)
        };
        json!({
            "rss_kib": each(|it| it.rss),
            "pss_kib": each(|it| it.pss),
            "anonymous_kib": each(|it| it.anonymous),
            "page_tables_kib": each(|it| it.page_tables),
            "mappings_each": each(|it| it.mappings),
        })
    }

    fn usage(&self) -> Result<Usage> {
        Usage::of(self.process.id())
    }

    /// Over all handlers.
    fn sum(&self, metric: &str) -> Result<u64> {
        Ok(self.sum_of_seconds(metric)? as u64)
    }

    fn sum_of_seconds(&self, metric: &str) -> Result<f64> {
        let metrics = self.get("metrics")?;
        let of = |suffix: &str| {
            let start = format!("informerd_{metric}{suffix}{{");
            let lines = metrics.lines().filter(move |line| line.starts_with(&start));
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>()
        };
        Ok(of("") + of("_total"))
    }

    fn get(&self, path: &str) -> Result<String> {
        let request = self.client.get(format!("http://{}/{path}", self.http));
        self.runtime.block_on(async { Ok(request.send().await?.text().await?) })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a process holds of the machine.
#[derive(Default)]
struct Usage {
    /// In KiB, as the following ones.
    rss: u64,
    pss: u64,
    anonymous: u64,
    page_tables: u64,
    mappings: u64,
    threads: u64,
    files: u64,
    /// Not that of the children that compiled.
    cpu: Duration,
}

impl Usage {
    fn of(process: u32) -> Result<Self> {
        let folder = PathBuf::from(format!("/proc/{process}"));
        let read = |name: &str| fs::read_to_string(folder.join(name)).context("the host has ended");
        let (status, rollup) = (read("status")?, read("smaps_rollup")?);
        let field = |of: &str, name: &str| {
            let line = of.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let stat = read("stat")?;
        // After the name, which may have spaces: user and system time.
        let times = stat.rsplit_once(')').map_or("", |it| it.1).split_whitespace().skip(11).take(2);
        let ticks = times.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>();
        Ok(Self {
            rss: field(&rollup, "Rss"),
            pss: field(&rollup, "Pss"),
            anonymous: field(&status, "RssAnon"),
            page_tables: field(&status, "VmPTE"),
            mappings: read("maps")?.lines().count() as u64,
            threads: field(&status, "Threads"),
            files: fs::read_dir(folder.join("fd"))?.count() as u64,
            cpu: Duration::from_millis(ticks * 10),
        })
    }
}

/// All handlers are told of this.
fn change(storage: &Storage, value: usize) -> Result<()> {
    let written = storage.apply(config_map_with("changed", json!({ "value": value.to_string() })));
    written.map(drop).map_err(|status| anyhow::anyhow!("{status}"))
}

fn module_file(number: usize) -> String {
    format!("module-{number}.wasm")
}

/// A section that means nothing, to be appended to a component.
fn custom_section(text: &str) -> Vec<u8> {
    let (name, length) = ("measured", text.len() + 9);
    let start = [0, length as u8, name.len() as u8];
    [&start, name.as_bytes(), text.as_bytes()].concat()
}

fn write_at_once(folder: &Path, name: &str, text: &str) -> Result<()> {
    let aside = folder.join(format!(".{name}-{}", process::id()));
    fs::File::create(&aside)?.write_all(text.as_bytes())?;
    Ok(fs::rename(aside, folder.join(name))?)
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Long enough that all are woken before the first one hibernates again.
const HIBERNATE_AFTER: Duration = Duration::from_secs(20);
/// How long all of them may take for one change.
const TELL_MAX: Duration = Duration::from_secs(8);
/// Until memory that was needed in passing is given back, and nothing happens any more.
const SETTLE: Duration = Duration::from_secs(3);
const PERIOD: Duration = Duration::from_secs(1);
const HTTP_MAX: Duration = Duration::from_secs(60);
const WAIT_MAX: Duration = Duration::from_secs(600);

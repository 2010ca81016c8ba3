//! A handler replaced again and again while objects change all the time: what it missed, whether two of its
//! generations were ever at work at once, and how long nobody was. Prints a line of JSON.
//!
//! Changes are due at fixed times, whether or not the handler keeps up.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use host::handlers::HandlerState;
use serde_json::{Value, json};
use tests::{
    Delivery, Dev, Event, Logged, chain_breaks, config_map_with, config_maps, deliveries_of,
    final_view, print_figures, server_view, timed_log_of,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Measures what replacing a handler again and again costs it
#[derive(Parser)]
struct Options {
    /// How often
    #[arg(default_value_t = RELOADS)]
    reloads: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    print_figures(measure(Options::parse().reloads).await.map_err(anyhow::Error::msg))
}

async fn measure(reloads: u32) -> Result<Value, String> {
    let module = toolchains::build("audit/rust")?;
    let module = module.to_str().ok_or("the module's path is no text")?;
    let dev = Dev::start().await;
    let host = dev.host().await;
    let load = async |generation: u32| {
        let report = format!("[/data/value, /data/generation-{generation}]");
        // Every call logs a line, and what is dropped is not counted.
        let spec = format!(
            "  config: {{ kind: ConfigMap, detail: fields, report: {report} }}\n  \
             limits: {{ logLinesPerSecond: 1000, logBytesPerSecond: 1Mi }}\n"
        );
        match host.load(HANDLER, module, &spec).await {
            HandlerState::Running => Ok(()),
            other => Err(format!("generation {generation}: {other:?}")),
        }
    };
    load(0).await?;
    let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let storage = dev.storage();
    let writer = tokio::spawn({
        let (stop, changes) = (stop.clone(), changes.clone());
        async move {
            let mut due = Instant::now();
            for n in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let name = format!("object-{}", n * 7919 % OBJECTS);
                let changed = match n % 13 {
                    12 => storage.delete("v1", "ConfigMap", "default", &name).is_ok(),
                    _ => storage
                        .apply(config_map_with(&name, json!({ "value": n.to_string() })))
                        .is_ok(),
                };
                changes.fetch_add(changed.into(), Ordering::Relaxed);
                due += PERIOD;
                sleep_until(due).await;
            }
        }
    });
    let start = Instant::now();
    for generation in 1..=reloads {
        load(generation).await?;
        sleep(AT_WORK).await;
    }
    let took = start.elapsed();
    stop.store(true, Ordering::Relaxed);
    writer.await.map_err(|error| error.to_string())?;

    let server = server_view(&config_maps(&dev.client())).await;
    let knows_all = async {
        while final_view(&deliveries_of(HANDLER), "configmaps") != server {
            sleep(Duration::from_millis(50)).await;
        }
    };
    // What is missing then is counted.
    let _ = timeout(Duration::from_secs(60), knows_all).await;
    let deliveries = deliveries_of(HANDLER);
    let told = deliveries.iter().filter(|it| it.ok && it.event != Event::Synced).count() as u64;
    let changes = changes.load(Ordering::Relaxed);
    let breaks = chain_breaks(&deliveries);
    for broken in &breaks {
        eprintln!("{broken}");
    }
    let Calls { overlaps, mut gaps } = calls();
    gaps.sort();
    let percentile = |share: f64| {
        let at = (gaps.len() as f64 * share).ceil() as usize;
        gaps.get(at.saturating_sub(1)).map(|gap| (gap.as_secs_f64() * 1e5).round() / 100.0)
    };
    Ok(json!({
        "reloads": gaps.len(),
        "changes": changes,
        "changes_per_second": (changes as f64 / took.as_secs_f64()).round(),
        "lost": changes.abs_diff(told) + breaks.len() as u64,
        "overlaps": overlaps,
        "gap_ms_p50": percentile(0.5),
        "gap_ms_p99": percentile(0.99),
    }))
}

struct Calls {
    /// Calls that began before the one before had ended.
    overlaps: usize,
    /// From the end of the last call of a generation to the beginning of the first one of the next. The wait for
    /// something to tell is in it.
    gaps: Vec<Duration>,
}

/// Every call logs one line at its beginning, the first one of an instance with `seq` 1; the host's line follows at its
/// end.
fn calls() -> Calls {
    let (mut overlaps, mut gaps) = (0, Vec::new());
    let (mut running, mut ended) = (false, None);
    for (at, line) in timed_log_of(HANDLER) {
        match line {
            Logged::Said(said) => {
                let fields = said.fields.and_then(|it| serde_json::from_str::<Value>(&it).ok());
                let Some(seq) = fields.and_then(|it| it["seq"].as_str().map(str::to_owned)) else {
                    continue;
                };
                overlaps += usize::from(running);
                running = true;
                if let Some(ended) = ended.filter(|_| seq == "1") {
                    gaps.push(at.duration_since(ended));
                }
            }
            Logged::Delivered(Delivery { .. }) => {
                running = false;
                ended = Some(at);
            }
        }
    }
    Calls { overlaps, gaps }
}

const HANDLER: &str = "reloaded";
const RELOADS: u32 = 100;
const OBJECTS: u64 = 100;
/// How long each generation is left alone.
const AT_WORK: Duration = Duration::from_millis(50);
/// 500 changes a second.
const PERIOD: Duration = Duration::from_millis(2);

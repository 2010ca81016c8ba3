//! Measures one audit trail (`guests/audit`): prints a line of JSON with what its module costs.
//!
//! In a process of its own for each module, so that memory can be told apart. Times are medians; a call is the whole of
//! `on-add`, with the one log line that it writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use host::guest::{GuestEngine, GuestHandler, GuestLimits, GuestModule, SharedGuest, StartedGuest};
use informer::{Delivery, Handled, Notification, Object, ObjectKey, ResourceEventHandler};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use tests::print_figures;

/// Measures what one module costs
#[derive(Parser)]
struct Options {
    /// One of `guests/audit`, as a component
    module: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Options { module } = Options::parse();
    let figures = measure(&module).await.map_err(anyhow::Error::msg);
    print_figures(figures.with_context(|| module.display().to_string()))
}

async fn measure(module: &Path) -> Result<serde_json::Value, String> {
    let wasm = fs::read(module).map_err(|error| error.to_string())?;
    let engine = GuestEngine::new().map_err(|error| error.to_string())?;
    let begin = Instant::now();
    let module = GuestModule::compile(&engine, &wasm).map_err(|error| error.to_string())?;
    let compile = begin.elapsed();

    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let begin = Instant::now();
        drop(start(&module, "key").await?);
        starts.push(begin.elapsed());
    }

    let before = resident_bytes();
    let mut handlers = vec![started_and_called(&module).await?];
    let of_one = resident_bytes().saturating_sub(before);
    while handlers.len() < MANY {
        handlers.push(started_and_called(&module).await?);
    }
    let of_many = resident_bytes().saturating_sub(before);
    drop(handlers);

    Ok(json!({
        "size_bytes": wasm.len(),
        "compile_ms": milliseconds(compile),
        "instantiate_ms": milliseconds(median(starts)),
        "memory_of_1_bytes": of_one,
        "memory_of_100_bytes": of_many,
        "call_name_us": microseconds(call_time(&module, "key").await?),
        "call_pointers_us": microseconds(call_time(&module, "fields").await?),
        "call_parse_us": microseconds(call_time(&module, "whole").await?),
    }))
}

async fn started_and_called(module: &GuestModule) -> Result<GuestHandler, String> {
    let mut handler = start(module, "whole").await?;
    call(&mut handler, &pod()).await?;
    Ok(handler)
}

/// The time of one call, over batches that last a while.
async fn call_time(module: &GuestModule, detail: &str) -> Result<Duration, String> {
    let mut handler = start(module, detail).await?;
    let delivery = pod();
    let mut batches = Vec::new();
    let begin = Instant::now();
    while batches.len() < BATCHES_MIN || begin.elapsed() < CALLS_TIME {
        let batch = Instant::now();
        for _ in 0..BATCH {
            call(&mut handler, &delivery).await?;
        }
        batches.push(batch.elapsed() / BATCH);
    }
    Ok(median(batches))
}

async fn call(handler: &mut GuestHandler, delivery: &Delivery) -> Result<(), String> {
    match handler.handle(delivery).await {
        Handled::Done => Ok(()),
        Handled::Retry { reason, .. } | Handled::Failed { reason } => Err(reason),
    }
}

async fn start(module: &GuestModule, detail: &str) -> Result<GuestHandler, String> {
    let config = json!({ "report": ["/status/phase", "/spec/nodeName"], "detail": detail });
    let limits = GuestLimits {
        memory: 1 << 30,
        cpu_per_call: Duration::from_secs(10),
        ..GuestLimits::default()
    };
    let started = StartedGuest::start(module.clone(), "measured", config.to_string(), limits).await;
    let guest = SharedGuest::new(started.map_err(|error| error.to_string())?, [0].into());
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    Ok(GuestHandler::new("measured", kind, guest, 0))
}

/// A pod of 6 KB, as production has them.
fn pod() -> Delivery {
    let object = Object {
        key: ObjectKey::new(Some("shop"), "checkout-api-6d5f8c9b7d-x7k2p"),
        uid: "b9a2706f-bb9f-4eec-8e09-2f44695846da".into(),
        resource_version: "206".into(),
        json: include_str!("bench/pod.json").trim().into(),
    };
    let notification = Notification::Added { object: object.into(), in_initial_list: false };
    Delivery { notification, attempt: 1 }
}

/// What this process holds in memory.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

fn microseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e8).round() / 100.0
}

const STARTS: usize = 21;
const MANY: usize = 100;
const BATCH: u32 = 100;
const BATCHES_MIN: usize = 11;
/// How long each kind of call is measured.
const CALLS_TIME: Duration = Duration::from_secs(2);

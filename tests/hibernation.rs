//! Handlers whose instances are dropped while they have nothing to do: what they forget, and that they miss nothing.

use std::time::Duration;

use host::handlers::HandlerState;
use serde_json::Value;
use tests::{
    Dev, Event, HeldGuest, TestHost, assert_chain, config_maps, deliveries_of, eventually,
    fields_said_by, final_view, said_by, server_view,
};

const MINUTE: Duration = Duration::from_secs(60);
const AUDIT: &str = "  config: { kind: ConfigMap, detail: fields, report: [/data/value] }\n";
const SLEEPS: &str = "  hibernateAfter: 1s\n";

async fn load(host: &TestHost, name: &str, module: &str, spec: &str) {
    let module = toolchains::build(module).unwrap();
    let spec = format!("{AUDIT}{spec}");
    let state = host.load(name, module.to_str().unwrap(), &spec).await;
    assert_eq!(state, HandlerState::Running);
    host.synced(name).await;
}

async fn hibernates(host: &TestHost, name: &str) {
    let what = format!("{name} hibernates");
    eventually(&what, MINUTE, || host.status(name).sleep.hibernating).await;
}

async fn told(name: &str, count: usize) {
    let what = format!("{name} is told {count} times");
    eventually(&what, MINUTE, || deliveries_of(name).len() >= count).await;
}

/// The guest counts what it is told, in its memory.
fn counted_by(name: &str) -> Vec<String> {
    let fields = fields_said_by(name).into_iter();
    let fields = fields.filter_map(|it| serde_json::from_str::<Value>(&it).ok());
    fields.filter_map(|it| Some(it.get("seq")?.as_str()?.to_owned())).collect()
}

async fn forgets_and_misses_nothing(name: &str, module: &str) {
    let dev = Dev::start().await;
    let host = dev.host().await;
    dev.apply("a", "1");
    load(&host, name, module, SLEEPS).await;
    told(name, 2).await;
    for (round, value) in ["2", "3"].into_iter().enumerate() {
        hibernates(&host, name).await;
        assert_eq!(host.status(name).sleep.wakes, round as u64);
        dev.apply("a", value);
        dev.apply("b", value);
        told(name, 4 + 2 * round).await;
        assert!(!host.status(name).sleep.hibernating);
    }
    hibernates(&host, name).await;
    dev.delete("a");
    told(name, 7).await;

    let sleep = host.status(name).sleep;
    assert_eq!(sleep.wakes, 3);
    assert!(!sleep.wake_time.is_zero());
    let counted = counted_by(name);
    assert_eq!(counted, ["1", "2", "1", "2", "1", "2", "1"], "each time from the beginning");
    let deliveries = deliveries_of(name);
    assert!(deliveries.iter().all(|it| it.ok), "{deliveries:?}");
    let synced = deliveries.iter().filter(|it| it.event == Event::Synced).count();
    assert_eq!(synced, 1, "who wakes has synced long ago");
    assert_chain(&deliveries);
    assert_eq!(
        final_view(&deliveries, "configmaps"),
        server_view(&config_maps(&dev.client())).await
    );
    let metrics = reqwest::get(format!("http://{}/metrics", host.host.http_address()));
    let metrics = metrics.await.unwrap().text().await.unwrap();
    for line in [
        format!("informerd_handler_wakes_total{{handler=\"{name}\"}} 3\n"),
        format!("informerd_handler_hibernating{{handler=\"{name}\"}} 0\n"),
        format!("informerd_handler_wake_seconds_total{{handler=\"{name}\"}} "),
    ] {
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_forgets_what_it_had_in_memory_and_misses_nothing() {
    forgets_and_misses_nothing("sleeps", "audit/rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_started_again() {
    forgets_and_misses_nothing("sleeps-as-command", "audit/stdin").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_being_asked_for_it_nothing_is_forgotten() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    load(&host, "awake", "audit/rust", "").await;
    // Both have as long.
    load(&host, "asleep", "audit/rust", SLEEPS).await;
    hibernates(&host, "asleep").await;
    dev.apply("a", "1");
    told("asleep", 2).await;
    told("awake", 2).await;
    assert_eq!(host.status("awake").sleep.wakes, 0);
    assert_eq!(counted_by("awake").last().map(String::as_str), Some("2"), "{:?}", said_by("awake"));
    assert_eq!(counted_by("asleep").last().map(String::as_str), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_at_work_is_not_idle() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    load(&host, "held", "audit/rust", "  hibernateAfter: 1s\n  limits: { cpuPerCall: 10s }\n")
        .await;
    let held = HeldGuest::hold("held");
    dev.apply("a", "1");
    eventually("it is in the middle of a call", MINUTE, || held.is_held()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!host.status("held").sleep.hibernating);
    drop(held);
    told("held", 2).await;
    hibernates(&host, "held").await;
    assert!(deliveries_of("held").iter().all(|it| it.ok), "{:?}", deliveries_of("held"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_of_who_hibernates_is_awake() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    load(&host, "replaced-asleep", "audit/rust", SLEEPS).await;
    hibernates(&host, "replaced-asleep").await;
    load(&host, "replaced-asleep", "audit/rust", "  delivery: { maxRetries: 1 }\n").await;
    assert!(!host.status("replaced-asleep").sleep.hibernating);
    dev.apply("a", "1");
    told("replaced-asleep", 3).await;
    assert_eq!(host.status("replaced-asleep").sleep.wakes, 0);
}

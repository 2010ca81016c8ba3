//! Hostile and broken guests beside good ones. One test at least for each guest under `guests/`.

use std::time::Duration;

use artifacts::{
    ALL, CONFIG_MAP_DIFF, HOARD, LOG_FLOOD, NO_OP, POD_REPORTER, RECORDER, SPIN, STALE_TICKET, TRAP,
};
use control_plane::ControlPlane;
use host::handlers::HandlerState;
use kube::api::PostParams;
use serde_json::{Value, json};
use tests::{
    Dev, Event, TestHost, assert_chain, config_map, config_map_with, config_maps, deliveries_of,
    eventually, final_view, said_by, server_view,
};

const MINUTE: Duration = Duration::from_secs(60);
const MAPS: &str = "  watches: [{ apiVersion: v1, kind: ConfigMap }]\n";
const MAPS_RETRY_ONCE: &str = "  watches: [{ apiVersion: v1, kind: ConfigMap }]\n  \
                               delivery: { maxRetries: 1, backoff: 10ms }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_a_loop_and_a_memory_hog_harm_only_themselves() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let kind = config_maps(&client);
    let host = TestHost::start(client.clone()).await;
    let maps = "  watches: [{ apiVersion: v1, kind: ConfigMap, namespaces: [default] }]\n  \
                delivery: { maxRetries: 1, backoff: 10ms }\n";
    let hostile = [("bad-trap", TRAP), ("bad-spin", SPIN), ("bad-hoard", HOARD)];
    for (name, wasm) in [("good", RECORDER)].into_iter().chain(hostile) {
        // Touching more takes a busy machine longer than a call may.
        let memory = if wasm == HOARD { "  limits: { memory: 8Mi }\n" } else { "" };
        let state = host.load(name, wasm, &format!("{maps}{memory}")).await;
        assert_eq!(state, HandlerState::Running, "{name}");
    }
    for n in 0..60 {
        let name = ["trap", "spin", "hoard", "fine"][n % 4];
        let object = config_map(&format!("{name}-{n}"), "x");
        kind.create(&PostParams::default(), &object).await.unwrap();
    }
    let server = server_view(&kind).await;
    let good_view = || final_view(&deliveries_of("good"), "configmaps");
    eventually("the good handler sees everything", MINUTE, || good_view() == server).await;
    assert_chain(&deliveries_of("good"));
    assert!(deliveries_of("good").iter().all(|it| it.ok));

    for ((name, _), reason) in hostile.into_iter().zip(["unreachable", "CPU time", "memory"]) {
        let settled = || host.status(name).pending == 0;
        eventually(&format!("{name} is through"), MINUTE, settled).await;
        let status = host.status(name);
        let dead: Vec<&str> = status.dead_letters.iter().map(|it| it.key.name()).collect();
        assert_eq!(dead.len(), 15, "each object it cannot handle is a dead letter: {dead:?}");
        assert_eq!(status.counts.failed, 30, "each was tried twice");
        for dead in &status.dead_letters {
            let bad = name.trim_start_matches("bad-");
            assert!(dead.key.name().starts_with(bad) && dead.attempts == 2, "{dead:?}");
            assert!(dead.reason.contains(reason), "{name}: {}", dead.reason);
            let says_why = dead.reason.contains(&format!("asked to trap by {}", dead.key.name()));
            assert_eq!(says_why, bad == "trap", "a panic's text is in the reason: {}", dead.reason);
        }
        let view = final_view(&deliveries_of(name), "configmaps");
        assert_eq!(view.len(), server.len() - 15, "{name} handled the others");
        assert_eq!(deliveries_of(name).iter().filter(|it| it.event == Event::Synced).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reads_old_and_new_state_through_its_tickets() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    host.load("reads", RECORDER, MAPS).await;
    host.synced("reads").await;
    dev.apply("a", "1");
    dev.apply("a", "2");
    dev.delete("a");
    eventually("all of it is told", MINUTE, || events_of("reads").len() == 4).await;
    let lines = events_of("reads");
    let told: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(told, ["synced", "add", "update", "delete"]);
    assert_eq!(lines[2]["old_rv"], lines[1]["new_rv"], "old is the state given last");
    assert_eq!(lines[2]["rv"], lines[2]["new_rv"], "the key names the new state");
    assert_eq!(lines[1]["initial"], false);
    assert_eq!(lines[3]["uid"], lines[1]["uid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_retried_in_a_fresh_instance_and_then_a_dead_letter() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let spec = |fail: &str| {
        let times = if fail == "retry" { 2 } else { 9 };
        format!("{MAPS_RETRY_ONCE}  config: {{ fail: {fail}, failName: a, times: {times} }}\n")
    };
    let spec = [spec("retry").replace("maxRetries: 1", "maxRetries: 5"), spec("permanent")];
    host.load("retries", RECORDER, &spec[0]).await;
    host.load("gives-up", RECORDER, &spec[1]).await;
    dev.apply("a", "1");
    let ok =
        |name: &str| deliveries_of(name).iter().filter(|it| it.ok && !it.key.is_empty()).count();
    eventually("the third attempt succeeds", MINUTE, || ok("retries") == 1).await;
    assert_eq!(host.status("retries").counts.failed, 2);
    assert!(host.status("retries").dead_letters.is_empty());

    eventually("it is given up", MINUTE, || host.status("gives-up").counts.failed == 1).await;
    let dead = host.status("gives-up").dead_letters;
    assert_eq!(dead.len(), 1, "permanent means no retry");
    dev.apply("a", "2");
    eventually("a newer state comes", MINUTE, || deliveries_of("gives-up").len() > 2).await;
    let newest = deliveries_of("gives-up").pop().unwrap();
    assert_eq!(newest.event, Event::Add, "to this handler it is still new");
    assert_ne!(newest.rv, dead[0].resource_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_an_earlier_call_traps() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    host.load("stale", STALE_TICKET, MAPS_RETRY_ONCE).await;
    dev.apply("a", "1");
    dev.apply("b", "1");
    // The trap costs the instance, so the retry begins anew and succeeds.
    eventually("both are handled", MINUTE, || host.status("stale").counts.delivered == 2).await;
    let failed = deliveries_of("stale").into_iter().find(|it| !it.ok).unwrap();
    assert!(failed.reason.contains("tickets must not be kept"), "{}", failed.reason);
    assert!(!said_by("stale").iter().any(|line| line.contains("was answered")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_flood_is_cut_and_counted() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let patient = format!("{MAPS}  limits: {{ cpuPerCall: 10s }}\n");
    host.load("flood", LOG_FLOOD, &patient).await;
    dev.apply("a", "1");
    eventually("the flood is over", MINUTE, || host.status("flood").counts.delivered == 1).await;
    let lines = said_by("flood").len();
    assert!((500..5_000).contains(&lines), "{lines} of 9,000 lines were kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_report_what_they_promise() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    // Alone, without a spec: they say themselves what they watch.
    host.load("diff", CONFIG_MAP_DIFF, "").await;
    host.load("pods", POD_REPORTER, "").await;
    host.load("nothing", NO_OP, "").await;
    host.synced("diff").await;
    host.synced("pods").await;
    dev.storage().apply(config_map_with("a", json!({ "one": "1", "two": "2" }))).unwrap();
    dev.storage()
        .apply(config_map_with("a", json!({ "one": "x", "two": null, "three": "3" })))
        .unwrap();
    let says = |handler: &str, words: &[&str]| {
        let has_all = |line: &String| words.iter().all(|word| line.contains(word));
        said_by(handler).iter().any(has_all)
    };
    let diff = || says("diff", &["default/a", "added three", "removed two", "changed one"]);
    eventually("the changed keys are named", MINUTE, diff).await;
    assert!(!said_by("diff").iter().any(|line| line.contains("\"x\"")), "values are not logged");

    let waiting = |reason: &str, restarts: u32| {
        json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "web", "namespace": "default" },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "main",
                "restartCount": restarts, "state": { "waiting": { "reason": reason } } }] } })
    };
    dev.storage().apply(waiting("ContainerCreating", 0)).unwrap();
    dev.storage().apply(waiting("CrashLoopBackOff", 4)).unwrap();
    let crash = || says("pods", &["default/web", "crash-looping"]);
    eventually("the crash loop is reported", MINUTE, crash).await;
    eventually("no_op handles the pods too", MINUTE, || {
        host.status("nothing").counts.delivered == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_watches_of_one_handler_share_an_instance_and_sync_once() {
    let dev = Dev::start().await;
    dev.apply("a", "1");
    let host = dev.host().await;
    let spec = "  watches:\n    - { apiVersion: v1, kind: ConfigMap }\n    \
                - { apiVersion: v1, kind: Service }\n    - { apiVersion: v1, kind: Pod }\n";
    host.load("many", RECORDER, spec).await;
    host.synced("many").await;
    let told: Vec<Event> = deliveries_of("many").iter().map(|it| it.event).collect();
    assert_eq!(told, [Event::Add, Event::Synced]);
}

#[test]
fn every_guest_has_a_test() {
    let tests = concat!(
        include_str!("contract.rs"),
        include_str!("guests.rs"),
        include_str!("bad_input.rs")
    );
    let words: Vec<&str> = tests.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for (name, _) in ALL {
        let uses = words.iter().filter(|word| **word == name.to_uppercase()).count();
        assert!(uses >= 2, "no test loads the guest {name}: it is at most imported");
    }
}

/// What a recorder logged.
fn events_of(handler: &str) -> Vec<Value> {
    said_by(handler).iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

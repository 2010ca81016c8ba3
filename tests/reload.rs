//! Handlers replaced and removed while they run: what each generation is told, and what goes on when the next
//! one is bad.

use std::fs;
use std::time::{Duration, Instant};

use artifacts::{NO_OP, RECORDER, REFUSES_CONFIG, SPIN, TRAP};
use dev_api_server::Storage;
use host::handlers::HandlerState;
use host::modules::Digest;
use serde_json::json;
use tests::{
    Delivery, Dev, Event, assert_chain, config_map_with, config_maps, deliveries_of, eventually,
    final_view, hostile_guest, problems_of, said_by, server_view,
};
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);
const MAPS: &str = "  watches: [{ apiVersion: v1, kind: ConfigMap }]\n";

fn with(spec: &str) -> String {
    format!("{MAPS}{spec}")
}

fn events(handler: &str) -> Vec<(Event, String)> {
    deliveries_of(handler).into_iter().map(|it| (it.event, it.key)).collect()
}

async fn told(handler: &str, count: usize) {
    let what = format!("{handler} is told {count} times");
    eventually(&what, MINUTE, || deliveries_of(handler).len() >= count).await;
}

fn apply(storage: &Storage, name: &str, value: &str) {
    storage.apply(config_map_with(name, json!({ "value": value }))).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_goes_on_where_the_old_one_stood() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let storage = &dev.storage();
    apply(storage, "a", "1");
    assert_eq!(host.load("goes-on", RECORDER, MAPS).await, HandlerState::Running);
    told("goes-on", 2).await;

    // Neither the module nor the spec is the same as before.
    assert_eq!(
        host.load("goes-on", NO_OP, &with("  config: { x: 1 }\n")).await,
        HandlerState::Running
    );
    apply(storage, "a", "2");
    told("goes-on", 4).await;
    let key = "default/a".to_owned();
    let (none, synced) = (String::new(), Event::Synced);
    // Each generation is told that it has synced; only what changes comes again.
    let mut expected = vec![
        (Event::Add, key.clone()),
        (synced, none.clone()),
        (synced, none),
        (Event::Update, key),
    ];
    assert_eq!(events("goes-on"), expected);
    let status = host.status("goes-on");
    assert_eq!((status.generation, status.counts.delivered), (2, 2));
    assert!(status.has_synced && status.replacement.is_none(), "{status:?}");

    // The same again is no change.
    assert_eq!(
        host.load("goes-on", NO_OP, &with("  config: { x: 1 }\n")).await,
        HandlerState::Running
    );
    assert_eq!(host.status("goes-on").generation, 2);
    // Unless somebody asks for it.
    assert!(host.host.handlers().reload("goes-on"));
    assert_eq!(host.host.handlers().settled("goes-on").await, Some(HandlerState::Running));
    assert_eq!(host.status("goes-on").generation, 3);
    told("goes-on", 5).await;
    expected.push((synced, String::new()));
    assert_eq!(events("goes-on"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_replays_is_told_everything_and_what_is_gone() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let storage = &dev.storage();
    for name in ["stays", "goes"] {
        apply(storage, name, "1");
    }
    assert_eq!(host.load("replays", RECORDER, MAPS).await, HandlerState::Running);
    told("replays", 3).await;
    let replay = |config: &str| with(&format!("  onReload: replay\n  config: {config}\n"));
    assert_eq!(host.load("replays", RECORDER, &replay("{}")).await, HandlerState::Running);
    told("replays", 6).await;
    // This one does not get the deletion handled before it is replaced.
    assert!(host.host.handlers().set_paused("replays", true));
    storage.delete("v1", "ConfigMap", "default", "goes").unwrap();
    eventually("the deletion waits", MINUTE, || host.status("replays").pending == 1).await;
    let spec = replay("{ fail: retry, failName: none }");
    assert_eq!(host.load("replays", RECORDER, &spec).await, HandlerState::Running);
    assert!(host.host.handlers().set_paused("replays", false));
    host.synced("replays").await;
    let is_last = |it: &Delivery| it.event == Event::Synced;
    eventually("the third is told", MINUTE, || {
        deliveries_of("replays").iter().filter(|it| is_last(it)).count() == 3
    })
    .await;
    let deliveries = deliveries_of("replays");
    let third = deliveries.rsplit(is_last).nth(1).unwrap();
    let of = |name: &str| {
        let of = third.iter().filter(|it| it.ok && it.key == format!("default/{name}"));
        of.map(|it| (it.event, it.initial)).collect::<Vec<_>>()
    };
    assert_eq!(of("goes"), [(Event::Delete, false)]);
    assert_eq!(of("stays"), [(Event::Add, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_next_generation_watches_is_followed_and_what_it_does_not_is_not() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let storage = &dev.storage();
    apply(storage, "map", "1");
    storage
        .apply(json!({ "apiVersion": "v1", "kind": "Service", "metadata": {
        "namespace": "default", "name": "service" } }))
        .unwrap();
    let watches = |kinds: &[&str]| {
        let kinds: Vec<String> =
            kinds.iter().map(|kind| format!("{{ apiVersion: v1, kind: {kind} }}")).collect();
        format!("  watches: [{}]\n", kinds.join(", "))
    };
    let followed = || {
        let informers = host.host.handlers().informers();
        let mut plurals: Vec<String> =
            informers.into_iter().map(|(resource, _)| resource.kind.plural).collect();
        plurals.sort();
        plurals
    };
    host.load("watches", RECORDER, &watches(&["ConfigMap"])).await;
    told("watches", 2).await;
    host.load("watches", RECORDER, &watches(&["ConfigMap", "Service"])).await;
    told("watches", 4).await;
    assert_eq!(followed(), ["configmaps", "services"]);
    host.load("watches", RECORDER, &watches(&["Service"])).await;
    eventually("nobody needs config maps", MINUTE, || followed() == ["services"]).await;
    told("watches", 5).await;
    apply(storage, "map", "2");
    // Other selectors: the objects that they select come, and what was selected before is not told any more.
    let selects = "  watches: [{ apiVersion: v1, kind: Service, labelSelector: { matchLabels: \
                   { a: b } } }]\n";
    host.load("watches", RECORDER, selects).await;
    told("watches", 6).await;
    storage
        .apply(json!({ "apiVersion": "v1", "kind": "Service", "metadata": {
        "namespace": "default", "name": "other", "labels": { "a": "b" } } }))
        .unwrap();
    told("watches", 7).await;
    let told: Vec<(Event, String)> = events("watches");
    let (add, synced) = (Event::Add, (Event::Synced, String::new()));
    let named = |name: &str| (add, format!("default/{name}"));
    let expected = [
        named("map"),
        synced.clone(),
        named("service"),
        synced.clone(),
        synced.clone(),
        synced,
        named("other"),
    ];
    assert_eq!(told, expected);
    assert_eq!(followed(), ["services"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_generation_goes_on_while_the_next_one_is_bad() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let storage = &dev.storage();
    apply(storage, "a", "0");
    assert_eq!(host.load("last-good", RECORDER, MAPS).await, HandlerState::Running);
    told("last-good", 2).await;
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.wasm");
    fs::write(&garbage, "no wasm").unwrap();
    let garbage = garbage.to_str().unwrap().to_owned();
    for (round, (module, spec, expected)) in [
        (garbage, MAPS.to_owned(), "not a WebAssembly module"),
        (REFUSES_CONFIG.to_owned(), MAPS.to_owned(), "refused its configuration"),
        (RECORDER.to_owned(), with("  config: { fail: retry }\n"), "fail and failName go together"),
        (RECORDER.to_owned(), "  watches: []\n".to_owned(), "watches nothing"),
    ]
    .into_iter()
    .enumerate()
    {
        let state = host.load("last-good", &module, &spec).await;
        let HandlerState::Failed(problem) = state else { panic!("{expected}: {state:?}") };
        assert!(problem.contains(expected), "{problem}");
        let status = host.status("last-good");
        assert_eq!((status.generation, &status.state), (1, &HandlerState::Running));
        assert_eq!(status.replacement, Some(HandlerState::Failed(problem)));
        apply(storage, "a", &round.to_string());
        apply(storage, "a", &format!("{round} again"));
        eventually("the old one goes on", MINUTE, || {
            final_view(&deliveries_of("last-good"), "configmaps")["default/a"].1
                == storage.resource_version().to_string()
        })
        .await;
    }
    assert_eq!(host.load("last-good", NO_OP, MAPS).await, HandlerState::Running);
    let status = host.status("last-good");
    assert_eq!((status.generation, status.replacement), (2, None));
    assert_chain(&deliveries_of("last-good"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_cut_off_and_what_it_was_about_is_told_again() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let slow = with("  limits: { cpuPerCall: 10s }\n");
    assert_eq!(host.load("hangs", SPIN, &slow).await, HandlerState::Running);
    host.synced("hangs").await;
    apply(&dev.storage(), "spin", "1");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(host.load("hangs", RECORDER, MAPS).await, HandlerState::Running);
    eventually("the new one is told", MINUTE, || !said_by("hangs").is_empty()).await;
    let deliveries: Vec<Delivery> = deliveries_of("hangs");
    let of_the_object: Vec<&Delivery> = deliveries.iter().filter(|it| !it.key.is_empty()).collect();
    assert!(!of_the_object[0].ok && of_the_object[0].reason.contains("next generation"));
    eventually("the object is told", MINUTE, || {
        deliveries_of("hangs").iter().any(|it| it.ok && it.key == "default/spin")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_traps_too_often_is_quarantined_until_it_changes_or_somebody_says_so() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let storage = &dev.storage();
    let spec = with("  delivery: { maxRetries: 0 }\n");
    assert_eq!(host.load("traps", TRAP, &spec).await, HandlerState::Running);
    for n in 0..120 {
        apply(storage, &format!("trap-{n}"), "1");
    }
    let quarantined = || matches!(host.status("traps").state, HandlerState::Quarantined(_));
    eventually("it is quarantined", MINUTE, quarantined).await;
    assert!(problems_of("traps").is_empty(), "it is said in words of its own");
    // Nothing is delivered, and nothing is lost.
    let before = deliveries_of("traps").len();
    assert_eq!(deliveries_of("traps").iter().filter(|it| !it.ok).count(), 100);
    apply(storage, "fine", "1");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(deliveries_of("traps").len(), before);
    assert!(host.host.handlers().is_ready(), "it holds nobody up");

    // Another handler of the same module is not run either.
    let state = host.load("traps-too", TRAP, &spec).await;
    assert!(matches!(&state, HandlerState::Quarantined(why) if why.contains("100")), "{state:?}");

    assert!(host.host.handlers().reload("traps"));
    assert_eq!(host.host.handlers().settled("traps").await, Some(HandlerState::Running));
    let is_told = || deliveries_of("traps").iter().any(|it| it.ok && it.key == "default/fine");
    eventually("what waited is told", MINUTE, is_told).await;

    assert_eq!(host.load("traps-too", RECORDER, &spec).await, HandlerState::Running);
    host.synced("traps-too").await;
}

/// Of two places, one waits for the guest when a call at the other is one too many.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_in_quarantine_is_removed_at_once_whatever_waits_for_its_guest() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let storage = &dev.storage();
    for n in 0..80 {
        apply(storage, &format!("trap-{n}"), "1");
        storage
            .apply(json!({ "apiVersion": "v1", "kind": "Service", "metadata": {
            "namespace": "default", "name": format!("trap-{n}") } }))
            .unwrap();
    }
    let spec = "  watches: [{ apiVersion: v1, kind: ConfigMap }, { apiVersion: v1, kind: Service }]\n  \
                delivery: { maxRetries: 0 }\n";
    host.load("stuck", TRAP, spec).await;
    let quarantined = || matches!(host.status("stuck").state, HandlerState::Quarantined(_));
    eventually("it is quarantined", MINUTE, quarantined).await;
    let begin = Instant::now();
    assert!(host.host.handlers().remove("stuck", MINUTE).await > Some(0));
    assert!(begin.elapsed() < MINUTE / 2, "{:?}", begin.elapsed());
}

/// H50: starts that nobody waits for any more do not add up.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_ends_when_something_newer_is_wanted() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let forever = with("  limits: { cpuAtStart: 30s }\n");
    host.begin_load_bytes("starts", &hostile_guest("says_at_start", &[]), &forever).unwrap();
    let said = || said_by("starts").iter().filter(|line| *line == "starting").count();
    eventually("it starts", MINUTE, || said() > 0).await;
    assert_eq!(host.load("starts", RECORDER, MAPS).await, HandlerState::Running);
    let before = said();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(said(), before, "it still starts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_handler_is_told_later_and_a_removed_one_nothing() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let (storage, handlers) = (&dev.storage(), host.host.handlers());
    assert_eq!(host.load("paused", RECORDER, MAPS).await, HandlerState::Running);
    told("paused", 1).await;
    assert!(handlers.set_paused("paused", true));
    apply(storage, "a", "1");
    apply(storage, "a", "2");
    // A reload does not end a pause.
    assert_eq!(host.load("paused", RECORDER, &with("  config: {}\n")).await, HandlerState::Running);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = host.status("paused");
    assert_eq!((status.paused, status.pending > 0, deliveries_of("paused").len()), (true, true, 1));
    assert!(handlers.set_paused("paused", false));
    told("paused", 3).await;
    assert_chain(&deliveries_of("paused"));

    assert_eq!(handlers.remove("paused", MINUTE).await, Some(0));
    assert!(handlers.status("paused").is_none() && handlers.informers().is_empty());
    assert!(!handlers.set_paused("paused", true) && !handlers.reload("paused"));
    assert_eq!(handlers.remove("paused", MINUTE).await, None);
}

/// Each is good, and each has to be compiled.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_modules_in_a_short_time_a_few_are_loaded_and_the_last() {
    const TURNS: u64 = 10;
    let dev = Dev::start().await;
    let host = dev.host().await;
    let no_op = fs::read(NO_OP).unwrap();
    // The same code, of another digest: a custom section with an empty name follows.
    let version = |number: u8| [&*no_op, &[0, 2, 0, number]].concat();
    let begin = |number| host.begin_load_bytes("bomb", &version(number), MAPS).unwrap();
    let start = Instant::now();
    for number in 1..=TURNS {
        begin(u8::try_from(number).unwrap());
        assert_eq!(host.host.handlers().settled("bomb").await, Some(HandlerState::Running));
        assert_eq!(host.status("bomb").generation, number);
    }
    for number in 100..110 {
        begin(number);
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(1)).await;
    let status = host.status("bomb");
    assert!(start.elapsed() < MINUTE, "this machine is too slow for this test");
    assert_eq!((status.generation, status.state), (TURNS, HandlerState::Running));
    assert_eq!(status.replacement, Some(HandlerState::Loading));

    // One that it has had lately need not wait.
    begin(1);
    let is_back = || host.status("bomb").digest == Some(Digest::of(&version(1)).hex());
    eventually("an earlier one is back", MINUTE, is_back).await;
    // Neither need an operator.
    begin(110);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(host.status("bomb").generation, TURNS + 1);
    assert!(host.host.handlers().reload("bomb"));
    assert_eq!(host.host.handlers().settled("bomb").await, Some(HandlerState::Running));
    let status = host.status("bomb");
    assert_eq!(status.digest, Some(Digest::of(&version(110)).hex()));
    assert_eq!(status.generation, TURNS + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_followed() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let handlers = host.host.handlers();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let put = |name: &str, bytes: &[u8]| {
        fs::write(path(".new"), bytes).unwrap();
        fs::rename(path(".new"), path(name)).unwrap();
    };
    let spec = |name: &str, rest: &str| {
        format!(
            "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: {{ name: {name} }}\n\
             spec:\n  module: {{ path: recorder.wasm }}\n{MAPS}{rest}"
        )
    };
    put("recorder.wasm", &fs::read(RECORDER).unwrap());
    put("one.yaml", spec("dir-one", "").as_bytes());
    host.host.follow_directory(folder.path()).await.unwrap();
    let generation = |name: &'static str, number: u64| {
        let handlers = handlers.clone();
        async move {
            let is_there = || handlers.status(name).is_some_and(|it| it.generation == number);
            eventually(&format!("{name} is of generation {number}"), MINUTE, is_there).await;
        }
    };
    generation("dir-one", 1).await;

    put("two.yml", spec("dir-two", "").as_bytes());
    generation("dir-two", 1).await;
    put("two.yml", spec("dir-two", "  config: { fail: retry, failName: a }\n").as_bytes());
    generation("dir-two", 2).await;
    // Written in place, and of another name now.
    fs::write(path("two.yml"), spec("dir-three", "")).unwrap();
    generation("dir-three", 1).await;
    eventually("the old name is gone", MINUTE, || handlers.status("dir-two").is_none()).await;

    // A spec that cannot be read, a module that is being written: what runs goes on, and says why.
    put("two.yml", b"kind: [");
    let refused = || handlers.status("dir-three").is_some_and(|it| it.replacement.is_some());
    eventually("the spec is refused", MINUTE, refused).await;
    assert_eq!(handlers.status("dir-three").unwrap().state, HandlerState::Running);
    put("two.yml", spec("dir-three", "").as_bytes());
    eventually("it is as it was", MINUTE, || !refused()).await;
    put("recorder.wasm", b"\0asm");
    let refused = || {
        ["dir-one", "dir-three"].iter().all(|name| {
            handlers.status(name).is_some_and(|it| {
                it.state == HandlerState::Running
                    && matches!(it.replacement, Some(HandlerState::Failed(_)))
            })
        })
    };
    eventually("the module is refused", MINUTE, refused).await;
    put("recorder.wasm", &fs::read(NO_OP).unwrap());
    generation("dir-one", 2).await;
    generation("dir-three", 2).await;

    // One name cannot be had twice, and the first one keeps it.
    put("zz.yaml", spec("dir-one", "").as_bytes());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        handlers.status("dir-one").unwrap().source.to_string(),
        path("one.yaml").display().to_string()
    );
    fs::remove_file(path("one.yaml")).unwrap();
    let moved = || {
        let source = handlers.status("dir-one").map(|it| it.source.to_string());
        source == Some(path("zz.yaml").display().to_string())
    };
    eventually("the second file has the name", MINUTE, moved).await;
    assert_eq!(handlers.status("dir-one").unwrap().generation, 2, "nothing else has changed");
    fs::remove_file(path("zz.yaml")).unwrap();
    fs::remove_file(path("two.yml")).unwrap();
    // Nothing names the module any more: it stands alone, and says nothing of what it watches.
    let left = || handlers.statuses().into_iter().map(|it| it.name).collect::<Vec<_>>();
    eventually("all are gone", MINUTE, || left() == ["recorder"]).await;
    fs::remove_file(path("recorder.wasm")).unwrap();
    eventually("nothing is left", MINUTE, || left().is_empty() && handlers.informers().is_empty())
        .await;
}

/// A life under load: 40 generations, each told by another rule.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_many_generations_under_load() {
    let dev = Dev::start().await;
    let host = dev.host().await;
    let storage = dev.storage();
    assert_eq!(host.load("load", RECORDER, MAPS).await, HandlerState::Running);
    let writer = tokio::spawn(async move {
        for n in 0..3000_u32 {
            let name = format!("o-{}", n * 7919 % 50);
            match n % 11 {
                10 => drop(storage.delete("v1", "ConfigMap", "default", &name)),
                _ => apply(&storage, &name, &n.to_string()),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let mut generations = 0;
    while !writer.is_finished() {
        generations += 1;
        let spec = with(&format!("  config: {{ failName: o-{generations}, fail: retry }}\n"));
        assert_eq!(host.load("load", RECORDER, &spec).await, HandlerState::Running);
    }
    writer.await.unwrap();
    assert!(generations > 5, "{generations}");
    let server = server_view(&config_maps(&dev.client())).await;
    let view = || final_view(&deliveries_of("load"), "configmaps");
    eventually("it knows the last state", MINUTE, || view() == server).await;
    assert_chain(&deliveries_of("load"));
}

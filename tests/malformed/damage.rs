//! Random damage to valid bytes: no panic, and what is not damaged arrives.

use super::*;

/// The seeds of each test.
const SEEDS: std::ops::Range<u64> = 0..48;

/// A few bytes flipped, cut out or put in.
fn damaged(rng: &mut fastrand::Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..bytes.len());
        match rng.u8(..4) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = *rng.choice(b"{}[]\",:\\\n\0\xff").unwrap(),
            2 => _ = bytes.drain(at..(at + 20).min(bytes.len())),
            _ => bytes.insert(at, rng.u8(..)),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

fn queue_of(seed: u64) -> QueueKind {
    QUEUES[usize::from(seed.is_multiple_of(2))]
}

fn names() -> Vec<String> {
    (0..30).map(|n| format!("good-{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_good_event_between_damaged_ones_is_delivered() {
    side_by_side(SEEDS.map(|seed| async move {
        let name = format!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let objects: Vec<Vec<u8>> = names().iter().map(|name| good(name, "5")).collect();
        let mut live = Vec::new();
        for (n, object) in objects.iter().enumerate() {
            let mut bad = event("MODIFIED", &good(&format!("other-{n}"), "4"));
            bad.pop();
            live.extend(damaged(&mut rng, &bad));
            live.push(b'\n');
            live.extend(event("ADDED", object));
        }
        // Damage that ends the watch is followed by another.
        let all: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
        let answers = [
            (Request::WatchList, Answer::open(initial_events("3", &[]))),
            (Request::WatchList, Answer::open(initial_events("9", &all))),
        ];
        let trace = Trace::start(queue_of(seed), answers).await;
        trace.say(&name, live).await;
        trace.go_on(&name, || true).await;
        let told = trace.told.lines();
        for good in names() {
            let line = format!("added {good}@5");
            assert!(told.contains(&line), "{name}: {line} is not in {told:?}");
        }
        assert_well(&trace, &name);
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_object_whose_header_is_whole_in_a_damaged_list_is_deleted() {
    side_by_side(SEEDS.map(|seed| async move {
        let name = format!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let objects: Vec<Vec<u8>> = names().iter().map(|name| good(name, "5")).collect();
        let all: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
        let whole = list("20", &all);
        let bad = damaged(&mut rng, &whole);
        let answers = [
            (Request::List, Answer::ending(list("10", &all))),
            (Request::Watch, Answer::open("")),
            (Request::List, Answer::ending(bad.clone())),
            // If the damaged one is no list any more.
            (Request::List, Answer::ending(whole)),
        ];
        let trace = Trace::start(queue_of(seed), answers).await;
        trace.say(&name, expired()).await;
        let lists = || trace.informer.counters().lists.get();
        trace.go_on(&name, || lists() == 2).await;
        let text = String::from_utf8_lossy(&bad).into_owned();
        for line in trace.told.lines() {
            let Some(deleted) = line.strip_prefix("deleted ") else { continue };
            let (deleted, _) = deleted.split_once('@').unwrap();
            let header = format!(r#""metadata":{{"name":"{deleted}","namespace":"default""#);
            assert!(!text.contains(&header), "{name}: {line}, and the list is {text}");
        }
        assert_well(&trace, &name);
    }))
    .await;
}

fn assert_well(trace: &Trace, name: &str) {
    assert_eq!(trace.informer.counters().process_loop_restarts.get(), 0, "{name}");
    let status = trace.informer.status();
    let failure = status.borrow().failure.clone();
    assert!(failure.is_none(), "{name}: {failure:?}");
}

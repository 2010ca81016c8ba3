use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::objects::{object, texts};
use crate::recorder::{Answer, Recorder, Recording};
use crate::scripted_server::ScriptedServer;
use crate::shared_informer::SharedInformerOptions;
use crate::{DeliveryPolicy, HandlerOptions, HandlerRegistration, SharedInformer};

const SECOND: Duration = Duration::from_secs(1);

/// Passes even versions; panics at 13.
fn is_even(object: &Object) -> bool {
    match &*object.resource_version {
        // Without the message that a panic would print.
        "13" => std::panic::resume_unwind(Box::new("13")),
        version => version.parse::<u64>().unwrap() % 2 == 0,
    }
}

struct Filtering {
    server: ScriptedServer,
    _informer: SharedInformer,
    registration: HandlerRegistration,
    told: Recording,
}

impl Filtering {
    async fn start(
        list: &str,
        options: HandlerOptions,
        answer: impl FnMut(&Delivery) -> Answer + Send + 'static,
    ) -> Self {
        let server = ScriptedServer::default();
        server.on_list(list);
        let informer = SharedInformer::start(server.clone(), SharedInformerOptions::default());
        let (recorder, told) = Recorder::answering(answer);
        let handler = FilteringResourceEventHandler::new(is_even, recorder);
        let registration = informer.add_event_handler(handler, options).await;
        settle().await;
        Self { server, _informer: informer, registration, told }
    }

    async fn say(&self, text: &str) -> Vec<String> {
        self.server.say(text);
        settle().await;
        self.told.take()
    }
}

/// With a paused clock, this returns when every task waits.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[tokio::test(start_paused = true)]
async fn an_object_that_comes_to_pass_is_added_and_one_that_no_longer_does_is_deleted() {
    let filtering =
        Filtering::start("rv=10 a@4 b@5", HandlerOptions::default(), |_| Answer::done()).await;
    assert_eq!(filtering.told.take(), ["added a@4 initial", "synced"]);
    assert_eq!(filtering.say("modified a@12").await, ["updated a@4 a@12"]);
    assert_eq!(filtering.say("modified a@15").await, ["deleted a@12"], "its old state");
    assert_eq!(filtering.say("modified a@17").await, nothing());
    assert_eq!(filtering.say("modified b@18").await, ["added b@18"], "not initial");
    assert_eq!(filtering.say("added c@19").await, nothing());
    assert_eq!(filtering.say("modified c@20").await, ["added c@20"]);
    assert_eq!(filtering.say("deleted a@22").await, ["deleted a@22"], "as client-go has it");
    assert_eq!(filtering.say("deleted b@24").await, ["deleted b@24"]);
    assert_eq!(filtering.registration.counts().failed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_is_judged_by_the_last_known_state() {
    let filtering =
        Filtering::start("rv=10 a@4 b@5", HandlerOptions::default(), |_| Answer::done()).await;
    filtering.told.take();
    filtering.server.on_list("rv=20").say("expired");
    sleep(2 * SECOND).await;
    assert_eq!(filtering.told.take(), ["deleted a@4 final-state-unknown"]);
}

#[tokio::test(start_paused = true)]
async fn synced_passes_and_a_resync_gives_what_passes() {
    let options = HandlerOptions { resync_period: Some(10 * SECOND), ..Default::default() };
    let filtering = Filtering::start("rv=10 a@5", options, |_| Answer::done()).await;
    assert_eq!(filtering.told.take(), ["synced"]);
    assert!(filtering.registration.has_synced());
    assert_eq!(filtering.say("added b@12").await, ["added b@12"]);
    sleep(10 * SECOND).await;
    assert_eq!(filtering.told.take(), ["updated b@12 b@12"]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_panics_fails_the_delivery_and_holds_up_no_other() {
    let filtering =
        Filtering::start("rv=10 a@4 b@13", HandlerOptions::default(), |_| Answer::done()).await;
    assert_eq!(filtering.told.take(), ["added a@4 initial"]);
    assert_eq!(filtering.registration.counts().failed, 1);
    sleep(10 * SECOND).await;
    assert_eq!(filtering.told.take(), ["synced"]);
    assert_eq!(filtering.registration.dead_letters()[0].reason, "the handler panicked");
    assert_eq!(filtering.say("modified b@14").await, ["added b@14 initial"]);
}

/// A handler that has seen an addition, even if it failed, is told of the deletion.
#[tokio::test(start_paused = true)]
async fn what_failed_and_then_does_not_pass_any_more_is_deleted() {
    let mut broken = true;
    let answer = move |_: &Delivery| match std::mem::replace(&mut broken, false) {
        true => Answer::failed(),
        false => Answer::done(),
    };
    let filtering = Filtering::start("rv=10 a@4", HandlerOptions::default(), answer).await;
    assert_eq!(filtering.told.take(), ["added a@4 initial", "synced"]);
    // The dead letter and this merge into the addition of a state that does not pass.
    assert_eq!(filtering.say("modified a@11").await, ["deleted a@11"]);
    assert_eq!(filtering.say("modified a@15").await, nothing());
    assert_eq!(filtering.registration.dead_letter_count(), 0);
}

/// Merged with what follows, the update with which an object stops passing is not seen.
#[tokio::test(start_paused = true)]
async fn a_deletion_is_told_also_if_the_states_before_it_merged() {
    let delivery = DeliveryPolicy { buffer_max: 0, ..DeliveryPolicy::default() };
    let options = HandlerOptions { delivery, ..HandlerOptions::default() };
    let filtering =
        Filtering::start("rv=10 a@4 b@6", options, |_| Answer::After(10 * SECOND, Handled::Done))
            .await;
    sleep(9 * SECOND).await;
    filtering.server.say("modified a@11; deleted a@15; modified b@17; modified b@18");
    sleep(100 * SECOND).await;
    let expected = ["added a@4 initial", "added b@18 initial", "deleted a@15", "synced"];
    let mut told = filtering.told.take();
    told.sort();
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_failed_is_tried_again() {
    let mut deletions = 0;
    let (recorder, told) = Recorder::answering(move |delivery| match delivery.notification {
        Notification::Deleted { .. } => {
            deletions += 1;
            if deletions == 1 { Answer::retry() } else { Answer::done() }
        }
        _ => Answer::done(),
    });
    let mut handler = FilteringResourceEventHandler::new(is_even, recorder);
    let added = Notification::Added { object: object("a@2"), in_initial_list: true };
    let deleted = Notification::Deleted { last: object("a@3"), final_state_unknown: true };
    let again = [(added, 1), (deleted.clone(), 1), (deleted.clone(), 2), (deleted, 1)];
    for (notification, attempt) in again {
        handler.handle(&Delivery { notification, attempt }).await;
    }
    let tombstone = "deleted a@3 final-state-unknown";
    let expected = ["added a@2 initial", tombstone, &format!("{tombstone} attempt=2")];
    assert_eq!(told.take(), expected);
    assert!(handler.given.is_empty());
}

/// Has what it was told of and has handled; fails now and then.
struct Keeper {
    rng: fastrand::Rng,
    calm: Arc<AtomicBool>,
    kept: Arc<Mutex<BTreeMap<String, Arc<Object>>>>,
}

impl ResourceEventHandler for Keeper {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        sleep(self.rng.u32(0..3) * SECOND).await;
        if !self.calm.load(Ordering::Relaxed) && self.rng.u8(0..3) == 0 {
            let reason = "now and then".to_owned();
            return match self.rng.bool() {
                true => Handled::Retry { after: None, reason },
                false => Handled::Failed { reason },
            };
        }
        let mut kept = self.kept.lock().unwrap();
        match &delivery.notification {
            Notification::Added { object, .. } | Notification::Updated { new: object, .. } => {
                kept.insert(object.key.to_string(), object.clone());
            }
            Notification::Deleted { last, .. } => _ = kept.remove(last.key.as_str()),
            Notification::Synced => {}
        }
        Handled::Done
    }
}

/// Whatever fails and merges, what the handler has in the end is what passes.
async fn kept_and_passing(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let server = ScriptedServer::default();
    server.on_list("rv=10 o0@4 o1@5");
    let informer = SharedInformer::start(server.clone(), SharedInformerOptions::default());
    let (calm, kept) = (Arc::<AtomicBool>::default(), Arc::<Mutex<BTreeMap<_, _>>>::default());
    let keeper =
        Keeper { rng: fastrand::Rng::with_seed(!seed), calm: calm.clone(), kept: kept.clone() };
    let passes = |object: &Object| object.resource_version.ends_with(['0', '2', '4', '6', '8']);
    let delivery = DeliveryPolicy {
        buffer_max: rng.usize(0..4),
        retries_max: rng.u32(0..3),
        ..DeliveryPolicy::default()
    };
    let options = HandlerOptions { delivery, ..HandlerOptions::default() };
    let handler = FilteringResourceEventHandler::new(passes, keeper);
    let registration = informer.add_event_handler(handler, options).await;
    settle().await;

    let mut objects: BTreeMap<u8, u32> = [(0, 4), (1, 5)].into();
    for version in 11..100 {
        let name = rng.u8(0..4);
        let verb = match (objects.contains_key(&name), rng.u8(0..4)) {
            (true, 0) => "deleted",
            (true, _) => "modified",
            (false, _) => "added",
        };
        match verb {
            "deleted" => _ = objects.remove(&name),
            _ => _ = objects.insert(name, version),
        }
        if rng.u8(0..20) == 0 {
            // This change and all that are still in the stream are missed.
            let list = objects.iter().map(|(name, version)| format!(" o{name}@{version}"));
            server.on_list(&format!("rv={version}{}", list.collect::<String>())).say("expired");
            sleep(100 * SECOND).await;
        } else {
            server.say(&format!("{verb} o{name}@{version}"));
        }
        sleep(rng.u32(0..2) * SECOND).await;
    }
    sleep(1000 * SECOND).await;
    calm.store(true, Ordering::Relaxed);
    registration.retry_dead_letters(None);
    sleep(1000 * SECOND).await;
    let passing = informer.lister().list().into_iter().filter(|object| passes(object));
    let kept = std::mem::take(&mut *kept.lock().unwrap());
    (texts(kept.into_values()), texts(passing))
}

#[test]
fn whatever_fails_and_merges_the_handler_has_in_the_end_what_passes() {
    let mut some = 0;
    for seed in 0..200 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (kept, passing) = runtime.block_on(kept_and_passing(seed));
        assert_eq!(kept, passing, "seed {seed}");
        some += passing.len();
    }
    assert!(some > 100);
}

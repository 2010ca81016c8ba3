//! What a handler may be told, one rule after the other: the contract of a shared informer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use informer::{Delivery, Handled, Lister, Notification, Object, ObjectKey, ResourceEventHandler};
use tokio::time::{Instant, sleep};

use super::server::Server;
use crate::objects::{text, texts};
use crate::recorder::line;

/// A handler that checks each delivery, and fails, waits or panics as its seed says.
pub(crate) struct Witness {
    pub(crate) testimony: Testimony,
    pub(crate) lister: Lister,
    pub(crate) habits: Habits,
    /// With the in-order queue: what the cache is compared with.
    pub(crate) in_order: Option<Server>,
}

/// How a handler behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) seed: u64,
    /// Chances in a hundred.
    pub(crate) fails: u64,
    pub(crate) dawdles: u64,
    pub(crate) retries_max: u32,
    pub(crate) resyncs: bool,
}

/// What a handler has seen; clones see the same.
#[derive(Clone, Default)]
pub(crate) struct Testimony(Arc<Mutex<Seen>>);

#[derive(Default)]
pub(crate) struct Seen {
    objects: BTreeMap<ObjectKey, SeenObject>,
    busy: bool,
    synced: u32,
    gone: bool,
    calm: bool,
    pub(crate) deliveries: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) log: Vec<String>,
}

/// What is known of the deliveries of one object.
#[derive(Default)]
struct SeenObject {
    /// The state that was handled last; none if it was never told of or is gone.
    handled: Option<Arc<Object>>,
    /// The addition that was tried and not handled.
    tried: Option<Arc<Object>>,
    newest: u64,
    last: Option<Last>,
}

struct Last {
    attempt: u32,
    initial: bool,
    /// None: handled. Some(None): failed for good. Otherwise, it will be tried again then.
    failed: Option<Option<Instant>>,
}

impl Testimony {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, the handler handles everything at once.
    pub(crate) fn calm_down(&self) {
        self.seen().calm = true;
    }

    /// From now on, nothing may be delivered.
    pub(crate) fn gone(&self) {
        self.seen().gone = true;
    }

    /// What was handled is what is cached, but for the dead letters, and those are not.
    pub(crate) fn compare(&self, lister: &Lister, dead: &[ObjectKey]) {
        let mut seen = self.seen();
        let cached: BTreeMap<_, _> =
            lister.list().into_iter().map(|object| (object.key.clone(), object)).collect();
        let mut keys: Vec<_> = seen.objects.keys().chain(cached.keys()).cloned().collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let handled = seen.objects.get(&key).and_then(|it| it.handled.clone());
            let is_dead = dead.contains(&key);
            if handled.as_ref() != cached.get(&key) && !is_dead {
                let cached = cached.get(&key);
                seen.violate(format!("in the end: handled {handled:?}, cached {cached:?}"));
            }
        }
        if seen.synced != 1 {
            let synced = seen.synced;
            seen.violate(format!("in the end: synced {synced} times"));
        }
    }
}

impl Seen {
    fn violate(&mut self, what: String) {
        self.log.push(format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    fn check(&mut self, ok: bool, rule: &str, delivery: &Delivery) {
        if !ok {
            self.violate(format!("{rule}: {}", line(delivery)));
        }
    }

    fn begin(&mut self, delivery: &Delivery, lister: &Lister, resyncs: bool) {
        self.deliveries += 1;
        self.log.push(line(delivery));
        self.check(!self.busy, "deliveries of one handler overlap", delivery);
        self.check(!self.gone, "a delivery after the end", delivery);
        self.busy = true;
        let Some(key) = delivery.notification.key() else {
            return self.begin_synced(delivery);
        };
        let object = self.objects.remove(key).unwrap_or_default();
        self.check_attempt(&object, delivery);
        self.check_chain(&object, delivery, resyncs);
        self.check_cache(delivery, lister);
        self.objects.insert(key.clone(), object);
    }

    fn begin_synced(&mut self, delivery: &Delivery) {
        self.check(self.synced == 0, "synced twice", delivery);
        let is_pending = |last: &Last| last.initial && matches!(last.failed, Some(Some(_)));
        let pending = self.objects.values().filter_map(|it| it.last.as_ref()).any(is_pending);
        let first = delivery.attempt == 1;
        self.check(!(first && pending), "synced before the initial list's retries", delivery);
    }

    fn check_attempt(&mut self, object: &SeenObject, delivery: &Delivery) {
        let expected = match &object.last {
            Some(Last { attempt, failed: Some(Some(due)), .. }) => {
                self.check(*due <= Instant::now(), "a retry before its time", delivery);
                attempt + 1
            }
            _ => 1,
        };
        self.check(delivery.attempt == expected, "the attempt is not counted", delivery);
        if let Notification::Added { in_initial_list: true, .. } = delivery.notification {
            let failed = object.last.as_ref().is_some_and(|last| last.failed.is_some());
            self.check(self.synced == 0 || failed, "an initial object after synced", delivery);
        }
    }

    /// Added, then updates from what was handled last, then deleted.
    fn check_chain(&mut self, object: &SeenObject, delivery: &Delivery, resyncs: bool) {
        let handled = object.handled.as_ref();
        let new = delivery.notification.object().expect("it is about an object");
        match &delivery.notification {
            Notification::Added { .. } => {
                self.check(handled.is_none(), "added what is there", delivery);
                self.check(version(new) >= object.newest, "added something older", delivery);
            }
            Notification::Updated { old, new } => {
                self.check(handled == Some(old), "old is not what was handled last", delivery);
                self.check(old.uid == new.uid, "an update to another uid", delivery);
                self.check(version(new) >= object.newest, "updated to something older", delivery);
                let is_resync = old == new;
                self.check(!is_resync || resyncs, "an update that changes nothing", delivery);
            }
            Notification::Deleted { last, .. } => {
                let told = handled.or(object.tried.as_ref());
                let is_same = told.is_some_and(|told| told.uid == last.uid);
                self.check(is_same, "deleted what it was never told of", delivery);
                let is_newer = handled.is_none_or(|it| version(last) >= version(it));
                self.check(is_newer, "deleted something older", delivery);
            }
            Notification::Synced => {}
        }
    }

    /// The cache is changed before anybody is told.
    fn check_cache(&mut self, delivery: &Delivery, lister: &Lister) {
        let told = delivery.notification.object().expect("it is about an object");
        let cached = lister.get(&told.key);
        let ok = match &delivery.notification {
            Notification::Deleted { .. } => {
                cached.as_ref().is_none_or(|it| version(it) > version(told))
            }
            _ => cached.as_ref().is_none_or(|it| version(it) >= version(told)),
        };
        self.check(ok, &format!("told before the cache ({cached:?})"), delivery);
    }

    /// At every callback, the cache is one state that the collection had.
    fn check_snapshot(&mut self, delivery: &Delivery, lister: &Lister, server: &Server) {
        let (objects, version) = lister.snapshot();
        let cached = texts(objects);
        let collection = texts(server.objects_at(version.parse().expect("a version of ours")));
        let rule = format!("the cache is {cached:?} at {version}, where it was {collection:?}");
        self.check(cached == collection, &rule, delivery);
    }

    fn end(&mut self, delivery: &Delivery, handled: &Handled, retries_max: u32) {
        self.busy = false;
        let failed = match handled {
            Handled::Done => None,
            Handled::Failed { .. } => Some(None),
            Handled::Retry { .. } if delivery.attempt > retries_max => Some(None),
            Handled::Retry { after, .. } => {
                let backoff = Duration::from_millis(100) * 2u32.pow(delivery.attempt - 1);
                Some(Some(Instant::now() + after.unwrap_or(backoff)))
            }
        };
        let Some(key) = delivery.notification.key() else {
            self.synced += u32::from(!matches!(failed, Some(Some(_))));
            return;
        };
        let object = self.objects.entry(key.clone()).or_default();
        let told = delivery.notification.object().expect("it is about an object");
        object.newest = object.newest.max(version(told));
        match (&delivery.notification, failed) {
            (Notification::Deleted { .. }, None) => (object.handled, object.tried) = (None, None),
            (_, None) => (object.handled, object.tried) = (Some(told.clone()), None),
            (Notification::Added { object: new, .. }, _) => object.tried = Some(new.clone()),
            _ => {}
        }
        let is_initial =
            matches!(delivery.notification, Notification::Added { in_initial_list: true, .. });
        object.last = Some(Last { attempt: delivery.attempt, initial: is_initial, failed });
    }
}

impl Witness {
    /// The same answer to the same delivery, in whatever order they come.
    fn answer(&self, delivery: &Delivery) -> (Duration, Option<Handled>) {
        if self.testimony.seen().calm {
            return (Duration::ZERO, Some(Handled::Done));
        }
        let mut seed = self.habits.seed;
        for byte in line(delivery).bytes() {
            seed = (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut rng = fastrand::Rng::with_seed(seed);
        let wait = match rng.u64(0..100) < self.habits.dawdles {
            true => Duration::from_millis(rng.u64(0..5000)),
            false => Duration::ZERO,
        };
        if rng.u64(0..100) >= self.habits.fails {
            return (wait, Some(Handled::Done));
        }
        let reason = text_of(delivery);
        let handled = match rng.u8(0..8) {
            0 => None,
            1 => Some(Handled::Failed { reason }),
            2..4 => {
                let after = Some(Duration::from_millis(rng.u64(0..10_000)));
                Some(Handled::Retry { after, reason })
            }
            _ => Some(Handled::Retry { after: None, reason }),
        };
        (wait, handled)
    }
}

impl ResourceEventHandler for Witness {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        self.testimony.seen().begin(delivery, &self.lister, self.habits.resyncs);
        if let Some(server) = &self.in_order {
            self.testimony.seen().check_snapshot(delivery, &self.lister, server);
        }
        let (wait, handled) = self.answer(delivery);
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let is_panic = handled.is_none();
        let handled =
            handled.unwrap_or(Handled::Retry { after: None, reason: "a panic".to_owned() });
        self.testimony.seen().end(delivery, &handled, self.habits.retries_max);
        if is_panic {
            // Without the message that a panic would print.
            std::panic::resume_unwind(Box::new("as the simulation wants"));
        }
        handled
    }
}

fn text_of(delivery: &Delivery) -> String {
    delivery.notification.object().map_or_else(String::new, |object| text(object))
}

fn version(object: &Object) -> u64 {
    object.resource_version.parse().expect("a version of ours")
}

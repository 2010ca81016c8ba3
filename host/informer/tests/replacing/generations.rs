//! Handlers that replace each other, and what they are promised together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use informer::{Delivery, Handled, Lister, Notification, Object, ObjectKey, ResourceEventHandler};
use tokio::time::sleep;

use crate::objects::text;
use crate::recorder::line;

/// All generations of one handler; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Generations(Arc<Mutex<Story>>);

/// What was told so far.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) told: Told,
    pub(crate) violations: Vec<String>,
    pub(crate) log: Vec<String>,
    generations: u32,
    /// The newest one that was called.
    current: u32,
    /// How often `current` may still be told `Synced`.
    syncs: u32,
    /// Generations that must not be called.
    paused: BTreeSet<u32>,
    is_busy: bool,
    is_calm: bool,
    objects: BTreeMap<ObjectKey, Known>,
}

/// Counts, so that a test that tests nothing is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) deliveries: u64,
    /// Calls that were dropped before they ended.
    pub(crate) cut_off: u64,
    /// Deletions of which a generation was told without having been told of the object.
    pub(crate) inherited_deletions: u64,
    pub(crate) synced: u64,
}

/// What is known of one object by the generations.
#[derive(Default)]
struct Known {
    /// The state that was handled last; none if there is none, or its deletion was handled.
    handled: Option<Arc<Object>>,
    /// The generation that handled it.
    by: u32,
    /// The addition that was tried and not handled.
    tried: Option<Arc<Object>>,
    newest: u64,
    /// Uids whose deletion was handled.
    gone: BTreeSet<String>,
    /// It was a dead letter that was purged, and nothing was handled since.
    is_given_up: bool,
}

impl AddAssign for Told {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.cut_off += other.cut_off;
        self.inherited_deletions += other.inherited_deletions;
        self.synced += other.synced;
    }
}

impl Generations {
    /// The next generation.
    pub(crate) fn next(&self, seed: u64, paused: bool) -> Generation {
        let mut story = self.story();
        story.generations += 1;
        let number = story.generations;
        story.log.push(format!("generation {number} is made"));
        if paused {
            story.paused.insert(number);
        }
        Generation { number, rng: fastrand::Rng::with_seed(seed), generations: self.clone() }
    }

    pub(crate) fn write(&self, what: String) {
        self.story().log.push(what);
    }

    /// The newest one.
    pub(crate) fn set_paused(&self, paused: bool) {
        let mut story = self.story();
        story.log.push(format!("paused: {paused}"));
        let newest = story.generations;
        match paused {
            true => story.paused.insert(newest),
            false => story.paused.remove(&newest),
        };
    }

    pub(crate) fn calm_down(&self) {
        self.story().is_calm = true;
    }

    pub(crate) fn sync_again(&self, has_synced: bool) {
        self.story().syncs += u32::from(has_synced);
    }

    pub(crate) fn give_up(&self, keys: Vec<ObjectKey>) {
        let mut story = self.story();
        for key in keys {
            story.log.push(format!("{key} is given up"));
            story.objects.entry(key).or_default().is_given_up = true;
        }
    }

    pub(crate) fn expect(&self, ok: bool, what: String) {
        if !ok {
            self.story().violate(what);
        }
    }

    /// What was handled is what is cached, but for the dead letters and what was given up.
    pub(crate) fn compare(&self, lister: &Lister, dead: &BTreeSet<ObjectKey>) {
        let mut story = self.story();
        let cached: BTreeMap<_, _> =
            lister.list().into_iter().map(|object| (object.key.clone(), object)).collect();
        let keys: BTreeSet<_> = story.objects.keys().chain(cached.keys()).cloned().collect();
        for key in keys.into_iter().filter(|key| !dead.contains(key)) {
            let known = story.objects.entry(key.clone()).or_default();
            let (handled, is_given_up) = (known.handled.clone(), known.is_given_up);
            if handled.as_ref() != cached.get(&key) && !is_given_up {
                let cached = cached.get(&key);
                story.violate(format!("in the end: handled {handled:?}, cached {cached:?}"));
            }
        }
    }

    pub(crate) fn end(&self) -> Story {
        std::mem::take(&mut *self.story())
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Story {
    fn violate(&mut self, what: String) {
        self.log.push(format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    fn check(&mut self, ok: bool, rule: &str, delivery: &Delivery) {
        if !ok {
            self.violate(format!("{rule}: {}", line(delivery)));
        }
    }

    fn begin(&mut self, generation: u32, delivery: &Delivery) {
        self.log.push(format!("  {generation} is told: {}", line(delivery)));
        self.told.deliveries += 1;
        self.check(!self.is_busy, "calls overlap", delivery);
        self.check(!self.paused.contains(&generation), "called while paused", delivery);
        self.is_busy = true;
        self.check(generation >= self.current, "an old generation after a new one", delivery);
        if generation > self.current {
            (self.current, self.syncs) = (generation, 1);
        }
        let Some(object) = delivery.notification.object() else {
            self.told.synced += u64::from(delivery.attempt == 1);
            let is_due = self.syncs > 0 || delivery.attempt > 1;
            return self.check(is_due, "synced too often", delivery);
        };
        let known = self.objects.remove(&object.key).unwrap_or_default();
        self.check_chain(&known, delivery, object);
        self.objects.insert(object.key.clone(), known);
    }

    fn check_chain(&mut self, known: &Known, delivery: &Delivery, object: &Arc<Object>) {
        let by_this = known.by == self.current;
        let handled = known.handled.as_ref();
        let is_newer = version(object) >= known.newest;
        match &delivery.notification {
            Notification::Added { .. } => {
                let is_absent = handled.is_none() || !by_this || known.is_given_up;
                self.check(is_absent, "added what is there", delivery);
                let is_same =
                    handled.or(known.tried.as_ref()).is_none_or(|it| it.uid == object.uid);
                self.check(is_same || known.is_given_up, "added before the deletion", delivery);
                self.check(!known.gone.contains(&*object.uid), "resurrected", delivery);
                self.check(is_newer, "added something older", delivery);
            }
            Notification::Updated { old, .. } => {
                let goes_on = handled == Some(old) && by_this;
                self.check(goes_on, "old is not what was handled last", delivery);
                self.check(is_newer, "updated to something older", delivery);
            }
            Notification::Deleted { .. } => {
                let is_known =
                    handled.or(known.tried.as_ref()).is_some_and(|it| it.uid == object.uid);
                self.check(is_known, "deleted what nobody was told of", delivery);
                self.told.inherited_deletions += u64::from(handled.is_some() && !by_this);
            }
            Notification::Synced => {}
        }
    }

    fn end(&mut self, delivery: &Delivery, handled: &Handled) {
        let generation = self.current;
        let Some(object) = delivery.notification.object() else {
            if *handled == Handled::Done {
                self.syncs = self.syncs.saturating_sub(1);
            }
            return;
        };
        if *handled != Handled::Done {
            return;
        }
        let known = self.objects.entry(object.key.clone()).or_default();
        known.newest = known.newest.max(version(object));
        (known.tried, known.is_given_up, known.by) = (None, false, generation);
        match &delivery.notification {
            Notification::Deleted { last, .. } => {
                known.handled = None;
                known.gone.insert(last.uid.to_string());
            }
            _ => known.handled = Some(object.clone()),
        }
    }
}

/// One handler; it fails, waits or panics as its seed says.
pub(crate) struct Generation {
    number: u32,
    rng: fastrand::Rng,
    generations: Generations,
}

/// A call that runs; dropped when it is cut off, too.
struct Call<'a> {
    generations: &'a Generations,
    has_ended: bool,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut story = self.generations.story();
        story.is_busy = false;
        if !self.has_ended {
            story.log.push("  cut off".to_owned());
            story.told.cut_off += 1;
        }
    }
}

impl Generation {
    /// How long it takes, and what comes of it; none is a panic.
    fn answer(&mut self) -> (Duration, Option<Handled>) {
        let wait = match self.rng.u8(0..3) {
            0 => Duration::from_millis(self.rng.u64(0..4000)),
            _ => Duration::ZERO,
        };
        let reason = "as the seed says".to_owned();
        let handled = match self.rng.u8(0..20) {
            0 => None,
            1..3 => Some(Handled::Failed { reason }),
            3..7 => Some(Handled::Retry { after: None, reason }),
            _ => Some(Handled::Done),
        };
        (wait, handled)
    }
}

impl ResourceEventHandler for Generation {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        let (mut wait, mut handled) = self.answer();
        let generations = self.generations.clone();
        generations.story().begin(self.number, delivery);
        let mut call = Call { generations: &generations, has_ended: false };
        if let Notification::Added { object, .. } = &delivery.notification {
            let mut story = generations.story();
            let known = story.objects.entry(object.key.clone()).or_default();
            // Of another one with that name, the deletion was given up.
            known.handled.take_if(|handled| handled.uid != object.uid);
            if known.handled.is_none() {
                known.tried = Some(object.clone());
            }
        }
        if generations.story().is_calm {
            (wait, handled) = (Duration::ZERO, Some(Handled::Done));
        }
        if !wait.is_zero() {
            sleep(wait).await;
        }
        call.has_ended = true;
        let Some(handled) = handled else {
            generations.write("  panics".to_owned());
            // Without the message that a panic would print.
            std::panic::resume_unwind(Box::new("as the seed says"));
        };
        generations.write(format!("  {handled:?}"));
        generations.story().end(delivery, &handled);
        handled
    }
}

fn version(object: &Object) -> u64 {
    let version = object.resource_version.parse();
    version.unwrap_or_else(|_| panic!("{} has no version of ours", text(object)))
}

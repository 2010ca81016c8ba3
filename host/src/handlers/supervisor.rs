//! One handler over all its generations: whatever is wanted of it last is what runs in the end, and what runs
//! goes on until the next generation is ready to take over.
//!
//! in:   what the registry wants of it
//! out:  registrations at the informers of what it watches
//! runs: one task per handler, until it is removed or the host stops.

mod revocation;
mod switch;

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use informer::{DeliveryCounts, ObjectKey};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::revocation::{access_lost, forbidden};
use self::switch::switch;
use super::definition::{DefinitionSource, HandlerDefinition};
use super::generation::{Generation, NotReady, Place, prepare};
use super::module_pace::ModulePace;
use super::registry::Surroundings;
use super::status::{HandlerState, HandlerStatus};
use crate::guest::{AfterFailure, CrashLoop};
use crate::modules::Digest;

/// A handler, as the registry and its supervisor share it.
pub(super) struct SupervisedHandler {
    name: String,
    wanted: watch::Sender<Wanted>,
    stand: watch::Sender<Stand>,
    running: Mutex<Running>,
}

/// What the supervisor is to reach.
#[derive(Clone)]
struct Wanted {
    definition: Arc<HandlerDefinition>,
    /// What its source says now cannot be used; the definition is the one before.
    refused: Option<String>,
    /// Counts the changes.
    version: u64,
    /// The version since which it is to be loaded anew, although nothing has changed.
    anew: u64,
    /// The supervisor ends.
    over: bool,
}

/// Where it is on the way there.
#[derive(Clone)]
struct Stand {
    /// The version of what is wanted that this is about.
    version: u64,
    state: HandlerState,
    replacement: Option<HandlerState>,
    /// Nothing of it runs any more.
    gone: bool,
}

#[derive(Default)]
struct Running {
    generation: Option<Generation>,
    /// How many there have been.
    generations: u64,
    /// An operator wants no calls.
    paused: bool,
    /// Its module has failed too often.
    quarantined: bool,
    /// What became of the notifications at places that it has no more.
    past: DeliveryCounts,
}

impl Running {
    /// Nothing is delivered while it is paused; what happens waits.
    fn apply_pause(&self) {
        for place in self.places() {
            place.registration.set_paused(self.paused || self.quarantined);
        }
    }

    fn places(&self) -> impl Iterator<Item = &Arc<Place>> {
        self.generation.iter().flat_map(|generation| &generation.places)
    }
}

impl Stand {
    fn latest(&self) -> &HandlerState {
        self.replacement.as_ref().unwrap_or(&self.state)
    }
}

impl SupervisedHandler {
    /// [`supervise`] makes it run.
    pub(super) fn new(definition: HandlerDefinition) -> Self {
        let state = HandlerState::Loading;
        let stand = Stand { version: 0, state, replacement: None, gone: false };
        let definition = Arc::new(definition);
        let wanted = Wanted { definition, refused: None, version: 0, anew: 0, over: false };
        Self {
            name: wanted.definition.name.clone(),
            wanted: watch::Sender::new(wanted),
            stand: watch::Sender::new(stand),
            running: Mutex::default(),
        }
    }

    /// The definition is what it shall be now; equal ones change nothing.
    pub(super) fn want(&self, definition: HandlerDefinition) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = *wanted.definition != definition || wanted.refused.is_some();
            if is_new {
                wanted.definition = Arc::new(definition);
            }
            wanted.refused = None;
            wanted.version += u64::from(is_new);
            is_new
        });
    }

    /// What its source says now cannot be used; what runs goes on.
    pub(super) fn refuse(&self, problem: &str) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = wanted.refused.as_deref() != Some(problem);
            wanted.refused = Some(problem.to_owned());
            wanted.version += u64::from(is_new);
            is_new
        });
    }

    /// It is loaded anew, out of quarantine too.
    pub(super) fn reload(&self) {
        self.wanted.send_modify(|wanted| {
            wanted.version += 1;
            wanted.anew = wanted.version;
        });
    }

    /// The supervisor ends; what runs goes on.
    pub(super) fn end(&self) {
        self.wanted.send_modify(|wanted| wanted.over = true);
    }

    /// What describes it.
    pub(super) fn source(&self) -> DefinitionSource {
        self.wanted.borrow().definition.source.clone()
    }

    /// Waits until nothing of it runs any more.
    pub(super) async fn gone(&self) {
        // The sender is in `self`.
        let _ = self.stand.subscribe().wait_for(|stand| stand.gone).await;
    }

    pub(super) fn set_paused(&self, paused: bool) {
        let mut running = self.running();
        running.paused = paused;
        running.apply_pause();
    }

    /// Waits until nothing more happens by itself with what is wanted now.
    pub(super) async fn settled(&self) -> HandlerState {
        let version = self.wanted.borrow().version;
        let mut stand = self.stand.subscribe();
        let settled =
            stand.wait_for(|stand| stand.version >= version && stand.latest().is_settled());
        match settled.await {
            Ok(stand) => stand.latest().clone(),
            // The sender is in `self`.
            Err(_) => HandlerState::Loading,
        }
    }

    /// Waits until what is wanted now runs, waits or has failed, or until nothing of it runs any more.
    pub(super) async fn loading_ended(&self) {
        let version = self.wanted.borrow().version;
        let has_ended = |stand: &Stand| {
            let is_loaded = *stand.latest() != HandlerState::Loading;
            stand.gone || (stand.version >= version && is_loaded)
        };
        // The sender is in `self`.
        let _ = self.stand.subscribe().wait_for(has_ended).await;
    }

    pub(super) fn status(&self) -> HandlerStatus {
        let Stand { version, mut state, mut replacement, .. } = self.stand.borrow().clone();
        let is_stale = self.wanted.borrow().version > version;
        let source = self.source();
        let running = self.running();
        let generation = running.generation.as_ref();
        // The supervisor has not begun with what is wanted now.
        match generation {
            _ if !is_stale => {}
            None => state = HandlerState::Loading,
            Some(_) => replacement = Some(HandlerState::Loading),
        }
        let mut counts = running.past;
        let (mut pending, mut dead_letters, mut has_synced) = (0, Vec::new(), true);
        for place in running.places() {
            counts += place.registration.counts();
            pending += place.registration.pending();
            dead_letters.extend(place.registration.dead_letters());
            has_synced &= place.registration.has_synced();
        }
        HandlerStatus {
            name: self.name.clone(),
            source,
            has_synced: has_synced && state == HandlerState::Running,
            state,
            replacement,
            generation: generation.map_or(0, |generation| generation.number),
            since: generation.map(|generation| generation.since),
            digest: generation.map(|generation| generation.digest.hex()),
            paused: running.paused,
            sleep: generation.map(|it| it.guest.sleep_status()).unwrap_or_default(),
            watches: running.places().map(|it| it.resource.clone()).collect(),
            counts,
            pending,
            dead_letters,
        }
    }

    /// Tries dead letters again, those of one object (`namespace/name`) or all; gives how many.
    pub(super) fn retry_dead_letters(&self, key: Option<&str>) -> usize {
        self.on_dead_letters(key, |place, key| place.registration.retry_dead_letters(key))
    }

    /// Gives dead letters up, those of one object (`namespace/name`) or all; gives how many.
    pub(super) fn purge_dead_letters(&self, key: Option<&str>) -> usize {
        self.on_dead_letters(key, |place, key| place.registration.purge_dead_letters(key))
    }

    fn on_dead_letters(
        &self,
        key: Option<&str>,
        act: impl Fn(&Place, Option<&ObjectKey>) -> usize,
    ) -> usize {
        let running = self.running();
        let mut count = 0;
        for place in running.places() {
            let Some(wanted) = key else {
                count += act(place, None);
                continue;
            };
            let dead_letters = place.registration.dead_letters();
            let keys = dead_letters.iter().map(|it| &it.key).filter(|it| it.as_str() == wanted);
            count += keys.map(|key| act(place, Some(key))).sum::<usize>();
        }
        count
    }

    /// Takes nothing new, and lets the handler finish what is queued until the deadline; gives how
    /// many notifications were not delivered. What became of them can still be told.
    pub(super) async fn drain(&self, deadline: Duration) -> usize {
        let generation = self.generation();
        // Nothing more would be delivered to a guest that is not called any more.
        let is_over = generation.as_ref().is_some_and(|it| it.guest.crashed().borrow().is_some());
        let deadline = if is_over { Duration::ZERO } else { deadline };
        let places = generation.iter().flat_map(|generation| &generation.places);
        let left = join_all(places.map(|place| place.registration.remove(deadline))).await;
        self.stand.send_modify(|stand| stand.gone = true);
        left.into_iter().sum()
    }

    fn generation(&self) -> Option<Generation> {
        self.running().generation.clone()
    }

    /// Where what is wanted stands, while it does not run; said once for each reason. Gives whether it is new.
    fn waits(&self, version: u64, state: HandlerState) -> bool {
        let is_first = self.running().generation.is_none();
        self.stand.send_if_modified(|stand| {
            let is_new = stand.version != version || *stand.latest() != state;
            stand.version = version;
            match is_first {
                true => stand.state = state.clone(),
                false => stand.replacement = Some(state.clone()),
            }
            // Before anybody who waits for it goes on.
            if is_new {
                self.tell(&state, is_first);
            }
            is_new
        })
    }

    fn tell(&self, state: &HandlerState, is_first: bool) {
        let Some(problem) = state.problem() else { return };
        let (handler, source) = (&*self.name, self.source().to_string());
        let goes_on = (!is_first).then_some("the generation before");
        match state.is_settled() {
            true => tracing::error!(handler, source, problem, goes_on, "handler not loaded"),
            false => tracing::warn!(
                handler,
                source,
                problem,
                goes_on,
                "handler waits; it is tried again"
            ),
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings the handler to what is wanted of it, until that is that it ends.
pub(super) async fn supervise(handler: Arc<SupervisedHandler>, at: Arc<Surroundings>) {
    let mut wanted = handler.wanted.subscribe();
    let (mut starts, mut pace) = (FailedStarts::default(), ModulePace::default());
    // Nothing has been loaded anew yet.
    let mut anew_last = 0;
    let mut reviewed = Instant::now();
    loop {
        let now = wanted.borrow_and_update().clone();
        if now.over {
            return;
        }
        if handler.stand.borrow().version != now.version {
            handler.waits(now.version, HandlerState::Loading);
        }
        let generation = handler.generation();
        let anew = now.anew != anew_last;
        if anew {
            starts = FailedStarts::default();
        }
        let waits = |state| {
            handler.waits(now.version, state);
        };
        let next = match &now.refused {
            Some(problem) => Err(NotReady::Refused(problem.clone())),
            None => tokio::select! {
                biased;
                // Something newer is wanted; what was under way is dropped.
                _ = wanted.changed() => continue,
                // The one before may not go on either, however long the next one takes.
                refusal = access_lost(&handler, &at, &mut reviewed) => {
                    Box::pin(handler.withdraw(&refusal)).await;
                    continue;
                }
                // In a box, as all that is rare: a task is no larger than what it waits for when nothing is to be done.
                next = Box::pin(prepare(&at, &mut pace, &now.definition, generation.as_ref(), anew, waits)) => next,
            },
        };
        anew_last = now.anew;
        let mut again = match next {
            Ok(next) => {
                Box::pin(switch(&handler, &at, generation, next, now.version)).await;
                starts = FailedStarts::default();
                None
            }
            Err(not_ready) => handler.not_ready(&at, not_ready, now.version, &mut starts),
        };
        loop {
            tokio::select! {
                _ = wanted.changed() => break,
                () = passed(again) => break,
                (digest, why) = crashed(&handler) => handler.quarantine(&at, digest, why),
                refusal = access_lost(&handler, &at, &mut reviewed) => {
                    Box::pin(handler.withdraw(&refusal)).await;
                    again = Some(at.access.periods().recheck);
                }
            }
        }
    }
}

/// Waits for so long; for ever, if nothing is to be tried again.
async fn passed(wait: Option<Duration>) {
    match wait {
        Some(wait) => Box::pin(sleep(wait)).await,
        None => pending().await,
    }
}

/// The starts of one module that failed.
#[derive(Default)]
struct FailedStarts {
    of: Option<Digest>,
    crash_loop: CrashLoop,
}

impl SupervisedHandler {
    /// Says why there is no next generation; gives when it is to be tried again.
    fn not_ready(
        &self,
        at: &Surroundings,
        not_ready: NotReady,
        version: u64,
        starts: &mut FailedStarts,
    ) -> Option<Duration> {
        let (state, again) = match not_ready {
            NotReady::Unchanged => {
                self.stand.send_modify(|stand| {
                    stand.version = version;
                    stand.replacement = None;
                });
                return None;
            }
            NotReady::Refused(problem) => (HandlerState::Failed(problem), None),
            NotReady::Unavailable(problem) => {
                (HandlerState::Unreachable(problem), Some(UNAVAILABLE_WAIT))
            }
            NotReady::NoSecret(problem) => {
                (HandlerState::UnknownSecret(problem), Some(UNAVAILABLE_WAIT))
            }
            NotReady::Forbidden(refusal) => {
                if self.waits(version, forbidden(&refusal)) {
                    refusal.audit(&self.name);
                }
                return Some(at.access.periods().recheck);
            }
            NotReady::Quarantined(reason) => (HandlerState::Quarantined(reason), None),
            NotReady::FailedToStart(digest, problem) => {
                if starts.of != Some(digest) {
                    *starts = FailedStarts { of: Some(digest), crash_loop: CrashLoop::default() };
                }
                match starts.crash_loop.failed_start(Instant::now()) {
                    AfterFailure::Wait(wait) => (HandlerState::Failed(problem), Some(wait)),
                    AfterFailure::Quarantine(why) => {
                        let why = format!("{why}; the last time it {problem}");
                        at.quarantine.insert(digest, self.source().namespace(), why.clone());
                        (HandlerState::Quarantined(why), None)
                    }
                }
            }
        };
        self.waits(version, state);
        again
    }

    /// No more calls into this module.
    fn quarantine(&self, at: &Surroundings, digest: Digest, why: String) {
        tracing::error!(handler = &*self.name, %digest, why, "handler quarantined");
        at.quarantine.insert(digest, self.source().namespace(), why.clone());
        let mut running = self.running();
        running.quarantined = true;
        running.apply_pause();
        self.stand.send_modify(|stand| stand.state = HandlerState::Quarantined(why));
    }
}

/// The module that runs and why it must not any more, as soon as it has failed too often.
async fn crashed(handler: &SupervisedHandler) -> (Digest, String) {
    let calls = {
        let running = handler.running();
        let generation = running.generation.as_ref().filter(|_| !running.quarantined);
        generation.map(|generation| (generation.digest, generation.guest.crashed()))
    };
    if let Some((digest, mut crashed)) = calls
        && let Ok(why) = crashed.wait_for(Option::is_some).await
        && let Some(why) = why.clone()
    {
        return (digest, why);
    }
    pending().await
}

/// What could not be had is tried again after this long.
const UNAVAILABLE_WAIT: Duration = Duration::from_secs(10);

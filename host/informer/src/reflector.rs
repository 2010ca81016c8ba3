//! Follows the server: reads the collection, then each change, and again when it lost the thread.
//!
//! in:   a [`ListerWatcher`]
//! out:  [`Reflected`], what it saw, in order; [`ReflectorStatus`] for whoever asks
//! runs: one task per informer, until it is aborted or nobody listens any more.
//!
//! The resource version moves only when what it stands for has been handed over, and the channel to
//! the process loop loses nothing; so a watch resumes exactly after what will be applied.
//!
//! client-go: `Reflector` (rules RF, LS, WL, WT, EV).

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::backoff::Backoff;
use crate::compactor::Compactor;
use crate::indexer::Lister;
use crate::lister_watcher::{ListerWatcher, ListerWatcherError, WatchEvent, WatchOptions};
use crate::object::{Object, ObjectKey};
use crate::pager::{self, List, PAGE_SIZE};
use crate::queue::LeftOut;
use crate::status::{InformerCounters, Phase, ReflectorFailure, ReflectorStatus};

/// What the reflector saw.
#[derive(Debug)]
pub(crate) enum Reflected {
    /// A complete list.
    Replaced {
        objects: Vec<Arc<Object>>,
        left_out: LeftOut,
        resource_version: String,
    },
    Added(Arc<Object>),
    Updated(Arc<Object>),
    Deleted(Arc<Object>),
    Bookmark {
        resource_version: String,
    },
}

impl Reflected {
    /// What it is about; none if it is about all objects.
    fn object(&self) -> Option<&Arc<Object>> {
        match self {
            Self::Added(object) | Self::Updated(object) | Self::Deleted(object) => Some(object),
            Self::Replaced { .. } | Self::Bookmark { .. } => None,
        }
    }

    /// Everything up to this version is seen with it.
    pub(crate) fn resource_version(&self) -> &str {
        match self {
            Self::Added(object) | Self::Updated(object) | Self::Deleted(object) => {
                &object.resource_version
            }
            Self::Replaced { resource_version, .. } | Self::Bookmark { resource_version } => {
                resource_version
            }
        }
    }
}

/// Items between reflector and process loop; then the socket waits. The process loop takes in as many
/// at a time. Enough to keep both busy, and at 7 KB an object below 8 MB for each.
pub(crate) const REFLECTED_MAX: usize = 1024;

pub(crate) struct Reflector<L: ListerWatcher> {
    lister_watcher: L,
    reflected: mpsc::Sender<Reflected>,
    status: watch::Sender<ReflectorStatus>,
    counters: Arc<InformerCounters>,
    compaction: Option<Compaction>,
    backoff: Backoff,
    /// Everything up to here has been handed over; empty at first.
    last_sync_resource_version: String,
    /// The server refused the last version, so the next list must not name it.
    is_last_version_unavailable: bool,
    /// The server split the answer to a list at version "0": its watch cache is off.
    paginated: bool,
    /// Until then, watch-list is not tried: it failed in a way that will repeat.
    no_watch_list_until: Option<Instant>,
    /// Something could not be read, and the cache may lack what it said.
    in_doubt: bool,
    /// When a list was complete for the last time.
    listed_at: Instant,
}

/// Makes small what the reflector saw, and need not be as it is.
pub(crate) struct Compaction {
    pub(crate) compactor: Arc<Compactor>,
    /// The cache that it will come to.
    pub(crate) known_objects: Lister,
}

/// The process loop is gone, or a request failed.
enum Stop {
    Closed,
    Failed(ListerWatcherError),
}

impl From<ListerWatcherError> for Stop {
    fn from(error: ListerWatcherError) -> Self {
        Self::Failed(error)
    }
}

impl<L: ListerWatcher> Reflector<L> {
    pub(crate) fn new(
        lister_watcher: L,
        reflected: mpsc::Sender<Reflected>,
        status: watch::Sender<ReflectorStatus>,
        counters: Arc<InformerCounters>,
        compaction: Option<Compaction>,
    ) -> Self {
        Self {
            lister_watcher,
            reflected,
            status,
            counters,
            compaction,
            backoff: Backoff::new(),
            last_sync_resource_version: String::new(),
            is_last_version_unavailable: false,
            paginated: false,
            no_watch_list_until: None,
            in_doubt: false,
            listed_at: Instant::now(),
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let wait = match AssertUnwindSafe(self.list_and_watch()).catch_unwind().await {
                Ok(Err(Stop::Closed)) => return,
                Ok(Err(Stop::Failed(error))) => self.failed(error),
                Ok(Ok(())) => self.backoff.next(),
                Err(_) => {
                    let error = "the lister-watcher panicked".to_owned();
                    self.failed(ListerWatcherError::Unavailable(error))
                }
            };
            sleep(wait).await;
        }
    }

    /// Reads everything, then follows the changes. Ok: the version was lost in an ordinary way, and
    /// another list is due.
    async fn list_and_watch(&mut self) -> Result<(), Stop> {
        let mut watch = None;
        if self.no_watch_list_until.is_none_or(|until| until <= Instant::now()) {
            self.phase(Phase::WatchList);
            match self.watch_list().await {
                Ok(stream) => watch = Some(stream),
                Err(Stop::Closed) => return Err(Stop::Closed),
                Err(Stop::Failed(error)) => {
                    tracing::debug!(%error, "watch-list failed, falling back to list");
                }
            }
        }
        if watch.is_none() {
            self.phase(Phase::List);
            self.list().await?;
        }
        self.phase(Phase::Watch);
        self.watch(watch).await
    }

    // === list

    async fn list(&mut self) -> Result<(), Stop> {
        let resource_version = match self.last_sync_resource_version.as_str() {
            _ if self.is_last_version_unavailable => String::new(),
            "" => "0".to_owned(),
            last => last.to_owned(),
        };
        // Without a limit the server can answer from its watch cache (LS-1).
        let from_cache = !matches!(resource_version.as_str(), "" | "0");
        let limit = (self.paginated || !from_cache).then_some(PAGE_SIZE);
        let listed = match self.list_at(&resource_version, limit).await {
            Err(
                ListerWatcherError::Expired(_) | ListerWatcherError::TooLargeResourceVersion(_),
            ) => {
                self.is_last_version_unavailable = true;
                self.list_at("", limit).await
            }
            listed => listed,
        };
        let list = listed?;
        self.paginated |= resource_version == "0" && list.paginated;
        for reason in &list.rejected {
            self.rejected(reason);
        }
        self.replace(list).await
    }

    async fn list_at(
        &self,
        resource_version: &str,
        limit: Option<u32>,
    ) -> Result<List, ListerWatcherError> {
        let on_page = |objects: Vec<Arc<Object>>, listed: &mut Vec<Arc<Object>>| {
            listed.extend(objects.into_iter().map(|object| self.listed(object)));
            self.status.send_modify(|status| status.listed = listed.len());
        };
        pager::list(&self.lister_watcher, resource_version, limit, on_page).await
    }

    /// An object of a list, as it is to be kept until the list is complete.
    fn listed(&self, object: Arc<Object>) -> Arc<Object> {
        match &self.compaction {
            Some(Compaction { compactor, known_objects }) => {
                compactor.admit_listed(object, known_objects)
            }
            None => object,
        }
    }

    /// A complete list was read.
    async fn replace(&mut self, list: List) -> Result<(), Stop> {
        let List { objects, left_out, outdated, resource_version, .. } = list;
        self.is_last_version_unavailable = false;
        self.in_doubt = left_out.others || outdated;
        self.listed_at = Instant::now();
        self.counters.lists.add(1);
        self.status.send_modify(|status| {
            status.listed = objects.len();
            status.has_listed = true;
        });
        let version = resource_version.clone();
        self.hand_over(Reflected::Replaced { objects, left_out, resource_version }).await?;
        self.last_sync_resource_version = version;
        Ok(())
    }

    // === watch-list

    /// Reads the initial state as a stream, and gives the stream for what follows.
    async fn watch_list(&mut self) -> Result<L::Watch, Stop> {
        let mut cut_short = false;
        loop {
            let failed = match self.try_watch_list().await {
                Ok((watch, list)) => {
                    self.replace(list).await?;
                    return Ok(watch);
                }
                Err(failed) => failed,
            };
            match failed {
                WatchListFailed::Request(
                    error @ (ListerWatcherError::NoConnection(_)
                    | ListerWatcherError::TooManyRequests { .. }),
                ) => sleep(self.failed(error)).await,
                WatchListFailed::Request(
                    ListerWatcherError::Expired(_) | ListerWatcherError::TooLargeResourceVersion(_),
                ) if !self.is_last_version_unavailable => {
                    self.is_last_version_unavailable = true;
                }
                WatchListFailed::CutShort if !cut_short => cut_short = true,
                WatchListFailed::CutShort => {
                    return Err(self.give_up_watch_list("it ends before the initial state does"));
                }
                WatchListFailed::Stalled => {
                    return Err(self.give_up_watch_list("the initial state does not end"));
                }
                WatchListFailed::Request(error) => {
                    if matches!(error, ListerWatcherError::Rejected { code: 400 | 422, .. }) {
                        return Err(self.give_up_watch_list(&error.to_string()));
                    }
                    return Err(Stop::Failed(error));
                }
            }
        }
    }

    fn give_up_watch_list(&mut self, reason: &str) -> Stop {
        tracing::info!(reason, "watch-list does not work here; listing instead");
        self.no_watch_list_until = Some(Instant::now() + WATCH_LIST_RETRY_AFTER);
        Stop::Failed(ListerWatcherError::Unavailable(reason.to_owned()))
    }

    async fn try_watch_list(&mut self) -> Result<(L::Watch, List), WatchListFailed> {
        let resource_version = match self.is_last_version_unavailable {
            true => String::new(),
            false => self.last_sync_resource_version.clone(),
        };
        let mut deadline = Instant::now() + WATCH_LIST_STALLED_AFTER;
        let mut watch = timeout_at(deadline, self.open_watch(resource_version, true))
            .await
            .map_err(|_| WatchListFailed::Stalled)??;
        let mut objects = HashMap::<ObjectKey, Arc<Object>>::new();
        let mut rejected = HashSet::<ObjectKey>::new();
        let mut others = false;
        loop {
            // Only an object that was not there before is progress; so a server that never ends
            // the initial state cannot keep us by sending bookmarks or changes.
            let event = timeout_at(deadline, watch.next())
                .await
                .map_err(|_| WatchListFailed::Stalled)?
                .ok_or(WatchListFailed::CutShort)?;
            match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    rejected.remove(&object.key);
                    let object = self.listed(object);
                    if objects.insert(object.key.clone(), object).is_none() {
                        deadline = Instant::now() + WATCH_LIST_STALLED_AFTER;
                        self.status.send_modify(|status| status.listed = objects.len());
                    }
                }
                WatchEvent::Deleted(object) => {
                    objects.remove(&object.key);
                    rejected.remove(&object.key);
                }
                WatchEvent::Bookmark { resource_version, initial_events_end: true } => {
                    let outdated = rejected.iter().any(|key| objects.contains_key(key));
                    rejected.retain(|key| !objects.contains_key(key));
                    let left_out = LeftOut { keys: rejected.into_iter().collect(), others };
                    let objects = objects.into_values().collect();
                    let rest = List::default();
                    let list = List { resource_version, objects, left_out, outdated, ..rest };
                    return Ok((watch, list));
                }
                WatchEvent::Bookmark { .. } => {}
                WatchEvent::Rejected(reason) => {
                    self.rejected(&reason);
                    others = true;
                }
                WatchEvent::RejectedObject { key, reason } => {
                    self.rejected(&reason);
                    rejected.insert(key);
                }
            }
        }
    }

    // === watch

    /// Follows the changes until the thread is lost; `opened` is what watch-list left open.
    async fn watch(&mut self, mut opened: Option<L::Watch>) -> Result<(), Stop> {
        loop {
            let started = Instant::now();
            let mut events = 0;
            // A watch from "" or "0" starts with every object, in no order of versions (WT-3). What
            // watch-list left is past that (WT-2).
            let ordered =
                opened.is_some() || !matches!(self.last_sync_resource_version.as_str(), "" | "0");
            let opened = match opened.take() {
                Some(watch) => Ok(watch),
                None => self.rewatch().await,
            };
            let opened_at = Instant::now();
            let ended = match opened {
                Ok(watch) => self.follow(watch, ordered, &mut events).await,
                Err(error) => Err(error.into()),
            };
            if opened_at.elapsed() >= LONG_WATCH {
                self.backoff.reset();
            }
            let error = match ended {
                Err(Stop::Closed) => return Err(Stop::Closed),
                Ok(()) if events == 0 && started.elapsed() < VERY_SHORT_WATCH => {
                    let error = "the watch ended at once without an event";
                    return Err(Stop::Failed(ListerWatcherError::Unavailable(error.to_owned())));
                }
                Ok(()) if self.in_doubt && self.listed_at.elapsed() >= IN_DOUBT_MAX => {
                    tracing::info!("something could not be read, listing again");
                    return Ok(());
                }
                // At most one watch in a second, also if each gives an event and ends.
                Ok(()) => {
                    sleep_until(started + VERY_SHORT_WATCH).await;
                    continue;
                }
                Err(Stop::Failed(error)) => error,
            };
            match error {
                ListerWatcherError::TooManyRequests { .. }
                | ListerWatcherError::NoConnection(_) => sleep(self.failed(error)).await,
                // Not a failure: the list that follows asks for what is at least as new.
                ListerWatcherError::Expired(message) => {
                    tracing::debug!(message, "the watch's version expired, listing again");
                    return Ok(());
                }
                error => return Err(Stop::Failed(error)),
            }
        }
    }

    /// Opens a watch where the last one ended.
    async fn rewatch(&self) -> Result<L::Watch, ListerWatcherError> {
        let opening = self.open_watch(self.last_sync_resource_version.clone(), false);
        timeout(WATCH_SILENT_MAX, opening).await.unwrap_or_else(|_| {
            let message = "the watch request was not answered".to_owned();
            Err(ListerWatcherError::NoConnection(message))
        })
    }

    /// Hands over what one watch says, until it ends. A watch that says nothing for long is
    /// taken for dead: its connection may be half open, and resuming costs nothing.
    async fn follow(
        &mut self,
        mut watch: L::Watch,
        mut ordered: bool,
        events: &mut u64,
    ) -> Result<(), Stop> {
        self.following();
        while let Ok(Some(event)) = timeout(WATCH_SILENT_MAX, watch.next()).await {
            let event = event?;
            let may_be_initial = matches!(event, WatchEvent::Added(_));
            let (reflected, resource_version) = match event {
                WatchEvent::Added(object) => changed(object, Reflected::Added),
                WatchEvent::Modified(object) => changed(object, Reflected::Updated),
                WatchEvent::Deleted(object) => changed(object, Reflected::Deleted),
                // A bookmark without a version says nothing.
                WatchEvent::Bookmark { resource_version, .. } if resource_version.is_empty() => {
                    continue;
                }
                WatchEvent::Bookmark { resource_version, .. } => {
                    let version = resource_version.clone();
                    (Reflected::Bookmark { resource_version }, version)
                }
                WatchEvent::Rejected(reason) | WatchEvent::RejectedObject { reason, .. } => {
                    self.rejected(&reason);
                    self.in_doubt = true;
                    continue;
                }
            };
            ordered |= !may_be_initial;
            if let (Some(compaction), Some(object)) = (&self.compaction, reflected.object()) {
                compaction.compactor.admit(object);
            }
            self.hand_over(reflected).await?;
            if ordered && !resource_version.is_empty() {
                self.last_sync_resource_version = resource_version;
            }
            *events += 1;
            self.counters.events.add(1);
            // A watch that was opened proves little: one that delivers, or lasts, is a success.
            self.backoff.reset();
        }
        Ok(())
    }

    async fn open_watch(
        &self,
        resource_version: String,
        send_initial_events: bool,
    ) -> Result<L::Watch, ListerWatcherError> {
        let options = WatchOptions {
            resource_version,
            timeout_seconds: fastrand::u32(WATCH_TIMEOUT_SECONDS),
            send_initial_events,
        };
        let watch = self.lister_watcher.watch(&options).await?;
        self.counters.watches.add(1);
        Ok(watch)
    }

    async fn hand_over(&self, reflected: Reflected) -> Result<(), Stop> {
        self.reflected.send(reflected).await.map_err(|_| Stop::Closed)
    }

    // === status

    fn phase(&self, phase: Phase) {
        self.status.send_modify(|status| status.phase = phase);
    }

    fn rejected(&self, reason: &str) {
        tracing::warn!(reason, "an object was left out: it could not be read");
        self.counters.rejected.add(1);
    }

    /// Notes a failure and says how long to wait.
    fn failed(&mut self, error: ListerWatcherError) -> Duration {
        let wait = match &error {
            ListerWatcherError::TooManyRequests { retry_after, .. } => {
                self.backoff.next_or(*retry_after)
            }
            _ => self.backoff.next(),
        };
        self.counters.failures.add(1);
        let now = Instant::now();
        self.status.send_modify(|status| {
            let since = status.failure.as_ref().map_or(now, |failure| failure.since);
            let (phase, next_try) = (status.phase, now + wait);
            let retry_in_s = wait.as_secs_f32();
            tracing::warn!(%error, %phase, retry_in_s, "cannot follow the server");
            status.failure = Some(ReflectorFailure { phase, error, since, next_try });
        });
        wait
    }

    /// A watch is open: whatever was wrong is over.
    fn following(&self) {
        self.status.send_if_modified(|status| {
            let recovered = status.failure.take().is_some();
            if recovered {
                tracing::info!("following the server again");
            }
            recovered
        });
    }
}

fn changed(object: Arc<Object>, reflected: fn(Arc<Object>) -> Reflected) -> (Reflected, String) {
    let resource_version = object.resource_version.to_string();
    (reflected(object), resource_version)
}

enum WatchListFailed {
    Request(ListerWatcherError),
    /// The stream ended before the initial state did.
    CutShort,
    /// No progress within the deadline.
    Stalled,
}

impl From<ListerWatcherError> for WatchListFailed {
    fn from(error: ListerWatcherError) -> Self {
        Self::Request(error)
    }
}

/// client-go: RF-1.
const WATCH_TIMEOUT_SECONDS: std::ops::Range<u32> = 300..600;

/// client-go: WT-9.
const VERY_SHORT_WATCH: Duration = Duration::from_secs(1);

/// Longer than the longest delay.
const LONG_WATCH: Duration = Duration::from_secs(60);

/// How long the initial state may go without a new object. client-go waits for ever (WL-7).
const WATCH_LIST_STALLED_AFTER: Duration = Duration::from_secs(60);

/// How long a failed watch-list is remembered.
const WATCH_LIST_RETRY_AFTER: Duration = Duration::from_secs(30 * 60);

/// A watch that ends in doubt is followed by a list, if the last one is older than this: what could
/// not be read may be readable there, and if it is not, lists are no flood.
const IN_DOUBT_MAX: Duration = Duration::from_secs(5 * 60);

/// Servers send a bookmark about each minute.
const WATCH_SILENT_MAX: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests;

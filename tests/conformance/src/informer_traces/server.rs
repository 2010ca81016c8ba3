//! A server that keeps objects and a log of their changes, one version each, and fails when told
//! to. `go/oracle/server_test.go` is the same in Go: what one answers, the other does.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::iter::repeat_n;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use informer::{
    ListOptions, ListPage, ListerWatcher, ListerWatcherError, Object, WatchEvent, WatchOptions,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::InformerTrace;
use crate::objects::object;

/// What happens to one object. It has no effect if it makes no sense in the state that the object
/// is in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) verb: Verb,
    pub(super) key: String,
    /// No watch is told, now or later.
    pub(super) silent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verb {
    Create,
    Update,
    Delete,
    /// A deletion, if the object is there, and a creation: another uid.
    Recreate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Failure {
    /// 500
    Unavailable,
    /// 410
    Expired,
    /// 429
    TooManyRequests,
    /// No connection.
    Refused,
}

impl Failure {
    fn error(self) -> ListerWatcherError {
        let message = format!("{self:?}");
        match self {
            Self::Unavailable => ListerWatcherError::Unavailable(message),
            Self::Expired => ListerWatcherError::Expired(message),
            Self::TooManyRequests => {
                ListerWatcherError::TooManyRequests { retry_after: None, message }
            }
            Self::Refused => ListerWatcherError::NoConnection(message),
        }
    }
}

/// How the server answers a watch-list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WatchList {
    /// It streams the initial state.
    Served,
    Refused,
    /// It streams the initial state without the bookmark at its end.
    Endless,
}

/// Clones are the same server.
#[derive(Clone)]
pub(super) struct Server(Arc<Mutex<State>>);

struct State {
    watch_list: WatchList,
    page_size: Option<usize>,
    resource_version: u64,
    objects: BTreeMap<String, Arc<Object>>,
    incarnations: HashMap<String, u32>,
    /// What a watch from an earlier version is told first.
    log: Vec<(u64, WatchEvent)>,
    /// Changes up to here are forgotten.
    flushed: u64,
    streams: Vec<mpsc::Sender<Said>>,
    /// Those that say nothing any more, and are not closed.
    silent: Vec<mpsc::Sender<Said>>,
    /// What becomes of the next requests; none is answered.
    list_failures: VecDeque<Option<Failure>>,
    watch_failures: VecDeque<Option<Failure>>,
    requests: Vec<String>,
}

type Said = Result<WatchEvent, ListerWatcherError>;

impl Server {
    pub(super) fn new(trace: &InformerTrace) -> Self {
        Self(Arc::new(Mutex::new(State {
            watch_list: trace.watch_list,
            page_size: trace.page_size,
            resource_version: trace.first_version,
            objects: BTreeMap::new(),
            incarnations: HashMap::new(),
            log: Vec::new(),
            flushed: 0,
            streams: Vec::new(),
            silent: Vec::new(),
            list_failures: VecDeque::new(),
            watch_failures: VecDeque::new(),
            requests: Vec::new(),
        })))
    }

    pub(super) fn change(&self, change: &Change) -> anyhow::Result<()> {
        let mut state = self.state();
        let exists = state.objects.contains_key(&change.key);
        match change.verb {
            Verb::Create if !exists => state.apply(change, WatchEvent::Added),
            Verb::Update if exists => state.apply(change, WatchEvent::Modified),
            Verb::Delete if exists => state.apply(change, WatchEvent::Deleted),
            Verb::Create | Verb::Update | Verb::Delete => Ok(()),
            Verb::Recreate => {
                if exists {
                    state.apply(change, WatchEvent::Deleted)?;
                }
                state.apply(change, WatchEvent::Added)
            }
        }
    }

    pub(super) fn bookmark(&self) {
        let mut state = self.state();
        let resource_version = state.resource_version.to_string();
        state.say(&Ok(WatchEvent::Bookmark { resource_version, initial_events_end: false }));
    }

    /// Ends all streams, with this error if there is one.
    pub(super) fn close(&self, failure: Option<Failure>) {
        let mut state = self.state();
        if let Some(failure) = failure {
            state.say(&Err(failure.error()));
        }
        state.streams.clear();
    }

    /// From now on the streams say nothing, and do not end.
    pub(super) fn silence(&self) {
        let mut state = self.state();
        let silent = std::mem::take(&mut state.streams);
        state.silent.extend(silent);
    }

    /// Ends all streams and forgets all changes.
    pub(super) fn reset(&self) {
        self.close(None);
        let mut state = self.state();
        state.log.clear();
        state.flushed = state.resource_version;
    }

    /// The first ones of them are answered.
    pub(super) fn fail_lists(&self, failure: Failure, after: usize, times: usize) {
        let failures = repeat_n(None, after).chain(repeat_n(Some(failure), times));
        self.state().list_failures = failures.collect();
    }

    pub(super) fn fail_watches(&self, failure: Failure, times: usize) {
        self.state().watch_failures = vec![Some(failure); times].into();
    }

    /// Forgets the failures that nothing has met.
    pub(super) fn calm_down(&self) {
        let mut state = self.state();
        state.list_failures.clear();
        state.watch_failures.clear();
    }

    /// What was asked since the last call.
    pub(super) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(
        &mut self,
        change: &Change,
        event: fn(Arc<Object>) -> WatchEvent,
    ) -> anyhow::Result<()> {
        self.resource_version += 1;
        let incarnation = self.incarnations.entry(change.key.clone()).or_default();
        let is = |other: fn(Arc<Object>) -> WatchEvent| std::ptr::fn_addr_eq(event, other);
        *incarnation += u32::from(is(WatchEvent::Added));
        let object = object(&format!("{}#{incarnation}@{}", change.key, self.resource_version))?;
        let event = event(object.clone());
        match event {
            WatchEvent::Deleted(_) => self.objects.remove(&change.key),
            _ => self.objects.insert(change.key.clone(), object),
        };
        if !change.silent {
            self.log.push((self.resource_version, event.clone()));
            self.say(&Ok(event));
        }
        Ok(())
    }

    fn say(&mut self, said: &Said) {
        self.streams.retain(|stream| stream.try_send(said.clone()).is_ok());
    }

    /// A page ends where the next one begins; nothing changes between the pages of a trace.
    fn answer_list(&mut self, options: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        let ListOptions { resource_version, limit, continue_token } = options;
        let token = continue_token.as_deref();
        let asked = format!("list rv={resource_version} limit={}", limit.unwrap_or(0));
        let continues = token.map(|token| format!(" continue={token}")).unwrap_or_default();
        self.requests.push(asked + &continues);
        fail(&mut self.list_failures)?;
        let not_a_token = |_| ListerWatcherError::Unavailable("not a token".to_owned());
        let begin: usize = token.map_or(Ok(0), str::parse).map_err(not_a_token)?;
        let page_size = self.page_size.filter(|_| limit.is_some());
        let end = page_size.map_or(self.objects.len(), |size| begin + size);
        Ok(ListPage {
            resource_version: self.resource_version.to_string(),
            continue_token: (end < self.objects.len()).then(|| end.to_string()),
            objects: self.objects.values().take(end).skip(begin).cloned().collect(),
            rejected: Vec::new(),
            rejected_keys: Vec::new(),
        })
    }

    fn answer_watch(
        &mut self,
        options: &WatchOptions,
    ) -> Result<(mpsc::Receiver<Said>, mpsc::WeakSender<Said>), ListerWatcherError> {
        let kind = if options.send_initial_events { "watch-list" } else { "watch" };
        self.requests.push(format!("{kind} rv={}", options.resource_version));
        if options.send_initial_events {
            if self.watch_list == WatchList::Refused {
                let message = "no sendInitialEvents here".to_owned();
                return Err(ListerWatcherError::Rejected { code: 422, message });
            }
            fail(&mut self.list_failures)?;
        }
        fail(&mut self.watch_failures)?;
        let (stream, said) = mpsc::channel(SAID_MAX);
        let prepared: Vec<WatchEvent> = if options.send_initial_events {
            let resource_version = self.resource_version.to_string();
            let end = WatchEvent::Bookmark { resource_version, initial_events_end: true };
            let end = Some(end).filter(|_| self.watch_list == WatchList::Served);
            self.objects.values().cloned().map(WatchEvent::Added).chain(end).collect()
        } else {
            let not_a_version = |_| ListerWatcherError::Unavailable("not a version".to_owned());
            let from: u64 = options.resource_version.parse().map_err(not_a_version)?;
            if from < self.flushed {
                return Err(Failure::Expired.error());
            }
            let newer = self.log.iter().filter(|(resource_version, _)| *resource_version > from);
            newer.map(|(_, event)| event.clone()).collect()
        };
        for event in prepared {
            // The other end is here, and a trace is shorter.
            let _ = stream.try_send(Ok(event));
        }
        let weak = stream.downgrade();
        self.streams.push(stream);
        Ok((said, weak))
    }
}

fn fail(failures: &mut VecDeque<Option<Failure>>) -> Result<(), ListerWatcherError> {
    failures.pop_front().flatten().map_or(Ok(()), |failure| Err(failure.error()))
}

impl ListerWatcher for Server {
    type Watch = BoxStream<'static, Said>;

    async fn list(&self, options: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        self.state().answer_list(options)
    }

    async fn watch(&self, options: &WatchOptions) -> Result<Self::Watch, ListerWatcherError> {
        let (said, sender) = self.state().answer_watch(options)?;
        let watch = Watch { server: self.clone(), said, sender };
        Ok(stream::unfold(watch, |mut watch| async {
            let item = watch.next().await?;
            Some((item, watch))
        })
        .boxed())
    }
}

/// The client's end of a stream.
struct Watch {
    server: Server,
    said: mpsc::Receiver<Said>,
    /// Does not keep the stream open.
    sender: mpsc::WeakSender<Said>,
}

impl Watch {
    async fn next(&mut self) -> Option<Said> {
        loop {
            match timeout(SILENT_MAX, self.said.recv()).await {
                Ok(item) => return item,
                Err(_) if self.is_silent() => {}
                Err(_) => return Some(Ok(alive())),
            }
        }
    }

    fn is_silent(&self) -> bool {
        let Some(sender) = self.sender.upgrade() else { return false };
        self.server.state().silent.iter().any(|silent| silent.same_channel(&sender))
    }
}

/// Says nothing, but shows that the connection is alive. Our reflector opens a watch anew that is
/// silent for 90 s; client-go's waits, so its server has no need of this.
fn alive() -> WatchEvent {
    WatchEvent::Bookmark { resource_version: String::new(), initial_events_end: false }
}

/// Far more than happens in a trace.
const SAID_MAX: usize = 1000;

/// Servers send a bookmark about each minute.
const SILENT_MAX: Duration = Duration::from_secs(60);

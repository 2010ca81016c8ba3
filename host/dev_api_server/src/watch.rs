//! WATCH: an endless answer, one line of JSON per event.
//!
//! in: the storage's changes, pulled by resource version whenever the client can take more, so a
//! slow client costs no memory; one that falls out of the history window is hung up on. out: the
//! lines. runs: inside the connection's task; ends on timeout, on shutdown, with the window, or
//! when the resource is no longer served.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::list::ListOptions;
use crate::resources::Resource;
use crate::status::Status;
use crate::storage::{Change, Object, State, Storage};
use crate::view::View;

/// One open watch.
pub(crate) struct Watch {
    storage: Storage,
    resource: Arc<Resource>,
    options: ListOptions,
    view: View,
    /// All changes up to here were sent, or are none of this watch's.
    resource_version: u64,
    initial: std::vec::IntoIter<Object>,
    /// Whether the bookmark that ends the initial events is still to be sent.
    initial_events_end: bool,
    latest: watch::Receiver<u64>,
    bookmark_period: Duration,
    next_bookmark: Instant,
    deadline: Instant,
    shutdown: CancellationToken,
    ended: bool,
}

/// What watches have in common, whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct WatchSettings {
    pub(crate) bookmark_period: Duration,
    pub(crate) watch_list: bool,
    pub(crate) expired_as_http_status: bool,
    pub(crate) shutdown: CancellationToken,
}

impl Watch {
    pub(crate) fn open(
        storage: &Storage,
        resource: Arc<Resource>,
        options: ListOptions,
        view: View,
        settings: &WatchSettings,
    ) -> Result<Body, Status> {
        options.validate_watch(settings.watch_list)?;
        let state = storage.lock();
        let (from, initial) = match start(&state, &resource, &options) {
            Ok(start) => start,
            Err(status) if status.code == 410 && !settings.expired_as_http_status => {
                // apiserver: Cacher.Watch reports this in the stream, whose status is 200.
                return Ok(Body::from(line("ERROR", status.to_json())));
            }
            Err(status) => return Err(status),
        };
        let latest = state.subscribe();
        drop(state);
        let watch = Watch {
            storage: storage.clone(),
            resource,
            resource_version: from,
            initial: initial.into_iter(),
            initial_events_end: options.send_initial_events == Some(true)
                && options.allow_watch_bookmarks,
            latest,
            bookmark_period: settings.bookmark_period,
            next_bookmark: Instant::now() + settings.bookmark_period,
            deadline: Instant::now() + options.timeout.unwrap_or(DEFAULT_TIMEOUT),
            shutdown: settings.shutdown.clone(),
            ended: false,
            options,
            view,
        };
        Ok(Body::from_stream(stream::unfold(watch, |mut watch| async move {
            let lines = watch.next().await?;
            Some((Ok::<_, std::convert::Infallible>(lines), watch))
        })))
    }

    /// The next lines; none at the end. Bounded by `BATCH_MAX`.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if self.ended || self.shutdown.is_cancelled() {
                return None;
            }
            if self.initial.len() > 0 {
                let objects = self.initial.by_ref().take(BATCH_MAX);
                return Some(objects.flat_map(|it| line("ADDED", self.view.of(&it))).collect());
            }
            if std::mem::take(&mut self.initial_events_end) {
                return Some(self.bookmark(json!({"k8s.io/initial-events-end": "true"})));
            }
            let lines = self.changes()?;
            if !lines.is_empty() {
                return Some(lines);
            }
            let bookmark_at = self.next_bookmark.min(self.deadline);
            tokio::select! {
                changed = self.latest.changed() => changed.ok()?,
                () = self.shutdown.cancelled() => return None,
                () = sleep_until(bookmark_at) => {
                    self.ended = bookmark_at == self.deadline;
                    self.next_bookmark = bookmark_at + self.bookmark_period;
                    if self.options.allow_watch_bookmarks {
                        return Some(self.bookmark(Value::Null));
                    }
                }
            }
        }
    }

    /// The lines of the next changes; none if the watch cannot go on.
    fn changes(&mut self) -> Option<Vec<u8>> {
        if Instant::now() >= self.deadline {
            return None;
        }
        let state = self.storage.lock();
        let changes = state.changes_after(self.resource_version, &self.resource, BATCH_MAX);
        let served = state.resources.serves(&self.resource.group_resource);
        drop(state);
        let (changes, reached) = changes.ok()?;
        if changes.is_empty() && !served {
            return None;
        }
        self.resource_version = reached;
        let lines = changes.iter().filter_map(|change| self.event(change));
        Some(lines.flatten().collect())
    }

    /// How the change looks through the selectors: what leaves them is deleted.
    fn event(&self, change: &Change) -> Option<Vec<u8>> {
        if !self.options.covers(&change.key) {
            return None;
        }
        let selectors = &self.options.selectors;
        let before = change.previous.as_ref().filter(|it| selectors.matches(it));
        let after = !change.deleted && selectors.matches(&change.object);
        match (before, after) {
            (None, true) => Some(line("ADDED", self.view.of(&change.object))),
            (Some(_), true) => Some(line("MODIFIED", self.view.of(&change.object))),
            (Some(_), false) if change.deleted => {
                Some(line("DELETED", self.view.of(&change.object)))
            }
            (Some(before), false) => {
                // apiserver: the state that was still selected, at this change's version.
                let mut object = Value::clone(before);
                object["metadata"]["resourceVersion"] = change.resource_version.to_string().into();
                Some(line("DELETED", self.view.of(&object)))
            }
            (None, false) => None,
        }
    }

    fn bookmark(&self, annotations: Value) -> Vec<u8> {
        let (api_version, kind) = self.view.identity();
        let mut metadata = json!({"resourceVersion": self.resource_version.to_string()});
        if !annotations.is_null() {
            metadata["annotations"] = annotations;
        }
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        line("BOOKMARK", object)
    }
}

/// The resource version to follow from, and the objects to send as ADDED before.
fn start(
    state: &State,
    resource: &Resource,
    options: &ListOptions,
) -> Result<(u64, Vec<Object>), Status> {
    let current = state.resource_version;
    let asked = options.resource_version.unwrap_or(0);
    let initial = options.send_initial_events.unwrap_or(asked == 0);
    if !initial {
        let from = if asked == 0 { current } else { asked };
        state.changes_after(from, resource, 0)?;
        return Ok((from, Vec::new()));
    }
    if asked > current {
        return Err(Status::too_large_resource_version(asked, current));
    }
    let objects = state.objects_at(resource, current)?;
    let selected = objects.iter().filter(|(key, object)| options.selects(key, object));
    Ok((current, selected.map(|(_, object)| object.clone()).collect()))
}

fn line(event: &str, object: impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct WatchEvent<'a, T> {
        #[serde(rename = "type")]
        event: &'a str,
        object: T,
    }
    let mut line = serde_json::to_vec(&WatchEvent { event, object })
        .expect("maps with text keys are always JSON");
    line.push(b'\n');
    line
}

/// Events per chunk: enough to be fast, few enough to be small.
const BATCH_MAX: usize = 64;
/// A real server's `--min-request-timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

//! What is done with handlers: told of, loaded, unloaded, paused, resumed, reloaded, listened to; and with
//! what they failed on.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures_util::stream::unfold;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::access::{Caller, Loaded};
use super::connections::Patience;
use super::refusal::Refusal;
use super::routes::Admin;
use super::wire::{
    DeadLetter, Done, Handler, List, LoadRequest, Loading, LogRecord, Source, SourceKind,
    State as WireState,
};
use crate::guest::{LogLine, LogReader};
use crate::handlers::{
    DefinitionSource, HandlerDefinition, HandlerState, HandlerStatus, NameTaken, read_definition,
};
use crate::host::DRAIN_MAX;

type Answer<T> = Result<Json<T>, Refusal>;

pub(super) async fn list(State(admin): State<Admin>) -> Json<List<Handler>> {
    let items = admin.handlers().statuses().iter().map(Handler::from).collect();
    Json(List { items, more: 0 })
}

/// When it is told of.
#[derive(Deserialize)]
pub(super) struct DescribeQuery {
    /// Once nothing more happens by itself with what was asked for last, or after [`SETTLE_MAX`].
    #[serde(default)]
    settled: bool,
}

pub(super) async fn describe(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(query): Query<DescribeQuery>,
) -> Answer<Handler> {
    if query.settled {
        let _ = timeout(SETTLE_MAX, admin.handlers().settled(&name)).await;
    }
    let status = admin.status(&caller, &name)?;
    Ok(Json(Handler::from(&status)))
}

/// Begins to load it; how that goes is told by `describe`.
pub(super) async fn load(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    request: Result<Json<LoadRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(LoadRequest { file }) =
        request.map_err(|problem| Refusal::new(problem.status(), problem.body_text()))?;
    let definition = match definition(&caller, &file).await {
        Ok(definition) => definition,
        Err(refusal) => {
            return Ok((Extension(Loaded { file, handler: None }), refusal).into_response());
        }
    };
    let name = definition.name.clone();
    let loaded = Extension(Loaded { file, handler: Some(name.clone()) });
    let replaces = admin.handlers().status(&name).is_some();
    Ok(match admin.handlers().apply(definition) {
        Ok(()) => (loaded, Json(Loading { name, replaces })).into_response(),
        Err(NameTaken { name, by }) => {
            let refusal = Refusal::conflict(format!(
                "the handler {name} is described by {by}: change that, or give this one another \
                 name"
            ));
            (loaded, refusal).into_response()
        }
    })
}

async fn definition(caller: &Caller, file: &str) -> Result<HandlerDefinition, Refusal> {
    // A path means something to who has the same files and rights.
    if matches!(caller, Caller::Remote { .. }) {
        return Err(Refusal::forbidden(
            "a handler is loaded by the path of a file, and so over the host's socket only: from \
             elsewhere, create a Handler custom resource",
        ));
    }
    let file = PathBuf::from(file);
    if !file.is_absolute() {
        return Err(Refusal::bad_request(format!("{}: name an absolute path", file.display())));
    }
    let read = tokio::task::spawn_blocking(move || read_definition(&file)).await;
    let read =
        read.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    read.map_err(|problem| Refusal::bad_request(problem.to_string()))
}

pub(super) async fn unload(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<Done> {
    let described_by = |source: &DefinitionSource, instead: &str| {
        let problem = format!("the handler {name} is described by {source}: {instead}");
        Err(Refusal::conflict(problem))
    };
    match admin.status(&caller, &name)?.source {
        source @ DefinitionSource::File(_) => described_by(&source, "delete that file"),
        ref source @ DefinitionSource::Resource { ref namespace, ref name, .. } => {
            described_by(source, &format!("kubectl delete -n {namespace} ih {name}"))
        }
        DefinitionSource::Operator(_) => {
            let removed = admin.handlers().remove(&name, DRAIN_MAX).await;
            let not_delivered = removed.ok_or_else(|| admin.unknown(&caller, &name))?;
            Ok(Json(Done::NotDelivered(not_delivered)))
        }
    }
}

pub(super) async fn pause(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<Done> {
    let known = admin.handlers().set_paused(&name, true);
    admin.asked(known, &caller, &name)
}

pub(super) async fn resume(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<Done> {
    let known = admin.handlers().set_paused(&name, false);
    admin.asked(known, &caller, &name)
}

pub(super) async fn reload(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<Done> {
    let known = admin.handlers().reload(&name);
    admin.asked(known, &caller, &name)
}

/// Which lines.
#[derive(Deserialize)]
pub(super) struct LogQuery {
    /// The last so many; none: all that are kept.
    tail: Option<usize>,
    /// And those that are said from now on.
    #[serde(default)]
    follow: bool,
}

/// Lines of JSON, each a [`LogRecord`]; an empty line now and then shows that the host is there.
pub(super) async fn log(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Extension(patience): Extension<Patience>,
    Path(name): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    let Some(log) = admin.logs().get(&name) else {
        admin.status(&caller, &name)?;
        return Err(Refusal::not_found(format!("the handler {name} has not been started yet")));
    };
    let mut reader = log.read_from(query.tail.unwrap_or(usize::MAX));
    if !query.follow {
        return Ok(Body::from(records(reader.read())).into_response());
    }
    let Ok(turn) = admin.followers().clone().try_acquire_owned() else {
        let problem = "too many logs are being followed: end some, or read without --follow";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, problem));
    };
    patience.never_end();
    let lines = unfold((reader, turn), |(mut reader, turn)| async move {
        let bytes = next_records(&mut reader).await;
        Some((Ok::<_, Infallible>(bytes), (reader, turn)))
    });
    Ok(Body::from_stream(lines).into_response())
}

async fn next_records(reader: &mut LogReader) -> Bytes {
    tokio::select! {
        () = reader.wait() => records(reader.read()),
        () = sleep(HEARTBEAT) => Bytes::from_static(b"\n"),
    }
}

fn records((lost, lines): (u64, Vec<Arc<LogLine>>)) -> Bytes {
    let lost = (lost > 0).then_some(LogRecord::Lost(lost));
    let lines = lines.iter().map(|line| LogRecord::from(&**line));
    let mut text = String::new();
    for record in lost.into_iter().chain(lines) {
        // Strings and numbers always have a JSON form.
        text.push_str(&serde_json::to_string(&record).unwrap_or_default());
        text.push('\n');
    }
    text.into()
}

pub(super) async fn dead_letters(State(admin): State<Admin>) -> Json<List<DeadLetter>> {
    Json(dead_letters_in(&admin.handlers().statuses()))
}

pub(super) async fn dead_letters_of(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<List<DeadLetter>> {
    Ok(Json(dead_letters_in(&[admin.status(&caller, &name)?])))
}

fn dead_letters_in(statuses: &[HandlerStatus]) -> List<DeadLetter> {
    let all = statuses.iter().flat_map(|status| {
        status.dead_letters.iter().map(|dead| DeadLetter {
            handler: status.name.clone(),
            key: dead.key.to_string(),
            resource_version: dead.resource_version.clone(),
            attempts: dead.attempts,
            reason: dead.reason.clone(),
        })
    });
    let count: usize = statuses.iter().map(|status| status.dead_letters.len()).sum();
    let items: Vec<_> = all.take(DEAD_LETTERS_TOLD).collect();
    List { more: count - items.len(), items }
}

/// Which dead letters.
#[derive(Deserialize)]
pub(super) struct KeyQuery {
    /// None: all of them.
    key: Option<String>,
}

pub(super) async fn retry(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(KeyQuery { key }): Query<KeyQuery>,
) -> Answer<Done> {
    let done = admin.handlers().retry_dead_letters(&name, key.as_deref());
    admin.done_with_dead_letters(done, &caller, &name, key.as_deref())
}

pub(super) async fn purge(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(KeyQuery { key }): Query<KeyQuery>,
) -> Answer<Done> {
    let done = admin.handlers().purge_dead_letters(&name, key.as_deref());
    admin.done_with_dead_letters(done, &caller, &name, key.as_deref())
}

impl Admin {
    fn status(&self, caller: &Caller, name: &str) -> Result<HandlerStatus, Refusal> {
        self.handlers().status(name).ok_or_else(|| self.unknown(caller, name))
    }

    fn asked(&self, known: bool, caller: &Caller, name: &str) -> Answer<Done> {
        match known {
            true => Ok(Json(Done::Asked)),
            false => Err(self.unknown(caller, name)),
        }
    }

    fn done_with_dead_letters(
        &self,
        done: Option<usize>,
        caller: &Caller,
        name: &str,
        key: Option<&str>,
    ) -> Answer<Done> {
        match (done, key) {
            (None, _) => Err(self.unknown(caller, name)),
            (Some(0), Some(key)) => {
                Err(Refusal::not_found(format!("the handler {name} has no dead letter {key}")))
            }
            (Some(count), _) => Ok(Json(Done::DeadLetters(count))),
        }
    }

    fn unknown(&self, caller: &Caller, name: &str) -> Refusal {
        let names = match caller {
            Caller::Local { .. } => self.handlers().statuses().into_iter().map(|it| it.name),
            // Which others there are is for those to know who may list them.
            Caller::Remote { .. } => {
                return Refusal::not_found(format!("there is no handler {name}"));
            }
        };
        Refusal::not_found(unknown_handler(name, names.collect()))
    }
}

fn unknown_handler(name: &str, mut others: Vec<String>) -> String {
    let near = |it: &String| strsim::damerau_levenshtein(it, name);
    others.sort_by_cached_key(|it| (near(it), it.clone()));
    let (which, shown) = match others.first() {
        None => return format!("there is no handler {name}: there is none at all"),
        Some(closest) if near(closest) <= name.len() / 2 => ("closest", CLOSEST_NAMES),
        Some(_) => ("there are", NAMES_TOLD),
    };
    let more = if others.len() > shown { ", …" } else { "" };
    others.truncate(shown);
    format!("there is no handler {name}; {which}: {}{more}", others.join(", "))
}

impl From<&HandlerStatus> for Handler {
    fn from(status: &HandlerStatus) -> Self {
        let since = status.since.and_then(|it| Timestamp::try_from(it).ok());
        Self {
            name: status.name.clone(),
            state: (&status.state).into(),
            replacement: status.replacement.as_ref().map(WireState::from),
            paused: status.paused,
            hibernating: status.sleep.hibernating,
            synced: status.has_synced,
            generation: status.generation,
            since: since.map(|it| format!("{it:.0}")),
            digest: status.digest.clone(),
            source: (&status.source).into(),
            watches: status.watches.iter().map(ToString::to_string).collect(),
            events: status.counts.delivered,
            errors: status.counts.failed,
            merged: status.counts.merged,
            pending: status.pending,
            dead_letters: status.dead_letters.len(),
        }
    }
}

impl From<&HandlerState> for WireState {
    fn from(state: &HandlerState) -> Self {
        let name = match state {
            HandlerState::Loading => "Loading",
            HandlerState::Unreachable(_) => "Unreachable",
            HandlerState::UnknownKind(_) => "UnknownKind",
            HandlerState::Running => "Running",
            HandlerState::Failed(_) => "Failed",
            HandlerState::Quarantined(_) => "Quarantined",
            HandlerState::Forbidden(_) => "Forbidden",
            HandlerState::UnknownSecret(_) => "UnknownSecret",
        };
        Self { name: name.to_owned(), reason: state.problem().map(str::to_owned) }
    }
}

impl From<&DefinitionSource> for Source {
    fn from(source: &DefinitionSource) -> Self {
        let kind = match source {
            DefinitionSource::File(_) => SourceKind::Directory,
            DefinitionSource::Resource { .. } => SourceKind::Resource,
            DefinitionSource::Operator(_) => SourceKind::Operator,
        };
        Self { kind, name: source.to_string() }
    }
}

impl From<&LogLine> for LogRecord {
    fn from(line: &LogLine) -> Self {
        let fields = line.fields.clone().map(RawValue::from_string);
        Self::Line {
            at: format!("{:.3}", line.at),
            level: line.level.to_owned(),
            message: line.message.clone(),
            fields: fields.and_then(Result::ok),
        }
    }
}

/// Well within what a request may take.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// Which is dead is noticed when it is written to.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Dead letters told in one answer, of handlers that fail on everything.
const DEAD_LETTERS_TOLD: usize = 1_000;

const CLOSEST_NAMES: usize = 3;
const NAMES_TOLD: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_an_unknown_handler_is_told_the_closest_or_all() {
        let others = |names: &[&str]| names.iter().map(|it| it.to_string()).collect();
        let said = unknown_handler("pod-reportr", others(&["no-op", "pod-reporter"]));
        assert_eq!(said, "there is no handler pod-reportr; closest: pod-reporter, no-op");
        let said = unknown_handler("x", others(&["no-op", "pod-reporter"]));
        assert_eq!(said, "there is no handler x; there are: no-op, pod-reporter");
        assert!(unknown_handler("x", Vec::new()).ends_with("there is none at all"));
    }
}

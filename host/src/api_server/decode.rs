//! The server's bytes → [`Object`] and [`WatchEvent`].
//!
//! One pass over an object reads the few fields that the pipeline needs and skips the rest without
//! building anything, so depth and size of an object do not matter. What cannot be read is isolated,
//! down to one object or one line, and named as far as it is known. `metadata.managedFields`, 20 to
//! 40 % of an object and of use to nobody here, is cut out of the text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use informer::{Json, ListPage, ListerWatcherError, Object, ObjectKey, WatchEvent};
use kube::core::ApiResource;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

mod salvage;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default, deserialize_with = "present", rename = "apiVersion")]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Members<Metadata<'a>>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    namespace: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    name: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    uid: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    resource_version: Cow<'a, str>,
    #[serde(borrow, default)]
    managed_fields: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Collection<'a> {
    #[serde(borrow, default, deserialize_with = "text_or_null", rename = "apiVersion")]
    api_version: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    metadata: Option<Members<CollectionMetadata<'a>>>,
    /// The outer is none if there is no such member.
    #[serde(borrow, default, deserialize_with = "some")]
    items: Option<Option<Vec<&'a RawValue>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CollectionMetadata<'a> {
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    resource_version: Cow<'a, str>,
    #[serde(default)]
    r#continue: Option<String>,
}

/// An object of JSON and nothing else: a derived `Deserialize` takes an array as well.
#[derive(Default)]
struct Members<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Map(PhantomData)).map(Members)
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Null stands for the empty text, as in Go.
fn text_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    let text = Option::<Text<'_>>::deserialize(deserializer)?;
    Ok(text.map(|Text(text)| text).unwrap_or_default())
}

/// As [`text_or_null`]; without the member it is none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    text_or_null(deserializer).map(Some)
}

fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What an object says that it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectType<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl<'a> From<&'a ApiResource> for ObjectType<'a> {
    fn from(resource: &'a ApiResource) -> Self {
        Self { api_version: &resource.api_version, kind: &resource.kind }
    }
}

/// Why an object is left out.
struct Rejection {
    /// Which it is, if that could be found out.
    key: Option<ObjectKey>,
    problem: String,
}

impl Rejection {
    fn new(key: Option<ObjectKey>, problem: impl Into<String>) -> Self {
        Self { key, problem: problem.into() }
    }

    /// With what is known of the object, in a length that a log can take.
    fn reason(&self) -> String {
        let mut reason = match &self.key {
            Some(key) => format!("{key}: {}", self.problem),
            None => self.problem.clone(),
        };
        if let Some((end, _)) = reason.char_indices().nth(REASON_MAX) {
            reason.truncate(end);
            reason.push('…');
        }
        reason
    }
}

/// One line of a watch. An error is one that the server sent, or a line by which this is no watch;
/// an event that cannot be read is rejected.
pub(super) fn watch_event(
    line: &[u8],
    watched: ObjectType<'_>,
) -> Result<WatchEvent, ListerWatcherError> {
    let line = text(line);
    if let Some(event) = plain_event(&line, watched) {
        return Ok(event);
    }
    if !line.trim_start().starts_with('{') {
        let message = "the watch sent what is no event: it does not begin with '{'".to_owned();
        return Err(ListerWatcherError::Unavailable(message));
    }
    let (event_type, read) = match serde_json::from_str::<Frame<'_>>(&line) {
        Ok(Frame { event_type, object: Some(json) }) => (event_type, Ok(json.get())),
        Ok(Frame { event_type, object: None }) => {
            (event_type, Err(Rejection::new(None, "an event without an object")))
        }
        Err(error) => {
            let event_type = salvage::member(&line, "type").and_then(salvage::text);
            let key = salvage::member(&line, "object").and_then(salvage::key);
            let problem = format!("what is no event: {error} ({} bytes)", line.len());
            (event_type.unwrap_or_default(), Err(Rejection::new(key, problem)))
        }
    };
    let event = match &*event_type {
        "ERROR" => return Err(status_error(0, None, read.unwrap_or_default().as_bytes())),
        "BOOKMARK" => read.and_then(|json| bookmark(json, watched)),
        event_type => read.and_then(|json| {
            let event = match event_type {
                "ADDED" => WatchEvent::Added,
                "MODIFIED" => WatchEvent::Modified,
                "DELETED" => WatchEvent::Deleted,
                other => {
                    let problem = format!("unknown event type {other:?}");
                    return Err(Rejection::new(salvage::key(json), problem));
                }
            };
            object(json, watched, watched).map(event)
        }),
    };
    Ok(event.unwrap_or_else(|rejection| {
        let reason = rejection.reason();
        match rejection.key {
            // Not of a deletion: it is not known to be there any more.
            Some(key) if matches!(&*event_type, "ADDED" | "MODIFIED") => {
                WatchEvent::RejectedObject { key, reason }
            }
            _ => WatchEvent::Rejected(reason),
        }
    }))
}

/// An event of an object, spelled as API servers do: no space, and the type first. So the object is
/// all that stands between, and one pass over it is enough: if it is read to its end, the line is JSON, too.
/// None leaves the line to those who look closer.
fn plain_event(line: &str, watched: ObjectType<'_>) -> Option<WatchEvent> {
    let (event_type, rest) = line.strip_prefix("{\"type\":\"")?.split_once('"')?;
    let event = match event_type {
        "ADDED" => WatchEvent::Added,
        "MODIFIED" => WatchEvent::Modified,
        "DELETED" => WatchEvent::Deleted,
        _ => return None,
    };
    let json = rest.strip_prefix(",\"object\":")?.strip_suffix('}')?;
    if !json.starts_with('{') || !json.ends_with('}') {
        return None;
    }
    object(json, watched, watched).ok().map(event)
}

/// The body of a LIST.
pub(super) fn list_page(
    body: &[u8],
    watched: ObjectType<'_>,
) -> Result<ListPage, ListerWatcherError> {
    let body = text(body);
    match serde_json::from_str(&body) {
        Ok(Members(collection)) => page_of(collection, watched),
        Err(error) => {
            salvaged_page(&body, watched).unwrap_or_else(|| Err(no_list(error.to_string())))
        }
    }
}

/// The page of what is no JSON as a whole, if it is as soon as each item is read by itself. Where an
/// item begins and ends is a guess then, so none of the bad ones gets a key: the page could
/// have other objects than it seems.
fn salvaged_page(
    body: &str,
    watched: ObjectType<'_>,
) -> Option<Result<ListPage, ListerWatcherError>> {
    let array = salvage::member(body, "items")?;
    let items = salvage::elements(array)?;
    let start = array.as_ptr() as usize - body.as_ptr() as usize;
    let rest = format!("{}[]{}", &body[..start], &body[start + array.len()..]);
    let Members(collection): Members<Collection<'_>> = serde_json::from_str(&rest).ok()?;
    let page = page_with(collection, items.into_iter(), watched);
    Some(page.map(|page| ListPage { rejected_keys: Vec::new(), ..page }))
}

fn page_of(
    mut collection: Collection<'_>,
    watched: ObjectType<'_>,
) -> Result<ListPage, ListerWatcherError> {
    let items = collection.items.take();
    // Go writes an empty list as null.
    let is_list = collection.kind.ends_with("List");
    let Some(items) = items.and_then(|items| items.or_else(|| is_list.then(Vec::new))) else {
        let Collection { api_version, kind, .. } = collection;
        return Err(no_list(format!("{kind:?} of {api_version:?} without items")));
    };
    page_with(collection, items.into_iter().map(RawValue::get), watched)
}

fn page_with<'a>(
    Collection { api_version, kind, metadata, .. }: Collection<'_>,
    items: impl ExactSizeIterator<Item = &'a str>,
    watched: ObjectType<'_>,
) -> Result<ListPage, ListerWatcherError> {
    let CollectionMetadata { resource_version, r#continue } =
        metadata.map(|Members(metadata)| metadata).unwrap_or_default();
    // A list's items carry no type where the list has it already.
    let item_kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
    let item_type = match item_kind {
        Some(kind) if !api_version.is_empty() => ObjectType { api_version: &api_version, kind },
        _ => watched,
    };
    let mut page = ListPage {
        resource_version: resource_version.into_owned(),
        continue_token: r#continue,
        objects: Vec::with_capacity(items.len()),
        ..ListPage::default()
    };
    for item in items {
        match object(item, item_type, watched) {
            Ok(object) => page.objects.push(object),
            Err(rejection) => {
                page.rejected.push(rejection.reason());
                page.rejected_keys.extend(rejection.key);
            }
        }
    }
    Ok(page)
}

fn no_list(problem: String) -> ListerWatcherError {
    let problem = Rejection::new(None, problem).reason();
    ListerWatcherError::Unavailable(format!("the server sent what is no list: {problem}"))
}

/// An HTTP status that is no success, or an ERROR event (`http_status` 0), with its body.
pub(super) fn status_error(
    http_status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
) -> ListerWatcherError {
    let body = text(body);
    // Field by field, so that an odd one does not cost the others.
    let status: Value = serde_json::from_str(&body).unwrap_or_default();
    let string = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| *code != 0).unwrap_or(http_status);
    let message = match string(&status, "message") {
        message if !message.is_empty() => message,
        _ if http_status == 0 => {
            format!("the watch ended with an error that is no Status ({} bytes)", body.len())
        }
        _ => format!("HTTP {code} {}", body.chars().take(STATUS_TEXT_MAX).collect::<String>()),
    };
    let details = &status["details"];
    let is_too_large = details["causes"].as_array().into_iter().flatten().any(|cause| {
        string(cause, "reason") == "ResourceVersionTooLarge"
            || string(cause, "message").contains(TOO_LARGE)
    }) || message.contains(TOO_LARGE);
    let seconds = details["retryAfterSeconds"].as_u64().filter(|seconds| *seconds > 0);
    let retry_after = retry_after.or(seconds.map(Duration::from_secs));
    match (code, string(&status, "reason").as_str()) {
        (410, _) | (_, "Expired" | "Gone") => ListerWatcherError::Expired(message),
        _ if is_too_large => ListerWatcherError::TooLargeResourceVersion(message),
        (429, _) => ListerWatcherError::TooManyRequests { retry_after, message },
        (500.., _) if retry_after.is_some() => {
            ListerWatcherError::TooManyRequests { retry_after, message }
        }
        (400..=499, _) => ListerWatcherError::Rejected { code, message },
        _ => ListerWatcherError::Unavailable(message),
    }
}

/// The server's JSON is UTF-8; what is not is replaced, so that one bad string does not cost the
/// rest.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    // What is in order is checked at a multiple of the speed at which the other looks for errors.
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// `untyped` is what an object is that does not say it.
fn object(
    json: &str,
    untyped: ObjectType<'_>,
    watched: ObjectType<'_>,
) -> Result<Arc<Object>, Rejection> {
    let Head { api_version, kind, metadata: Members(metadata), status } = head(json)?;
    let Metadata { namespace, name, uid, resource_version, managed_fields, .. } = metadata;
    if name.is_empty() {
        return Err(Rejection::new(None, "the object has no metadata.name"));
    }
    let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
    for name in namespace.iter().chain([&name]) {
        if !is_name(name) {
            return Err(Rejection::new(None, format!("{name:?} is no name")));
        }
    }
    let key = ObjectKey::new(namespace.as_deref(), &name);
    let said = ObjectType {
        api_version: api_version.as_deref().unwrap_or(untyped.api_version),
        kind: kind.as_deref().unwrap_or(untyped.kind),
    };
    // client-go: RF-9, and RF-10: a Table is one of these.
    if said != watched {
        let problem = format!(
            "it is {:?} of {:?} where {} of {} is watched",
            said.kind, said.api_version, watched.kind, watched.api_version
        );
        return Err(Rejection::new(Some(key), problem));
    }
    let missing_type = MissingType {
        api_version: api_version.is_none().then_some(said.api_version),
        kind: kind.is_none().then_some(said.kind),
    };
    let text = rewritten(json, managed_fields, missing_type);
    let status = status.and_then(|status| status_in(&text, json, status.get()));
    let json = Json::from(text).with_status(status.unwrap_or_default());
    Ok(Arc::new(Object { key, uid: uid.into(), resource_version: resource_version.into(), json }))
}

/// Whether it can stand in a path and a key; nothing else is asked of a name.
fn is_name(name: &str) -> bool {
    let is_bad = |char: char| matches!(char, '/' | '%' | '\u{fffd}') || char.is_control();
    !matches!(name, "." | "..") && !name.contains(is_bad)
}

fn head(json: &str) -> Result<Head<'_>, Rejection> {
    serde_json::from_str(json).map(|Members(head)| head).map_err(|error| {
        // Without the text: it may be a Secret's.
        let problem = format!("it cannot be read: {error} ({} bytes)", json.len());
        Rejection::new(salvage::key(json), problem)
    })
}

fn bookmark(json: &str, watched: ObjectType<'_>) -> Result<WatchEvent, Rejection> {
    let Head { api_version, kind, metadata: Members(metadata), .. } = head(json)?;
    if api_version.is_some_and(|it| it != watched.api_version)
        || kind.is_some_and(|it| it != watched.kind)
    {
        return Err(Rejection::new(None, "a bookmark of another kind"));
    }
    let Metadata { resource_version, annotations, .. } = metadata;
    #[derive(Default, Deserialize)]
    struct Annotations<'a> {
        #[serde(borrow, default, rename = "k8s.io/initial-events-end")]
        initial_events_end: Cow<'a, str>,
    }
    let Members(annotations): Members<Annotations<'_>> = annotations
        .and_then(|annotations| serde_json::from_str(annotations.get()).ok())
        .unwrap_or_default();
    if resource_version.is_empty() {
        return Err(Rejection::new(None, "a bookmark without resourceVersion"));
    }
    Ok(WatchEvent::Bookmark {
        resource_version: resource_version.into_owned(),
        initial_events_end: annotations.initial_events_end == "true",
    })
}

/// What an object does not say of its type, and is.
struct MissingType<'a> {
    api_version: Option<&'a str>,
    kind: Option<&'a str>,
}

/// The object's text without `managedFields`, and with the type it lacks.
fn rewritten(json: &str, cut: Option<&RawValue>, missing_type: MissingType<'_>) -> String {
    let (before, after) = match cut {
        Some(cut) => around_member(json, cut.get()).unwrap_or((json, "")),
        None => (json, ""),
    };
    let MissingType { api_version, kind } = missing_type;
    let missing = [("apiVersion", api_version), ("kind", kind)];
    // Exactly what is needed where nothing is missing: the text need not move to be cut to its length.
    let is_complete = missing.iter().all(|(_, value)| value.is_none());
    let room = if is_complete { 0 } else { MISSING_TYPE_LEN };
    let mut text = String::with_capacity(before.len() + after.len() + room);
    let members = before.strip_prefix('{').unwrap_or(before);
    text.push('{');
    for (name, value) in missing.into_iter().filter_map(|(name, it)| Some((name, it?))) {
        text.push_str(&format!("\"{name}\":{},", Value::from(value)));
    }
    text.push_str(members);
    text.push_str(after);
    text
}

/// Where the value of `status` is in the text that `json` became. That nearly always differs before it only.
fn status_in(text: &str, json: &str, status: &str) -> Option<Range<usize>> {
    let end = json.as_ptr() as usize + json.len();
    let from_end = end.checked_sub(status.as_ptr() as usize)?;
    let start = text.len().checked_sub(from_end)?;
    let at = start..start + status.len();
    (text.get(at.clone()) == Some(status)).then_some(at)
}

/// What stands before and after the member of which `value`, a part of `json`, is the value; none
/// if its key is spelled in an unexpected way.
fn around_member<'a>(json: &'a str, value: &'a str) -> Option<(&'a str, &'a str)> {
    let start = (value.as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
    let after = json.get(start + value.len()..)?;
    let before = json.get(..start)?.trim_end().strip_suffix(':')?.trim_end();
    let before = before.strip_suffix("\"managedFields\"")?.trim_end();
    match before.strip_suffix(',') {
        Some(before) => Some((before, after)),
        None => Some((before, after.trim_start().strip_prefix(',').unwrap_or(after))),
    }
}

const TOO_LARGE: &str = "Too large resource version";

/// Room for the type of an item of a list.
const MISSING_TYPE_LEN: usize = 96;

/// Characters of a reason that go to the log.
const REASON_MAX: usize = 512;

/// Characters of a body that is no Status that are shown.
const STATUS_TEXT_MAX: usize = 512;

#[cfg(test)]
mod tests;

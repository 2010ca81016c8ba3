//! The server's bytes → [`Object`] and [`WatchEvent`].
//!
//! One pass over an object reads the few fields that the pipeline needs and skips the rest without
//! building anything, so depth and size of an object do not matter. `metadata.managedFields`, 20 to
//! 40 % of an object and of use to nobody here, is cut out of the text.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use informer::{ListPage, ListerWatcherError, Object, ObjectKey, WatchEvent};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default, rename = "apiVersion")]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(borrow, default)]
    managed_fields: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Collection<'a> {
    #[serde(borrow, default, rename = "apiVersion")]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    metadata: CollectionMetadata<'a>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CollectionMetadata<'a> {
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(default)]
    r#continue: Option<String>,
}

/// The server's `Status`, as far as the reflector cares.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    reason: String,
    message: String,
    details: StatusDetails,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusDetails {
    retry_after_seconds: Option<u64>,
    causes: Vec<StatusCause>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusCause {
    reason: String,
    message: String,
}

/// One line of a watch. An error is one that the server sent, or a line that is no event at all.
pub(super) fn watch_event(line: &[u8]) -> Result<WatchEvent, ListerWatcherError> {
    let line = text(line);
    let frame: Frame<'_> = serde_json::from_str(&line).map_err(|error| {
        ListerWatcherError::Unavailable(format!("the watch sent what is no event: {error}"))
    })?;
    let json = frame.object.get();
    let event = match &*frame.event_type {
        "ADDED" => object(json, None).map(WatchEvent::Added),
        "MODIFIED" => object(json, None).map(WatchEvent::Modified),
        "DELETED" => object(json, None).map(WatchEvent::Deleted),
        "BOOKMARK" => bookmark(json),
        "ERROR" => return Err(status_error(0, None, json.as_bytes())),
        other => Err(format!("unknown event type {other:?}")),
    };
    Ok(event.unwrap_or_else(WatchEvent::Rejected))
}

/// The body of a LIST.
pub(super) fn list_page(body: &[u8]) -> Result<ListPage, ListerWatcherError> {
    let body = text(body);
    let collection: Collection<'_> = serde_json::from_str(&body).map_err(|error| {
        ListerWatcherError::Unavailable(format!("the server sent what is no list: {error}"))
    })?;
    let is_list = collection.kind.ends_with("List");
    // Some servers write an empty list as null.
    let Some(items) = collection.items.or_else(|| is_list.then(Vec::new)) else {
        return Err(ListerWatcherError::Unavailable(format!(
            "the server sent {} {:?} where a list was asked for",
            collection.api_version, collection.kind
        )));
    };
    let item_type = collection
        .kind
        .strip_suffix("List")
        .map(|kind| ItemType { api_version: &collection.api_version, kind });
    let mut page = ListPage {
        resource_version: collection.metadata.resource_version.into_owned(),
        continue_token: collection.metadata.r#continue,
        objects: Vec::with_capacity(items.len()),
        rejected: Vec::new(),
    };
    for item in items {
        match object(item.get(), item_type) {
            Ok(object) => page.objects.push(object),
            Err(reason) => page.rejected.push(reason),
        }
    }
    Ok(page)
}

/// An HTTP status that is no success, or an ERROR event (`http_status` 0), with its body.
pub(super) fn status_error(
    http_status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
) -> ListerWatcherError {
    let status: Status = serde_json::from_slice(body).unwrap_or_default();
    let code = if status.code == 0 { http_status } else { status.code };
    let message = match status.message.as_str() {
        "" => format!("HTTP {code} {}", text(&body[..body.len().min(STATUS_TEXT_MAX)])),
        message => message.to_owned(),
    };
    let is_too_large = status.details.causes.iter().any(|cause| {
        cause.reason == "ResourceVersionTooLarge" || cause.message.contains(TOO_LARGE)
    }) || message.contains(TOO_LARGE);
    let retry_after = retry_after.or(status.details.retry_after_seconds.map(Duration::from_secs));
    match (code, status.reason.as_str()) {
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
    String::from_utf8_lossy(bytes)
}

#[derive(Clone, Copy)]
struct ItemType<'a> {
    api_version: &'a str,
    kind: &'a str,
}

fn object(json: &str, item_type: Option<ItemType<'_>>) -> Result<Arc<Object>, String> {
    let Head { api_version, kind, metadata } = head(json)?;
    if kind == "Table" && api_version.starts_with("meta.k8s.io/") {
        return Err("a meta.k8s.io Table is not an object".to_owned());
    }
    if metadata.name.is_empty() {
        return Err("the object has no metadata.name".to_owned());
    }
    if metadata.name.contains('/') || metadata.namespace.contains('/') {
        return Err(format!("{:?} in {:?} is no name", metadata.name, metadata.namespace));
    }
    let namespace = Some(&*metadata.namespace).filter(|namespace| !namespace.is_empty());
    // A list's items carry no type where the list has it already; a watch's objects do.
    let missing_type = item_type.filter(|_| kind.is_empty());
    Ok(Arc::new(Object {
        key: ObjectKey::new(namespace, &metadata.name),
        uid: metadata.uid.into(),
        resource_version: metadata.resource_version.into(),
        json: rewritten(json, metadata.managed_fields, missing_type).into(),
    }))
}

fn head(json: &str) -> Result<Head<'_>, String> {
    serde_json::from_str(json).map_err(|error| {
        // Without the text: it may be a Secret's.
        format!("it cannot be read: {error} ({} bytes)", json.len())
    })
}

fn bookmark(json: &str) -> Result<WatchEvent, String> {
    let Metadata { resource_version, annotations, .. } = head(json)?.metadata;
    #[derive(Default, Deserialize)]
    struct Annotations<'a> {
        #[serde(borrow, default, rename = "k8s.io/initial-events-end")]
        initial_events_end: Cow<'a, str>,
    }
    let annotations: Annotations<'_> = annotations
        .and_then(|annotations| serde_json::from_str(annotations.get()).ok())
        .unwrap_or_default();
    if resource_version.is_empty() {
        return Err("a bookmark without resourceVersion".to_owned());
    }
    Ok(WatchEvent::Bookmark {
        resource_version: resource_version.into_owned(),
        initial_events_end: annotations.initial_events_end == "true",
    })
}

/// The object's text without `managedFields`, and with the type it lacks.
fn rewritten(json: &str, cut: Option<&RawValue>, missing_type: Option<ItemType<'_>>) -> String {
    let (before, after) = match cut {
        Some(cut) => around_member(json, cut.get()).unwrap_or((json, "")),
        None => (json, ""),
    };
    let mut text = String::with_capacity(before.len() + after.len());
    let before = match (missing_type, before.strip_prefix('{')) {
        (Some(ItemType { api_version, kind }), Some(members)) => {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            text.reserve(api_version.len() + kind.len() + 32);
            text.push_str("{\"apiVersion\":");
            text.push_str(&quoted(api_version));
            text.push_str(",\"kind\":");
            text.push_str(&quoted(kind));
            text.push(',');
            members
        }
        _ => before,
    };
    text.push_str(before);
    text.push_str(after);
    text
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

/// How much of a body that is no Status is shown.
const STATUS_TEXT_MAX: usize = 512;

#[cfg(test)]
mod tests;

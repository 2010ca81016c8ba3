//! The lines that a command reads and prints, as `wit/STDIN.md` describes them: the contract's calls and
//! answers as JSON.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::bindings::informerd::handler::log::{Field, Level};
use super::bindings::informerd::handler::types::{Failure, ObjectKey, Retry, Watch};
use super::call_objects::{CallObject, unreadable};
use super::instance::CallError;
use super::shared_guest::Call;

/// The first line.
pub(super) fn init_line(id: u64, config: &str) -> String {
    line(&Line { config: raw(config).as_deref(), ..Line::new(id, "init") })
}

/// The line of a notification.
pub(super) fn notification_line(id: u64, call: &Call) -> Result<String, CallError> {
    Ok(match call {
        Call::Add { object, in_initial_list } => line(&Line {
            key: Some(object.key().into()),
            is_in_initial_list: Some(*in_initial_list),
            object: object_of(object)?.as_deref(),
            ..Line::new(id, "add")
        }),
        Call::Update { old, new } => line(&Line {
            key: Some(new.key().into()),
            old: object_of(old)?.as_deref(),
            new: object_of(new)?.as_deref(),
            ..Line::new(id, "update")
        }),
        Call::Delete { last, final_state_unknown } => line(&Line {
            key: Some(last.key().into()),
            final_state_unknown: Some(*final_state_unknown),
            last: object_of(last)?.as_deref(),
            ..Line::new(id, "delete")
        }),
        Call::Synced => line(&Line::new(id, "synced")),
    })
}

fn object_of(CallObject { object, .. }: &CallObject) -> Result<Option<Box<RawValue>>, CallError> {
    let json = object.json.text().map_err(|error| unreadable(object, &error))?;
    Ok(raw(&json))
}

/// What is not of a type is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: u64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_in_initial_list: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    final_state_unknown: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<&'a RawValue>,
}

impl Line<'_> {
    fn new(id: u64, r#type: &'static str) -> Self {
        Self {
            id,
            r#type,
            key: None,
            is_in_initial_list: None,
            final_state_unknown: None,
            config: None,
            object: None,
            old: None,
            new: None,
            last: None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    group: String,
    version: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    uid: String,
    resource_version: String,
}

impl From<ObjectKey> for Key {
    fn from(key: ObjectKey) -> Self {
        let ObjectKey { group, version, kind, namespace, name, uid, resource_version } = key;
        Self { group, version, kind, namespace, name, uid, resource_version }
    }
}

/// JSON text as it is, but for line ends between its values: strings have none.
fn raw(json: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(json.replace(['\n', '\r'], " ")).ok()
}

fn line(line: &Line<'_>) -> String {
    let mut line = serde_json::to_string(line).expect("strings and JSON text can be written");
    line.push('\n');
    line
}

/// A line that a command printed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Answer {
    id: u64,
    result: Outcome,
    #[serde(default)]
    reason: String,
    after_ms: Option<u32>,
    #[serde(default)]
    watches: Vec<AnsweredWatch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Ok,
    Retry,
    Permanent,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AnsweredWatch {
    api_version: String,
    kind: String,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default)]
    label_selector: String,
    #[serde(default)]
    field_selector: String,
}

impl Answer {
    /// The error says what is wrong with the line.
    pub(super) fn parse(line: &str, id: u64) -> Result<Self, String> {
        let answer: Self = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match answer.id == id {
            true => Ok(answer),
            false => Err(format!("the id is {}, and that of the line was {id}", answer.id)),
        }
    }

    /// As the answer to the first line: what to watch, or why the configuration is refused.
    pub(super) fn introduction(self) -> Result<Vec<Watch>, String> {
        match self.result {
            Outcome::Ok => Ok(self.watches.into_iter().map(Watch::from).collect()),
            Outcome::Retry | Outcome::Permanent => Err(self.reason),
        }
    }

    /// As the answer to a notification.
    pub(super) fn result(self) -> Result<(), Failure> {
        let Self { result, reason, after_ms, .. } = self;
        match result {
            Outcome::Ok => Ok(()),
            Outcome::Retry => Err(Failure::Retry(Retry { after_ms, reason })),
            Outcome::Permanent => Err(Failure::Permanent(reason)),
        }
    }
}

impl From<AnsweredWatch> for Watch {
    fn from(watch: AnsweredWatch) -> Self {
        let AnsweredWatch { api_version, kind, namespaces, label_selector, field_selector } = watch;
        Self { api_version, kind, namespaces, label_selector, field_selector }
    }
}

/// A line that a command printed for the log.
pub(super) struct LogLine {
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) fields: Vec<Field>,
}

impl LogLine {
    /// None if it is something else, an answer for example.
    pub(super) fn parse(line: &str) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Document {
            log: String,
            message: String,
            #[serde(default)]
            fields: serde_json::Map<String, serde_json::Value>,
        }
        let Document { log, message, fields } = serde_json::from_str(line).ok()?;
        let level = match &*log {
            "trace" => Level::Trace,
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" => Level::Warn,
            "error" => Level::Error,
            _ => return None,
        };
        let fields = fields.into_iter().map(|(name, value)| match value {
            serde_json::Value::String(value) => Field { name, value },
            other => Field { name, value: other.to_string() },
        });
        Some(Self { level, message, fields: fields.collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use informer::Object;
    use kube::core::{ApiResource, GroupVersionKind};

    use super::*;

    fn deployment(namespace: Option<&str>, rv: &str) -> CallObject {
        let kind = GroupVersionKind::gvk("apps", "v1", "Deployment");
        let object = Object {
            key: informer::ObjectKey::new(namespace, "web"),
            uid: "u".into(),
            resource_version: rv.into(),
            json: format!("{{\"a\":\n  \"{rv}\\n\"}}").into(),
        };
        CallObject { kind: Arc::new(ApiResource::from_gvk(&kind)), object: Arc::new(object) }
    }

    #[test]
    fn each_line_is_one_line_and_says_what_the_call_says() {
        let (old, new) = (deployment(Some("ns"), "1"), deployment(None, "2"));
        let key = "{\"group\":\"apps\",\"version\":\"v1\",\"kind\":\"Deployment\",";
        let ns_web = format!(
            "{key}\"namespace\":\"ns\",\"name\":\"web\",\"uid\":\"u\",\"resourceVersion\":\"1\"}}"
        );
        let web = format!("{key}\"name\":\"web\",\"uid\":\"u\",\"resourceVersion\":\"2\"}}");
        let (one, two) = ("{\"a\":   \"1\\n\"}", "{\"a\":   \"2\\n\"}");
        for (call, expected) in [
            (
                Call::Add { object: old.clone(), in_initial_list: true },
                format!(
                    "\"type\":\"add\",\"key\":{ns_web},\"isInInitialList\":true,\"object\":{one}"
                ),
            ),
            (
                Call::Update { old: old.clone(), new },
                format!("\"type\":\"update\",\"key\":{web},\"old\":{one},\"new\":{two}"),
            ),
            (
                Call::Delete { last: old, final_state_unknown: false },
                format!(
                    "\"type\":\"delete\",\"key\":{ns_web},\"finalStateUnknown\":false,\"last\":{one}"
                ),
            ),
            (Call::Synced, "\"type\":\"synced\"".to_owned()),
        ] {
            let line = notification_line(7, &call).unwrap();
            assert_eq!(line, format!("{{\"id\":7,{expected}}}\n"));
        }
        let line = init_line(0, "{ \"a\": 1 }");
        assert_eq!(line, "{\"id\":0,\"type\":\"init\",\"config\":{ \"a\": 1 }}\n");
    }

    #[test]
    fn bad_answers_are_named() {
        for (line, expected) in [
            ("hello", "expected value"),
            ("{\"id\":7,\"result\":\"fine\"}", "fine"),
            ("{\"id\":7}", "result"),
            ("{\"id\":8,\"result\":\"ok\"}", "the id is 8, and that of the line was 7"),
            ("{\"id\":7,\"result\":\"retry\",\"afterMS\":1}", "afterMS"),
        ] {
            let error = Answer::parse(line, 7).unwrap_err();
            assert!(error.contains(expected), "{line} gave {error}");
        }
    }
}

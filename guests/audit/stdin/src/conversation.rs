//! The lines of a command, as `wit/STDIN.md` has them.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::object::Object;

/// One line that is read. What is not known is skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line<'a> {
    pub(crate) id: u64,
    pub(crate) r#type: String,
    /// Of `init`.
    #[serde(borrow)]
    pub(crate) config: Option<&'a RawValue>,
    /// Of all that is about an object.
    pub(crate) key: Option<Key>,
    #[serde(borrow)]
    pub(crate) object: Option<Object<'a>>,
    #[serde(default)]
    pub(crate) is_in_initial_list: bool,
    #[serde(borrow)]
    pub(crate) old: Option<Object<'a>>,
    #[serde(borrow)]
    pub(crate) new: Option<Object<'a>>,
    #[serde(borrow)]
    pub(crate) last: Option<Object<'a>>,
    #[serde(default)]
    pub(crate) final_state_unknown: bool,
}

/// Names one state of one object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Key {
    namespace: Option<String>,
    name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The line that ends a turn.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Ok,
    /// Of `init`: what to watch.
    Watching(Value),
    Failed(Failure),
}

/// A notification that was not handled.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    Retry { after_ms: u32, reason: String },
    Permanent { reason: String },
}

impl Answer {
    /// Of `init`: the configuration is of no use.
    pub(crate) fn refused(reason: String) -> Self {
        Self::Failed(Failure::Permanent { reason })
    }

    pub(crate) fn to_line(&self, id: u64) -> Value {
        match self {
            Self::Ok => json!({ "id": id, "result": "ok" }),
            Self::Watching(watches) => json!({ "id": id, "result": "ok", "watches": watches }),
            Self::Failed(Failure::Retry { after_ms, reason }) => {
                json!({ "id": id, "result": "retry", "afterMs": after_ms, "reason": reason })
            }
            Self::Failed(Failure::Permanent { reason }) => {
                json!({ "id": id, "result": "permanent", "reason": reason })
            }
        }
    }
}

/// Prints a line for the log.
pub(crate) fn log(level: &str, message: &str, fields: Map<String, Value>) {
    println!("{}", json!({ "log": level, "message": message, "fields": fields }));
}

//! What the admin API says, in the one form that its server writes and its client reads.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Several of something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// Items that are left out, since there are too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) more: usize,
}

/// A handler and how it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Handler {
    pub(super) name: String,
    pub(super) state: State,
    /// The next generation, while another one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replacement: Option<State>,
    /// No calls until it is resumed.
    pub(super) paused: bool,
    /// It has no instance, since it has had nothing to do.
    #[serde(default)]
    pub(super) hibernating: bool,
    /// It has handled its initial lists.
    pub(super) synced: bool,
    pub(super) generation: u64,
    /// When the generation that runs took over: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
    /// The sha256 of the module that runs, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    pub(super) source: Source,
    pub(super) watches: Vec<String>,
    /// Notifications handled.
    pub(super) events: u64,
    /// Attempts that failed.
    pub(super) errors: u64,
    /// Notifications merged into a later one.
    pub(super) merged: u64,
    /// Notifications not handled yet.
    pub(super) pending: usize,
    /// Objects that failed for good.
    pub(super) dead_letters: usize,
}

impl Handler {
    /// Where what was asked for last stands.
    pub(super) fn latest(&self) -> &State {
        self.replacement.as_ref().unwrap_or(&self.state)
    }
}

/// Where a handler, or its next generation, stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// In one word.
    pub(super) name: String,
    /// Why; nothing where it needs no reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// What describes a handler.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Source {
    pub(super) kind: SourceKind,
    /// A file, or a custom resource.
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum SourceKind {
    /// The handlers directory.
    Directory,
    /// A custom resource.
    Resource,
    /// `informerd handlers load`: it is gone after a restart of the host.
    Operator,
}

/// Which handler to load.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadRequest {
    /// A spec or a module: an absolute path on the host's machine.
    pub(super) file: String,
}

/// Which handler it is that is being loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Loading {
    pub(super) name: String,
    /// It takes the place of one that an operator loaded before.
    pub(super) replaces: bool,
}

/// How much was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Done {
    /// Notifications that an unloaded handler did not get any more.
    NotDelivered(usize),
    /// Dead letters retried, or purged.
    DeadLetters(usize),
    /// Nothing to count.
    Asked,
}

/// An object that a handler failed on for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetter {
    pub(super) handler: String,
    /// `namespace/name`.
    pub(super) key: String,
    pub(super) resource_version: String,
    pub(super) attempts: u32,
    pub(super) reason: String,
}

/// An informer and how it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Informer {
    /// What it watches, in words.
    pub(super) resource: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    /// What it does now: `watch-list`, `list` or `watch`.
    pub(super) phase: String,
    /// The first list is applied.
    pub(super) synced: bool,
    /// Why the server cannot be followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    /// In the cache.
    pub(super) objects: usize,
    pub(super) events: u64,
    pub(super) lists: u64,
    pub(super) watches: u64,
    pub(super) failures: u64,
    /// Objects that could not be read.
    pub(super) rejected: u64,
}

/// An object of the cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CachedObject {
    /// The informer whose cache it is in, in words.
    pub(super) resource: String,
    /// Objects of a list do not say it themselves.
    pub(super) api_version: String,
    pub(super) kind: String,
    /// As the server sent it, without managedFields.
    pub(super) object: Box<RawValue>,
}

/// One line of a log that is read, as one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum LogRecord {
    Line {
        /// RFC 3339.
        at: String,
        level: String,
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fields: Option<Box<RawValue>>,
    },
    /// So many lines are not there any more: they were not read in time.
    Lost(u64),
}

/// Why something was not done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Problem {
    pub(super) error: String,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

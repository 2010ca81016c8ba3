//! The way in: what the reflector needs of a server.
//!
//! The real one speaks HTTP to an API server; tests script one. Errors are sorted by what the
//! reflector does next, so that the reflector alone decides and nobody else reads status codes.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;

use crate::object::{Object, ObjectKey};

/// Lists and watches one resource in one scope.
///
/// client-go: `ListerWatcher`.
pub trait ListerWatcher: Send + Sync + 'static {
    /// The events of one watch request. It ends when the server ends it; dropping it hangs up.
    type Watch: Stream<Item = Result<WatchEvent, ListerWatcherError>> + Send + Unpin;

    /// One page of the collection.
    fn list(
        &self,
        options: &ListOptions,
    ) -> impl Future<Output = Result<ListPage, ListerWatcherError>> + Send;

    /// Opens a watch.
    fn watch(
        &self,
        options: &WatchOptions,
    ) -> impl Future<Output = Result<Self::Watch, ListerWatcherError>> + Send;
}

/// One LIST request. `resourceVersionMatch` is never sent (client-go: HT-3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `""` asks for the newest state, `"0"` for any, a number for one that is at least as new.
    pub resource_version: String,
    /// Objects per page; none asks for all of them at once.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub continue_token: Option<String>,
}

/// One WATCH request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// Events after this version.
    pub resource_version: String,
    /// The server ends the watch after this many seconds.
    pub timeout_seconds: u32,
    /// Watch-list: first every object as `Added`, then a bookmark that says so, then the changes.
    pub send_initial_events: bool,
}

/// The answer to one LIST request.
#[derive(Debug, Default)]
pub struct ListPage {
    /// The version of the whole collection.
    pub resource_version: String,
    /// None on the last page.
    pub continue_token: Option<String>,
    /// The objects, in the server's order.
    pub objects: Vec<Arc<Object>>,
    /// One reason for each item that is not an object (no metadata, no name, ...). They are
    /// isolated, so that one bad item does not hide the others.
    pub rejected: Vec<String>,
    /// The keys of those of them that have one: they are in the collection. As long as each has one,
    /// what is missing from the list was deleted.
    pub rejected_keys: Vec<ObjectKey>,
}

/// What the server said on a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The object appeared.
    Added(Arc<Object>),
    /// The object changed.
    Modified(Arc<Object>),
    /// The object is gone; this is its last state, with the version of the deletion.
    Deleted(Arc<Object>),
    /// Nothing happened up to this version.
    Bookmark {
        /// Everything up to here has been sent.
        resource_version: String,
        /// The initial events of a watch-list end here.
        initial_events_end: bool,
    },
    /// An event that could not be read. It is skipped, the stream goes on, and the resource version
    /// stays where it was. It may have been about any object, and may have been a deletion.
    Rejected(String),
    /// As `Rejected`: this object is there, in a state that could not be read.
    RejectedObject {
        /// Which.
        key: ObjectKey,
        /// Why; it names the object.
        reason: String,
    },
}

/// Why a request or a stream failed, by what the reflector does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListerWatcherError {
    /// 410, as HTTP status or inside a stream: the version is too old. List again.
    Expired(String),
    /// The version is newer than the server's. List without a version.
    TooLargeResourceVersion(String),
    /// 429, or another answer that says when to come again. Wait, then go on where we were.
    TooManyRequests {
        /// What the server asked for in `Retry-After`, as it was sent.
        retry_after: Option<Duration>,
        /// What the server said.
        message: String,
    },
    /// The request got no answer: refused, cut off, timed out. Wait, then go on where we were.
    NoConnection(String),
    /// The server understood and said no (RBAC, unknown resource, bad request). Waiting may help
    /// if somebody changes the server; it is reported loudly.
    Rejected {
        /// HTTP status code.
        code: u16,
        /// What the server said.
        message: String,
    },
    /// Anything else: cut connection, 5xx, a body that makes no sense. Wait, then list again.
    Unavailable(String),
}

impl fmt::Display for ListerWatcherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(message) => write!(f, "resource version expired: {message}"),
            Self::TooLargeResourceVersion(message) => {
                write!(f, "resource version is ahead of the server: {message}")
            }
            Self::TooManyRequests { message, .. } => write!(f, "asked to wait: {message}"),
            Self::NoConnection(message) => write!(f, "no connection: {message}"),
            Self::Rejected { code, message } => write!(f, "rejected with {code}: {message}"),
            Self::Unavailable(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ListerWatcherError {}

//! The server end: what the pipeline needs of a Kubernetes API server, over [`kube::Client`].

mod connect;
mod resource;
mod lister_watcher;
mod decode;

pub use connect::{ConnectError, connect};
pub use lister_watcher::ApiListerWatcher;
pub use resource::{KindError, WatchedResource, find_kind};

/// An error and what caused it, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

//! The server end: what the pipeline needs of a Kubernetes API server, over [`kube::Client`].

mod connect;
mod resource;
mod lister_watcher;
mod decode;

pub use connect::{ConnectError, connect};
pub use lister_watcher::ApiListerWatcher;
pub use resource::{KindError, WatchedResource, find_kind};

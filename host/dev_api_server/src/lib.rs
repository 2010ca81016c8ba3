//! An in-memory Kubernetes API server for `informerd dev` and for tests.
//!
//! Clients reach it over plain HTTP like any cluster: discovery, list with pages, watch with
//! bookmarks and initial events, writes, CustomResourceDefinitions. In its own process there are
//! [`Storage`], to write objects with, and [`ManifestsDir`], which keeps them like a directory of
//! manifests. Nothing is validated against a schema, nobody is authenticated, no controller runs.
//!
//! ```text
//! api_server ─ http ─┬─ discovery ── resources
//!                    ├─ list, watch ─ view, selectors ─┐
//!                    └─ writes ─ patch ────────────────┴─ storage ◀─ manifests
//! ```

mod api_server;
mod discovery;
mod http;
mod list;
mod manifests;
mod patch;
mod resources;
mod selectors;
mod status;
mod storage;
mod view;
mod watch;
mod writes;

pub use api_server::{ApiServer, Settings};
pub use manifests::ManifestsDir;
pub use status::Status;
pub use storage::Storage;

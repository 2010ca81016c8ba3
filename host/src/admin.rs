//! The admin API of a running host and the commands that speak it: which handlers there are and how they
//! stand, and what an operator may do to them without a restart.
//!
//! HTTP and JSON, over a unix socket for whoever the host runs as, and over TCP for whom the cluster
//! says so. `docs/admin.md` is for its users.

mod wire;
mod refusal;
mod access;
mod token_review;
mod routes;
mod handler_routes;
mod cache_routes;
mod connections;
mod unix_socket;
mod tls;
mod server;
mod client;
mod commands;
mod table;

pub use commands::{Output, run_command};
pub use server::{AdminServer, AdminSettings, TcpSettings};
pub use unix_socket::default_socket;

//! The server as clients see it, over real HTTP; one file per kind of request.

#![allow(clippy::unwrap_used, reason = "a test fails where what it relies on is not so")]

mod client;
mod discovery;
mod lists;
mod manifests;
mod server;
mod watches;
mod writes;

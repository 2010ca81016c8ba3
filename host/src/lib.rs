//! The host: Kubernetes informers on one end, sandboxed handler modules on the other.
#![warn(missing_docs)]

pub mod config;
pub mod host;
pub mod admin;
pub mod api_server;
pub mod access;
pub mod modules;
pub mod handlers;
pub mod guest;
mod json_pointer;
mod label_selector;
mod health;
mod metrics;
pub mod output;
pub mod inspect;
pub mod scaffold;

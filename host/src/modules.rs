//! Modules from elsewhere: fetched, verified, and then bytes in memory.
//!
//! in:   a [`ModuleSource`], and what the operator allows ([`FetchPolicy`])
//! out:  [`FetchedModule`]: what was verified is what is loaded
//! runs: in the caller's task; a few at once.
//!
//! What is in the bytes is no concern here: this knows neither handlers nor wasm.

mod digest;
mod source;
mod policy;
mod error;
mod http;
mod credentials;
mod registry;
mod artifact;
mod signature;
mod fetch;

pub use credentials::{DockerConfig, DockerConfigError};
pub use digest::Digest;
pub use error::FetchError;
pub use fetch::{FetchLimits, FetchedModule, ModuleFetcher};
pub use policy::{FetchPolicy, PolicyError};
pub use source::{Location, ModuleSource, OciReference};

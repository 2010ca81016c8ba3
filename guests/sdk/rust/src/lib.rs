//! Write handlers for informerd in Rust.
//!
//! A handler is a type with the trait [`Handler`]; [`export!`] makes a module of the crate it stands in.
//!
//! ```
//! use informerd_handler::{Failure, Handler, Object, Watch, info};
//!
//! struct Phases;
//!
//! impl Handler for Phases {
//!     fn watches() -> Vec<Watch> {
//!         vec![Watch::all("v1", "Pod")]
//!     }
//!
//!     fn new() -> Result<Self, String> {
//!         Ok(Phases)
//!     }
//!
//!     fn on_update(&mut self, old: Object<'_>, new: Object<'_>) -> Result<(), Failure> {
//!         let (before, after) = (old.get_string("/status/phase"), new.get_string("/status/phase"));
//!         if before != after {
//!             info!("{} is {}", new.key(), after.as_deref().unwrap_or("without a phase"));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! informerd_handler::export!(Phases);
//! ```
//!
//! The order of calls, and what can be relied on, is in the contract, `wit/handler.wit`; every method here says what
//! is different in Rust. Features:
//!
//! - `std` (default): errors implement `std::error::Error`. Without it the crate is `no_std` with `alloc`.
//! - `serde`: [`Object::parse`] and [`config::parse`] read into your own types.
//! - `k8s-openapi`: [`Watch::kind`] names what to watch by a type of k8s-openapi, and `parse` reads it.
//!
//! Handlers are tested with plain `cargo test`: off wasm, [`testing`] is the host.
#![no_std]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(any(feature = "std", not(target_family = "wasm")))]
extern crate std;

#[doc(hidden)]
pub mod bindings;
mod host;
mod key;
mod watch;
mod object;
mod cache;
mod failure;
mod handler;
mod export;
pub mod config;
pub mod log;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use bindings::{Failure, ObjectKey, Retry, Watch};
pub use cache::{Cache, CacheError, List, Page, Pages};
pub use handler::Handler;
pub use object::Object;

/// What [`export!`] expands to.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::exports::informerd::handler::handler::Guest;
    pub use crate::bindings::informerd::handler::types::Ticket;
    pub use crate::bindings::{Failure, ObjectKey, Watch, export_handler_module};
    pub use crate::export::Instance;
    pub use alloc::string::String;
    pub use alloc::vec::Vec;
}

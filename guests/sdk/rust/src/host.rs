//! The functions of the host: the contract's imports in a module, [`crate::testing`] elsewhere.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::informerd::handler::{cache, config, log, objects};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::host::{cache, config, log, objects};

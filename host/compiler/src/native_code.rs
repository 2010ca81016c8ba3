//! Native code → a component that runs. The one place with unsafe code: wasmtime cannot tell whether
//! bytes are what it compiled itself, and runs whatever they say.
//!
//! Why they are: they come from a child that this process started, from its own program, by a pipe that
//! nobody else has ([`crate::child`]). Either they go straight here, or through a file in between that only
//! this user can write, in a folder that only this user can write, and whose content still has the digest
//! that it had ([`crate::cache`]); such a file is never written again, only replaced and deleted as a whole.
//! A user who writes there has other ways to become this process.
#![allow(unsafe_code, reason = "wasmtime takes our word for what it is to run")]

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::{Engine, Result};

/// What the child has just written.
pub(crate) fn of_child(engine: &Engine, output: &[u8]) -> Result<Component> {
    // SAFETY: as above, the first way.
    unsafe { Component::deserialize(engine, output) }
}

/// Maps a file of the cache, so that all who use it share its pages.
pub(crate) fn of_file(engine: &Engine, checked: &Path) -> Result<Component> {
    // SAFETY: as above, the second way.
    unsafe { Component::deserialize_file(engine, checked) }
}

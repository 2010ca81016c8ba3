//! Compiles WebAssembly of anybody to native code, where it can do no harm: in a child process with
//! limits, whose results are kept in a folder that is ours alone.
//!
//! in:   a module's bytes
//! out:  a component that wasmtime runs, or which limit kept it from being compiled
//! runs: as tasks of the caller; the child is the caller's own program, see [`run_child`].
#![warn(missing_docs)]

mod component_compiler;
mod child;
mod limited;
mod limits;
mod cache;
mod key;
mod native_code;

pub use child::CompileError;
pub use component_compiler::{ComponentCompiler, Counts, Settings};
pub use limited::run_child;
pub use limits::{ChildLimits, Limits};

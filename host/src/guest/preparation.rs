//! A module of any form → a component that may be compiled, or what is wrong with it.
//!
//! in:   bytes, from anybody
//! out:  a component; it is as little trusted as the bytes
//! runs: in the child that compiles.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use wasmparser::{Validator, WasmFeatures};
use wasmtime::{Engine, Module};

use super::componentize;
use super::contract_names::TEXTS;
use super::pre_scan::{self, Excess, Problem};

/// Why a module is not compiled. Each says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Something else than wasm.
    #[error("not a WebAssembly module: it starts with {start}, not with `\\0asm`{hint}")]
    NotWasm {
        /// The first bytes.
        start: String,
        /// What it looks like, and what to do then; may be empty.
        hint: String,
    },
    /// More of it than may be.
    #[error(transparent)]
    TooLarge(Excess),
    /// Only valid where more of WebAssembly is turned on.
    #[error(
        "it uses a feature of WebAssembly that is off here: {0}; build it without (off are 64-bit \
         memories, threads and shared memory, relaxed SIMD, garbage-collected types, exceptions and \
         component-model async)"
    )]
    FeatureOff(String),
    /// What compilers without component tooling give, and not what a component can be made of.
    #[error("a core module that is no handler: {0} (see wit/CORE-MODULES.md)")]
    CoreModule(String),
    /// Damaged.
    #[error("not a valid component: {0}")]
    Invalid(String),
}

/// The component that a module is, or that is made of it.
pub(super) fn component<'a>(engine: &Engine, module: &'a [u8]) -> Result<Cow<'a, [u8]>, Refusal> {
    match module {
        [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => {
            scan(module, Refusal::Invalid)?;
            Ok(Cow::Borrowed(module))
        }
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            let not_valid = |error| Refusal::CoreModule(format!("it is not valid: {error}"));
            scan(module, not_valid)?;
            // Before there is a component around it, in which nobody finds what the error tells of.
            Module::validate(engine, module).map_err(|error| invalid(module, &error, not_valid))?;
            Ok(Cow::Owned(componentize::component(module).map_err(Refusal::CoreModule)?))
        }
        other => Err(not_wasm(other)),
    }
}

/// What makes the component of a module, besides the module: other texts may make another component.
pub(super) fn texts(module: &[u8]) -> &'static [&'static str] {
    static OF_CORE_MODULES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let ours = [
            include_str!("componentize.rs"),
            include_str!("contract_names.rs"),
            include_str!("wasi/quiet_p1.wat"),
        ];
        ours.into_iter().chain(TEXTS.iter().map(|(_, text)| *text)).collect()
    });
    match module {
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => &OF_CORE_MODULES,
        _ => &[],
    }
}

/// What an error of wasmtime about a module says about it.
pub(super) fn invalid(
    module: &[u8],
    error: &wasmtime::Error,
    otherwise: impl FnOnce(String) -> Refusal,
) -> Refusal {
    let error = error.root_cause().to_string();
    match Validator::new_with_features(WasmFeatures::all()).validate_all(module) {
        Ok(_) => Refusal::FeatureOff(error),
        Err(_) => otherwise(error),
    }
}

fn scan(module: &[u8], not_valid: impl FnOnce(String) -> Refusal) -> Result<(), Refusal> {
    pre_scan::check(module).map_err(|problem| match problem {
        Problem::Excess(excess) => Refusal::TooLarge(excess),
        Problem::Invalid(error) => not_valid(error.to_string()),
    })
}

fn not_wasm(bytes: &[u8]) -> Refusal {
    let start = &bytes[..bytes.len().min(12)];
    let hint = match bytes {
        [] => ": it is empty",
        [0x7f, b'E', b'L', b'F', ..] => {
            ": it is native code, perhaps a compiled .cwasm; give the .wasm that it was made of"
        }
        [0x1f, 0x8b, ..] => ": it is compressed; unpack it with gunzip",
        [b'(' | b';', ..] => ": it looks like the text form; assemble it with `wasm-tools parse`",
        [b'\0', b'a', b's', b'm', ..] => {
            ": it is of a version of WebAssembly that is not known here, or damaged"
        }
        _ => "",
    };
    Refusal::NotWasm { start: format!("`{}`", start.escape_ascii()), hint: hint.to_owned() }
}

#[cfg(test)]
mod tests;

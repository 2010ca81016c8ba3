//! A compiled handler module: bytes → checked, compiled and linked, ready to be instantiated.

use std::borrow::Cow;
use std::sync::Arc;

use informer::QueueKind;
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::bindings::HandlerModulePre;
use super::componentize;
use super::contract::{ContractVersion, Interfaces, Problems};
use super::engine::GuestEngine;
use super::imports::GuestState;
use super::shared_guest::StartError;

/// A module from which instances are made. Clones share it.
#[derive(Clone)]
pub struct GuestModule {
    pub(super) engine: GuestEngine,
    pub(super) linked: Arc<Linked>,
    interfaces: Interfaces,
}

/// Checked, and ready to be instantiated.
pub(super) enum Linked {
    /// Of the contract's world.
    Handler(HandlerModulePre<GuestState>),
    /// A program with a main function, which talks as `wit/STDIN.md` says.
    Command(CommandPre<GuestState>),
}

/// What a module says itself that it watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchDeclaration {
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// Empty: all of them, or a cluster-scoped kind.
    pub namespaces: Vec<String>,
    /// In the server's syntax; empty selects everything.
    pub label_selector: String,
    /// In the server's syntax; empty selects everything.
    pub field_selector: String,
    /// The order in which its changes come.
    pub queue: QueueKind,
}

/// Why a module cannot be used. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Something else than wasm.
    #[error("not a WebAssembly module: it starts with {start}, not with `\\0asm`")]
    NotWasm {
        /// The first bytes.
        start: String,
    },
    /// What compilers without component tooling give, and not what a component can be made of.
    #[error("a core module that is no handler: {0} (see wit/CORE-MODULES.md)")]
    CoreModule(String),
    /// Damaged, or it uses wasm features that are off here.
    #[error("not a valid component: {0}")]
    Invalid(String),
    /// A component that is no handler.
    #[error(
        "a component of another world than informerd:handler/handler-module@{version}: {problems}",
        version = ContractVersion::HOST
    )]
    OtherWorld {
        /// All that is missing or too much.
        problems: Problems,
    },
    /// A handler, but of another version of the contract.
    #[error(
        "built against version {built} of the contract, and this informerd runs version {host}: \
         build it against {host} (wit/), or use the informerd that it was built for",
        host = ContractVersion::HOST
    )]
    OtherVersion {
        /// What its names say.
        built: ContractVersion,
    },
    /// It trapped, or refused its configuration, before the first notification.
    #[error("failed to start: {0}")]
    Start(#[from] StartError),
}

impl GuestModule {
    /// Checks, compiles and links a module of any form. Blocks for as long as compiling takes: a fraction
    /// of a second for Rust, 20 s for a JavaScript or Python runtime.
    pub fn compile(engine: &GuestEngine, wasm: &[u8]) -> Result<Self, ModuleError> {
        Self::examine(engine, wasm).and_then(|(_, module)| module)
    }

    /// As [`GuestModule::compile`]; of a component that is no handler, it still tells what it imports and
    /// exports.
    pub fn examine(
        engine: &GuestEngine,
        wasm: &[u8],
    ) -> Result<(Interfaces, Result<Self, ModuleError>), ModuleError> {
        let wasm = match wasm {
            [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Cow::Borrowed(wasm),
            [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => {
                Cow::Owned(componentize::component(wasm).map_err(ModuleError::CoreModule)?)
            }
            other => {
                let start = other[..other.len().min(12)].escape_ascii().to_string();
                return Err(ModuleError::NotWasm { start: format!("`{start}`") });
            }
        };
        let component = Component::new(&engine.engine, &wasm)
            .map_err(|error| ModuleError::Invalid(error.root_cause().to_string()))?;
        let interfaces = Interfaces::of(&engine.engine, &component);
        let linked = link(engine, &component, &interfaces);
        Ok((
            interfaces.clone(),
            linked.map(|linked| Self {
                engine: engine.clone(),
                linked: Arc::new(linked),
                interfaces,
            }),
        ))
    }

    /// What it imports and exports.
    pub fn interfaces(&self) -> &Interfaces {
        &self.interfaces
    }
}

fn link(
    engine: &GuestEngine,
    component: &Component,
    interfaces: &Interfaces,
) -> Result<Linked, ModuleError> {
    match interfaces.contract() {
        Some(built) if !built.is_of_this_line() => return Err(ModuleError::OtherVersion { built }),
        _ => {}
    }
    let problems = interfaces.problems();
    if !problems.is_empty() {
        return Err(ModuleError::OtherWorld { problems });
    }
    let other_types = |error: wasmtime::Error| {
        let hint = match interfaces.contract() {
            Some(built) if built > ContractVersion::HOST => {
                format!(
                    "use a newer informerd, or build it against wit/ of {}",
                    ContractVersion::HOST
                )
            }
            _ => "generate its bindings anew from wit/".to_owned(),
        };
        ModuleError::OtherWorld { problems: Problems(vec![format!("{error:#}: {hint}")]) }
    };
    let linked: InstancePre<GuestState> =
        engine.linker.instantiate_pre(component).map_err(other_types)?;
    Ok(match interfaces.is_command() {
        true => Linked::Command(CommandPre::new(linked).map_err(other_types)?),
        false => Linked::Handler(HandlerModulePre::new(linked).map_err(other_types)?),
    })
}

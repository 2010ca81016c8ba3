//! A compiled handler module: bytes → checked, compiled and linked, ready to be instantiated.

use std::sync::Arc;

use informer::QueueKind;
use wasmtime::component::{Component, InstancePre};

use super::bindings::HandlerModulePre;
use super::contract::{ContractVersion, Interfaces, Problems};
use super::engine::GuestEngine;
use super::imports::GuestState;
use super::shared_guest::StartError;

/// A module from which instances are made. Clones share it.
#[derive(Clone)]
pub struct GuestModule {
    pub(super) engine: GuestEngine,
    pub(super) pre: Arc<HandlerModulePre<GuestState>>,
    interfaces: Interfaces,
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
    /// What compilers without component tooling give.
    #[error(
        "a core module, not a component: build it for wasm32-wasip2, or turn it into a component \
         with `wasm-tools component new`"
    )]
    CoreModule,
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
    /// Checks, compiles and links a component. Blocks for as long as compiling takes: a fraction
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
        match wasm {
            [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => {}
            [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => return Err(ModuleError::CoreModule),
            other => {
                let start = other[..other.len().min(12)].escape_ascii().to_string();
                return Err(ModuleError::NotWasm { start: format!("`{start}`") });
            }
        }
        let component = Component::new(&engine.engine, wasm)
            .map_err(|error| ModuleError::Invalid(error.root_cause().to_string()))?;
        let interfaces = Interfaces::of(&engine.engine, &component);
        let linked = link(engine, &component, &interfaces);
        Ok((
            interfaces.clone(),
            linked.map(|pre| Self { engine: engine.clone(), pre: Arc::new(pre), interfaces }),
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
) -> Result<HandlerModulePre<GuestState>, ModuleError> {
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
    HandlerModulePre::new(linked).map_err(other_types)
}

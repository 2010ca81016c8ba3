//! A compiled handler module: component → checked and linked, ready to be instantiated.

use std::sync::{Arc, Weak};

use ::compiler::CompileError;
use informer::QueueKind;
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::bindings::HandlerModulePre;
use super::compiler::compiled_here;
use super::contract::{ContractVersion, Interfaces, Problems};
use super::engine::GuestEngine;
use super::imports::GuestState;
use super::mappings::{Mapped, NoRoom, OF_MODULE, of_instance};
use super::preparation::Refusal;
use super::shared_guest::StartError;

/// A module from which instances are made. Clones share it.
#[derive(Clone)]
pub struct GuestModule {
    pub(super) engine: GuestEngine,
    checked: Arc<Checked>,
}

struct Checked {
    linked: Linked,
    interfaces: Interfaces,
    /// Of one instance.
    mappings: u32,
    _code: Mapped,
}

/// A module, as long as somebody else has it.
pub(super) struct WeakModule(Weak<Checked>);

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
    /// It is not one that is compiled.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be compiled.
    #[error(transparent)]
    NotCompiled(CompileError),
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
    /// It may work later: there is no room for it now.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// It trapped, or refused its configuration, before the first notification.
    #[error("failed to start: {0}")]
    Start(#[from] StartError),
}

impl GuestModule {
    /// Compiles a module in this process, without limits, and blocks for as long as it takes. Only for
    /// modules that are trusted, as tests and measurements do; [`Compiler`](super::Compiler) is for others.
    pub fn compile(engine: &GuestEngine, wasm: &[u8]) -> Result<Self, ModuleError> {
        Self::link(engine, &compiled_here(&engine.engine, wasm)?).1
    }

    /// Checks and links a component. Of one that is no handler, it still tells what it imports and exports.
    pub(super) fn link(
        engine: &GuestEngine,
        component: &Component,
    ) -> (Interfaces, Result<Self, ModuleError>) {
        let interfaces = Interfaces::of(&engine.engine, component);
        let module = link(engine, component, &interfaces).and_then(|linked| {
            let memories = component.resources_required().map_or(1, |it| it.num_memories);
            let checked = Checked {
                linked,
                interfaces: interfaces.clone(),
                mappings: of_instance(memories),
                _code: engine.mappings.try_take(OF_MODULE)?,
            };
            Ok(Self { engine: engine.clone(), checked: Arc::new(checked) })
        });
        (interfaces, module)
    }

    /// What it imports and exports.
    pub fn interfaces(&self) -> &Interfaces {
        &self.checked.interfaces
    }

    pub(super) fn linked(&self) -> &Linked {
        &self.checked.linked
    }

    /// That one instance takes.
    pub(super) fn mappings(&self) -> u32 {
        self.checked.mappings
    }

    pub(super) fn downgrade(&self) -> WeakModule {
        WeakModule(Arc::downgrade(&self.checked))
    }
}

impl WeakModule {
    pub(super) fn upgrade(&self, engine: &GuestEngine) -> Option<GuestModule> {
        Some(GuestModule { engine: engine.clone(), checked: self.0.upgrade()? })
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl From<CompileError> for ModuleError {
    fn from(error: CompileError) -> Self {
        if let CompileError::Refused(said) = &error
            && let Ok(refusal) = serde_json::from_slice(said)
        {
            return Self::Refused(refusal);
        }
        Self::NotCompiled(error)
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

//! A compiled handler module: bytes → checked, compiled and linked, ready to be instantiated.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use informer::QueueKind;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::bindings::HandlerModulePre;
use super::componentize;
use super::engine::GuestEngine;
use super::imports::GuestState;
use super::instance::CallError;

/// A module from which instances are made. Clones share it.
#[derive(Clone)]
pub struct GuestModule {
    pub(super) engine: GuestEngine,
    pub(super) linked: Arc<Linked>,
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
        version = CONTRACT_VERSION
    )]
    OtherWorld {
        /// All that is missing or too much.
        problems: Problems,
    },
    /// It trapped, or refused its configuration, before the first notification.
    #[error("failed to start: it {0}")]
    Start(#[from] CallError),
}

/// A list of complaints about a module.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl GuestModule {
    /// Checks, compiles and links a component. Blocks for as long as compiling takes: a fraction
    /// of a second for Rust, 20 s for a JavaScript or Python runtime.
    pub fn compile(engine: &GuestEngine, wasm: &[u8]) -> Result<Self, ModuleError> {
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
        let is_command = is_command(engine, &component);
        let problems = problems(engine, &component, is_command);
        if !problems.0.is_empty() {
            return Err(ModuleError::OtherWorld { problems });
        }
        let other_world = |error: wasmtime::Error| ModuleError::OtherWorld {
            problems: Problems(vec![format!("{error:#}")]),
        };
        let linked: InstancePre<GuestState> =
            engine.linker.instantiate_pre(&component).map_err(other_world)?;
        let linked = match is_command {
            true => Linked::Command(CommandPre::new(linked).map_err(other_world)?),
            false => Linked::Handler(HandlerModulePre::new(linked).map_err(other_world)?),
        };
        Ok(Self { engine: engine.clone(), linked: Arc::new(linked) })
    }
}

/// Whether the component is a program with a main function, and no handler.
fn is_command(engine: &GuestEngine, component: &Component) -> bool {
    let component_type = component.component_type();
    let exports = |prefix: &str| {
        component_type.exports(&engine.engine).any(|(name, _)| name.starts_with(prefix))
    };
    exports(COMMAND) && !exports(HANDLER)
}

/// What keeps the component from being a handler, as far as names tell; types are checked after.
fn problems(engine: &GuestEngine, component: &Component, is_command: bool) -> Problems {
    let component_type = component.component_type();
    let mut problems = Vec::new();
    let handler = format!("{HANDLER}{CONTRACT_VERSION}");
    match component_type.get_export(&engine.engine, &handler) {
        _ if is_command => {}
        Some(exported) => match exported.ty {
            ComponentItem::ComponentInstance(interface) => {
                let missing = HANDLER_FUNCTIONS
                    .iter()
                    .filter(|name| interface.get_export(&engine.engine, name).is_none());
                problems.extend(missing.map(|name| format!("missing export {handler}#{name}")));
            }
            _ => problems.push(format!("the export {handler} is no interface")),
        },
        None => {
            let missing = HANDLER_FUNCTIONS.iter().map(|name| format!("{handler}#{name}"));
            problems.push(format!("missing exports {}", missing.collect::<Vec<_>>().join(", ")));
            let exports = component_type.exports(&engine.engine).map(|(name, _)| name.to_owned());
            let exports = exports.collect::<Vec<_>>();
            problems.push(match exports.as_slice() {
                [] => "it exports nothing".to_owned(),
                exports => format!("it exports {}", exports.join(", ")),
            });
        }
    }
    let unknown = component_type
        .imports(&engine.engine)
        .map(|(name, _)| name)
        .filter(|name| !IMPORTED_PACKAGES.iter().any(|package| name.starts_with(package)));
    problems.extend(unknown.map(|name| format!("it imports {name}, which no handler may use")));
    Problems(problems)
}

/// The version of `wit/` that this host implements.
pub(super) const CONTRACT_VERSION: &str = "0.1.0";

/// What a handler exports, without its version.
const HANDLER: &str = "informerd:handler/handler@";

/// What a program with a main function exports, without its version.
const COMMAND: &str = "wasi:cli/run@";

/// The functions of the interface `handler`.
const HANDLER_FUNCTIONS: [&str; 6] =
    ["watches", "init", "on-add", "on-update", "on-delete", "on-synced"];

/// What a handler may import: the contract, and WASI without authority.
const IMPORTED_PACKAGES: [&str; 2] = ["informerd:handler/", "wasi:"];

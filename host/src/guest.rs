//! The guest end: a sandboxed handler module and the calls into it.

mod guest_handler;
mod shared_guest;
mod crash_loop;
mod live_guest;
mod instance;
mod command;
mod standard_streams;
mod stdin_protocol;
mod imports;
mod call_objects;
mod readable_cache;
mod module;
mod compiler;
mod preparation;
mod pre_scan;
mod componentize;
mod contract_names;
mod contract;
mod engine;
mod limits;
mod log_budget;
mod bindings;

pub use ::compiler::{ChildLimits, CompileError, Counts, Limits};
pub use compiler::{Compiler, CompilerSettings, compile_module};
pub use contract::{ContractVersion, Interface, Interfaces, Problems};
pub(crate) use crash_loop::{AfterFailure, CrashLoop};
pub use engine::GuestEngine;
pub use guest_handler::GuestHandler;
pub use instance::CallError;
pub use limits::GuestLimits;
pub use module::{GuestModule, ModuleError, WatchDeclaration};
pub use pre_scan::Excess;
pub(crate) use pre_scan::MODULE_BYTES_MAX;
pub use preparation::Refusal;
pub use readable_cache::{OWNER_INDEX, ReadableCollection, owners};
pub use shared_guest::{SharedGuest, StartError, StartedGuest};

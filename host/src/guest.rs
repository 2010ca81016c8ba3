//! The guest end: a sandboxed handler module and the calls into it.

mod guest_handler;
mod shared_guest;
mod live_guest;
mod instance;
mod call_meter;
mod slow_lane;
mod command;
mod standard_streams;
mod stdin_protocol;
mod imports;
mod call_objects;
mod readable_cache;
mod module;
mod componentize;
mod contract_names;
mod contract;
mod engine;
mod limits;
mod guest_log;
mod log_budget;
mod bindings;

pub use contract::{ContractVersion, Interface, Interfaces, Problems};
pub use engine::GuestEngine;
pub use guest_handler::GuestHandler;
pub use instance::{CallError, host_bugs};
pub use limits::GuestLimits;
pub use module::{GuestModule, ModuleError, WatchDeclaration};
pub use readable_cache::{OWNER_INDEX, ReadableCollection, owners};
pub use shared_guest::{SharedGuest, StartError};
pub(crate) use slow_lane::guest_threads;

//! Handlers: what is in the handlers directory, and what runs because of it.

mod spec;
mod limits_spec;
mod quantity;
mod directory;
mod running_handler;
mod registry;

pub use directory::{HandlerFile, LoadError, read_directory};
pub use limits_spec::{LimitsSpec, read_ceilings};
pub use registry::HandlerRegistry;
pub(crate) use running_handler::read_module;
pub use running_handler::{HandlerState, HandlerStatus};
pub(crate) use spec::validate_name;
pub use spec::{DeliverySpec, GrantsSpec, HandlerSpec, ReadGrant, WatchSpec};

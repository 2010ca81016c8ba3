//! Handlers: what the handlers directory and custom resources describe, and what runs because of it.

mod definition;
mod spec;
mod limits_spec;
mod quantity;
mod directory;
mod directory_watch;
mod custom_resources;
mod module_fetch;
mod status;
mod registry;
mod supervisor;
mod generation;
mod module_pace;
mod resources;
mod secrets;
mod quarantine;
mod compile_turns;

pub use custom_resources::{HANDLER_CRD, HandlerResources, ResourcePolicy, ResourcesState};
pub use definition::{DefinitionSource, HandlerDefinition, ModuleFile};
pub use directory::{LoadError, read_definition, read_directory};
pub use directory_watch::HandlersDirectory;
pub use limits_spec::{LimitsSpec, read_ceilings};
pub use registry::{HandlerRegistry, NameTaken};
pub(crate) use spec::validate_name;
pub use spec::{
    DeliverySpec, GrantsSpec, HandlerSpec, OnReload, ReadGrant, SecretKeyRef, SecretValue,
    WatchSpec,
};
pub use status::{HandlerState, HandlerStatus};

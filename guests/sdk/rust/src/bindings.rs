//! The contract in `wit/` as Rust types, and nothing else.
#![allow(missing_docs, reason = "the contract documents what it documents")]

wit_bindgen::generate!({
    path: "wit",
    world: "handler-module",
    std_feature,
    pub_export_macro: true,
    export_macro_name: "export_handler_module",
    default_bindings_module: "informerd_handler::bindings",
});

pub use informerd::handler::types::{Failure, ObjectKey, Retry, Watch};

//! Breaks the promise to start: init refuses every configuration with an error that quotes it.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::config;

struct RefusesConfig;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(RefusesConfig);

impl Guest for RefusesConfig {
    fn watches() -> Vec<Watch> {
        Vec::new()
    }

    fn init() -> Result<(), String> {
        Err(format!("no configuration is good enough, not even {}", config::json()))
    }

    fn on_add(_key: ObjectKey, _object: Ticket, _initial: bool) -> Result<(), Failure> {
        unreachable!("called after a refusal")
    }

    fn on_update(_key: ObjectKey, _old: Ticket, _new: Ticket) -> Result<(), Failure> {
        unreachable!("called after a refusal")
    }

    fn on_delete(_key: ObjectKey, _last: Ticket, _unknown: bool) -> Result<(), Failure> {
        unreachable!("called after a refusal")
    }

    fn on_synced() -> Result<(), Failure> {
        unreachable!("called after a refusal")
    }
}

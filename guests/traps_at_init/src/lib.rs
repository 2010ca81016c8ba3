//! Breaks the promise to start: traps (panics) in init, so no instance ever gets to a notification.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};

struct TrapsAtInit;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(TrapsAtInit);

impl Guest for TrapsAtInit {
    fn watches() -> Vec<Watch> {
        Vec::new()
    }

    fn init() -> Result<(), String> {
        panic!("asked to trap at init")
    }

    fn on_add(_key: ObjectKey, _object: Ticket, _initial: bool) -> Result<(), Failure> {
        unreachable!("called without init")
    }

    fn on_update(_key: ObjectKey, _old: Ticket, _new: Ticket) -> Result<(), Failure> {
        unreachable!("called without init")
    }

    fn on_delete(_key: ObjectKey, _last: Ticket, _unknown: bool) -> Result<(), Failure> {
        unreachable!("called without init")
    }

    fn on_synced() -> Result<(), Failure> {
        unreachable!("called without init")
    }
}

//! Breaks the promise not to trap: panics in on-add when the object's name starts with `trap`,
//! otherwise logs the object's name.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Level, log};

struct Trap;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(Trap);

impl Guest for Trap {
    fn watches() -> Vec<Watch> {
        Vec::new()
    }

    fn init() -> Result<(), String> {
        Ok(())
    }

    fn on_add(key: ObjectKey, _object: Ticket, _initial: bool) -> Result<(), Failure> {
        assert!(!key.name.starts_with("trap"), "asked to trap by {}", key.name);
        log(Level::Info, &format!("added {}", key.name), &[]);
        Ok(())
    }

    fn on_update(key: ObjectKey, _old: Ticket, _new: Ticket) -> Result<(), Failure> {
        log(Level::Info, &format!("updated {}", key.name), &[]);
        Ok(())
    }

    fn on_delete(key: ObjectKey, _last: Ticket, _unknown: bool) -> Result<(), Failure> {
        log(Level::Info, &format!("deleted {}", key.name), &[]);
        Ok(())
    }

    fn on_synced() -> Result<(), Failure> {
        Ok(())
    }
}

//! Breaks the promise to log with measure: each on-add logs `LINES` numbered lines at info.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Level, log};

struct LogFlood;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(LogFlood);

impl Guest for LogFlood {
    fn watches() -> Vec<Watch> {
        Vec::new()
    }

    fn init() -> Result<(), String> {
        Ok(())
    }

    fn on_add(key: ObjectKey, _object: Ticket, _initial: bool) -> Result<(), Failure> {
        for line in 1..=LINES {
            log(Level::Info, &format!("{} line {line}", key.name), &[]);
        }
        Ok(())
    }

    fn on_update(_key: ObjectKey, _old: Ticket, _new: Ticket) -> Result<(), Failure> {
        Ok(())
    }

    fn on_delete(_key: ObjectKey, _last: Ticket, _unknown: bool) -> Result<(), Failure> {
        Ok(())
    }

    fn on_synced() -> Result<(), Failure> {
        Ok(())
    }
}

/// Fewer than the host calls that one call may make.
const LINES: u32 = 9_000;

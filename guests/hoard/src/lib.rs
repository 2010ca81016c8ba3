//! Breaks the promise to stay within its memory: allocates without end in on-add when the object's
//! name starts with `hoard`, otherwise logs the object's name.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Level, log};
use std::hint::black_box;

struct Hoard;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(Hoard);

impl Guest for Hoard {
    fn watches() -> Vec<Watch> {
        Vec::new()
    }

    fn init() -> Result<(), String> {
        Ok(())
    }

    fn on_add(key: ObjectKey, _object: Ticket, _initial: bool) -> Result<(), Failure> {
        let mut hoarded = Vec::new();
        while key.name.starts_with("hoard") {
            // Not zero, so that every page is touched.
            hoarded.push(black_box(vec![1u8; PIECE]));
        }
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

/// Bytes allocated at a time: a few pages, so that the limit is reached closely.
const PIECE: usize = 256 * 1024;

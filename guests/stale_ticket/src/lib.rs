//! Breaks the promise to forget tickets: keeps the ticket of its instance's first notification and
//! reads through it in each later one. Should the host answer, the answer is logged as an error.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Level, log};
use informerd::handler::objects;
use std::cell::Cell;

struct StaleTicket;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(StaleTicket);

impl Guest for StaleTicket {
    fn watches() -> Vec<Watch> {
        Vec::new()
    }

    fn init() -> Result<(), String> {
        Ok(())
    }

    fn on_add(_key: ObjectKey, object: Ticket, _initial: bool) -> Result<(), Failure> {
        keep_or_use(object);
        Ok(())
    }

    fn on_update(_key: ObjectKey, _old: Ticket, new: Ticket) -> Result<(), Failure> {
        keep_or_use(new);
        Ok(())
    }

    fn on_delete(_key: ObjectKey, last: Ticket, _unknown: bool) -> Result<(), Failure> {
        keep_or_use(last);
        Ok(())
    }

    fn on_synced() -> Result<(), Failure> {
        Ok(())
    }
}

fn keep_or_use(ticket: Ticket) {
    let Some(first) = FIRST.get() else {
        FIRST.set(Some(ticket));
        log(Level::Info, "kept the ticket", &[]);
        return;
    };
    let answer = objects::get(first, "/metadata/name");
    log(Level::Error, &format!("the stale ticket was answered: {answer:?}"), &[]);
}

thread_local! {
    static FIRST: Cell<Option<Ticket>> = const { Cell::new(None) };
}

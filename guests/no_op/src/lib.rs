//! Watches every Pod and does nothing: what a call itself costs. With the configuration
//! `{"read": "/status/phase"}` it reads that one value of the newest state in each call.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::{config, objects};
use std::cell::OnceCell;
use std::hint::black_box;

struct NoOp;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(NoOp);

impl Guest for NoOp {
    fn watches() -> Vec<Watch> {
        vec![Watch {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespaces: Vec::new(),
            label_selector: String::new(),
            field_selector: String::new(),
        }]
    }

    fn init() -> Result<(), String> {
        match (config::get("read"), config::get_string("read")) {
            (None, _) => Ok(()),
            (_, Some(pointer)) => {
                READ.with(|read| read.set(pointer)).map_err(|_| "init was called twice".into())
            }
            (Some(other), None) => Err(format!("read: expected a JSON pointer, found {other}")),
        }
    }

    fn on_add(_key: ObjectKey, object: Ticket, _initial: bool) -> Result<(), Failure> {
        read(object);
        Ok(())
    }

    fn on_update(_key: ObjectKey, _old: Ticket, new: Ticket) -> Result<(), Failure> {
        read(new);
        Ok(())
    }

    fn on_delete(_key: ObjectKey, last: Ticket, _unknown: bool) -> Result<(), Failure> {
        read(last);
        Ok(())
    }

    fn on_synced() -> Result<(), Failure> {
        Ok(())
    }
}

fn read(object: Ticket) {
    READ.with(|read| {
        if let Some(pointer) = read.get() {
            black_box(objects::get(object, pointer));
        }
    });
}

thread_local! {
    static READ: OnceCell<String> = const { OnceCell::new() };
}

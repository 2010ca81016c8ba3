//! Logs which keys of a ConfigMap came, went or changed. Never a value: ConfigMaps hold secrets
//! more often than they should.

mod diff;

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use crate::diff::{Contents, diff};
use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Level, log};
use informerd::handler::objects;

struct ConfigMapDiff;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(ConfigMapDiff);

impl Guest for ConfigMapDiff {
    fn watches() -> Vec<Watch> {
        vec![Watch {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespaces: Vec::new(),
            label_selector: String::new(),
            field_selector: String::new(),
        }]
    }

    fn init() -> Result<(), String> {
        Ok(())
    }

    fn on_add(key: ObjectKey, _object: Ticket, initial: bool) -> Result<(), Failure> {
        let how = if initial { "is there" } else { "was added" };
        log(Level::Info, &format!("{} {how}", name(&key)), &[]);
        Ok(())
    }

    fn on_update(key: ObjectKey, old: Ticket, new: Ticket) -> Result<(), Failure> {
        let changes = diff(&contents(old)?, &contents(new)?);
        if !changes.is_empty() {
            log(Level::Info, &format!("{}: {changes}", name(&key)), &[]);
        }
        Ok(())
    }

    fn on_delete(key: ObjectKey, _last: Ticket, _unknown: bool) -> Result<(), Failure> {
        log(Level::Info, &format!("{} was deleted", name(&key)), &[]);
        Ok(())
    }

    fn on_synced() -> Result<(), Failure> {
        Ok(())
    }
}

fn contents(object: Ticket) -> Result<Contents, Failure> {
    let data = objects::get(object, "/data");
    let binary_data = objects::get(object, "/binaryData");
    Contents::parse(data.as_deref(), binary_data.as_deref())
        .map_err(|reason| Failure::Permanent(reason.into()))
}

fn name(key: &ObjectKey) -> String {
    format!("{}/{}", key.namespace.as_deref().unwrap_or_default(), key.name)
}

//! Tells of pods that crash-loop or do not start, tells once when they recover, and keeps a table
//! of phases and restarts for each namespace. `report.rs` decides, this file connects it.

mod config;
mod pod;
mod report;

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use crate::config::Config;
use crate::pod::PodStatus;
use crate::report::{Line, PodKey, Reporter, Seen, Severity};
use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Level, log};
use informerd::handler::objects;
use std::cell::RefCell;

struct PodReporter;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(PodReporter);

impl Guest for PodReporter {
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
        let config = Config::parse(&informerd::handler::config::json())?;
        REPORTER.set(Reporter::new(config));
        Ok(())
    }

    fn on_add(key: ObjectKey, object: Ticket, initial: bool) -> Result<(), Failure> {
        see(&key, object, if initial { Seen::Initially } else { Seen::Live })
    }

    fn on_update(key: ObjectKey, old: Ticket, new: Ticket) -> Result<(), Failure> {
        let is_resync = objects::key(old).resource_version == key.resource_version;
        see(&key, new, if is_resync { Seen::Again } else { Seen::Live })
    }

    fn on_delete(key: ObjectKey, _last: Ticket, unknown: bool) -> Result<(), Failure> {
        write(REPORTER.with_borrow_mut(|reporter| reporter.forget(&pod_key(&key), unknown)));
        Ok(())
    }

    fn on_synced() -> Result<(), Failure> {
        write(REPORTER.with_borrow_mut(Reporter::tables));
        Ok(())
    }
}

fn see(key: &ObjectKey, object: Ticket, seen: Seen) -> Result<(), Failure> {
    let json = objects::get(object, "/status");
    let status = PodStatus::parse(json.as_deref().unwrap_or("{}")).map_err(Failure::Permanent)?;
    write(REPORTER.with_borrow_mut(|reporter| reporter.see(&pod_key(key), &status, seen)));
    Ok(())
}

fn pod_key(key: &ObjectKey) -> PodKey<'_> {
    PodKey {
        namespace: key.namespace.as_deref().unwrap_or_default(),
        name: &key.name,
        uid: &key.uid,
        resource_version: &key.resource_version,
    }
}

fn write(lines: Vec<Line>) {
    for Line { severity, text } in lines {
        let level = match severity {
            Severity::Info => Level::Info,
            Severity::Warn => Level::Warn,
        };
        log(level, &text, &[]);
    }
}

thread_local! {
    static REPORTER: RefCell<Reporter> = RefCell::default();
}

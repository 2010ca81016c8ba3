//! Logs each notification at info as one line of JSON, read back by tests: see `Line`.
//!
//! The configuration `{"fail": "retry", "failName": "a", "times": 2, "afterMs": 10}` makes the
//! first two notifications of objects named `a` fail, with `retry` or `permanent`, after they were
//! logged. `times` is 1 and `afterMs` is none unless given. A new instance counts afresh.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Level, log};
use informerd::handler::types::Retry;
use informerd::handler::{config, objects};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

struct Recorder;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(Recorder);

/// One notification. A field that the event does not have is left out.
#[derive(Default, Serialize)]
struct Line {
    /// `add`, `update`, `delete` or `synced`.
    event: &'static str,
    /// For example `v1/Pod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    /// As the key says.
    #[serde(skip_serializing_if = "Option::is_none")]
    rv: Option<String>,
    /// As the object says: of `old` in an update, of `last` in a delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_rv: Option<String>,
    /// As the object says: of `object` in an add, of `new` in an update.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_rv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    final_state_unknown: Option<bool>,
    /// The failure that the notification is about to be answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<Kind>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    fail: Option<Kind>,
    fail_name: Option<String>,
    times: Option<u32>,
    after_ms: Option<u32>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Retry,
    Permanent,
}

impl Guest for Recorder {
    fn watches() -> Vec<Watch> {
        Vec::new()
    }

    fn init() -> Result<(), String> {
        let mut config: Config =
            serde_json::from_str(&config::json()).map_err(|error| error.to_string())?;
        if config.fail.is_some() != config.fail_name.is_some() {
            return Err("fail and failName go together".into());
        }
        config.times.get_or_insert(1);
        CONFIG.replace(config);
        Ok(())
    }

    fn on_add(key: ObjectKey, object: Ticket, initial: bool) -> Result<(), Failure> {
        let new_rv = resource_version(object);
        record(&key, Line { event: "add", new_rv, initial: Some(initial), ..Line::default() })
    }

    fn on_update(key: ObjectKey, old: Ticket, new: Ticket) -> Result<(), Failure> {
        let (old_rv, new_rv) = (resource_version(old), resource_version(new));
        record(&key, Line { event: "update", old_rv, new_rv, ..Line::default() })
    }

    fn on_delete(key: ObjectKey, last: Ticket, unknown: bool) -> Result<(), Failure> {
        let (old_rv, final_state_unknown) = (resource_version(last), Some(unknown));
        record(&key, Line { event: "delete", old_rv, final_state_unknown, ..Line::default() })
    }

    fn on_synced() -> Result<(), Failure> {
        write(&Line { event: "synced", ..Line::default() });
        Ok(())
    }
}

fn record(key: &ObjectKey, line: Line) -> Result<(), Failure> {
    let failing = CONFIG.with_borrow_mut(|config| config.spend_failure(&key.name));
    let separator = if key.group.is_empty() { "" } else { "/" };
    write(&Line {
        kind: Some(format!("{}{separator}{}/{}", key.group, key.version, key.kind)),
        key: Some(match &key.namespace {
            Some(namespace) => format!("{namespace}/{}", key.name),
            None => key.name.clone(),
        }),
        uid: Some(key.uid.clone()),
        rv: Some(key.resource_version.clone()),
        failing: failing.as_ref().map(|(kind, _)| *kind),
        ..line
    });
    match failing {
        None => Ok(()),
        Some((_, failure)) => Err(failure),
    }
}

fn write(line: &Line) {
    match serde_json::to_string(line) {
        Ok(json) => log(Level::Info, &json, &[]),
        Err(error) => {
            log(Level::Error, &format!("a notification could not be written: {error}"), &[])
        }
    }
}

/// None if the object has none, or one that is not a string.
fn resource_version(object: Ticket) -> Option<String> {
    objects::get_string(object, "/metadata/resourceVersion")
}

impl Config {
    fn spend_failure(&mut self, name: &str) -> Option<(Kind, Failure)> {
        let kind = self.fail?;
        let times = self.times.filter(|left| *left > 0)?;
        if self.fail_name.as_deref() != Some(name) {
            return None;
        }
        self.times = Some(times - 1);
        let reason = format!("asked to fail, {} more to come", times - 1);
        let failure = match kind {
            Kind::Retry => Failure::Retry(Retry { after_ms: self.after_ms, reason }),
            Kind::Permanent => Failure::Permanent(reason),
        };
        Some((kind, failure))
    }
}

thread_local! {
    static CONFIG: RefCell<Config> = RefCell::default();
}

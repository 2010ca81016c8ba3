//! The trail.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::config::{Config, Detail};
use crate::conversation::{Failure, Key, Line, log};
use crate::failing::Failing;
use crate::object::Object;

pub(crate) struct Audit {
    config: Config,
    failing: Failing,
    /// Lines written.
    seq: u32,
}

impl Audit {
    pub(crate) fn new(config: Option<&RawValue>) -> Result<Self, String> {
        let config = Config::parse(config)?;
        let mut fields = Map::new();
        fields.insert("pointers".to_owned(), text(config.report.len()));
        fields.insert("page".to_owned(), text(config.page));
        log("debug", "ready", fields);
        Ok(Self { config, failing: Failing::default(), seq: 0 })
    }

    pub(crate) fn watches(&self) -> Value {
        json!([{ "apiVersion": self.config.api_version, "kind": self.config.kind }])
    }

    /// Types that later versions of the host may have are fine, and skipped.
    pub(crate) fn handle(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        match (&*line.r#type, &line.key, line.object, line.old, line.new, line.last) {
            ("add", Some(key), Some(object), ..) => {
                let initial = ("initial", line.is_in_initial_list);
                self.on_add_or_delete("added", key, object, initial)
            }
            ("update", Some(key), _, Some(old), Some(new), _) => self.on_update(key, old, new),
            ("delete", Some(key), .., Some(last)) => {
                let unknown = ("finalStateUnknown", line.final_state_unknown);
                self.on_add_or_delete("deleted", key, last, unknown)
            }
            ("synced", ..) => {
                let mut fields = Map::new();
                fields.insert("seq".to_owned(), self.next_seq());
                log("info", "synced", fields);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_add_or_delete(
        &mut self,
        what: &str,
        key: &Key,
        object: Object<'_>,
        (flag, is_set): (&str, bool),
    ) -> Result<(), Failure> {
        self.fail_on_request(key, object)?;
        let mut fields = self.fields(key, object);
        fields.insert(flag.to_owned(), text(is_set));
        for pointer in self.config.pointers() {
            fields.insert(pointer.clone(), shown(object.get(pointer)).into());
        }
        log("info", &format!("{what} {key}"), fields);
        Ok(())
    }

    fn on_update(&mut self, key: &Key, old: Object<'_>, new: Object<'_>) -> Result<(), Failure> {
        self.fail_on_request(key, new)?;
        let mut fields = self.fields(key, new);
        let mut has_changed = self.config.detail == Detail::Key;
        for pointer in self.config.pointers() {
            let (before, after) = (old.get(pointer), new.get(pointer));
            if before != after {
                let change = format!("{} -> {}", shown(before), shown(after));
                fields.insert(pointer.clone(), change.into());
                has_changed = true;
            }
        }
        match has_changed {
            true => log("info", &format!("updated {key}"), fields),
            false => log("debug", &format!("unchanged {key}"), fields),
        }
        Ok(())
    }

    fn fail_on_request(&mut self, key: &Key, object: Object<'_>) -> Result<(), Failure> {
        match self.config.detail {
            Detail::Key => Ok(()),
            Detail::Fields | Detail::Whole => self.failing.check(key, object),
        }
    }

    /// What every line about an object has.
    fn fields(&mut self, key: &Key, object: Object<'_>) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("seq".to_owned(), self.next_seq());
        fields.insert("uid".to_owned(), key.uid.clone().into());
        fields.insert("resourceVersion".to_owned(), key.resource_version.clone().into());
        if self.config.detail == Detail::Whole {
            let labels = object.get("/metadata/labels").unwrap_or_default();
            let labels = serde_json::from_str::<HashMap<String, IgnoredAny>>(labels);
            fields.insert("bytes".to_owned(), text(object.json().len()));
            fields.insert("labels".to_owned(), text(labels.map_or(0, |labels| labels.len())));
        }
        fields
    }

    fn next_seq(&mut self) -> Value {
        self.seq += 1;
        text(self.seq)
    }
}

/// A value as it is written.
fn shown(value: Option<&str>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(value) if value.len() > VALUE_MAX => format!("({} bytes)", value.len()),
        Some(value) => value.to_owned(),
    }
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

/// Longer values are only measured.
const VALUE_MAX: usize = 256;

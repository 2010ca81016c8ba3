//! The audit trail in Rust, as `../README.md` describes it. `config.rs` reads what is to be reported,
//! `failing.rs` fails on request, this file writes the trail.

mod config;
mod failing;

use std::collections::BTreeMap;

use informerd_handler::log::{Level, log};
use informerd_handler::{Cache, Failure, Handler, Object, Watch};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::config::{Config, Detail};
use crate::failing::Failing;

struct Audit {
    config: Config,
    failing: Failing,
    /// Lines written.
    seq: u32,
}

informerd_handler::export!(Audit);

impl Handler for Audit {
    fn watches() -> Vec<Watch> {
        let (api_version, kind) = config::watched();
        vec![Watch::all(api_version, kind)]
    }

    fn new() -> Result<Self, String> {
        let config = Config::read()?;
        let pointers = config.report.len().to_string();
        let page = config.page.to_string();
        log(Level::Debug, "ready", &[("pointers", &pointers), ("page", &page)]);
        Ok(Self { config, failing: Failing::default(), seq: 0 })
    }

    fn on_add(&mut self, object: Object<'_>, is_in_initial_list: bool) -> Result<(), Failure> {
        self.fail_on_request(&object)?;
        let mut line = self.line(&object);
        line.add("initial", is_in_initial_list.to_string());
        line.add_whole(&object, self.config.detail);
        self.add_values(&mut line, &object);
        line.write(Level::Info, &format!("added {}", object.key()));
        Ok(())
    }

    fn on_update(&mut self, old: Object<'_>, new: Object<'_>) -> Result<(), Failure> {
        self.fail_on_request(&new)?;
        let mut line = self.line(&new);
        if self.config.detail == Detail::Whole {
            line.add("newest", is_newest(&new).to_string());
        }
        line.add_whole(&new, self.config.detail);
        let mut has_changed = self.config.detail == Detail::Key;
        for pointer in self.config.pointers() {
            let (before, after) = (old.get(pointer), new.get(pointer));
            if before != after {
                line.add(pointer, format!("{} -> {}", shown(before), shown(after)));
                has_changed = true;
            }
        }
        match has_changed {
            true => line.write(Level::Info, &format!("updated {}", new.key())),
            false => line.write(Level::Debug, &format!("unchanged {}", new.key())),
        }
        Ok(())
    }

    fn on_delete(&mut self, last: Object<'_>, final_state_unknown: bool) -> Result<(), Failure> {
        self.fail_on_request(&last)?;
        let mut line = self.line(&last);
        line.add("finalStateUnknown", final_state_unknown.to_string());
        line.add_whole(&last, self.config.detail);
        self.add_values(&mut line, &last);
        line.write(Level::Info, &format!("deleted {}", last.key()));
        Ok(())
    }

    fn on_synced(&mut self, cache: Cache<'_>) -> Result<(), Failure> {
        let (api_version, kind) = config::watched();
        let (mut objects, mut pages) = (0, 0);
        let list = cache.list(api_version, kind).labels(config::label_selector());
        for page in list.page_size(self.config.page).pages() {
            objects += page?.len();
            pages += 1;
        }
        let mut line = Line::default();
        line.add("seq", self.next_seq());
        line.add("objects", objects.to_string());
        line.add("pages", pages.to_string());
        line.write(Level::Info, "synced");
        Ok(())
    }
}

impl Audit {
    fn fail_on_request(&mut self, object: &Object<'_>) -> Result<(), Failure> {
        match self.config.detail {
            Detail::Key => Ok(()),
            Detail::Fields | Detail::Whole => self.failing.check(object),
        }
    }

    /// A line with what every line about an object begins with.
    fn line(&mut self, object: &Object<'_>) -> Line {
        let mut line = Line::default();
        line.add("seq", self.next_seq());
        line.add("uid", object.key().uid.clone());
        line.add("resourceVersion", object.key().resource_version.clone());
        line
    }

    fn next_seq(&mut self) -> String {
        self.seq += 1;
        self.seq.to_string()
    }

    fn add_values(&self, line: &mut Line, object: &Object<'_>) {
        for pointer in self.config.pointers() {
            line.add(pointer, shown(object.get(pointer)));
        }
    }
}

/// Whether the cache has no other state of the object by now.
fn is_newest(object: &Object<'_>) -> bool {
    let key = object.key();
    let namespace = key.namespace.as_deref();
    let cached = object.cache().get(&key.api_version(), &key.kind, namespace, &key.name);
    cached.is_some_and(|it| it.key().resource_version == key.resource_version)
}

/// A value as it is written.
fn shown(value: Option<String>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(value) if value.len() > VALUE_MAX => format!("({} bytes)", value.len()),
        Some(value) => value,
    }
}

/// What `labels` is counted by.
#[derive(Deserialize)]
struct Labelled {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: Option<BTreeMap<String, IgnoredAny>>,
}

/// The fields of a line.
#[derive(Default)]
struct Line(Vec<(String, String)>);

impl Line {
    fn add(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    fn add_whole(&mut self, object: &Object<'_>, detail: Detail) {
        if detail != Detail::Whole {
            return;
        }
        let json = object.json();
        self.add("bytes", json.len().to_string());
        let labels = serde_json::from_str::<Labelled>(&json).ok().and_then(|it| it.metadata.labels);
        self.add("labels", labels.map_or(0, |labels| labels.len()).to_string());
    }

    fn write(self, level: Level, message: &str) {
        let fields: Vec<(&str, &str)> =
            self.0.iter().map(|(name, value)| (&**name, &**value)).collect();
        log(level, message, &fields);
    }
}

/// Longer values are only measured.
const VALUE_MAX: usize = 256;

//! Reports the labels of config maps: a plain program that reads lines and prints lines.

use std::io::{self, BufRead as _};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What is read of a line; the rest is skipped.
#[derive(Deserialize)]
struct Line {
    id: u64,
    r#type: String,
    key: Option<Key>,
    object: Option<Object>,
    old: Option<Object>,
    new: Option<Object>,
}

#[derive(Deserialize)]
struct Key {
    namespace: Option<String>,
    name: String,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    labels: Option<Box<RawValue>>,
}

fn main() {
    for line in io::stdin().lock().lines() {
        let line: Line = serde_json::from_str(&line.expect("there is a next line"))
            .expect("the line is as promised");
        let mut answer = match &*line.r#type {
            "init" => json!({ "result": "ok", "watches": [
                { "apiVersion": "v1", "kind": "ConfigMap" },
            ] }),
            _ => handle(&line),
        };
        answer["id"] = line.id.into();
        println!("{answer}");
    }
}

fn handle(line: &Line) -> Value {
    let name = line.key.as_ref().map(Key::to_string).unwrap_or_default();
    match (&*line.r#type, &line.old, line.object.as_ref().or(line.new.as_ref())) {
        ("add", _, Some(object)) => {
            log(&format!("added {name} {}", object.labels()));
            object.answer()
        }
        ("update", Some(old), Some(new)) => {
            if old.labels() != new.labels() {
                log(&format!("relabelled {name} {}", new.labels()));
            }
            new.answer()
        }
        ("delete", ..) => {
            log(&format!("deleted {name}"));
            json!({ "result": "ok" })
        }
        _ => {
            log("synced");
            json!({ "result": "ok" })
        }
    }
}

fn log(message: &str) {
    println!("{}", json!({ "log": "info", "message": message }));
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Object {
    fn labels(&self) -> &str {
        self.metadata.labels.as_ref().map_or("none", |labels| labels.get())
    }

    /// Fine, unless the label `fail` says how to fail.
    fn answer(&self) -> Value {
        let labels: Value = serde_json::from_str(self.labels()).unwrap_or_default();
        match labels["fail"].as_str() {
            Some("permanent") => json!({ "result": "permanent", "reason": "asked to fail" }),
            Some("trap") => panic!("asked to trap"),
            _ => json!({ "result": "ok" }),
        }
    }
}

//! Calls every function of the contract, and logs what it was told and answered. Watches ConfigMaps.
//!
//! An object named `later` is answered with retry once, one named `refused` with permanent. The configuration
//! `task` makes it do too much instead: take `tickets`, make `calls`, pass `bytes`.
//!
//! `tests/contract/` keeps compiled versions of it: they must be understood for ever.

wit_bindgen::generate!({ path: "../../wit", world: "handler-module" });

use exports::informerd::handler::handler::{Failure, Guest, ObjectKey, Ticket, Watch};
use informerd::handler::log::{Field, Level, log};
use informerd::handler::types::Retry;
use informerd::handler::{cache, config, objects};
use std::cell::Cell;

struct Tour;

// A native linker refuses the names of the exports.
#[cfg(target_family = "wasm")]
export!(Tour);

impl Guest for Tour {
    fn watches() -> Vec<Watch> {
        let namespaces = config::get_string("namespace").into_iter().collect();
        vec![Watch {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespaces,
            label_selector: String::new(),
            field_selector: String::new(),
        }]
    }

    fn init() -> Result<(), String> {
        say(&format!(
            "init: config {} number {:?} text {:?} absent {:?} {:?}; {} cached",
            config::json(),
            config::get("number"),
            config::get_string("text"),
            config::get("absent"),
            config::get_string("number"),
            names(cache::list_objects("v1", "ConfigMap", None, "", 0, None)),
        ));
        Ok(())
    }

    fn on_add(key: ObjectKey, object: Ticket, initial: bool) -> Result<(), Failure> {
        match config::get_string("task").as_deref() {
            Some("tickets") => loop {
                cached(&key);
            },
            Some("calls") => loop {
                objects::get(object, "/metadata");
            },
            Some("bytes") => log(Level::Info, &"x".repeat(3 << 20), &[]),
            _ => {}
        }
        say(&format!("add {} initial {initial}: {}", name(&key), read(object)));
        say(&format!("cache: {}", look_around(&key)));
        match &*key.name {
            "refused" => Err(Failure::Permanent("asked to refuse".into())),
            "later" if !RETRIED.replace(true) => {
                Err(Failure::Retry(Retry { after_ms: Some(1), reason: "asked to retry".into() }))
            }
            _ => Ok(()),
        }
    }

    fn on_update(key: ObjectKey, old: Ticket, new: Ticket) -> Result<(), Failure> {
        say(&format!("update {}: {} -> {}", name(&key), read(old), read(new)));
        Ok(())
    }

    fn on_delete(key: ObjectKey, last: Ticket, unknown: bool) -> Result<(), Failure> {
        let cached = if cached(&key).is_some() { "still" } else { "not" };
        let last = read(last);
        say(&format!("delete {} unknown {unknown}: {last}, {cached} in the cache", name(&key)));
        Ok(())
    }

    fn on_synced() -> Result<(), Failure> {
        say("synced");
        Ok(())
    }
}

/// The value, and whether the ways to read it agree.
fn read(object: Ticket) -> String {
    let json = objects::json(object);
    let value = objects::get(object, "/data/value");
    let agree = objects::get(object, "").as_ref() == Some(&json)
        && json.contains(&objects::key(object).uid)
        && objects::get(object, "/absent").is_none()
        && objects::get_string(object, "/data").is_none()
        && objects::get_string(object, "/metadata/name") == Some(objects::key(object).name);
    format!("{value:?} {:?} agree {agree}", objects::get_string(object, "/data/value"))
}

/// What the cache has of this object and beside it.
fn look_around(key: &ObjectKey) -> String {
    let namespace = key.namespace.as_deref();
    let list = |selector: &str, limit, cursor: Option<&str>| {
        cache::list_objects("v1", &key.kind, namespace, selector, limit, cursor)
    };
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        match list("", 1, cursor.as_deref()) {
            Ok(page) => {
                cursor.clone_from(&page.cursor);
                pages.push(names(Ok(page)));
            }
            Err(problem) => pages.push(problem),
        }
        if cursor.is_none() {
            break;
        }
    }
    format!(
        "itself {}; pages {}; red {}; by namespace {}; by owner {}; secrets {}; bad selector {}; bad index {}",
        cached(key).map_or("absent".into(), |found| objects::key(found).name),
        pages.join(" "),
        names(list("color=red", 500, None)),
        names(cache::list_by_index("v1", &key.kind, "namespace", namespace.unwrap_or(""), 0, None)),
        names(cache::list_by_index("v1", &key.kind, "owner", "nobody", 0, None)),
        names(cache::list_objects("v1", "Secret", None, "", 0, None)),
        names(list("color in red", 0, None)),
        names(cache::list_by_index("v1", &key.kind, "color", "red", 0, None)),
    )
}

fn cached(key: &ObjectKey) -> Option<Ticket> {
    cache::get(&key.version, &key.kind, key.namespace.as_deref(), &key.name)
}

/// The names in a page, which is then given back.
fn names(page: Result<cache::Page, String>) -> String {
    match page {
        Ok(page) => {
            let names = page.objects.iter().map(|it| objects::key(*it).name).collect::<Vec<_>>();
            cache::release(&page.objects);
            format!("[{}]", names.join(" "))
        }
        Err(problem) => format!("({problem})"),
    }
}

fn name(key: &ObjectKey) -> String {
    let ObjectKey { group, version, kind, name, .. } = key;
    format!("{group}/{version}/{kind} {}/{name}", key.namespace.as_deref().unwrap_or(""))
}

fn say(text: &str) {
    log(Level::Info, text, &[Field { name: "by".into(), value: "tour".into() }]);
}

thread_local! {
    static RETRIED: Cell<bool> = const { Cell::new(false) };
}

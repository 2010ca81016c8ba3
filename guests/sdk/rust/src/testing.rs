//! The host of tests that run on the machine itself, with plain `cargo test`.
//!
//! ```
//! use informerd_handler::{Failure, Handler, Object, info, testing};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn new() -> Result<Self, String> {
//!         Ok(Hello)
//!     }
//!     fn on_add(&mut self, object: Object<'_>, _: bool) -> Result<(), Failure> {
//!         info!("hello {}", object.key());
//!         Ok(())
//!     }
//! }
//!
//! let pod = testing::object(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"}}"#);
//! let mut handler = Hello::new().unwrap();
//! handler.on_add(pod, false).unwrap();
//! assert_eq!(testing::take_log()[0].message, "hello web");
//! ```
//!
//! Each thread has a host of its own, so tests do not meet. It is simpler than the real one: values are spelled
//! as serde_json spells them, its cache knows every object that the thread has made, the newest of a name last, and
//! selectors and indices are answered with an error. What it must be exact about, the real host shows:
//! `informerd dev`.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::mem;

use serde_json::Value;

use crate::log::Level;
use crate::{Object, ObjectKey};

/// One line that was logged.
#[derive(Clone, Debug)]
pub struct Line {
    /// How important it is.
    pub level: Level,
    /// The message.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

/// An object of this text. Panics if it is no JSON object with a name: that is a mistake in the test.
pub fn object(json: &str) -> Object<'static> {
    let value: Value = serde_json::from_str(json).expect("the object of a test is JSON");
    assert!(text(&value, "/metadata/name").is_some(), "the object of a test has a metadata.name");
    let ticket = HOST.with_borrow_mut(|host| {
        host.objects.push(value);
        host.objects.len() - 1
    });
    Object::new(u32::try_from(ticket).expect("a test makes fewer objects"), None)
}

/// Sets the handler's configuration, a JSON object. Panics if it is none: that is a mistake in the test.
pub fn set_config(json: &str) {
    let config: Value = serde_json::from_str(json).expect("the configuration of a test is JSON");
    assert!(config.is_object(), "the configuration of a test is a JSON object");
    HOST.with_borrow_mut(|host| host.config = config);
}

/// What was logged since the last time, oldest first.
pub fn take_log() -> Vec<Line> {
    HOST.with_borrow_mut(|host| mem::take(&mut host.log))
}

/// The cache, as a call would see it.
pub fn cache() -> crate::Cache<'static> {
    crate::Cache::new()
}

struct Host {
    /// By ticket.
    objects: Vec<Value>,
    config: Value,
    log: Vec<Line>,
}

std::thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host {
        objects: Vec::new(),
        config: Value::Object(serde_json::Map::new()),
        log: Vec::new(),
    });
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_string)
}

fn key_of(value: &Value) -> ObjectKey {
    let text = |pointer| text(value, pointer);
    let api_version = text("/apiVersion").unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    ObjectKey {
        group: group.to_string(),
        version: version.to_string(),
        kind: text("/kind").unwrap_or_default(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name").unwrap_or_default(),
        uid: text("/metadata/uid").unwrap_or_default(),
        resource_version: text("/metadata/resourceVersion").unwrap_or_default(),
    }
}

/// The newest object of each name of one kind, by ticket.
fn cached(api_version: &str, kind: &str) -> BTreeMap<(Option<String>, String), u32> {
    HOST.with_borrow(|host| {
        let keys = host.objects.iter().map(key_of).zip(0..);
        keys.filter(|(key, _)| key.kind == kind && key.api_version() == api_version)
            .map(|(key, ticket)| ((key.namespace, key.name), ticket))
            .collect()
    })
}

/// The contract's imports, with the signatures that wit-bindgen generates.
pub(crate) mod host {
    use super::{HOST, cached, key_of, text};
    use crate::ObjectKey;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use serde_json::Value;

    fn read<T>(ticket: u32, read: impl FnOnce(&Value) -> T) -> T {
        HOST.with_borrow(|host| {
            let object = host.objects.get(ticket as usize);
            read(object.expect("objects come from `testing::object` of the same thread"))
        })
    }

    pub(crate) mod objects {
        use super::*;

        pub(crate) fn key(object: u32) -> ObjectKey {
            read(object, key_of)
        }

        pub(crate) fn get(object: u32, pointer: &str) -> Option<String> {
            read(object, |value| value.pointer(pointer).map(Value::to_string))
        }

        pub(crate) fn get_string(object: u32, pointer: &str) -> Option<String> {
            read(object, |value| text(value, pointer))
        }

        pub(crate) fn json(object: u32) -> String {
            read(object, Value::to_string)
        }
    }

    pub(crate) mod config {
        use super::*;

        pub(crate) fn get(name: &str) -> Option<String> {
            HOST.with_borrow(|host| host.config.get(name).map(Value::to_string))
        }

        pub(crate) fn get_string(name: &str) -> Option<String> {
            HOST.with_borrow(|host| host.config.get(name)?.as_str().map(str::to_string))
        }

        pub(crate) fn json() -> String {
            HOST.with_borrow(|host| host.config.to_string())
        }
    }

    pub(crate) mod log {
        use super::*;
        use crate::bindings::informerd::handler::log::{Field, Level};
        use crate::testing::Line;

        pub(crate) fn log(level: Level, message: &str, fields: &[Field]) {
            let pair = |field: &Field| (field.name.clone(), field.value.clone());
            let fields = fields.iter().map(pair).collect();
            let line = Line { level, message: message.to_string(), fields };
            HOST.with_borrow_mut(|host| host.log.push(line));
        }
    }

    pub(crate) mod cache {
        use super::*;
        use crate::bindings::informerd::handler::cache::Page;

        pub(crate) fn get(
            api_version: &str,
            kind: &str,
            namespace: Option<&str>,
            name: &str,
        ) -> Option<u32> {
            let name = (namespace.map(str::to_string), name.to_string());
            cached(api_version, kind).get(&name).copied()
        }

        pub(crate) fn list_objects(
            api_version: &str,
            kind: &str,
            namespace: Option<&str>,
            label_selector: &str,
            limit: u32,
            cursor: Option<&str>,
        ) -> Result<Page, String> {
            if !label_selector.is_empty() {
                return Err("the host of tests knows no selectors".to_string());
            }
            let objects = cached(api_version, kind).into_iter();
            let wanted = objects
                .filter(|((in_namespace, _), _)| {
                    namespace.is_none_or(|it| in_namespace.as_deref() == Some(it))
                })
                .map(|(_, ticket)| ticket);
            let wanted: Vec<u32> = wanted.collect();
            let begin = cursor.and_then(|it| it.parse().ok()).unwrap_or(0).min(wanted.len());
            let limit = if limit == 0 { 500 } else { limit.min(500) as usize };
            let end = (begin + limit).min(wanted.len());
            let cursor = (end < wanted.len()).then(|| end.to_string());
            Ok(Page { objects: wanted[begin..end].to_vec(), cursor })
        }

        pub(crate) fn list_by_index(
            _api_version: &str,
            _kind: &str,
            _index: &str,
            _value: &str,
            _limit: u32,
            _cursor: Option<&str>,
        ) -> Result<Page, String> {
            Err("the host of tests knows no indices".to_string())
        }

        pub(crate) fn release(_objects: &[u32]) {}
    }
}

//! What flows through the pipeline: an object is the JSON that the server sent, plus the few
//! fields that the pipeline itself needs.
//!
//! An object is made once, where it enters, and shared from then on (`Arc<Object>`). Nothing here
//! reads the JSON: whoever wants a value of it asks for that value.

use std::fmt;
use std::sync::Arc;

use crate::json::Json;

/// `namespace/name`, or `name` for a cluster-scoped object. Cheap to clone.
///
/// client-go: `MetaNamespaceKeyFunc`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// The key of `name` in `namespace`; neither may contain a slash.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        match namespace {
            Some(namespace) => Self(format!("{namespace}/{name}").into()),
            None => Self(name.into()),
        }
    }

    /// None for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once('/').map(|(namespace, _)| namespace)
    }

    /// The object's name without its namespace.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The whole key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One state of one object.
#[derive(PartialEq, Eq)]
pub struct Object {
    /// Where the object stands in the cache.
    pub key: ObjectKey,
    /// Tells an object from its re-creation under the same key; may be empty.
    pub uid: Box<str>,
    /// The server's name for this state; opaque, compared for equality only; may be empty.
    pub resource_version: Box<str>,
    /// The whole object.
    pub json: Json,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.resource_version)
    }
}

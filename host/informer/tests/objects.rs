//! Objects as text: `a@5` is the object `a` at version 5, `web/a@5` stands in a namespace, and
//! `a#2@9` is `a` created again, so with another uid.

use std::sync::Arc;

use informer::{Object, ObjectKey};

pub(crate) fn object(text: &str) -> Arc<Object> {
    let (uid, resource_version) =
        text.split_once('@').expect("an object is written as name@version");
    Arc::new(Object {
        key: key(uid.split_once('#').map_or(uid, |(key, _)| key)),
        uid: uid.into(),
        resource_version: resource_version.into(),
        json: format!("{{\"object\":\"{text}\"}}").into(),
    })
}

pub(crate) fn key(text: &str) -> ObjectKey {
    match text.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(Some(namespace), name),
        None => ObjectKey::new(None, text),
    }
}

pub(crate) fn text(object: &Object) -> String {
    format!("{}@{}", object.uid, object.resource_version)
}

/// The objects as text, sorted.
pub(crate) fn texts(objects: impl IntoIterator<Item = Arc<Object>>) -> Vec<String> {
    let mut texts: Vec<_> = objects.into_iter().map(|object| text(&object)).collect();
    texts.sort();
    texts
}

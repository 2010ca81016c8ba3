//! Objects as text, for both sides: `a@5` is the object `a` at version 5, `web/a@5` stands in a
//! namespace, `a#2@9` is `a` created again, so with another uid, and `a@5=x` has the value `x`, which
//! transforms change and indices are over.

use std::sync::Arc;

use informer::{JsonText, Object, ObjectKey};

/// Reads an object.
pub(crate) fn object(text: &str) -> anyhow::Result<Arc<Object>> {
    let (uid, rest) = text
        .split_once('@')
        .ok_or_else(|| anyhow::anyhow!("an object is written as name@version, not as {text:?}"))?;
    let (version, value) = rest.split_once('=').unwrap_or((rest, ""));
    Ok(Arc::new(Object {
        key: key(uid.split_once('#').map_or(uid, |(key, _)| key)),
        uid: uid.into(),
        resource_version: version.into(),
        json: serde_json::json!({ "value": value }).to_string().into(),
    }))
}

/// Reads several objects.
pub(crate) fn objects(texts: &[String]) -> anyhow::Result<Vec<Arc<Object>>> {
    texts.iter().map(|text| object(text)).collect()
}

/// Reads a key.
pub(crate) fn key(text: &str) -> ObjectKey {
    match text.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(Some(namespace), name),
        None => ObjectKey::new(None, text),
    }
}

/// The object's value; empty if it has none.
pub(crate) fn value(object: &Object) -> String {
    let json = object.json.text().map(JsonText::into_string).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    json["value"].as_str().unwrap_or_default().to_owned()
}

/// The same object with another value.
pub(crate) fn with_value(object: &Object, value: &str) -> Arc<Object> {
    Arc::new(Object {
        key: object.key.clone(),
        uid: object.uid.clone(),
        resource_version: object.resource_version.clone(),
        json: serde_json::json!({ "value": value }).to_string().into(),
    })
}

/// Writes an object as [`object`] reads it.
pub(crate) fn text(object: &Object) -> String {
    let mut text = format!("{}@{}", object.uid, object.resource_version);
    let value = value(object);
    if !value.is_empty() {
        text.push('=');
        text.push_str(&value);
    }
    text
}

/// Writes objects in this order.
pub(crate) fn texts<'a>(objects: impl IntoIterator<Item = &'a Arc<Object>>) -> Vec<String> {
    objects.into_iter().map(|object| text(object)).collect()
}

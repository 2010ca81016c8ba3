//! The value at a JSON pointer (RFC 6901) in a text, without building a tree.
//!
//! One pass, up to the value: what is not on the way is skipped without recursing into it, so its depth does not matter.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::StrRead;
use serde_json::value::RawValue;

/// The text of the value; none if there is nothing, or the pointer is malformed.
pub(crate) fn get<'a>(json: &'a str, pointer: &str) -> Option<&'a str> {
    if pointer.is_empty() {
        return Some(json);
    }
    let path = pointer.strip_prefix('/')?;
    if path.split('/').nth(TOKENS_MAX).is_some() {
        return None;
    }
    let mut found = None;
    // What follows the wanted value is not read, so this "fails" where the value was found.
    let _ = Value { path: Some(path), found: &mut found }.deserialize(&mut reader(json));
    found
}

/// The text of the member, or element, of this name; none if there is none.
pub(crate) fn child<'a>(json: &'a str, token: &str) -> Option<&'a str> {
    let mut found = None;
    let value = Value { path: None, found: &mut found };
    let _ = reader(json).deserialize_any(Container { token: token.into(), value });
    found
}

fn reader(json: &str) -> serde_json::Deserializer<StrRead<'_>> {
    serde_json::Deserializer::from_str(json)
}

/// The string that a text stands for; none if it stands for something else.
pub(crate) fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// Each token of the way is a recursion. Deeper values can be had by reading a value above them.
const TOKENS_MAX: usize = 64;

/// A value on the way, or the one that is looked for.
struct Value<'p, 'f, 'a> {
    /// From here; none: it is this one.
    path: Option<&'p str>,
    found: &'f mut Option<&'a str>,
}

/// An object or array on the way, of which this member or element is the next value.
struct Container<'p, 'f, 'a> {
    token: Cow<'p, str>,
    value: Value<'p, 'f, 'a>,
}

impl<'a> DeserializeSeed<'a> for Value<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<(), D::Error> {
        let Some(path) = self.path else {
            *self.found = Some(<&RawValue>::deserialize(value)?.get());
            return Ok(());
        };
        let (token, path) = match path.split_once('/') {
            Some((token, path)) => (token, Some(path)),
            None => (path, None),
        };
        let token = match token.contains('~') {
            true => Cow::Owned(token.replace("~1", "/").replace("~0", "~")),
            false => Cow::Borrowed(token),
        };
        value.deserialize_any(Container { token, value: Value { path, ..self } })
    }
}

impl<'a> Visitor<'a> for Container<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            if key == self.token {
                return map.next_value_seed(self.value);
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let is_index = self.token == "0" || !self.token.starts_with(['0', '+']);
        let Some(index) = self.token.parse::<usize>().ok().filter(|_| is_index) else {
            return Ok(());
        };
        for _ in 0..index {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        seq.next_element_seed(self.value).map(drop)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::get;

    const JSON: &str = r#"{"a":{"b":[10,{"c":"d"},[]]},"m~n":1,"x/y":2,"\u0065":3,"":4,"n":null}"#;

    #[test]
    fn values_are_found_as_rfc_6901_says() {
        assert_eq!(get(JSON, ""), Some(JSON));
        assert_eq!(get(JSON, "/a/b/0"), Some("10"));
        assert_eq!(get(JSON, "/a/b/1/c"), Some("\"d\""));
        assert_eq!(get(JSON, "/a/b/2"), Some("[]"));
        assert_eq!(get(JSON, "/m~0n"), Some("1"));
        assert_eq!(get(JSON, "/x~1y"), Some("2"));
        assert_eq!(get(JSON, "/e"), Some("3"), "keys may be escaped");
        assert_eq!(get(JSON, "/"), Some("4"), "the empty key is a key");
        assert_eq!(get(JSON, "/n"), Some("null"));
    }

    #[test]
    fn what_is_not_there_is_none() {
        for pointer in ["a", "/b", "/a/b/3", "/a/b/-", "/a/b/01", "/a/b/+1", "/a/b/0/x", "/n/x"] {
            assert_eq!(get(JSON, pointer), None, "{pointer}");
        }
        assert_eq!(get("", "/a"), None);
        assert_eq!(get("{\"a\"", "/a"), None);
    }

    #[test]
    fn depth_is_no_limit() {
        let deep =
            format!("{{\"skip\":{0}1{1},\"a\":{0}1{1}}}", "[".repeat(9_999), "]".repeat(9_999));
        let under = get(&deep, &format!("/a{}", "/0".repeat(63)));
        assert_eq!(under.map(str::len), Some(2 * (9_999 - 63) + 1));
        assert_eq!(get(&deep, &format!("/a{}", "/0".repeat(64))), None);
    }
}

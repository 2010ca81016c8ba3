//! The parts of a text that is no JSON as a whole, found by brackets and strings alone: one bad value
//! (`NaN`, a raw line end, bytes that got lost) does not cost the others.
//!
//! What is found is a guess, and still has to be read.

use std::borrow::Cow;

use informer::ObjectKey;

use super::{Text, is_name};

/// The key of an object of which the rest cannot be read; none if in doubt.
pub(super) fn key(json: &str) -> Option<ObjectKey> {
    let metadata = member(json, "metadata")?;
    let name = member(metadata, "name").and_then(text)?;
    let namespace = match occurrences(metadata, "namespace")?.as_slice() {
        [] => None,
        ["null"] => None,
        [namespace] => Some(text(namespace)?).filter(|namespace| !namespace.is_empty()),
        _ => return None,
    };
    let is_key = !name.is_empty() && namespace.iter().chain([&name]).all(|name| is_name(name));
    is_key.then(|| ObjectKey::new(namespace.as_deref(), &name))
}

/// The text of the member of an object, if it is there once.
pub(super) fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    match occurrences(json, name)?.as_slice() {
        [value] => Some(value),
        _ => None,
    }
}

/// The elements of an array.
pub(super) fn elements(json: &str) -> Option<Vec<&str>> {
    parts(json, b'[')
}

/// A string's value.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str(json).ok().map(|Text(text)| text)
}

/// Every value that an object has under this name.
fn occurrences<'a>(json: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let members = parts(json, b'{')?.into_iter();
    let named = members.filter_map(|member| {
        let (key, value) = member.split_at(string_end(member)?);
        let value = value.trim_start().strip_prefix(':')?.trim();
        (text(key)? == name).then_some(value)
    });
    Some(named.collect())
}

/// Where the string with which the text begins has ended.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    let mut bytes = text.bytes().enumerate();
    bytes.next().filter(|(_, first)| *first == b'"')?;
    let end = bytes.find(|(_, byte)| {
        let is_end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    });
    end.map(|(end, _)| end + 1)
}

/// What stands between the commas of the object or array that the text begins with. None if it does
/// not begin with that bracket, or does not end.
fn parts(json: &str, open: u8) -> Option<Vec<&str>> {
    let json = json.trim();
    json.as_bytes().first().filter(|first| **first == open)?;
    let mut parts = Vec::new();
    let (mut depth, mut start, mut at) = (0, 1, 0);
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => at += string_end(&json[at..])? - 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 1 => {
                parts.push(json[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            parts.push(json[start..at].trim());
            parts.retain(|part| !part.is_empty());
            return Some(parts);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_around_what_is_no_json() {
        let json = r#" {"a":NaN, "b" : {"c":[1,{"d":"}\""}]},"e":\q,"f":"g,h","\u0069":2} "#;
        assert_eq!(member(json, "a"), Some("NaN"));
        assert_eq!(member(json, "b"), Some(r#"{"c":[1,{"d":"}\""}]}"#));
        assert_eq!(member(json, "e"), Some("\\q"));
        assert_eq!(member(json, "f"), Some("\"g,h\""));
        assert_eq!(member(json, "i"), Some("2"), "keys may be escaped");
        assert_eq!(member(json, "g"), None);
        assert_eq!(member(r#"{"a":1,"a":2}"#, "a"), None, "which of them?");
        assert_eq!(
            elements(r#"[{"a":[1,2]}, NaN,[] ]"#),
            Some(vec![r#"{"a":[1,2]}"#, "NaN", "[]"])
        );
        assert_eq!(elements("[]"), Some(vec![]));
        for cut in ["", "[", "[1", "[\"", "[\"]", "{}", "[{\"a\":[}"] {
            assert_eq!(elements(cut), None, "{cut}");
        }
    }

    #[test]
    fn a_key_is_found_if_there_is_no_doubt() {
        let key = |metadata: &str| {
            let key = key(&format!(r#"{{"kind":"Pod","metadata":{metadata},"spec":{{"x":NaN}}}}"#));
            key.map(|key| key.to_string())
        };
        assert_eq!(key(r#"{"name":"a","uid":7}"#).as_deref(), Some("a"));
        assert_eq!(key(r#"{"name":"a","namespace":null}"#).as_deref(), Some("a"));
        assert_eq!(key(r#"{"namespace":"n","x":nul,"name":"\u0061"}"#).as_deref(), Some("n/a"));
        for bad in [
            r#"{}"#,
            r#"null"#,
            r#"["n","a"]"#,
            r#"{"name":""}"#,
            r#"{"name":7}"#,
            r#"{"name":"a/b"}"#,
            r#"{"name":"a","namespace":".."}"#,
            r#"{"name":"a","namespace":7}"#,
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":"a","namespace":"n","namespace":"m"}"#,
            r#"{"name":"\ud800"}"#,
            r#"{"name":"a"},"metadata":{"name":"b"}"#,
            r#"{"name":"a""#,
        ] {
            assert_eq!(key(bad), None, "{bad}");
        }
    }
}

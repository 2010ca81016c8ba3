//! Values of an object, as the server spelled them.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One state of one object: the text that it came as.
#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(crate) struct Object<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Object<'a> {
    pub(crate) fn json(self) -> &'a str {
        self.0.get()
    }

    /// The JSON text at a JSON pointer, a string with its quotes.
    pub(crate) fn get(self, pointer: &str) -> Option<&'a str> {
        let mut value = self.0;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            value = match value.get().as_bytes().first() {
                Some(b'{') => parsed::<HashMap<String, &'a RawValue>>(value)?.remove(&step)?,
                Some(b'[') => *parsed::<Vec<&'a RawValue>>(value)?.get(index(&step)?)?,
                _ => return None,
            };
        }
        Some(value.get())
    }

    /// The string at a JSON pointer, without quotes and escapes.
    pub(crate) fn get_string(self, pointer: &str) -> Option<String> {
        serde_json::from_str(self.get(pointer)?).ok()
    }
}

fn parsed<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

fn index(step: &str) -> Option<usize> {
    let is_plain = step == "0" || !step.starts_with(['0', '+']);
    step.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_spelled_as_they_came() {
        let text = r#"{"a/b~c":[null,{"ü":"\u00e9"}],"n":1.50,"s":"a\"b"}"#;
        let object: Object<'_> = serde_json::from_str(text).unwrap();
        for (pointer, expected) in [
            ("", Some(text)),
            ("/a~1b~0c/0", Some("null")),
            ("/a~1b~0c/1/ü", Some(r#""\u00e9""#)),
            ("/n", Some("1.50")),
            ("/n/0", None),
            ("/a~1b~0c/01", None),
            ("/a~1b~0c/2", None),
            ("/none", None),
        ] {
            assert_eq!(object.get(pointer), expected, "{pointer}");
        }
        assert_eq!(object.get_string("/s").as_deref(), Some("a\"b"));
        assert_eq!(object.get_string("/n"), None);
    }
}

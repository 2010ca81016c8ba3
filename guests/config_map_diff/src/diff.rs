//! The difference between two states of a ConfigMap, by key.
//!
//! in: `data` and `binaryData` as JSON. out: the keys added, removed and changed.

use std::collections::BTreeMap;
use std::fmt;

/// What a ConfigMap holds. The API server allows a key in `data` or in `binaryData`, never in both.
#[derive(Default)]
pub(crate) struct Contents {
    values: BTreeMap<String, (Field, String)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Data,
    BinaryData,
}

/// Each list is sorted.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

impl Contents {
    /// The error does not quote the JSON, since it might quote a value.
    pub(crate) fn parse(
        data: Option<&str>,
        binary_data: Option<&str>,
    ) -> Result<Self, &'static str> {
        let mut contents = Self::default();
        contents.read(Field::Data, data).map_err(|_| "data is not a map of strings")?;
        contents
            .read(Field::BinaryData, binary_data)
            .map_err(|_| "binaryData is not a map of strings")?;
        Ok(contents)
    }

    fn read(&mut self, field: Field, json: Option<&str>) -> Result<(), serde_json::Error> {
        let values: Option<BTreeMap<String, String>> = serde_json::from_str(json.unwrap_or("{}"))?;
        for (key, value) in values.unwrap_or_default() {
            self.values.insert(key, (field, value));
        }
        Ok(())
    }
}

/// A key that moved between `data` and `binaryData` has changed.
pub(crate) fn diff(old: &Contents, new: &Contents) -> Changes {
    let mut changes = Changes::default();
    for (key, value) in &new.values {
        match old.values.get(key) {
            None => changes.added.push(key.clone()),
            Some(before) if before != value => changes.changed.push(key.clone()),
            Some(_) => {}
        }
    }
    let gone = old.values.keys().filter(|it| !new.values.contains_key(*it));
    changes.removed.extend(gone.cloned());
    changes
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists =
            [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        let mut separator = "";
        for (verb, keys) in lists.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            write!(f, "{separator}{verb} {}", keys.join(", "))?;
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(data: &str) -> Contents {
        Contents::parse(Some(data), None).unwrap()
    }

    #[test]
    fn keys_are_sorted_by_what_happened_to_them() {
        let old = contents(r#"{"gone":"1","kept":"1","new value":"1"}"#);
        let new = contents(r#"{"b":"1","a":"1","kept":"1","new value":"2"}"#);
        let changes = diff(&old, &new).to_string();
        assert_eq!(changes, "added a, b; removed gone; changed new value");
    }

    #[test]
    fn binary_data_counts_too() {
        let old = Contents::parse(None, Some(r#"{"logo":"AA==","moved":"AA=="}"#)).unwrap();
        let new = Contents::parse(Some(r#"{"moved":"AA=="}"#), Some(r#"{"logo":"AQ=="}"#)).unwrap();
        assert_eq!(diff(&old, &new).to_string(), "changed logo, moved");
    }

    #[test]
    fn nothing_and_null_are_empty() {
        assert!(diff(&Contents::default(), &contents("null")).is_empty());
        assert!(diff(&contents("{}"), &Contents::default()).is_empty());
    }

    #[test]
    fn an_error_quotes_no_value() {
        let error = Contents::parse(Some(r#"{"password":12345}"#), None).err().unwrap();
        assert_eq!(error, "data is not a map of strings");
    }
}

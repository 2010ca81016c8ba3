//! Kubernetes label selectors in text form, for objects in the cache.
//!
//! client-go: `labels.Parse` and `Selector.Matches` of apimachinery.

use std::collections::BTreeMap;

/// Every requirement must hold; none selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    GreaterThan(i64),
    LessThan(i64),
}

impl LabelSelector {
    /// Reads `app=web,tier in (a, b),!old`. An error quotes what it is about.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut in_parentheses = false;
        let terms = text.split(|c: char| {
            in_parentheses = (in_parentheses || c == '(') && c != ')';
            c == ',' && !in_parentheses
        });
        terms.map(|term| Requirement::parse(term.trim())).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn selects_all(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|it| it.operator.holds(labels.get(&it.key)))
    }
}

impl Requirement {
    fn parse(term: &str) -> Result<Self, String> {
        let requirement = |key: &str, operator| Ok(Self { key: label_key(key)?, operator });
        if let Some(key) = term.strip_prefix('!') {
            return requirement(key, Operator::DoesNotExist);
        }
        if let Some((head, values)) = term.split_once('(') {
            let malformed = || format!("{term:?} is not `key in (a, b)` or `key notin (a, b)`");
            let values = values.strip_suffix(')').ok_or_else(malformed)?;
            let values = values.split(',').map(label_value).collect::<Result<_, _>>()?;
            return match head.split_whitespace().collect::<Vec<_>>()[..] {
                [key, "in"] => requirement(key, Operator::In(values)),
                [key, "notin"] => requirement(key, Operator::NotIn(values)),
                _ => Err(malformed()),
            };
        }
        if let Some((key, value)) = term.split_once("!=") {
            requirement(key, Operator::NotIn(vec![label_value(value)?]))
        } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            requirement(key, Operator::In(vec![label_value(value)?]))
        } else if let Some((key, value)) = term.split_once('>') {
            requirement(key, Operator::GreaterThan(integer(value)?))
        } else if let Some((key, value)) = term.split_once('<') {
            requirement(key, Operator::LessThan(integer(value)?))
        } else {
            requirement(term, Operator::Exists)
        }
    }
}

impl Operator {
    fn holds(&self, value: Option<&String>) -> bool {
        let number = || value.and_then(|it| it.parse::<i64>().ok());
        match self {
            Self::In(values) => value.is_some_and(|it| values.contains(it)),
            Self::NotIn(values) => value.is_none_or(|it| !values.contains(it)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
            Self::GreaterThan(bound) => number().is_some_and(|it| it > *bound),
            Self::LessThan(bound) => number().is_some_and(|it| it < *bound),
        }
    }
}

/// `name`, or `prefix/name`.
fn label_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    let (prefix, name) = key.split_once('/').unwrap_or(("a", key));
    let is_prefix = !prefix.is_empty()
        && prefix.len() <= 253
        && prefix.bytes().all(|it| it.is_ascii_alphanumeric() || b"-.".contains(&it));
    match is_prefix && !name.is_empty() && is_label_text(name) {
        true => Ok(key.to_owned()),
        false => Err(format!("{key:?} is not a label key")),
    }
}

fn label_value(value: &str) -> Result<String, String> {
    let value = value.trim();
    match value.is_empty() || is_label_text(value) {
        true => Ok(value.to_owned()),
        false => Err(format!("{value:?} is not a label value")),
    }
}

fn is_label_text(text: &str) -> bool {
    let is_edge = |it: Option<u8>| it.is_some_and(|it| it.is_ascii_alphanumeric());
    text.len() <= 63
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it))
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
}

fn integer(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not an integer"))
}

#[cfg(test)]
mod tests {
    use super::LabelSelector;

    fn selects(selector: &str) -> bool {
        let labels = [("app", "web"), ("example.com/tier", "front"), ("n", "7"), ("empty", "")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        LabelSelector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn labels_are_selected_by_equality_by_set_and_by_number() {
        for selector in [
            "",
            "  ",
            "app=web",
            "app == web, example.com/tier!=back",
            "app in (db, web),n>6",
            "absent notin (x),n<8",
            "app,!absent,absent!=x",
            "empty=,empty in ()",
        ] {
            assert!(selects(selector), "{selector}");
        }
        for selector in
            ["app=db", "absent", "!app", "app notin (web,db)", "n<7", "app>1", "absent=", "app="]
        {
            assert!(!selects(selector), "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_quoted() {
        for (selector, quoted) in [
            ("a in b", "a in b"),
            ("a in (b", "a in (b"),
            ("a near (b)", "a near (b)"),
            ("=b", ""),
            ("a,,b", ""),
            ("a>x", "x"),
            ("a=b=c", "b=c"),
            ("a=-b", "-b"),
            ("/a", "/a"),
            ("a/b/c", "a/b/c"),
            ("ä=1", "ä"),
        ] {
            let error = LabelSelector::parse(selector).unwrap_err();
            assert!(error.starts_with(&format!("{quoted:?} is not")), "{selector} gave {error}");
        }
    }
}

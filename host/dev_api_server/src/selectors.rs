//! Selectors: which objects a list, a watch or a deletecollection is about.
//!
//! Label selectors follow apimachinery's grammar, equality and set-based. Field selectors accept
//! any dotted path of scalars, where a real server knows a few per kind.

use serde_json::Value;

use crate::status::Status;

/// Every requirement must hold; none selects everything.
#[derive(Debug, Default, Clone)]
pub(crate) struct Selectors {
    labels: Vec<LabelRequirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq)]
enum LabelRequirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
    GreaterThan(String, i64),
    LessThan(String, i64),
}

#[derive(Debug, Clone, PartialEq)]
struct FieldRequirement {
    path: Vec<String>,
    value: String,
    equal: bool,
}

impl Selectors {
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Selectors, Status> {
        let labels = terms(labels, ',').map(label_requirement).collect::<Result<_, _>>();
        let fields = terms(fields, ',').map(field_requirement).collect::<Result<_, _>>();
        let refused = |what, problem| {
            Status::bad_request(format!("unable to parse {what} selector: {problem}"))
        };
        Ok(Selectors {
            labels: labels.map_err(|problem| refused("label", problem))?,
            fields: fields.map_err(|problem| refused("field", problem))?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|it| it.matches(labels))
            && self.fields.iter().all(|it| it.matches(object))
    }
}

impl LabelRequirement {
    fn matches(&self, labels: &Value) -> bool {
        use LabelRequirement::*;
        let value = |key: &String| labels.get(key).and_then(Value::as_str);
        let number = |key| value(key).and_then(|it| it.parse::<i64>().ok());
        match self {
            In(key, values) => value(key).is_some_and(|it| values.iter().any(|other| it == other)),
            NotIn(key, values) => {
                value(key).is_none_or(|it| values.iter().all(|other| it != other))
            }
            Exists(key) => value(key).is_some(),
            DoesNotExist(key) => value(key).is_none(),
            GreaterThan(key, bound) => number(key).is_some_and(|it| it > *bound),
            LessThan(key, bound) => number(key).is_some_and(|it| it < *bound),
        }
    }
}

impl FieldRequirement {
    fn matches(&self, object: &Value) -> bool {
        let field = self.path.iter().try_fold(object, |value, part| value.get(part));
        let text = match field {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => String::new(),
            Some(scalar) => scalar.to_string(),
        };
        (text == self.value) == self.equal
    }
}

/// Splits at separators that are neither escaped nor in parentheses; nothing has no terms.
fn terms(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut depth, mut escaped) = (0_usize, false);
    let split = text.split(move |it: char| {
        let literal = escaped;
        escaped = it == '\\' && !literal;
        match it {
            '(' if !literal => depth += 1,
            ')' if !literal => depth = depth.saturating_sub(1),
            _ => {}
        }
        it == separator && depth == 0 && !literal
    });
    split.map(str::trim).filter(move |_| !text.trim().is_empty())
}

fn label_requirement(term: &str) -> Result<LabelRequirement, String> {
    use LabelRequirement::*;
    let not_a_requirement = || format!("{term:?} is not a requirement");
    if let Some(key) = term.strip_prefix('!') {
        return Ok(DoesNotExist(label_key(key)?));
    }
    if let Some((head, rest)) = term.split_once('(') {
        let values = rest.strip_suffix(')').ok_or_else(not_a_requirement)?;
        let values = values.split(',').map(label_value).collect::<Result<_, _>>()?;
        return match head.split_whitespace().collect::<Vec<_>>()[..] {
            [key, "in"] => Ok(In(label_key(key)?, values)),
            [key, "notin"] => Ok(NotIn(label_key(key)?, values)),
            _ => Err(not_a_requirement()),
        };
    }
    let number = |it: &str| it.trim().parse().map_err(|_| format!("{it:?} is not an integer"));
    if let Some((key, value)) = term.split_once("!=") {
        Ok(NotIn(label_key(key)?, vec![label_value(value)?]))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        Ok(In(label_key(key)?, vec![label_value(value)?]))
    } else if let Some((key, value)) = term.split_once('>') {
        Ok(GreaterThan(label_key(key)?, number(value)?))
    } else if let Some((key, value)) = term.split_once('<') {
        Ok(LessThan(label_key(key)?, number(value)?))
    } else {
        Ok(Exists(label_key(term)?))
    }
}

fn label_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    if key.is_empty() || !key.chars().all(|it| it.is_ascii_alphanumeric() || "-_./".contains(it)) {
        return Err(format!("{key:?} is not a label key"));
    }
    Ok(key.to_owned())
}

fn label_value(value: &str) -> Result<String, String> {
    let value = value.trim();
    if value.len() > 63 || !value.chars().all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it))
    {
        return Err(format!("{value:?} is not a label value"));
    }
    Ok(value.to_owned())
}

fn field_requirement(term: &str) -> Result<FieldRequirement, String> {
    let equals = term.split_once("!=").map(|(path, value)| (path, value, false));
    let equals = equals
        .or_else(|| term.split_once("==").map(|(path, value)| (path, value, true)))
        .or_else(|| term.split_once('=').map(|(path, value)| (path, value, true)));
    let (path, value, equal) = equals.ok_or_else(|| format!("{term:?} is not a requirement"))?;
    let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(format!("{term:?} does not name a field"));
    }
    Ok(FieldRequirement { path, value: unescape(value), equal })
}

/// `\\`, `\,` and `\=` stand for the character itself.
fn unescape(value: &str) -> String {
    let mut escaped = false;
    let keep = |it: &char| {
        escaped = *it == '\\' && !escaped;
        !escaped
    };
    value.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(labels: &str, fields: &str) -> bool {
        let object = json!({
            "metadata": {"name": "web-0", "labels": {"app": "web", "tier": "front", "n": "7"}},
            "spec": {"nodeName": "node-1", "replicas": 3},
            "status": {"phase": "a,b=c"},
        });
        Selectors::parse(labels, fields).unwrap().matches(&object)
    }

    #[test]
    fn labels_are_selected_by_equality_and_by_set() {
        for selector in
            ["", "app=web", "app==web,tier!=back", "app in (db, web),n>6", "absent notin (x)"]
        {
            assert!(selects(selector, ""), "{selector}");
        }
        for selector in ["app=db", "absent", "!app", "app notin (web,db)", "n<7", "absent=web"] {
            assert!(!selects(selector, ""), "{selector}");
        }
        assert!(selects("app, !absent, absent!=x", ""));
    }

    #[test]
    fn fields_are_selected_by_dotted_path() {
        assert!(selects("", "metadata.name=web-0,spec.nodeName!=node-2,spec.replicas==3"));
        assert!(selects("", r"status.phase=a\,b\=c"));
        assert!(selects("", "spec.absent=") && !selects("", "spec.nodeName="));
    }

    #[test]
    fn what_cannot_be_parsed_is_a_bad_request() {
        for labels in ["a in b", "a in (b", "=b", "a b", "a,,b", "a>x", "a=b=c"] {
            assert_eq!(Selectors::parse(labels, "").unwrap_err().code, 400, "{labels}");
        }
        for fields in ["metadata.name", "=x", "a..b=c"] {
            assert_eq!(Selectors::parse("", fields).unwrap_err().code, 400, "{fields}");
        }
    }
}

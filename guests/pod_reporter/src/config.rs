//! What the handler spec's `config` may say.
//!
//! in: JSON text. out: `Config`, or an error that names the field and quotes what stood there.

use serde_json::Value;

#[derive(Debug, PartialEq)]
pub(crate) struct Config {
    /// `restartThreshold`: so many restarts since a pod was last calm are a crash loop.
    pub(crate) restart_threshold: u32,
    /// `calmStates`: so many states in a row, each ready and none with a restart, make a pod calm.
    /// States stand in for time, which a handler does not have; a resync counts as one.
    pub(crate) calm_states: u32,
    /// `tables`: whether to log the namespaces' tables.
    pub(crate) tables: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { restart_threshold: 3, calm_states: 1, tables: true }
    }
}

impl Config {
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let fields = match serde_json::from_str(json) {
            Ok(Value::Object(fields)) => fields,
            Ok(other) => return Err(format!("config: expected an object, found {other}")),
            Err(error) => return Err(format!("config: {error}")),
        };
        let mut config = Self::default();
        for (field, value) in &fields {
            match field.as_str() {
                "restartThreshold" => config.restart_threshold = count(field, value)?,
                "calmStates" => config.calm_states = count(field, value)?,
                "tables" => config.tables = truth(field, value)?,
                _ => {
                    return Err(format!(
                        "{field}: unknown; known are restartThreshold, calmStates and tables"
                    ));
                }
            }
        }
        Ok(config)
    }
}

fn count(field: &str, value: &Value) -> Result<u32, String> {
    let count = value.as_u64().and_then(|it| u32::try_from(it).ok()).filter(|it| *it > 0);
    count.ok_or_else(|| format!("{field}: expected a whole number from 1, found {value}"))
}

fn truth(field: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{field}: expected true or false, found {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_default() {
        assert_eq!(Config::parse("{}"), Ok(Config::default()));
    }

    #[test]
    fn every_field_is_read() {
        let json = r#"{"restartThreshold":5,"calmStates":2,"tables":false}"#;
        let config = Config { restart_threshold: 5, calm_states: 2, tables: false };
        assert_eq!(Config::parse(json), Ok(config));
    }

    #[test]
    fn an_error_names_the_field_and_what_was_found() {
        let cases = [
            ("3", "config: expected an object, found 3"),
            (
                r#"{"restartThreshold":"3"}"#,
                r#"restartThreshold: expected a whole number from 1, found "3""#,
            ),
            (r#"{"calmStates":0}"#, "calmStates: expected a whole number from 1, found 0"),
            (r#"{"calmStates":1.5}"#, "calmStates: expected a whole number from 1, found 1.5"),
            (r#"{"tables":"no"}"#, r#"tables: expected true or false, found "no""#),
            (
                r#"{"threshold":3}"#,
                "threshold: unknown; known are restartThreshold, calmStates and tables",
            ),
        ];
        for (json, error) in cases {
            assert_eq!(Config::parse(json), Err(error.into()), "{json}");
        }
        assert!(Config::parse("{").is_err_and(|it| it.starts_with("config: EOF")));
    }
}

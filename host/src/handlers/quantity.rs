//! Sizes and durations in the notation that Kubernetes' users write.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// Bytes: `64Mi`, `1Gi`, `500k`, `1048576`.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: usize = match &text[digits.len()..] {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(not_a(&text, "size such as 64Mi")),
    };
    let bytes = digits.parse::<usize>().ok().and_then(|digits| digits.checked_mul(unit));
    bytes.map(Some).ok_or_else(|| not_a(&text, "size such as 64Mi"))
}

/// `100ms`, `1s`, `2m 30s`.
pub(super) fn duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(|_| not_a(&text, "duration such as 100ms"))
}

fn not_a<E: de::Error>(text: &str, what: &str) -> E {
    E::custom(format!("{text:?} is not a {what}"))
}

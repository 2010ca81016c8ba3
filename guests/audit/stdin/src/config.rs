//! What is to be reported.

use std::collections::HashMap;

use serde_json::value::RawValue;

pub(crate) struct Config {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// JSON pointers.
    pub(crate) report: Vec<String>,
    pub(crate) detail: Detail,
    /// Objects of the cache at once. A command has no cache: it is only checked.
    pub(crate) page: u32,
}

/// How much of an object is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Key,
    Fields,
    Whole,
}

impl Config {
    pub(crate) fn parse(config: Option<&RawValue>) -> Result<Self, String> {
        let config = config.map_or("{}", RawValue::get);
        let config: HashMap<String, &RawValue> =
            serde_json::from_str(config).map_err(|error| format!("config: {error}"))?;
        let get = |name: &str| config.get(name).map(|value| value.get());
        let get_string = |name, default: &str| {
            let text = get(name).and_then(|json| serde_json::from_str(json).ok());
            text.unwrap_or_else(|| default.to_owned())
        };

        let report = get("report").and_then(pointers).ok_or(
            "config.report must be a list of 1 to 16 JSON pointers, for example [\"/status/phase\"]",
        )?;
        let detail = match get("detail") {
            None | Some("\"whole\"") => Detail::Whole,
            Some("\"fields\"") => Detail::Fields,
            Some("\"key\"") => Detail::Key,
            Some(_) => {
                return Err("config.detail must be \"key\", \"fields\" or \"whole\"".to_owned());
            }
        };
        let page = get("page").map_or(Some(PAGE), page);
        let page = page.ok_or("config.page must be a number from 1 to 500")?;
        let (api_version, kind) = (get_string("apiVersion", "v1"), get_string("kind", "Pod"));
        Ok(Self { api_version, kind, report, detail, page })
    }

    /// What is read of each object.
    pub(crate) fn pointers(&self) -> &[String] {
        match self.detail {
            Detail::Key => &[],
            Detail::Fields | Detail::Whole => &self.report,
        }
    }
}

fn pointers(json: &str) -> Option<Vec<String>> {
    let pointers: Vec<String> = serde_json::from_str(json).ok()?;
    let is_plain = |c: char| c != '"' && c != '\\' && c >= ' ';
    let is_good = |pointer: &String| pointer.starts_with('/') && pointer.chars().all(is_plain);
    ((1..=POINTERS_MAX).contains(&pointers.len()) && pointers.iter().all(is_good))
        .then_some(pointers)
}

fn page(json: &str) -> Option<u32> {
    let is_decimal = json.bytes().all(|byte| byte.is_ascii_digit());
    json.parse().ok().filter(|page| is_decimal && (1..=PAGE_MAX).contains(page))
}

const POINTERS_MAX: usize = 16;
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 500;

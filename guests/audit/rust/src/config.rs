//! What is to be reported.

use informerd_handler::config;

pub(crate) struct Config {
    /// JSON pointers.
    pub(crate) report: Vec<String>,
    pub(crate) detail: Detail,
    /// Objects of the cache at once.
    pub(crate) page: u32,
}

/// How much of an object is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Key,
    Fields,
    Whole,
}

/// The apiVersion and kind of what is watched.
pub(crate) fn watched() -> (String, String) {
    let get = |name, default: &str| config::get_string(name).unwrap_or_else(|| default.to_owned());
    (get("apiVersion", "v1"), get("kind", "Pod"))
}

/// Which objects of the cache are counted.
pub(crate) fn label_selector() -> String {
    config::get_string("labelSelector").unwrap_or_default()
}

impl Config {
    pub(crate) fn read() -> Result<Self, String> {
        let report = config::get("report").and_then(|json| pointers(&json));
        let report = report.ok_or(
            "config.report must be a list of 1 to 16 JSON pointers, for example [\"/status/phase\"]",
        )?;
        let detail = match config::get("detail").as_deref() {
            None | Some("\"whole\"") => Detail::Whole,
            Some("\"fields\"") => Detail::Fields,
            Some("\"key\"") => Detail::Key,
            Some(_) => {
                return Err("config.detail must be \"key\", \"fields\" or \"whole\"".to_owned());
            }
        };
        let page = match config::get("page") {
            None => Some(PAGE),
            Some(json) => page(&json),
        };
        let page = page.ok_or("config.page must be a number from 1 to 500")?;
        Ok(Self { report, detail, page })
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

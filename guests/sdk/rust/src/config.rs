//! The handler spec's `config`. It never changes while an instance lives.

use alloc::string::String;

use crate::host;

/// The value of this name as JSON text, a string with its quotes; none if there is none.
pub fn get(name: &str) -> Option<String> {
    host::config::get(name)
}

/// The string of this name; none if there is none, or something else.
pub fn get_string(name: &str) -> Option<String> {
    host::config::get_string(name)
}

/// All of it as JSON text; `{}` if the handler spec has none.
pub fn json() -> String {
    host::config::json()
}

/// All of it, as a type of yours. The error is fit to be given back by [`Handler::new`](crate::Handler::new).
#[cfg(feature = "serde")]
pub fn parse<T: serde::de::DeserializeOwned>() -> Result<T, String> {
    serde_json::from_str(&json()).map_err(|error| alloc::format!("config: {error}"))
}

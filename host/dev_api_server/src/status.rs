//! `Status`: how the server says no, in the words and codes of a real one.
//!
//! Clients decide by code, reason and cause (`Expired`, `ResourceVersionTooLarge`), so these are
//! exact; messages are close to the real ones.

use std::fmt;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::resources::Resource;

/// A request that failed: the body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, such as `NotFound` or `Expired`.
    pub reason: &'static str,
    /// What is wrong, for a person.
    pub message: String,
    details: Value,
}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Status {
        Status { code, reason, message: message.into(), details: json!({}) }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Status {
        self.details = json!({"name": name, "group": resource.group, "kind": resource.plural});
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Status {
        Status::new(400, "BadRequest", message)
    }

    pub(crate) fn unknown_path() -> Status {
        Status::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Status {
        let message = format!("{} {name:?} not found", resource.group_resource);
        Status::new(404, "NotFound", message).about(resource, name)
    }

    pub(crate) fn method_not_allowed() -> Status {
        let message = "the server does not allow this method on the requested resource";
        Status::new(405, "MethodNotAllowed", message)
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Status {
        let message = format!("{} {name:?} already exists", resource.group_resource);
        Status::new(409, "AlreadyExists", message).about(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: impl fmt::Display) -> Status {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.group_resource);
        Status::new(409, "Conflict", message).about(resource, name)
    }

    pub(crate) fn expired(message: impl Into<String>) -> Status {
        Status::new(410, "Expired", message)
    }

    pub(crate) fn too_old_resource_version(asked: u64, oldest: u64) -> Status {
        Status::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    pub(crate) fn body_too_large(limit: usize) -> Status {
        let message = format!("Request entity too large: limit is {limit}");
        Status::new(413, "RequestEntityTooLarge", message)
    }

    pub(crate) fn unsupported_media_type(content_type: &str, supported: &str) -> Status {
        let message = format!(
            "the body of the request was in an unknown format ({content_type:?}) - \
             accepted media types include: {supported}"
        );
        Status::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn invalid(kind: &str, name: &str, field: &str, problem: &str) -> Status {
        let message = format!("{kind} {name:?} is invalid: {field}: {problem}");
        let mut status = Status::new(422, "Invalid", message);
        let cause = json!({"reason": "FieldValueInvalid", "message": problem, "field": field});
        status.details = json!({"name": name, "kind": kind, "causes": [cause]});
        status
    }

    pub(crate) fn internal(message: impl Into<String>) -> Status {
        Status::new(500, "InternalError", message)
    }

    pub(crate) fn too_large_resource_version(asked: u64, current: u64) -> Status {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut status = Status::new(504, "Timeout", message);
        let cause = json!({
            "reason": "ResourceVersionTooLarge", "message": "Too large resource version"
        });
        status.details = json!({"causes": [cause], "retryAfterSeconds": 1});
        status
    }

    /// The `v1` `Status` object of the answer.
    pub fn to_json(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details,
            "code": self.code,
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.message, self.code, self.reason)
    }
}

impl std::error::Error for Status {}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json().to_string()));
        *response.status_mut() =
            StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.details["retryAfterSeconds"].as_u64() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

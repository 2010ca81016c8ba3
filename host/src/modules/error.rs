//! Why a module could not be fetched, and whether waiting can help.

use std::error::Error;

/// Why there is no module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("module {origin}: {problem}")]
pub struct FetchError {
    /// Where it was to come from.
    pub origin: String,
    /// What is wrong, and what to do about it.
    pub problem: String,
    /// Whether it may go away without a change of the spec or of the policy: a server that is away, a
    /// tag or a signature that is pushed later. Otherwise another try only repeats it.
    pub is_retryable: bool,
}

/// A [`FetchError`] of which the origin is not said yet.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) text: String,
    pub(super) is_retryable: bool,
}

impl Problem {
    /// May go away by itself.
    pub(super) fn temporary(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_retryable: true }
    }

    /// Stays until somebody changes something.
    pub(super) fn permanent(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_retryable: false }
    }

    pub(super) fn from(self, origin: impl ToString) -> FetchError {
        let Self { text: problem, is_retryable } = self;
        FetchError { origin: origin.to_string(), problem, is_retryable }
    }

    /// Says in front what it is about.
    pub(super) fn about(self, what: &str) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }
}

/// An error and what caused it, in one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

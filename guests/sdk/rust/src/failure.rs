//! A notification that was not handled.

use alloc::string::String;
use core::time::Duration;

use crate::{Failure, Retry};

impl Failure {
    /// Deliver this state, or a newer one, again; the host says when.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(Retry { after_ms: None, reason: reason.into() })
    }

    /// Deliver this state, or a newer one, again, after this time: a day at most.
    pub fn retry_after(after: Duration, reason: impl Into<String>) -> Self {
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        Self::Retry(Retry { after_ms: Some(after_ms), reason: reason.into() })
    }

    /// Do not deliver this state again.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent(reason.into())
    }
}

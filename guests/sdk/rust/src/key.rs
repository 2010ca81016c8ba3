//! What one state of an object is called.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::ObjectKey;

impl ObjectKey {
    /// As in a manifest: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// `NAMESPACE/NAME`, or `NAME` if it is cluster-scoped.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

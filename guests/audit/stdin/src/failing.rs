//! Failing on request, so that one can see what the host makes of it.

use crate::conversation::{Failure, Key};
use crate::object::Object;

/// The state that was failed last, and how often.
#[derive(Default)]
pub(crate) struct Failing {
    uid: String,
    resource_version: String,
    times: u32,
}

impl Failing {
    /// Fails as the object's annotation asks for.
    pub(crate) fn check(&mut self, key: &Key, object: Object<'_>) -> Result<(), Failure> {
        let request = object.get_string("/metadata/annotations/audit.informerd.dev~1fail");
        match request.as_deref() {
            Some("permanent") => {
                Err(Failure::Permanent { reason: "asked to fail for good".to_owned() })
            }
            Some("trap") => panic!("asked to trap"),
            Some(request) => match request.as_bytes() {
                [b'r', b'e', b't', b'r', b'y', b' ', digit @ b'1'..=b'9'] => {
                    self.retry(key, u32::from(digit - b'0'))
                }
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn retry(&mut self, key: &Key, times: u32) -> Result<(), Failure> {
        if (&self.uid, &self.resource_version) != (&key.uid, &key.resource_version) {
            self.uid.clone_from(&key.uid);
            self.resource_version.clone_from(&key.resource_version);
            self.times = 0;
        }
        if self.times == times {
            return Ok(());
        }
        self.times += 1;
        let reason = format!("asked to fail, {} of {times}", self.times);
        Err(Failure::Retry { after_ms: 1, reason })
    }
}

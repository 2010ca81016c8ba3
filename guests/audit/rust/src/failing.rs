//! Failing on request, so that one can see what the host makes of it.

use std::time::Duration;

use informerd_handler::{Failure, Object};

/// The state that was failed last, and how often.
#[derive(Default)]
pub(crate) struct Failing {
    uid: String,
    resource_version: String,
    times: u32,
}

impl Failing {
    /// Fails as the object's annotation asks for.
    pub(crate) fn check(&mut self, object: &Object<'_>) -> Result<(), Failure> {
        let request = object.get_string("/metadata/annotations/audit.informerd.dev~1fail");
        match request.as_deref() {
            Some("permanent") => Err(Failure::permanent("asked to fail for good")),
            Some("trap") => panic!("asked to trap"),
            Some(request) => match request.as_bytes() {
                [b'r', b'e', b't', b'r', b'y', b' ', digit @ b'1'..=b'9'] => {
                    self.retry(object, u32::from(digit - b'0'))
                }
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn retry(&mut self, object: &Object<'_>, times: u32) -> Result<(), Failure> {
        let key = object.key();
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
        Err(Failure::retry_after(Duration::from_millis(1), reason))
    }
}

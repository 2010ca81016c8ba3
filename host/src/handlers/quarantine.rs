//! Modules that are not to be run: they failed too often, or the host died while it started them.
//!
//! What the host is starting is noted in a folder. What is still noted there when the host starts was being
//! started when it died, and is not tried again: a stored bad module cannot make the host die for ever.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::digest::Digest;

/// The digests that are not run, and why.
#[derive(Default)]
pub(super) struct Quarantine {
    /// Has a file for each module that is being started; none: nothing outlives the process.
    folder: Option<PathBuf>,
    digests: Mutex<Digests>,
}

#[derive(Default)]
struct Digests {
    reasons: BTreeMap<Digest, String>,
    /// How many handlers are starting each.
    starting: BTreeMap<Digest, usize>,
}

/// A module is being started. Dropped when that has ended, however it did.
pub(super) struct Starting<'a> {
    quarantine: &'a Quarantine,
    digest: Digest,
}

impl Quarantine {
    /// With what the folder says of the process before this one.
    pub(super) fn open(folder: Option<PathBuf>) -> io::Result<Self> {
        let mut reasons = BTreeMap::new();
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)?;
            for entry in fs::read_dir(folder)? {
                let name = entry?.file_name();
                if let Some(digest) = name.to_str().and_then(Digest::from_hex) {
                    reasons.insert(digest, DIED.to_owned());
                }
            }
        }
        let digests = Mutex::new(Digests { reasons, starting: BTreeMap::new() });
        Ok(Self { folder, digests })
    }

    /// Why the module is not to be run.
    pub(super) fn reason(&self, digest: &Digest) -> Option<String> {
        self.digests().reasons.get(digest).cloned()
    }

    pub(super) fn insert(&self, digest: Digest, reason: String) {
        self.digests().reasons.insert(digest, reason);
    }

    /// An operator wants it to be tried again.
    pub(super) fn release(&self, digest: &Digest) {
        if self.digests().reasons.remove(digest).is_some()
            && let Some(file) = self.file(digest)
        {
            let _ = fs::remove_file(file);
        }
    }

    /// Notes that this module is being started, until what this gives is dropped.
    pub(super) fn starting(&self, digest: Digest) -> Starting<'_> {
        let mut digests = self.digests();
        let count = digests.starting.entry(digest).or_default();
        *count += 1;
        if *count == 1
            && let Some(file) = self.file(&digest)
            && let Err(error) = fs::write(&file, "")
        {
            let file = file.display();
            tracing::warn!(%file, %error, "cannot note which module is being started");
        }
        Starting { quarantine: self, digest }
    }

    fn file(&self, digest: &Digest) -> Option<PathBuf> {
        let folder: &Path = self.folder.as_deref()?;
        Some(folder.join(digest.to_string()))
    }

    fn digests(&self) -> MutexGuard<'_, Digests> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut digests = self.quarantine.digests();
        let others = digests.starting.remove(&self.digest).unwrap_or(1) - 1;
        if others > 0 {
            digests.starting.insert(self.digest, others);
        } else if let Some(file) = self.quarantine.file(&self.digest) {
            let _ = fs::remove_file(file);
        }
    }
}

const DIED: &str = "the host died while it was starting this module";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_being_started_when_the_host_died_is_not_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Quarantine::open(Some(folder.path().to_owned())).unwrap();
        let (good, bad) = (Digest::of(b"good"), Digest::of(b"bad"));
        let quarantine = open();
        drop(quarantine.starting(good));
        // As if the process had died here.
        std::mem::forget(quarantine.starting(bad));

        let quarantine = open();
        assert_eq!(quarantine.reason(&good), None);
        assert_eq!(quarantine.reason(&bad).as_deref(), Some(DIED));
        assert_eq!(open().reason(&bad).as_deref(), Some(DIED), "it stays until somebody says so");

        quarantine.release(&bad);
        assert_eq!(quarantine.reason(&bad), None);
        assert_eq!(open().reason(&bad), None);
    }

    #[test]
    fn two_starts_of_one_module_do_not_end_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::open(Some(folder.path().to_owned())).unwrap();
        let digest = Digest::of(b"twice");
        let (first, second) = (quarantine.starting(digest), quarantine.starting(digest));
        drop(first);
        assert!(folder.path().join(digest.to_string()).exists());
        drop(second);
        assert!(!folder.path().join(digest.to_string()).exists());
    }
}

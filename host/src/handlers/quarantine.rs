//! Modules that are not to be run: they failed too often, or the host died while it started them.
//!
//! What the host is starting is noted in a folder. What is noted there and nobody is starting any more was being
//! started when a host died, and is not tried again: a stored bad module cannot make the host die for ever.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::modules::Digest;

/// The digests that are not run, and why. What a module did for the handlers of one namespace keeps it from those
/// only: a spec may give any module limits, or a configuration, that it fails with.
#[derive(Default)]
pub(super) struct Quarantine {
    /// Has a file for each module that is being started, locked by the host that does so. None: nothing
    /// outlives the process.
    folder: OnceLock<PathBuf>,
    digests: Mutex<Digests>,
}

#[derive(Default)]
struct Digests {
    /// A host died of them.
    deadly: BTreeSet<Digest>,
    /// Why, by the namespace whose handlers have them; none: the operator's own.
    failed: BTreeMap<(Digest, Option<String>), String>,
    starting: BTreeMap<Digest, Note>,
}

/// That a module is being started.
struct Note {
    handlers: usize,
    /// Locked as long as it is open.
    _file: Option<File>,
}

/// A module is being started. Dropped when that has ended, however it did.
pub(super) struct Starting<'a> {
    quarantine: &'a Quarantine,
    digest: Digest,
}

impl Quarantine {
    /// Notes in this folder what is being started, and takes over what it says of hosts that died.
    pub(super) fn remember_in(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut digests = self.digests();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(digest) = name.to_str().and_then(Digest::from_hex)
                && File::open(entry.path())?.try_lock().is_ok()
            {
                digests.deadly.insert(digest);
            }
        }
        let _ = self.folder.set(folder.to_owned());
        Ok(())
    }

    /// Why the module is not to be run for handlers of this namespace.
    pub(super) fn reason(&self, digest: &Digest, namespace: Option<&str>) -> Option<String> {
        let digests = self.digests();
        let failed = || digests.failed.get(&(*digest, namespace.map(str::to_owned))).cloned();
        digests.deadly.contains(digest).then(|| DIED.to_owned()).or_else(failed)
    }

    pub(super) fn insert(&self, digest: Digest, namespace: Option<&str>, reason: String) {
        self.digests().failed.insert((digest, namespace.map(str::to_owned)), reason);
    }

    /// An operator wants it to be tried again, for a handler of this namespace.
    pub(super) fn release(&self, digest: &Digest, namespace: Option<&str>) {
        let mut digests = self.digests();
        digests.failed.remove(&(*digest, namespace.map(str::to_owned)));
        if digests.deadly.remove(digest) {
            self.forget(digest);
        }
    }

    /// Notes that this module is being started, until what this gives is dropped.
    pub(super) fn starting(&self, digest: Digest) -> Starting<'_> {
        match self.digests().starting.entry(digest) {
            Entry::Occupied(mut note) => note.get_mut().handlers += 1,
            Entry::Vacant(free) => {
                free.insert(Note { handlers: 1, _file: self.note(&digest) });
            }
        }
        Starting { quarantine: self, digest }
    }

    fn note(&self, digest: &Digest) -> Option<File> {
        let path = self.path(digest)?;
        let noted = File::create(&path).inspect(|file| {
            // Another host may be starting it, too, and notes it as well.
            let _ = file.try_lock();
        });
        noted
            .inspect_err(|error| {
                let file = path.display();
                tracing::warn!(%file, %error, "cannot note which module is being started");
            })
            .ok()
    }

    fn forget(&self, digest: &Digest) {
        if let Some(path) = self.path(digest) {
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.folder.get()?.join(digest.hex()))
    }

    fn digests(&self) -> MutexGuard<'_, Digests> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut digests = self.quarantine.digests();
        if let Entry::Occupied(mut note) = digests.starting.entry(self.digest) {
            note.get_mut().handlers -= 1;
            if note.get().handlers == 0 {
                self.quarantine.forget(&self.digest);
                note.remove();
            }
        }
    }
}

const DIED: &str = "the host died while it was starting this module";

#[cfg(test)]
mod tests {
    use super::*;

    fn quarantine(folder: &Path) -> Quarantine {
        let quarantine = Quarantine::default();
        quarantine.remember_in(folder).unwrap();
        quarantine
    }

    #[test]
    fn what_was_being_started_when_the_host_died_is_not_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (Digest::of(b"good"), Digest::of(b"bad"));
        let died = quarantine(folder.path());
        drop(died.starting(good));
        // The file stays, and its lock does not: as if the process had died here.
        std::mem::forget(died.starting(bad));
        died.digests().starting.clear();

        let next = quarantine(folder.path());
        assert_eq!(next.reason(&good, None), None);
        assert_eq!(next.reason(&bad, None).as_deref(), Some(DIED));
        let after = quarantine(folder.path());
        assert_eq!(after.reason(&bad, None).as_deref(), Some(DIED), "until somebody says so");

        after.release(&bad, None);
        assert_eq!(after.reason(&bad, None), None);
        assert_eq!(quarantine(folder.path()).reason(&bad, None), None);
    }

    #[test]
    fn what_a_module_did_in_one_namespace_keeps_it_from_no_other() {
        let (quarantine, digest) = (Quarantine::default(), Digest::of(b"popular"));
        quarantine.insert(digest, Some("a"), "it trapped".to_owned());
        assert_eq!(quarantine.reason(&digest, Some("a")).as_deref(), Some("it trapped"));
        assert_eq!(quarantine.reason(&digest, Some("b")), None);
        assert_eq!(quarantine.reason(&digest, None), None);
        quarantine.release(&digest, Some("b"));
        assert!(quarantine.reason(&digest, Some("a")).is_some());
        quarantine.release(&digest, Some("a"));
        assert_eq!(quarantine.reason(&digest, Some("a")), None);
    }

    #[test]
    fn what_another_host_is_starting_is_no_sign_of_death() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (quarantine(folder.path()), Digest::of(b"slow"));
        let starting = one.starting(other);
        assert_eq!(quarantine(folder.path()).reason(&other, None), None);
        drop(starting);
        assert_eq!(quarantine(folder.path()).reason(&other, None), None);
    }

    #[test]
    fn two_starts_of_one_module_do_not_end_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = quarantine(folder.path());
        let digest = Digest::of(b"twice");
        let (first, second) = (quarantine.starting(digest), quarantine.starting(digest));
        drop(first);
        assert!(folder.path().join(digest.hex()).exists());
        drop(second);
        assert!(!folder.path().join(digest.hex()).exists());
    }
}

//! The folder of one running control plane, removed at its end or by the next one.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::error::Error;

const PREFIX: &str = "informerd-control-plane-";

/// A new folder among the temporary ones; beside it lies a file that is locked while it is in use.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    // Locked until it is closed, also if the process is killed.
    _lock: File,
}

impl RunFolder {
    /// Makes a folder, and removes those that killed test processes have left behind.
    pub(crate) fn create() -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let parent = env::temp_dir();
        remove_abandoned(&parent);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // A process id can come back while an abandoned folder is still there.
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let path = parent.join(format!("{PREFIX}{}-{count}-{}", process::id(), time.as_micros()));

        let lock_path = lock_path(&path);
        let lock = File::create(&lock_path).map_err(Error::io("create", &lock_path))?;
        lock.lock().map_err(Error::io("lock", &lock_path))?;
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
        Ok(path)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Removes a folder and its lock file; what cannot be removed is left for the next one to try.
fn remove(folder: &Path) {
    let gone = fs::remove_dir_all(folder);
    if gone.is_ok() || !folder.exists() {
        let _ = fs::remove_file(lock_path(folder));
    }
}

fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_lock = path.extension().is_some_and(|extension| extension == "lock");
        if !is_lock || !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Only the lock of a process that has died can be had. The files of others cannot even
        // be opened.
        if File::open(&path).is_ok_and(|lock| lock.try_lock().is_ok()) {
            remove(&path.with_extension(""));
        }
    }
}

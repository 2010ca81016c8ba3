//! The folder that keeps native code: a file for each module, `KEY-DIGEST.cwasm`, where KEY says what it was made
//! of and DIGEST is the content's. So a file is what wasmtime maps, and damage shows.
//!
//! in:   the native code of a key
//! out:  the component of a key, mapped
//! runs: where blocking is allowed. Several processes may share one folder: files are written aside and
//!       renamed.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::key::Sha256Hex;
use crate::native_code;

/// A folder that only this user can write.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// Bytes; what was not used for longest goes first.
    size_max: u64,
}

/// What there is of a key.
pub(crate) enum Found {
    Component(Component),
    Nothing,
    /// There was a file, and it was not what had been written. It is gone.
    Damaged,
}

impl Cache {
    /// Makes the folder, with those above it, if it is not there. An error says why it cannot be used.
    pub(crate) fn open(folder: &Path, size_max: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let cache = Self { folder: folder.canonicalize()?, size_max };
        cache.check_folder()?;
        cache.remove_left_over();
        Ok(cache)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The code of a key, if it is there and as it was written.
    pub(crate) fn load(&self, engine: &Engine, key: &Sha256Hex) -> io::Result<Found> {
        self.check_folder()?;
        let Some((path, digest)) = self.find(key)? else { return Ok(Found::Nothing) };
        let file = match File::open(&path) {
            Ok(file) => file,
            // Another process has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        check_ours(&file.metadata()?, &path)?;
        if digest_of(&file)? == digest
            && let Ok(component) = native_code::of_file(engine, &path)
        {
            // What was used last is what stays. It can be loaded all the same if the disk is read-only.
            let _ = file.set_modified(SystemTime::now());
            return Ok(Found::Component(component));
        }
        fs::remove_file(&path)?;
        Ok(Found::Damaged)
    }

    /// Keeps the code of a key, and makes room for it; not what is larger than all the room.
    pub(crate) fn store(&self, key: &Sha256Hex, code: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if code.len() as u64 > self.size_max {
            return Ok(());
        }
        self.check_folder()?;
        self.evict(code.len() as u64)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{}-{number}.{TEMPORARY}", process::id()));
        let written = write(&temporary, code).and_then(|()| {
            let name = format!("{key}-{}.{FINISHED}", Sha256Hex::of(code));
            fs::rename(&temporary, self.folder.join(name))
        });
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Its path, and the digest that its content must have.
    fn find(&self, key: &Sha256Hex) -> io::Result<Option<(PathBuf, String)>> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| {
                name.strip_prefix(key.as_str())?.strip_prefix('-')?.strip_suffix(".cwasm")
            });
            if let Some(digest) = digest {
                return Ok(Some((entry.path(), digest.to_owned())));
            }
        }
        Ok(None)
    }

    /// Deletes what was not used for longest, until there is room for so many bytes more.
    fn evict(&self, more: u64) -> io::Result<()> {
        let mut files = self.files(FINISHED)?;
        files.sort_by_key(|(_, metadata)| metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let mut size = files.iter().map(|(_, metadata)| metadata.len()).sum::<u64>();
        for (path, metadata) in files {
            if size.saturating_add(more) <= self.size_max {
                break;
            }
            // Whoever has mapped it keeps it.
            remove_if_there(&path)?;
            size -= metadata.len();
        }
        Ok(())
    }

    /// What a process that died was writing.
    fn remove_left_over(&self) {
        for (path, metadata) in self.files(TEMPORARY).unwrap_or_default() {
            let age = metadata.modified().ok().and_then(|written| written.elapsed().ok());
            if age.is_some_and(|age| age > LEFT_OVER_AGE) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// The files whose name ends like this.
    fn files(&self, extension: &str) -> io::Result<Vec<(PathBuf, Metadata)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // Another process may have removed it.
            if path.extension().is_some_and(|it| it == extension)
                && let Ok(metadata) = fs::symlink_metadata(&path)
            {
                files.push((path, metadata));
            }
        }
        Ok(files)
    }

    /// Again before each use: somebody may have opened it up.
    fn check_folder(&self) -> io::Result<()> {
        check_ours(&fs::symlink_metadata(&self.folder)?, &self.folder)
    }
}

/// Whether nobody else, other than root, can have written it.
fn check_ours(metadata: &Metadata, path: &Path) -> io::Result<()> {
    let (path, mode) = (path.display(), metadata.mode() & 0o7777);
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(io::Error::other(format!(
            "{path} belongs to user {}, and this is user {user}",
            metadata.uid()
        )));
    }
    if mode & 0o022 != 0 {
        return Err(io::Error::other(format!(
            "others can write {path} (mode {mode:o}): `chmod go-w` it, once you know what is in it"
        )));
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    // No sync: what a crash of the machine tears is noticed.
    Ok(())
}

fn digest_of(mut file: &File) -> io::Result<String> {
    let (mut hasher, mut part) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(Sha256Hex::from(hasher).to_string()),
            read => hasher.update(part.get(..read).unwrap_or_default()),
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How a file's name ends: what can be loaded, and what is still being written.
const FINISHED: &str = "cwasm";
const TEMPORARY: &str = "new";

/// Nobody writes for so long.
const LEFT_OVER_AGE: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests;

//! The admin socket in the file system: where it is, who may connect, and what becomes of it.
//!
//! A lock file beside it belongs to the host that listens, so that what a dead host has left over can be
//! told from what a live one needs, also when two start at once.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::net::{UnixListener, UnixStream};

/// Listens; dropping it removes the socket.
pub(super) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Whoever it was made by, which is who the host runs as.
    owner: u32,
    _lock: File,
}

/// Where the socket is if nobody says otherwise: one per user, or one per machine.
pub fn default_socket() -> PathBuf {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|it| !it.is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("/run"), PathBuf::from);
    folder.join("informerd/admin.sock")
}

impl AdminSocket {
    /// Makes the socket, and its folder if that is missing. In the place of a dead host's socket, but
    /// never of a live one's, nor of any other file.
    pub(super) fn bind(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("cannot listen on {} (--admin-socket)", path.display());
        Self::try_bind(path).with_context(named)
    }

    fn try_bind(path: &Path) -> anyhow::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        make_private(folder)?;
        let lock = lock(path)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let owner = fs::metadata(path)?.uid();
        Ok(Self { listener, path: path.to_owned(), owner, _lock: lock })
    }

    /// The next connection of somebody who may connect, and their uid; others find it closed.
    pub(super) async fn accept(&self) -> std::io::Result<(UnixStream, u32)> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            // Gone already, if it fails.
            let Ok(peer) = stream.peer_cred() else { continue };
            if may_connect(peer.uid(), self.owner) {
                return Ok((stream, peer.uid()));
            }
            let (uid, pid) = (peer.uid(), peer.pid());
            tracing::warn!(uid, pid, owner = self.owner, "somebody else at the admin socket");
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // The lock stays with the file beside it: to remove that too would take it from who waits.
        let _ = fs::remove_file(&self.path);
    }
}

/// The host's own user could do all of it anyhow, and root too.
fn may_connect(uid: u32, owner: u32) -> bool {
    uid == owner || uid == 0
}

/// Makes the folder if it is missing. One that is there must not let others put a socket of theirs in the
/// place of ours.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => bail!("cannot make the folder {}: {error}", folder.display()),
    }
    let mode = fs::metadata(folder)?.mode();
    let (others_write, sticky) = (mode & 0o002 != 0, mode & 0o1000 != 0);
    if others_write && !sticky {
        bail!("everybody may write to {}: use a folder of mode 0700", folder.display());
    }
    Ok(())
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&beside);
    let file = file.with_context(|| format!("cannot open {}", beside.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another informerd listens there"),
        Err(TryLockError::Error(error)) => {
            bail!("cannot lock {}: {error}", beside.display())
        }
    }
}

fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let file_type = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !file_type.is_socket() {
        bail!("a file that is no socket is there");
    }
    // No informerd has the lock, but somebody may have mistaken another program's socket for one.
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "replacing the socket of a host that has ended");
            Ok(fs::remove_file(path)?)
        }
        _ => bail!("another program listens there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn socket_and_folder_are_private_and_the_socket_goes_with_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let client = UnixStream::connect(&path).await.unwrap();
        let own = fs::metadata(folder.path()).unwrap().uid();
        assert_eq!(socket.accept().await.unwrap().1, own);
        drop((client, socket));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_live_socket_is_an_error_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let live = AdminSocket::bind(&path).unwrap();
        let error = format!("{:#}", AdminSocket::bind(&path).err().unwrap());
        assert!(error.contains("another informerd") && error.contains("admin.sock"), "{error}");
        assert!(path.exists(), "the live one is where it was");
        drop(live);
        // As a host that was killed leaves it.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        AdminSocket::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn what_is_somebody_elses_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = format!("{:#}", AdminSocket::bind(&path).err().unwrap());
        assert!(error.contains("another program"), "{error}");
        drop(other);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "text").unwrap();
        let error = format!("{:#}", AdminSocket::bind(&path).err().unwrap());
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[tokio::test]
    async fn a_folder_in_which_everybody_writes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let error = format!("{:#}", AdminSocket::bind(&path).err().unwrap());
        assert!(error.contains("mode 0700"), "{error}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        AdminSocket::bind(&path).unwrap();
    }

    #[test]
    fn the_hosts_user_and_root_may_connect_and_nobody_else() {
        assert!(may_connect(1000, 1000) && may_connect(0, 1000) && may_connect(0, 0));
        assert!(!may_connect(1001, 1000) && !may_connect(1000, 0));
    }
}

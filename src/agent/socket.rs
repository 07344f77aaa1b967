//! The Unix socket: one owner at a time, readable by its owner only, a stale one replaced, gone at the end.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The longest path that fits into `sockaddr_un`, without its closing zero.
const MAX_PATH: usize = 107;

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; check the folder and who owns it", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another agent serves there.
    #[error("another agent serves on the socket {}; stop it, or choose another --socket", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket is in the way.
    #[error("{} is not a socket; remove it, or choose another --socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The path does not fit into a socket address.
    #[error("the socket path {} is longer than {MAX_PATH} bytes; choose a shorter --socket", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
}

/// An open socket; dropping it removes the file if it is still ours.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    identity: (u64, u64),
    /// Held for as long as the socket is served; the kernel lets go of it when the process dies.
    _lock: File,
}

/// Opens `path` with mode 0600. Its folder is made with mode 0700 if it does not exist. None if a server of another make (SPIRE,
/// say) answers there: it is left alone.
///
/// # Errors
/// [`SocketError`]. Must be called inside a tokio runtime.
pub(crate) fn open(path: &Path) -> Result<Option<(Socket, UnixListener)>, SocketError> {
    let name = path.file_name().ok_or_else(|| SocketError::NotASocket { path: path.to_owned() })?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| SocketError::Io { action, path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io("create the folder", folder))?;
    let lock = match lock(folder, name, path) {
        // Folders of others may be for reading only.
        Err(SocketError::Io { .. }) if is_foreign(path)? => return Ok(None),
        lock => lock?,
    };
    if is_foreign(path)? {
        return Ok(None);
    }

    // Born in a private folder: between bind and chmod nobody else can connect. The rename replaces a stale one.
    let nursery = folder.join(format!(".s{}", std::process::id()));
    let newborn = nursery.join("s");
    if path.as_os_str().len().max(newborn.as_os_str().len()) > MAX_PATH {
        return Err(SocketError::TooLong { path: path.to_owned() });
    }
    // Left by a process with the same id that died here.
    let _ = std::fs::remove_dir_all(&nursery);
    DirBuilder::new().mode(0o700).create(&nursery).map_err(io("create the folder", &nursery))?;
    let opened = UnixListener::bind(&newborn).map_err(io("open the socket", &newborn)).and_then(|listener| {
        std::fs::set_permissions(&newborn, Permissions::from_mode(0o600)).map_err(io("chmod", &newborn))?;
        std::fs::rename(&newborn, path).map_err(io("put the socket at", path))?;
        Ok(listener)
    });
    let _ = std::fs::remove_dir_all(&nursery);
    let listener = opened?;
    let meta = path.symlink_metadata().map_err(io("look at", path))?;
    Ok(Some((Socket { path: path.to_owned(), identity: (meta.dev(), meta.ino()), _lock: lock }, listener)))
}

fn lock(folder: &Path, name: &std::ffi::OsStr, path: &Path) -> Result<File, SocketError> {
    let lock_path = folder.join(format!("{}.lock", name.to_string_lossy()));
    let io = |source| SocketError::Io { action: "lock", path: lock_path.clone(), source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Whether somebody answers who does not hold our lock.
fn is_foreign(path: &Path) -> Result<bool, SocketError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SocketError::Io { action: "look at", path: path.to_owned(), source }),
        Ok(meta) if !meta.file_type().is_socket() => Err(SocketError::NotASocket { path: path.to_owned() }),
        Ok(_) => Ok(UnixStream::connect(path).is_ok()),
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = self.path.symlink_metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

#[cfg(test)]
mod tests;

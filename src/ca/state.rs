//! The state folder: `root-cert.pem` and `ca-key.pem`, made once, shared by every process of a development mesh.
//!
//! The key is written before the certificate, both by rename, all under a lock on `.lock`. So a reader sees
//! either no root or a whole one, and a process that died in between left a key whose certificate the next makes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use crate::{Error, PrivateKey, Root};

/// Name of the root certificate in the state folder, PEM, readable by all.
pub const CERT_FILE: &str = "root-cert.pem";
/// Name of the root's key in the state folder, PKCS#8 PEM, mode 0600.
pub const KEY_FILE: &str = "ca-key.pem";

const LOCK_FILE: &str = ".lock";
const HINT_FOLDER: &str = "check the path and who owns it";

/// Loads the root of the state folder `dir`, or makes one for `trust_domain` at `now` when there is none.
///
/// The folder is made with mode 0700 if it does not exist. Two processes that start at once get the same root.
///
/// # Errors
/// [`Error::Io`] for the file system; [`Error::State`] naming the file that is readable by others, unreadable,
/// or lacks its other half; [`Error::Root`] when the stored root has expired at `now`.
pub fn load_or_create(dir: &Path, trust_domain: &str, now: SystemTime) -> Result<Root, Error> {
    make_folder(dir)?;
    let _lock = lock(dir)?;
    let cert = read(&dir.join(CERT_FILE))?;
    let key = read_key(&dir.join(KEY_FILE))?;
    match (cert, key) {
        (Some(cert), Some(key)) => join(dir, &cert, &key, now),
        (Some(_), None) => Err(Error::State {
            path: dir.join(KEY_FILE),
            problem: format!("is missing, but {CERT_FILE} is there"),
            hint: "put the key back, or empty the folder to get a new root",
        }),
        (None, Some(key)) => create(dir, parse_key(dir, &key)?, trust_domain, now),
        (None, None) => create(dir, PrivateKey::generate()?, trust_domain, now),
    }
}

/// Loads the root of the state folder `dir`; makes nothing.
///
/// # Errors
/// As [`load_or_create`], and [`Error::State`] when there is no root.
pub fn load(dir: &Path, now: SystemTime) -> Result<Root, Error> {
    match (read(&dir.join(CERT_FILE))?, read_key(&dir.join(KEY_FILE))?) {
        (Some(cert), Some(key)) => join(dir, &cert, &key, now),
        _ => Err(Error::State {
            path: dir.to_owned(),
            problem: format!("holds no root ({CERT_FILE} and {KEY_FILE})"),
            hint: "put the files back, or restart to get a new root",
        }),
    }
}

fn join(dir: &Path, cert: &str, key: &str, now: SystemTime) -> Result<Root, Error> {
    Root::from_pem(cert, key, now).map_err(|error| match error {
        Error::Refused { field, problem } => Error::State {
            path: dir.join(if field == "private key" { KEY_FILE } else { CERT_FILE }),
            problem: format!("{field} {problem}"),
            hint: "put both files of one root there, or empty the folder to get a new root",
        },
        other => other,
    })
}

fn create(dir: &Path, key: PrivateKey, trust_domain: &str, now: SystemTime) -> Result<Root, Error> {
    let (root, key_pem) = Root::self_sign(key, trust_domain, now)?;
    write(dir, KEY_FILE, &key_pem, 0o600)?;
    write(dir, CERT_FILE, root.cert_pem(), 0o644)?;
    Ok(root)
}

fn parse_key(dir: &Path, pem: &str) -> Result<PrivateKey, Error> {
    PrivateKey::from_pem(pem).map_err(|error| Error::State {
        path: dir.join(KEY_FILE),
        problem: error.to_string(),
        hint: "empty the folder to get a new root",
    })
}

fn make_folder(dir: &Path) -> Result<(), Error> {
    let io = |action| move |source| Error::Io { action, path: dir.to_owned(), source, hint: HINT_FOLDER };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("create the state folder"))?;
    let mode = dir.metadata().map_err(io("look at the state folder"))?.permissions().mode();
    // Whoever can write here can put another root in place.
    if mode & 0o022 != 0 {
        return Err(Error::State {
            path: dir.to_owned(),
            problem: format!("can be written by others (mode {:04o})", mode & 0o7777),
            hint: "chmod 700 it",
        });
    }
    Ok(())
}

/// Held until dropped; the kernel lets go of it when the process dies.
fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK_FILE);
    let io = |source| Error::Io { action: "lock", path: path.clone(), source, hint: HINT_FOLDER };
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io)?;
    file.lock().map_err(io)?;
    Ok(file)
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { action: "read", path: path.to_owned(), source, hint: HINT_FOLDER }),
    }
}

fn read_key(path: &Path) -> Result<Option<String>, Error> {
    let io = |source| Error::Io { action: "read", path: path.to_owned(), source, hint: HINT_FOLDER };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mode = file.metadata().map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::State {
            path: path.to_owned(),
            problem: format!("the root's key is open to others (mode {:04o})", mode & 0o7777),
            hint: "chmod 600 it, and make a new root if somebody may have read it",
        });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io)?;
    Ok(Some(text))
}

/// Writes `name` whole or not at all. Only called under the lock, so the temporary name is free.
fn write(dir: &Path, name: &str, content: &str, mode: u32) -> Result<(), Error> {
    let path = dir.join(name);
    let temporary = dir.join(format!(".{name}.new"));
    let io = |source| Error::Io { action: "write", path: path.clone(), source, hint: HINT_FOLDER };
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&temporary).map_err(io)?;
    file.write_all(content.as_bytes()).map_err(io)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&temporary, &path).map_err(io)
}

#[cfg(test)]
mod tests;

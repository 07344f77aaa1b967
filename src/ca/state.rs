//! The state folder: `root-cert.pem` and `ca-key.pem`, made once, shared by every process of a development mesh; the key of
//! the mesh's own tokens beside.
//!
//! The key is written before the certificate, both by rename, all under a lock on `.lock`. So a reader sees
//! either no root or a whole one, and a process that died in between left a key whose certificate the next makes. The
//! replacement that is under way is a file beside, from which a change of both can be done again.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::{Error, Fresh, Kept, PrivateKey, Root};

/// Name of the root certificate in the state folder, PEM, readable by all.
pub const CERT_FILE: &str = "root-cert.pem";
/// Name of the root's key in the state folder, PKCS#8 PEM, mode 0600.
pub const KEY_FILE: &str = "ca-key.pem";

/// Name of the replacement of the root that is under way, with the new key, mode 0600.
pub const REPLACEMENT_FILE: &str = "root-replacement.json";
/// Name of the key that signs the mesh's own tokens, PKCS#8 PEM, mode 0600.
pub const TOKEN_KEY_FILE: &str = "token-key.pem";

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
    let kept = kept_or_create(dir, trust_domain, Fresh::default(), now)?;
    join(dir, &kept.cert_pem, &kept.key_pem, now)
}

/// The same with the replacement that is under way; a root that is made is as `like` says.
///
/// # Errors
/// As [`load_or_create`]; [`Error::State`] for a replacement that cannot be read.
pub fn kept_or_create(dir: &Path, trust_domain: &str, like: Fresh, now: SystemTime) -> Result<Kept, Error> {
    make_folder(dir)?;
    let _lock = lock(dir)?;
    let key = match (read(&dir.join(CERT_FILE))?, read_key(&dir.join(KEY_FILE))?) {
        (Some(_), Some(_)) => {
            let kept = whole(dir, now)?;
            join(dir, &kept.cert_pem, &kept.key_pem, now)?;
            return Ok(kept);
        }
        (Some(_), None) => {
            return Err(Error::State {
                path: dir.join(KEY_FILE),
                problem: format!("is missing, but {CERT_FILE} is there"),
                hint: "put the key back, or empty the folder to get a new root",
            });
        }
        (None, Some(key)) => parse_key(dir, &key)?,
        (None, None) => like.key()?,
    };
    let kept = Kept::of(&Root::self_sign(key, trust_domain, like.lifetime, now)?);
    put(dir, &kept)?;
    Ok(kept)
}

/// Loads the root of the state folder `dir`; makes nothing.
///
/// # Errors
/// As [`load_or_create`], and [`Error::State`] when there is no root.
pub fn load(dir: &Path, now: SystemTime) -> Result<Root, Error> {
    let kept = change(dir, now, |_| Ok(None))?;
    join(dir, &kept.cert_pem, &kept.key_pem, now)
}

/// Puts into the state folder `dir` what `next` makes of what is there, or leaves it if that is nothing. Out: what is there
/// afterwards. Nobody else changes the folder in between.
///
/// # Errors
/// As [`load`], and what `next` says.
pub fn change(
    dir: &Path,
    now: SystemTime,
    next: impl FnOnce(&Kept) -> Result<Option<Kept>, Error>,
) -> Result<Kept, Error> {
    let _lock = lock(dir)?;
    let kept = whole(dir, now)?;
    let Some(next) = next(&kept)? else { return Ok(kept) };
    put(dir, &next)?;
    Ok(next)
}

/// What peers trust of the root that the state folder `dir` has, PEM, that of a replacement included.
///
/// # Errors
/// As [`load`].
pub fn trusted(dir: &Path, now: SystemTime) -> Result<String, Error> {
    let kept = change(dir, now, |_| Ok(None))?;
    Ok(kept.authority(None, now)?.root_bundle().to_owned())
}

/// What is kept, after a write is finished that a process could not finish. Only called under the lock.
fn whole(dir: &Path, now: SystemTime) -> Result<Kept, Error> {
    let (Some(cert_pem), Some(key_pem)) = (read(&dir.join(CERT_FILE))?, read_key(&dir.join(KEY_FILE))?)
    else {
        return Err(Error::State {
            path: dir.to_owned(),
            problem: format!("holds no root ({CERT_FILE} and {KEY_FILE})"),
            hint: "put the files back, or restart to get a new root",
        });
    };
    let replacement = read_key(&dir.join(REPLACEMENT_FILE))?;
    let kept = Kept::read(cert_pem, key_pem, replacement.as_ref().map(|text| text.as_str()));
    let kept = kept.map_err(|error| Error::State {
        path: dir.join(REPLACEMENT_FILE),
        problem: error.to_string(),
        hint: "put the file back as it was, or remove it to forget the replacement",
    })?;
    if !kept.is_torn() {
        return Ok(kept);
    }
    let kept = kept.advance(now)?;
    put(dir, &kept)?;
    Ok(kept)
}

/// Writes the key before the certificate, and a replacement that is over or goes on after both: as long as its old form is
/// there, all of what it says can be done again.
fn put(dir: &Path, kept: &Kept) -> Result<(), Error> {
    write(dir, KEY_FILE, &kept.key_pem, 0o600)?;
    write(dir, CERT_FILE, &kept.cert_pem, 0o644)?;
    let path = dir.join(REPLACEMENT_FILE);
    match &kept.replacement {
        Some(replacement) => write(dir, REPLACEMENT_FILE, &replacement.write()?, 0o600),
        None => match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::Io { action: "remove", path, source: error, hint: HINT_FOLDER })
            }
            _ => Ok(()),
        },
    }
}

/// Loads the key of the mesh's own tokens from the state folder `dir`, or makes one when there is none.
///
/// # Errors
/// As [`load_or_create`], of that file.
pub fn token_key(dir: &Path) -> Result<PrivateKey, Error> {
    make_folder(dir)?;
    let _lock = lock(dir)?;
    if let Some(pem) = read_key(&dir.join(TOKEN_KEY_FILE))? {
        return PrivateKey::from_pem(&pem).map_err(|error| Error::State {
            path: dir.join(TOKEN_KEY_FILE),
            problem: error.to_string(),
            hint: "remove it to get a new one; tokens that were made with it are worth nothing then",
        });
    }
    let key = PrivateKey::generate()?;
    write(dir, TOKEN_KEY_FILE, &key.expose_pem(), 0o600)?;
    Ok(key)
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

fn read_key(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
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
            problem: format!("the key is open to others (mode {:04o})", mode & 0o7777),
            hint: "chmod 600 it, and make a new one if somebody may have read it",
        });
    }
    let mut text = Zeroizing::new(String::new());
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

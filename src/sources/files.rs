//! A folder of YAML and JSON files as a source of objects.
//!
//! Everything in `--configDir` counts that is named `*.yaml`, `*.yml` or `*.json`, in it and its directories, but for
//! names with a dot in front; as `kubectl get -o yaml` prints it, several documents a file and `List`s included.
//! Symbolic links are followed, so the mounts of ConfigMaps and Secrets work, and the swap of such a mount is one batch.
//!
//! - A file that is there counts in the form in which its writer left it: closed, renamed into place or linked.
//! - A document that does not parse, or a file that cannot be read, is reported with its place, and the objects that it
//!   last gave are served on. The other documents count. A file that is gone takes its objects with it.
//! - An object in two places counts where it comes first, in order of paths and then of documents; the other is reported.
//! - An object that says what it said before makes no event.

mod document;
mod inotify;
mod links;
mod parse;
mod pending;
mod scan;
mod state;
#[cfg(test)]
mod testing;
mod tree;
mod value;
mod watch;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use watch::{Options, WatchError, watch};

use crate::event::Batch;
use state::State;
use worker::Worker;

/// Reads a folder once: the complete first batch that [`watch`] would send. Blocking.
///
/// # Errors
///
/// The folder is not there, is no directory or cannot be listed.
pub fn load(dir: &Path) -> Result<Batch, WatchError> {
    let failed = |source| WatchError::Folder { path: dir.to_owned(), source };
    let root = std::path::absolute(dir).map_err(failed)?;
    Worker::new(root, None).and_then(|mut worker| worker.first()).map_err(failed)
}

/// Reads one file, whatever its name is: the batch that a folder with this file alone would send.
///
/// # Errors
///
/// The file cannot be read. What it says is never an error, but told by the batch.
pub fn read(file: &Path) -> io::Result<Batch> {
    let bytes = std::fs::read(file)?;
    let path: Arc<Path> = file.into();
    let change = worker::parsed(&path, 0, &bytes);
    Ok(State::default().apply(BTreeMap::from([(path, change)])))
}

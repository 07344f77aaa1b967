//! The conformance cases of `e2e/conformance`, in process: what the reference sends for an input, and what we do.

mod case;
mod flags;
mod floors;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use case::{Case, Outcome};
pub use floors::{Floor, Floors};

/// The folders of all cases below `root` (`root/<area>/<case>`), sorted.
///
/// # Errors
/// The folder cannot be read.
pub fn cases(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for area in folders(root)? {
        found.extend(folders(&area)?);
    }
    Ok(found)
}

fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(root).with_context(|| format!("cannot list {}", root.display()))?;
    let mut paths = Vec::new();
    for entry in list {
        let path = entry?.path();
        if path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

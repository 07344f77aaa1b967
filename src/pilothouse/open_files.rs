//! How many files and connections this process may have open.
//!
//! Service managers and container runtimes give a low limit that a process may raise by itself, since old programs break with
//! a high one (`systemd.exec(5)`, "Process Properties"); the reference's runtime raises it at its start.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit to what the process may have.
///
/// # Errors
/// The system does not allow it.
pub fn raise() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

/// How many may be open at once, if that is known.
pub(crate) fn limit() -> Option<usize> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    usize::try_from(soft).ok()
}

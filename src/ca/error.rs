//! What can go wrong in this room, said so that the operator knows where to look and what to do.

use std::path::PathBuf;

/// An error of the certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the state folder could not be read or written.
    #[error("cannot {action} {}: {source}; {hint}", path.display())]
    Io {
        /// What was tried, as a verb phrase ("read", "create the state folder").
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What the operator can do.
        hint: &'static str,
    },
    /// A file of the state folder was read, but its content or its permissions are not usable.
    #[error("{}: {problem}; {hint}", path.display())]
    State {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What the operator can do.
        hint: &'static str,
    },
    /// The caller asked for something that is not signed or not accepted.
    #[error("{field}: {problem}")]
    Refused {
        /// The part of the input that is wrong ("csr", "lifetime", "private key").
        field: &'static str,
        /// What is wrong, and what would be accepted.
        problem: String,
    },
    /// The root cannot sign now.
    #[error(
        "the root certificate {problem}; make a new root: stop its users, empty the state folder, start again"
    )]
    Root {
        /// What is wrong with the root.
        problem: String,
    },
    /// The cryptography library failed.
    #[error("cryptography: {0}")]
    Crypto(String),
}

impl Error {
    /// A refusal of the caller's `field`.
    pub(crate) fn refused(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Refused { field, problem: problem.into() }
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

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
    /// A certificate authority that was plugged in cannot be used.
    #[error("plugged-in certificate authority: {part} {problem}; {hint}")]
    Plugged {
        /// The file or the part of it ("ca-cert.pem").
        part: String,
        /// What is wrong with it.
        problem: String,
        /// What the operator can do.
        hint: &'static str,
    },
    /// The cryptography library failed.
    #[error("cryptography: {0}")]
    Crypto(String),
}

/// Whose fault it is that nothing was signed (spec security.md 2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The request is not one that is signed (`CSR_ERROR`).
    Request,
    /// It asks for too long a life (`TTL_ERROR`).
    Lifetime,
    /// The signing certificate has ended or is not there (`CA_NOT_READY`).
    NotReady,
    /// Signing failed (`CERT_GEN_ERROR`).
    Signing,
}

impl Error {
    /// Whose fault it is that nothing was signed.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused { field: "csr" | "public key", .. } => Fault::Request,
            Self::Refused { field: "lifetime", .. } => Fault::Lifetime,
            Self::Root { .. } | Self::Plugged { .. } | Self::State { .. } | Self::Io { .. } => {
                Fault::NotReady
            }
            Self::Refused { .. } | Self::Crypto(_) => Fault::Signing,
        }
    }

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

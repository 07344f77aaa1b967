//! What a write that failed means for whoever made it.

use kube::Error;
use kube::core::Status;
use sources::kube::chain;

use super::Write;

/// The cause by which a server tells that a namespace takes no new objects because it is being deleted.
const TERMINATING: &str = "NamespaceTerminating";

/// Why an object was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It is another than the one that was read: look again.
    #[error("it was changed meanwhile")]
    Conflict,
    /// It is there already: look again.
    #[error("it is there already")]
    Exists,
    /// It, or its namespace, is gone or about to be: nothing is left to do.
    #[error("it, or its namespace, is not there")]
    Gone,
    /// This control plane may not: its role lacks a rule. With what the operator can do.
    #[error("{0}")]
    Forbidden(String),
    /// What was written is refused, in the server's words: the same again is refused again.
    #[error("{0}")]
    Refused(String),
    /// The server cannot do it now: try later.
    #[error("{0}")]
    Failed(String),
    /// The server does not answer, which its health tells: try later.
    #[error("{0}")]
    Unreachable(String),
}

impl WriteError {
    pub(super) fn of(error: Error, what: &Write) -> Self {
        match error {
            Error::Api(status) => Self::answered(&status, what),
            error if is_answer(&error) => Self::Failed(chain(&error)),
            error => Self::Unreachable(chain(&error)),
        }
    }

    fn answered(status: &Status, what: &Write) -> Self {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        match status.code {
            404 => Self::Gone,
            403 if causes.into_iter().any(|cause| cause.reason == TERMINATING) => Self::Gone,
            401 | 403 => Self::Forbidden(format!(
                "{} {}; let a role of this control plane's service account allow {}",
                status.code,
                status.message,
                right(&status.message, what)
            )),
            409 if status.reason == "AlreadyExists" => Self::Exists,
            409 => Self::Conflict,
            _ if passes(status) => Self::Failed(format!("{} {}", status.code, status.message)),
            code => Self::Refused(format!("{code} {}", status.message)),
        }
    }

    /// The value of the metric's label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Exists => "exists",
            Self::Gone => "gone",
            Self::Forbidden(_) => "forbidden",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

/// The right that is missing. Who approves for a signer needs one more than whoever writes the object does.
fn right(message: &str, what: &Write) -> String {
    match message.split_once("not permitted to approve requests with signerName ") {
        Some((_, signer)) => {
            format!("approve on signers of certificates.k8s.io with the resource name {signer}")
        }
        None => format!("{} on {}", what.verb, what.resource),
    }
}

/// Whether the same request may succeed a little later.
pub(super) fn is_passing(error: &Error) -> bool {
    match error {
        Error::Api(status) => passes(status),
        error => !is_answer(error),
    }
}

/// Whether the server answered.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Api(_) | Error::SerdeError(_))
}

/// 429: too much to do; 5xx: something behind the server failed.
fn passes(status: &Status) -> bool {
    status.code == 429 || status.code >= 500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_approve_for_a_signer_is_told_so() {
        let what = Write::new("update", "certificatesigningrequests/approval", "", "a");
        let right = |message: &str| right(message, &what);
        let refused =
            "\"a\" is forbidden: user not permitted to approve requests with signerName \"corp.example/web\"";
        let signers = "approve on signers of certificates.k8s.io with the resource name \"corp.example/web\"";
        assert_eq!(right(refused), signers);
        let refused =
            "\"a\" is forbidden: User \"b\" cannot update resource \"certificatesigningrequests/approval\"";
        assert_eq!(right(refused), "update on certificatesigningrequests/approval");
    }
}

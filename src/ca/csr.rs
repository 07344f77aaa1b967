//! Requests for certificates (PKCS#10, RFC 2986): what is taken of one, and what a request must not be.

mod registration;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::signature::verify;
use crate::{Error, PublicKey, SpiffeId};

/// The longest request that is read, in bytes of PEM. One with an RSA key of 8192 bits has less than 3 KiB.
pub const MAX_CSR: usize = 64 * 1024;

/// What is taken of a request. Its alternative names and extensions are not looked at: who asks is known by other means
/// (spec security.md 1.5 and trap 3).
#[derive(Clone, Debug)]
pub struct Csr {
    /// The key to certify; whoever asks has its private half.
    pub key: PublicKey,
    /// Whether the subject has a common name that is not empty.
    pub has_common_name: bool,
}

impl Csr {
    /// Reads a request in PEM and checks its signature.
    ///
    /// # Errors
    /// [`Error::Refused`] naming `csr` when it is too long, cannot be read, or is not signed by its key with SHA-2; naming
    /// `public key` for a key of a kind or size that is not certified.
    pub fn from_pem(csr: &str) -> Result<Self, Error> {
        Self::read(csr, None)
    }

    /// Reads a request in PEM that somebody else is to sign, who may take from it whatever stands in it: besides its
    /// signature it is checked that it asks for `identity` and for nothing else (spec security.md 1.8).
    ///
    /// # Errors
    /// As [`Csr::from_pem`].
    pub fn for_others(csr: &str, identity: &SpiffeId) -> Result<Self, Error> {
        Self::read(csr, Some(identity))
    }

    fn read(csr: &str, only: Option<&SpiffeId>) -> Result<Self, Error> {
        if csr.len() > MAX_CSR {
            return Err(refused(format!("has {} bytes; {MAX_CSR} are allowed", csr.len())));
        }
        let (_, block) = x509_parser::pem::parse_x509_pem(csr.as_bytes())
            .map_err(|e| refused(format!("is not PEM: {e}")))?;
        if block.label != "CERTIFICATE REQUEST" && block.label != "NEW CERTIFICATE REQUEST" {
            return Err(refused(format!("is a PEM block {:?}, not a CERTIFICATE REQUEST", block.label)));
        }
        Self::from_der(&block.contents, only)
    }

    fn from_der(der: &[u8], only: Option<&SpiffeId>) -> Result<Self, Error> {
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|e| refused(format!("cannot be read: {e}")))?;
        if !rest.is_empty() {
            return Err(refused(format!("has {} bytes after its end", rest.len())));
        }
        let info = &request.certification_request_info;
        let key = PublicKey::from_parsed(&info.subject_pki)?;
        verify(
            &info.subject_pki,
            key.kind(),
            &request.signature_algorithm,
            &request.signature_value,
            info.raw,
        )
        .map_err(refused)?;
        if let Some(identity) = only {
            registration::check(&request, &identity.to_string())?;
        }
        let has_common_name = info.subject.iter_common_name().any(|name| !name.attr_value().data.is_empty());
        Ok(Self { key, has_common_name })
    }
}

fn refused(problem: String) -> Error {
    Error::refused("csr", problem)
}

#[cfg(test)]
mod tests;

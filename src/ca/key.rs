//! Keys: a workload's own private key that never prints itself, and public keys that the root agrees to certify.

use std::fmt;

use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData,
    SubjectPublicKeyInfo,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo as ParsedKey;

use crate::Error;

const MIN_RSA_BITS: usize = 2048;

/// A private key. `Debug` prints nothing of it.
pub struct PrivateKey(KeyPair);

impl PrivateKey {
    /// Makes a new P-256 key from the operating system's randomness.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// Makes a new RSA key of 2048 bits, which takes a good part of a second.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub(crate) fn generate_rsa() -> Result<Self, Error> {
        Ok(Self(KeyPair::generate_for(&PKCS_RSA_SHA256)?))
    }

    /// Reads a PEM key: PKCS#8, or SEC1 and PKCS#1 of RSA, P-256, P-384 or P-521.
    ///
    /// # Errors
    /// [`Error::Refused`]; the text holds nothing of the key.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        KeyPair::from_pem(pem).map(Self).map_err(|_| {
            Error::refused(
                "private key",
                "is not an unencrypted PEM key (PKCS#8, SEC1 or PKCS#1) of a known kind",
            )
        })
    }

    /// The key as PKCS#8 PEM. This is the secret: do not log it.
    #[must_use]
    pub fn expose_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The public half.
    ///
    /// # Errors
    /// [`Error::Refused`] when the key is of a kind that the root does not certify.
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_spki_der(&self.public_key_der())
    }

    /// DER of the public half (SubjectPublicKeyInfo).
    pub(crate) fn public_key_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    pub(crate) fn into_pair(self) -> KeyPair {
        self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// A public key that may be certified: P-256, P-384 or RSA of at least 2048 bits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey(SubjectPublicKeyInfo);

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7).
    ///
    /// # Errors
    /// [`Error::Refused`] for what is no key, and for a kind or a size that is not certified.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, Error> {
        let refused = |problem: String| Error::refused("public key", problem);
        let (_, parsed) = ParsedKey::from_der(der).map_err(|e| refused(format!("cannot be read: {e}")))?;
        let key = SubjectPublicKeyInfo::from_der(der)
            .map_err(|_| refused("is of an unknown kind; use P-256, P-384 or RSA".to_owned()))?;
        let bits = match parsed.parsed() {
            Ok(x509_parser::public_key::PublicKey::RSA(rsa)) => Some(rsa.key_size()),
            Ok(_) => None,
            Err(e) => return Err(refused(format!("cannot be read: {e}"))),
        };
        match bits {
            Some(bits) if bits < MIN_RSA_BITS => {
                Err(refused(format!("is RSA of {bits} bits; use at least {MIN_RSA_BITS}, or P-256")))
            }
            Some(_) => Ok(Self(key)),
            None if [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384].contains(&key.algorithm()) => {
                Ok(Self(key))
            }
            None => Err(refused("is of a kind that is not certified; use P-256, P-384 or RSA".to_owned())),
        }
    }

    /// Reads a PKCS#10 request in PEM and takes its public key; its subject and its extensions are ignored,
    /// as the reference's CA does (spec security.md 1.5).
    ///
    /// # Errors
    /// [`Error::Refused`] when it cannot be read, when its signature does not verify, or for its key.
    pub fn from_csr_pem(csr: &str) -> Result<Self, Error> {
        let refused = |problem: String| Error::refused("csr", problem);
        let (_, block) = x509_parser::pem::parse_x509_pem(csr.as_bytes())
            .map_err(|e| refused(format!("is not PEM: {e}")))?;
        if block.label != "CERTIFICATE REQUEST" && block.label != "NEW CERTIFICATE REQUEST" {
            return Err(refused(format!("is a PEM block {:?}, not a CERTIFICATE REQUEST", block.label)));
        }
        let (_, request) = X509CertificationRequest::from_der(&block.contents)
            .map_err(|e| refused(format!("cannot be read: {e}")))?;
        request.verify_signature().map_err(|e| refused(format!("its signature does not verify: {e}")))?;
        Self::from_spki_der(request.certification_request_info.subject_pki.raw)
    }

    pub(crate) fn info(&self) -> &SubjectPublicKeyInfo {
        &self.0
    }
}

#[cfg(test)]
mod tests;

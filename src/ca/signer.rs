//! A key that signs with the name of its certificate: read once, so that each certificate costs little more than its
//! signature.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256,
    SignatureAlgorithm,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

use crate::leaf::{Leaf, authority_key_id, certificate};
use crate::{Error, PrivateKey};

/// DER of the `AlgorithmIdentifier` of each kind of signature (RFC 5758 3.2, RFC 4055 5).
const ALGORITHMS: [(&SignatureAlgorithm, &[u8]); 4] = [
    (&PKCS_ECDSA_P256_SHA256, b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),
    (&PKCS_ECDSA_P384_SHA384, b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),
    (&PKCS_ECDSA_P521_SHA512, b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04"),
    (&PKCS_RSA_SHA256, b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"),
];

/// A certificate of a CA with its key. `Debug` prints nothing of the key.
pub(crate) struct Signer {
    key: PrivateKey,
    algorithm: &'static [u8],
    /// DER of its own name.
    issuer: Vec<u8>,
    /// The identifier that its certificate gives its key.
    subject_key_id: Option<Vec<u8>>,
    /// DER of the extension that names its key; empty if its certificate does not.
    key_id: Vec<u8>,
    not_after: SystemTime,
}

impl Signer {
    /// Joins a certificate and its key, which the caller has found to belong together.
    ///
    /// # Errors
    /// [`Error::Refused`] naming `private key` for a kind of key that does not sign here.
    pub(crate) fn new(certificate: &X509Certificate<'_>, key: PrivateKey) -> Result<Self, Error> {
        // Looks at the size of RSA keys too.
        key.public_key().map_err(|error| Error::refused("private key", error.to_string()))?;
        let algorithm = ALGORITHMS.iter().find(|(algorithm, _)| *algorithm == key.algorithm());
        let Some((_, algorithm)) = algorithm else {
            return Err(Error::refused(
                "private key",
                "is of a kind that does not sign here; use ECDSA or RSA",
            ));
        };
        Ok(Self {
            key,
            algorithm,
            issuer: certificate.subject().as_raw().to_vec(),
            subject_key_id: subject_key_id(certificate).map(<[u8]>::to_vec),
            key_id: subject_key_id(certificate).map(authority_key_id).unwrap_or_default(),
            not_after: ends(certificate),
        })
    }

    /// Its key.
    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// DER of its own name.
    pub(crate) fn name(&self) -> &[u8] {
        &self.issuer
    }

    /// The identifier that its certificate gives its key.
    pub(crate) fn subject_key_id(&self) -> Option<&[u8]> {
        self.subject_key_id.as_deref()
    }

    /// When its certificate ends.
    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Signs. Out: DER of the certificate.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library fails.
    pub(crate) fn sign(&self, leaf: &Leaf<'_>) -> Result<Vec<u8>, Error> {
        let serial = random_serial()?;
        let text = leaf.to_be_signed(self.algorithm, &self.issuer, &self.key_id, &serial);
        let signature = self.key.sign(&text)?;
        Ok(certificate(&text, self.algorithm, &signature))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// When a certificate ends.
pub(crate) fn ends(certificate: &X509Certificate<'_>) -> SystemTime {
    moment(certificate.validity().not_after.timestamp())
}

/// When a certificate begins.
pub(crate) fn begins(certificate: &X509Certificate<'_>) -> SystemTime {
    moment(certificate.validity().not_before.timestamp())
}

fn moment(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// The identifier that a certificate gives its key.
pub(crate) fn subject_key_id<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

/// 128 random bits, the highest byte first.
pub(crate) fn random_serial() -> Result<[u8; 16], Error> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::Crypto("no randomness for a serial number".to_owned()))?;
    Ok(bytes)
}

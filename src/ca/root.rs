//! The root: one self-signed certificate and its key, in memory.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose, SerialNumber,
};
use zeroize::Zeroizing;

use crate::sign::BACKDATE;
use crate::signer::{Signer, begins, random_serial};
use crate::{Error, PrivateKey};

/// How long a new root is valid: 3650 days, as the reference's self-signed root (spec security.md 1.2).
pub(crate) const ROOT_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);

/// What a root is like that is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fresh {
    /// How long it is valid (`CITADEL_SELF_SIGNED_CA_CERT_TTL`).
    pub lifetime: Duration,
    /// The size of its RSA key in bits (`CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE`); without it the key is P-256.
    pub rsa_bits: Option<u32>,
}

impl Default for Fresh {
    fn default() -> Self {
        Self { lifetime: ROOT_LIFETIME, rsa_bits: None }
    }
}

impl Fresh {
    pub(crate) fn key(self) -> Result<PrivateKey, Error> {
        self.rsa_bits.map_or_else(PrivateKey::generate, PrivateKey::generate_rsa)
    }
}

/// A root certificate with its key, ready to sign. `Debug` prints nothing of the key.
pub struct Root {
    cert_pem: String,
    not_before: SystemTime,
    pub(crate) signer: Signer,
}

impl Root {
    /// Makes a new self-signed root of the organisation `trust_domain`, valid from shortly before `now`.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn generate(trust_domain: &str, now: SystemTime) -> Result<Self, Error> {
        Self::fresh(trust_domain, Fresh::default(), now)
    }

    /// The same, as `like` says.
    ///
    /// # Errors
    /// As [`Root::generate`].
    pub fn fresh(trust_domain: &str, like: Fresh, now: SystemTime) -> Result<Self, Error> {
        Self::self_sign(like.key()?, trust_domain, like.lifetime, now)
    }

    /// Self-signs `key`, for the organisation `trust_domain`.
    pub(crate) fn self_sign(
        key: PrivateKey,
        trust_domain: &str,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + lifetime).into();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(key.pair())?;
        Self::join(certificate.pem(), key, now)
    }

    /// Joins a certificate and its key, both PEM.
    ///
    /// # Errors
    /// [`Error::Refused`] naming `root certificate` or `private key` when one cannot be read, when they do not
    /// belong together, or when the certificate is not a CA's; [`Error::Root`] when it has expired at `now`.
    pub fn from_pem(cert_pem: &str, key_pem: &str, now: SystemTime) -> Result<Self, Error> {
        Self::join(cert_pem.to_owned(), PrivateKey::from_pem(key_pem)?, now)
    }

    /// Makes a new certificate for the key of another, valid for `lifetime`. Its organisation is the other's, or
    /// `trust_domain` if the other does not say one.
    ///
    /// # Errors
    /// [`Error::Refused`] when the key cannot be read, [`Error::Crypto`] when the library refuses.
    pub fn renewed(
        cert_pem: &str,
        key_pem: &str,
        trust_domain: &str,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let organisation = organisation(cert_pem);
        let name = organisation.as_deref().unwrap_or(trust_domain);
        Self::self_sign(PrivateKey::from_pem(key_pem)?, name, lifetime, now)
    }

    fn join(cert_pem: String, key: PrivateKey, now: SystemTime) -> Result<Self, Error> {
        crate::pem::check_key_of(cert_pem.as_bytes(), &key)?;
        let refused = |e: String| Error::refused("root certificate", e);
        let (_, block) =
            x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).map_err(|e| refused(e.to_string()))?;
        let cert = block.parse_x509().map_err(|e| refused(e.to_string()))?;
        if !cert.is_ca() {
            return Err(refused("is not a CA certificate (basic constraints)".to_owned()));
        }
        let signer = Signer::new(&cert, key)?;
        if signer.not_after() <= now {
            return Err(Error::Root { problem: format!("expired at {}", cert.validity().not_after) });
        }
        let not_before = begins(&cert);
        Ok(Self { cert_pem, not_before, signer })
    }

    /// The key as PKCS#8 PEM, for storing. This is the secret: do not log it.
    #[must_use]
    pub fn expose_key_pem(&self) -> Zeroizing<String> {
        self.signer.key().expose_pem()
    }

    /// The root certificate as PEM: what peers trust.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// When the root begins.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When the root ends. Nothing that it signs outlives it.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.signer.not_after()
    }
}

/// The organisation of a certificate, if it can be read and has one.
pub(crate) fn organisation(cert_pem: &str) -> Option<String> {
    let (_, block) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).ok()?;
    let certificate = block.parse_x509().ok()?;
    let name = certificate.subject().iter_organization().next()?.as_str().ok()?.to_owned();
    Some(name).filter(|name| !name.is_empty())
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

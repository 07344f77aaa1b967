//! The root: one self-signed certificate and its key, in memory.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::sign::{BACKDATE, random_serial};
use crate::{Error, PrivateKey};

/// How long a new root is valid: 3650 days, as the reference's self-signed root (spec security.md 1.2).
const ROOT_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);

/// A root certificate with its key, ready to sign. `Debug` prints nothing of the key.
pub struct Root {
    cert_pem: String,
    not_after: SystemTime,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Root {
    /// Makes a new self-signed root of the organisation `trust_domain`, valid from shortly before `now`.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn generate(trust_domain: &str, now: SystemTime) -> Result<Self, Error> {
        Self::self_sign(PrivateKey::generate()?, trust_domain, now).map(|(root, _)| root)
    }

    /// Makes a new self-signed root of the organisation `trust_domain`, valid from shortly before `now`, with its key as
    /// PKCS#8 PEM, for storing where the reference reads it too: RSA of 2048 bits (spec security.md 1.2).
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn generate_to_store(trust_domain: &str, now: SystemTime) -> Result<(Self, String), Error> {
        Self::self_sign(PrivateKey::generate_rsa()?, trust_domain, now)
    }

    /// Self-signs `key`. Out: the root and the key as PEM, for storing.
    pub(crate) fn self_sign(
        key: PrivateKey,
        trust_domain: &str,
        now: SystemTime,
    ) -> Result<(Self, String), Error> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(random_serial()?);
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + ROOT_LIFETIME).into();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key_pem = key.expose_pem();
        let pair = key.into_pair();
        let cert_pem = params.self_signed(&pair)?.pem();
        Ok((Self { cert_pem, not_after: now + ROOT_LIFETIME, issuer: Issuer::new(params, pair) }, key_pem))
    }

    /// Joins a certificate and its key, both PEM.
    ///
    /// # Errors
    /// [`Error::Refused`] naming `root certificate` or `private key` when one cannot be read, when they do not
    /// belong together, or when the certificate is not a CA's; [`Error::Root`] when it has expired at `now`.
    pub fn from_pem(cert_pem: &str, key_pem: &str, now: SystemTime) -> Result<Self, Error> {
        crate::check_key_pair(cert_pem.as_bytes(), key_pem.as_bytes())?;
        let refused = |e: String| Error::refused("root certificate", e);
        let (_, block) =
            x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).map_err(|e| refused(e.to_string()))?;
        let cert = block.parse_x509().map_err(|e| refused(e.to_string()))?;
        if !cert.is_ca() {
            return Err(refused("is not a CA certificate (basic constraints)".to_owned()));
        }
        let seconds = u64::try_from(cert.validity().not_after.timestamp()).unwrap_or(0);
        let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        if not_after <= now {
            return Err(Error::Root { problem: format!("expired at {}", cert.validity().not_after) });
        }
        let pair = PrivateKey::from_pem(key_pem)?.into_pair();
        let issuer = Issuer::from_ca_cert_pem(cert_pem, pair)?;
        Ok(Self { cert_pem: cert_pem.to_owned(), not_after, issuer })
    }

    /// The root certificate as PEM: what peers trust.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// When the root ends. Nothing that it signs outlives it.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

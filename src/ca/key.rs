//! Keys: a workload's own private key that never prints itself, and public keys that the root agrees to certify.

use std::fmt;

use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData,
    RsaKeySize, SanType, SignatureAlgorithm, SigningKey,
};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo as ParsedKey;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{Csr, Error, SpiffeId};

/// Sizes of RSA keys in bits: what is shorter can be broken, what is longer takes too much to check.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A private key. `Debug` prints nothing of it, and its bytes are wiped when it is dropped.
pub struct PrivateKey(KeyPair);

impl PrivateKey {
    /// Makes a new P-256 key from the operating system's randomness.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// Makes a new RSA key from the operating system's randomness, of the least of 2048, 3072 and 4096 bits that is not below
    /// `bits`: what takes longer to verify than that is of no use in every handshake.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn generate_rsa(bits: u32) -> Result<Self, Error> {
        let size = match bits {
            ..=2048 => RsaKeySize::_2048,
            2049..=3072 => RsaKeySize::_3072,
            _ => RsaKeySize::_4096,
        };
        Ok(Self(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)?))
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

    /// The key as PKCS#8 PEM. This is the secret: do not log it. It is wiped when it is dropped.
    #[must_use]
    pub fn expose_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// The public half.
    ///
    /// # Errors
    /// [`Error::Refused`] when the key is of a kind that is not certified.
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_spki_der(&self.public_key_der())
    }

    /// Asks for a certificate of `identity`: a request (PKCS#10, PEM) with an empty subject and the identity as its only
    /// alternative name, as registration authorities want it (spec security.md 1.8, trap 4).
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn request(&self, identity: &SpiffeId) -> Result<String, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
        Ok(params.serialize_request(&self.0)?.pem()?)
    }

    /// Asks for a certificate of a server: a request (PKCS#10, PEM) with an empty subject and these DNS names and addresses.
    ///
    /// # Errors
    /// [`Error::Crypto`] when one of the names is none, or the library refuses.
    pub fn request_server(&self, names: &[String]) -> Result<String, Error> {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&self.0)?.pem()?)
    }

    /// DER of the public half (SubjectPublicKeyInfo).
    pub(crate) fn public_key_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// DER of the secret.
    pub(crate) fn secret_der(&self) -> &[u8] {
        self.0.serialized_der()
    }

    /// How it signs.
    pub(crate) fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }

    /// Signs.
    pub(crate) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(text)?)
    }

    /// The library's form of it.
    pub(crate) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// Kinds of keys that are certified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    P256,
    P384,
    P521,
    Rsa,
}

/// A public key that may be certified: P-256, P-384, P-521, or RSA of 2048 to 8192 bits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey {
    der: Vec<u8>,
    kind: Kind,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7).
    ///
    /// # Errors
    /// [`Error::Refused`] for what is no key, and for a kind or a size that is not certified.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, Error> {
        let (_, parsed) = ParsedKey::from_der(der).map_err(|e| refused(format!("cannot be read: {e}")))?;
        Self::from_parsed(&parsed)
    }

    pub(crate) fn from_parsed(parsed: &ParsedKey<'_>) -> Result<Self, Error> {
        let kind = Kind::of(parsed)?;
        match parsed.parsed() {
            Ok(Parsed::RSA(rsa)) if !RSA_BITS.contains(&rsa.key_size()) => Err(refused(format!(
                "is RSA of {} bits; use {} to {} bits, or P-256",
                rsa.key_size(),
                RSA_BITS.start(),
                RSA_BITS.end()
            ))),
            Ok(_) => Ok(Self { der: parsed.raw.to_vec(), kind }),
            Err(e) => Err(refused(format!("cannot be read: {e}"))),
        }
    }

    /// Reads a PKCS#10 request in PEM and takes its public key; its subject and its extensions are ignored,
    /// as the reference's CA does (spec security.md 1.5).
    ///
    /// # Errors
    /// As [`Csr::from_pem`].
    pub fn from_csr_pem(csr: &str) -> Result<Self, Error> {
        Csr::from_pem(csr).map(|csr| csr.key)
    }

    /// DER, SubjectPublicKeyInfo.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl Kind {
    /// The kind of a key.
    ///
    /// # Errors
    /// [`Error::Refused`] for a kind that is not certified.
    pub(crate) fn of(key: &ParsedKey<'_>) -> Result<Self, Error> {
        let algorithm = &key.algorithm;
        if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
            return Ok(Self::Rsa);
        }
        let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        let curves =
            [(OID_EC_P256, Self::P256), (OID_NIST_EC_P384, Self::P384), (OID_NIST_EC_P521, Self::P521)];
        let known = curves.into_iter().find(|(name, _)| curve.as_ref() == Some(name));
        match known {
            Some((_, kind)) if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => Ok(kind),
            _ => {
                Err(refused("is of a kind that is not certified; use P-256, P-384, P-521 or RSA".to_owned()))
            }
        }
    }
}

fn refused(problem: String) -> Error {
    Error::refused("public key", problem)
}

#[cfg(test)]
mod tests;

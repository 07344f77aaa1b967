//! Signatures of others over requests, certificates and revocation lists: which algorithms are taken, and the check itself.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::oid_registry::{
    OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, Oid,
};
use x509_parser::verify::verify_signature;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::key::Kind;

/// Checks that `key`, of this kind, signed `text`.
///
/// # Errors
/// What is wrong, as the end of a sentence that begins with what was signed.
pub(crate) fn verify(
    key: &SubjectPublicKeyInfo<'_>,
    kind: Kind,
    algorithm: &AlgorithmIdentifier<'_>,
    signature: &x509_parser::der_parser::asn1_rs::BitString<'_>,
    text: &[u8],
) -> Result<(), String> {
    let bad = || "its signature does not verify".to_owned();
    let oid = &algorithm.algorithm;
    if *oid == OID_PKCS1_RSASSAPSS && kind == Kind::Rsa {
        // Its hash is in parameters, which this reads.
        return verify_signature(key, algorithm, signature, text).map_err(|_| bad());
    }
    let Some(algorithm) = check_of(kind, oid) else {
        return Err(format!("its signature algorithm {oid} does not go with its key, or is not SHA-2"));
    };
    UnparsedPublicKey::new(algorithm, &key.subject_public_key.data)
        .verify(text, &signature.data)
        .map_err(|_| bad())
}

/// How a signature of this algorithm by a key of this kind is checked.
fn check_of(kind: Kind, oid: &Oid<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let hash = |names: [&Oid<'_>; 3]| names.iter().position(|name| *name == oid);
    let ecdsa = hash([&OID_SIG_ECDSA_WITH_SHA256, &OID_SIG_ECDSA_WITH_SHA384, &OID_SIG_ECDSA_WITH_SHA512]);
    let rsa = hash([&OID_PKCS1_SHA256WITHRSA, &OID_PKCS1_SHA384WITHRSA, &OID_PKCS1_SHA512WITHRSA]);
    Some(match (kind, ecdsa, rsa) {
        (Kind::P256, Some(0), _) => &signature::ECDSA_P256_SHA256_ASN1,
        (Kind::P256, Some(1), _) => &signature::ECDSA_P256_SHA384_ASN1,
        (Kind::P256, Some(2), _) => &signature::ECDSA_P256_SHA512_ASN1,
        (Kind::P384, Some(0), _) => &signature::ECDSA_P384_SHA256_ASN1,
        (Kind::P384, Some(1), _) => &signature::ECDSA_P384_SHA384_ASN1,
        (Kind::P384, Some(2), _) => &signature::ECDSA_P384_SHA512_ASN1,
        (Kind::P521, Some(0), _) => &signature::ECDSA_P521_SHA256_ASN1,
        (Kind::P521, Some(1), _) => &signature::ECDSA_P521_SHA384_ASN1,
        (Kind::P521, Some(2), _) => &signature::ECDSA_P521_SHA512_ASN1,
        (Kind::Rsa, _, Some(0)) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (Kind::Rsa, _, Some(1)) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (Kind::Rsa, _, Some(2)) => &signature::RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    })
}

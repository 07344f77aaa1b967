//! Keys and requests that are taken and refused.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData};

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use super::{PrivateKey, PublicKey};
use crate::SpiffeId;

fn csr(key: &KeyPair) -> String {
    let mut params = CertificateParams::new(vec!["ignored.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::OrganizationName, "");
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn debug_shows_nothing() {
    let key = PrivateKey::generate().unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(redacted)");
}

#[test]
fn pem_round_trip_keeps_the_key() {
    let key = PrivateKey::generate().unwrap();
    let again = PrivateKey::from_pem(&key.expose_pem()).unwrap();
    assert_eq!(again.public_key().unwrap(), key.public_key().unwrap());
}

#[test]
fn a_request_names_its_identity_only() {
    let key = PrivateKey::generate().unwrap();
    let identity = SpiffeId::new("cluster.local", "shop", "web").unwrap();
    let pem = key.request(&identity).unwrap();
    assert_eq!(PublicKey::from_csr_pem(&pem).unwrap(), key.public_key().unwrap());
    let (_, block) = parse_x509_pem(pem.as_bytes()).unwrap();
    let (_, request) = X509CertificationRequest::from_der(&block.contents).unwrap();
    assert_eq!(request.certification_request_info.subject.iter().count(), 0);
    let names: Vec<String> =
        request.requested_extensions().unwrap().map(|extension| format!("{extension:?}")).collect();
    assert_eq!(names.len(), 1);
    assert!(names[0].contains("URI(\"spiffe://cluster.local/ns/shop/sa/web\")"), "{names:?}");
}

#[test]
fn a_broken_key_is_refused_without_showing_it() {
    let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let error = PrivateKey::from_pem(secret).unwrap_err().to_string();
    assert!(error.starts_with("private key: "), "{error}");
    assert!(!error.contains("c2Vjc"), "{error}");
}

#[test]
fn csr_gives_its_key() {
    for key in [KeyPair::generate().unwrap(), KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()] {
        let public = PublicKey::from_csr_pem(&csr(&key)).unwrap();
        assert_eq!(public.der(), key.subject_public_key_info());
    }
}

#[test]
fn csr_with_a_foreign_signature_is_refused() {
    let pem = csr(&KeyPair::generate().unwrap());
    let (_, block) = parse_x509_pem(pem.as_bytes()).unwrap();
    let mut der = block.contents.clone();
    let at = der.windows(7).position(|w| w == b"ignored").unwrap();
    der[at] = b'I';
    let error =
        PublicKey::from_csr_pem(&crate::pem::encode("CERTIFICATE REQUEST", &der)).unwrap_err().to_string();
    assert!(error.starts_with("csr: its signature does not verify"), "{error}");
}

#[test]
fn kinds_that_are_not_certified_are_refused() {
    let error = PublicKey::from_csr_pem(&csr(&KeyPair::generate_for(&PKCS_ED25519).unwrap())).unwrap_err();
    assert!(error.to_string().contains("use P-256"), "{error}");
    let error = PublicKey::from_csr_pem("nonsense").unwrap_err();
    assert!(error.to_string().starts_with("csr: is not PEM"), "{error}");
    let error = PublicKey::from_spki_der(&[0x30, 0]).unwrap_err();
    assert!(error.to_string().starts_with("public key: "), "{error}");
}

#[test]
fn short_rsa_is_refused() {
    let error = PublicKey::from_spki_der(&short_rsa()).unwrap_err();
    assert!(error.to_string().contains("RSA of 1024 bits"), "{error}");
}

/// A SubjectPublicKeyInfo with an RSA modulus of 1024 bits, written by hand: no library here makes one.
fn short_rsa() -> Vec<u8> {
    let mut modulus = vec![0x02, 0x81, 0x81, 0x00, 0xc1];
    modulus.extend([0x5b; 127]);
    let mut numbers = modulus;
    numbers.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    let mut rsa = vec![0x30, 0x81, u8::try_from(numbers.len()).unwrap()];
    rsa.extend(numbers);
    let mut bits = vec![0x03, 0x81, u8::try_from(rsa.len() + 1).unwrap(), 0x00];
    bits.extend(rsa);
    let mut body =
        vec![0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    body.extend(bits);
    let mut out = vec![0x30, 0x81, u8::try_from(body.len()).unwrap()];
    out.extend(body);
    out
}

//! Requests that are taken and refused, and what is told of the latter.

use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA256,
    PKCS_ECDSA_P521_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, PKCS_RSA_SHA384,
    PKCS_RSA_SHA512, SignatureAlgorithm,
};

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::{Csr, MAX_CSR};
use crate::{Error, Fault};

fn csr(algorithm: &'static SignatureAlgorithm) -> String {
    let key = KeyPair::generate_for(algorithm).unwrap();
    CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
}

fn problem(csr: &str) -> String {
    let error = Csr::from_pem(csr).unwrap_err();
    assert_eq!(error.fault(), Fault::Request, "{error}");
    error.to_string()
}

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

fn pem(der: &[u8]) -> String {
    crate::pem::encode("CERTIFICATE REQUEST", der)
}

#[test]
fn keys_and_signatures_of_every_kind_in_use_are_taken() {
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ECDSA_P521_SHA256,
        &PKCS_ECDSA_P521_SHA384,
        &PKCS_ECDSA_P521_SHA512,
        &PKCS_RSA_SHA256,
    ] {
        Csr::from_pem(&csr(algorithm)).unwrap();
    }
    // One key, other hashes.
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    for algorithm in [&PKCS_RSA_SHA384, &PKCS_RSA_SHA512] {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(&key.serialize_pem(), algorithm).unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        Csr::from_pem(&csr).unwrap();
    }
    assert!(problem(&csr(&PKCS_ED25519)).contains("public key: is of a kind that is not certified"));
}

#[test]
fn older_headings_and_text_around_are_taken() {
    let csr = csr(&PKCS_ECDSA_P256_SHA256);
    Csr::from_pem(&csr.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")).unwrap();
    Csr::from_pem(&csr.replace('\n', "\r\n")).unwrap();
    assert!(
        problem(&csr.replace("CERTIFICATE REQUEST", "CERTIFICATE")).contains("not a CERTIFICATE REQUEST")
    );
}

#[test]
fn huge_requests_are_refused_before_they_are_read() {
    let long = format!("{}{}", csr(&PKCS_ECDSA_P256_SHA256), " ".repeat(MAX_CSR));
    assert!(problem(&long).contains("bytes; 65536 are allowed"));
}

#[test]
fn no_byte_that_is_signed_can_be_changed() {
    let whole = der(&csr(&PKCS_ECDSA_P256_SHA256));
    let (_, request) = X509CertificationRequest::from_der(&whole).unwrap();
    let signed = request.certification_request_info.raw;
    let start = whole.windows(signed.len()).position(|window| window == signed).unwrap();
    for at in start..start + signed.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        Csr::from_pem(&pem(&bytes)).unwrap_err();
    }
}

#[test]
fn no_part_of_a_request_is_one_and_nothing_may_follow_it() {
    let whole = der(&csr(&PKCS_ECDSA_P256_SHA256));
    for length in 0..whole.len() {
        Csr::from_pem(&pem(&whole[..length])).unwrap_err();
    }
    let mut more = whole;
    more.push(0);
    assert!(problem(&pem(&more)).contains("1 bytes after its end"));
}

#[test]
fn a_signature_of_another_algorithm_is_refused() {
    // ecdsa-with-SHA256 becomes ecdsa-with-SHA1, and an algorithm of RSA.
    let whole = der(&csr(&PKCS_ECDSA_P256_SHA256));
    let name = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let at = whole.windows(8).rposition(|window| window == name).unwrap();
    for (offset, value) in [(7, 5), (6, 2)] {
        let mut bytes = whole.clone();
        bytes[at + offset] = value;
        assert!(problem(&pem(&bytes)).contains("is not SHA-2"));
    }
}

#[test]
fn errors_of_the_library_are_nobodys_request() {
    assert_eq!(Error::Crypto("x".to_owned()).fault(), Fault::Signing);
    assert_eq!(Error::refused("lifetime", "x").fault(), Fault::Lifetime);
}

#[test]
fn the_corpus_of_the_fuzz_target_is_taken_and_refused_as_its_names_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/csr");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        match Csr::from_pem(&text) {
            Ok(_) => assert!(!name.starts_with("refused-"), "{name}"),
            Err(error) => assert!(!name.starts_with("taken-"), "{name}: {error}"),
        }
        count += 1;
    }
    assert!(count >= 17, "{count} files");
}

//! What signs and what is trusted from stage to stage.

use std::time::Duration;

use x509_parser::pem::parse_x509_pem;

use super::*;

const LIFE: Fresh = Fresh { lifetime: Duration::from_secs(1000 * 24 * 3600), rsa_bits: None };

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn first() -> Kept {
    Kept::of(&Root::generate("mesh.example", now()).unwrap())
}

fn signed(authority: &Authority) -> Vec<String> {
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    authority.sign(&csr, &["spiffe://t/ns/n/sa/s"], 0, now()).unwrap().chain
}

/// Whether the certificate is by the root.
fn is_by(certificate: &str, root: &str) -> bool {
    let (leaf, root) =
        (parse_x509_pem(certificate.as_bytes()).unwrap().1, parse_x509_pem(root.as_bytes()).unwrap().1);
    let key = root.parse_x509().unwrap().public_key().raw.to_vec();
    let (_, key) =
        <x509_parser::prelude::SubjectPublicKeyInfo<'_> as x509_parser::prelude::FromDer<'_, _>>::from_der(
            &key,
        )
        .unwrap();
    leaf.parse_x509().unwrap().verify_signature(Some(&key)).is_ok()
}

#[test]
fn there_is_always_a_root_that_all_trust_and_that_signed_what_lives() {
    let old = first();
    let begun = old.begin(LIFE, now()).unwrap();
    let [_, new] = begun.replacement.as_ref().unwrap().roots().map(str::to_owned);
    let signing = begun.advance(now()).unwrap();
    let done = signing.advance(now()).unwrap();
    let stages = [
        (&old, old.cert_pem.clone(), &old.cert_pem),
        (&begun, format!("{}{new}", old.cert_pem), &old.cert_pem),
        (&signing, format!("{new}{}", old.cert_pem), &new),
        (&done, new.clone(), &new),
    ];
    for (kept, trusted, signer) in stages {
        let authority = kept.authority(None, now()).unwrap();
        assert_eq!(authority.root_bundle(), trusted);
        let chain = signed(&authority);
        assert_eq!(chain.last().unwrap(), &trusted, "the last element is the whole bundle");
        assert!(is_by(&chain[0], signer), "{kept:?}");
    }
    assert_ne!(done.key_pem, old.key_pem);
    assert!(done.advance(now()).unwrap_err().to_string().contains("is not under way"));
}

#[test]
fn only_one_replacement_is_under_way_and_it_can_be_abandoned_until_the_new_root_signs() {
    let old = first();
    let begun = old.begin(LIFE, now()).unwrap();
    let again = begun.begin(LIFE, now()).unwrap_err().to_string();
    assert!(again.contains("is under way already, in the stage distributing"), "{again}");
    assert_eq!(begun.abandon().unwrap(), old);
    let late = begun.advance(now()).unwrap().abandon().unwrap_err().to_string();
    assert!(late.contains("cannot be abandoned"), "{late}");
}

#[test]
fn roots_from_elsewhere_are_trusted_beside_and_none_twice() {
    let (kept, other) = (first(), first());
    let bundle = format!("# mine\n{}# theirs\n{}{}", kept.cert_pem, other.cert_pem, other.cert_pem);
    let authority = kept.authority(Some(&bundle), now()).unwrap();
    assert_eq!(authority.root_bundle(), format!("{}{}", kept.cert_pem, other.cert_pem));
    assert!(kept.authority(Some("-----BEGIN CERTIFICATE-----\nx\n"), now()).is_err());
}

#[test]
fn nothing_of_keys_is_printed() {
    let kept = first().begin(LIFE, now()).unwrap();
    assert!(!format!("{kept:?}").contains("PRIVATE"));
}

#[test]
fn an_rsa_root_is_made_of_the_size_that_is_asked_for_and_replaces_one_of_p_256() {
    let like = Fresh { rsa_bits: Some(3000), ..LIFE };
    let done = first().begin(like, now()).unwrap().advance(now()).unwrap();
    let (_, root) = parse_x509_pem(done.cert_pem.as_bytes()).unwrap();
    let root = root.parse_x509().unwrap();
    let x509_parser::public_key::PublicKey::RSA(key) = root.public_key().parsed().unwrap() else {
        panic!("not RSA")
    };
    assert_eq!(key.key_size(), 3072);
    assert!(is_by(&signed(&done.authority(None, now()).unwrap())[0], &done.cert_pem));
}

//! Files in both layouts, whole, incomplete and wrong.

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer as _, EcPrivateKeyRfc5915Der};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, SerialNumber, SignatureAlgorithm,
};
use tempfile::TempDir;
use x509_parser::pem::parse_x509_pem;

use super::{Files, check_names_may_follow, check_roots_may_follow};
use crate::Authority;

const CA_CERT: &str = "ca-cert.pem";
const CA_KEY: &str = "ca-key.pem";
const ROOT: &str = "root-cert.pem";
const CHAIN: &str = "cert-chain.pem";
const CRL: &str = "ca-crl.pem";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A CA as operators make them.
struct Ca {
    pem: String,
    key: KeyPair,
    params: CertificateParams,
}

fn days(days: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from(now()) + time::Duration::days(days)
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (days(-1), days(100));
    params
}

fn ca(params: CertificateParams, algorithm: &'static SignatureAlgorithm, above: Option<&Ca>) -> Ca {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let pem = match above {
        None => params.self_signed(&key).unwrap().pem(),
        Some(above) => params.signed_by(&key, &above.issuer()).unwrap().pem(),
    };
    Ca { pem, key, params }
}

impl Ca {
    fn root(name: &str) -> Self {
        ca(params(name), &PKCS_ECDSA_P256_SHA256, None)
    }

    fn below(&self, name: &str) -> Self {
        ca(params(name), &PKCS_ECDSA_P256_SHA256, Some(self))
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn crl(&self) -> String {
        let list = CertificateRevocationListParams {
            this_update: days(-1),
            next_update: days(1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer()).unwrap().pem().unwrap()
    }
}

/// A folder with a root and an intermediate that signs.
struct Plugged {
    folder: TempDir,
    root: Ca,
    signing: Ca,
}

impl Plugged {
    fn new() -> Self {
        let root = Ca::root("root");
        let signing = root.below("signing");
        Self::of(root, signing)
    }

    fn of(root: Ca, signing: Ca) -> Self {
        let this = Self { folder: TempDir::new().unwrap(), root, signing };
        this.put(CA_CERT, &this.signing.pem);
        this.put(CA_KEY, &this.signing.key.serialize_pem());
        this.put(ROOT, &this.root.pem);
        this.put(CHAIN, &format!("{}{}", this.signing.pem, this.root.pem));
        this
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path().join(name)).unwrap();
    }

    fn load(&self) -> Result<Authority, String> {
        let files = Files::read(self.path(), true).map_err(|error| error.to_string())?;
        files.expect("files").authority(now()).map_err(|error| error.to_string())
    }

    fn problem(&self) -> String {
        self.load().expect_err("wrong files")
    }
}

fn csr() -> String {
    CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

#[test]
fn both_layouts_answer_with_leaf_chain_and_bundle() {
    let istio = Plugged::new();
    let kubernetes = TempDir::new().unwrap();
    std::fs::write(kubernetes.path().join("tls.crt"), istio.signing.pem.trim_end()).unwrap();
    std::fs::write(kubernetes.path().join("tls.key"), istio.signing.key.serialize_pem()).unwrap();
    std::fs::write(kubernetes.path().join("ca.crt"), &istio.root.pem).unwrap();
    // A list that this layout does not have.
    std::fs::write(kubernetes.path().join(CRL), "nothing").unwrap();
    for folder in [istio.path(), kubernetes.path()] {
        let authority = Files::read(folder, true).unwrap().unwrap().authority(now()).unwrap();
        let issued = authority.sign(&csr(), &["spiffe://t/ns/n/sa/s"], 0, now()).unwrap();
        assert_eq!(
            issued.chain[1..],
            [istio.signing.pem.clone(), istio.root.pem.clone(), istio.root.pem.clone()]
        );
        let (_, leaf) = parse_x509_pem(issued.chain[0].as_bytes()).unwrap();
        let (_, signing) = parse_x509_pem(istio.signing.pem.as_bytes()).unwrap();
        let (leaf, signing) = (leaf.parse_x509().unwrap(), signing.parse_x509().unwrap());
        leaf.verify_signature(Some(signing.public_key())).unwrap();
        assert_eq!(leaf.issuer().as_raw(), signing.subject().as_raw());
        assert_eq!(authority.root_bundle(), istio.root.pem);
    }
}

#[test]
fn the_bundle_is_one_element_byte_for_byte_and_the_chain_has_one_certificate_an_element() {
    let plugged = Plugged::new();
    let bundle = format!("# roots\n{}\n\n{}", plugged.root.pem, Ca::root("other").pem.trim_end());
    plugged.put(ROOT, &bundle);
    plugged.put(CHAIN, &format!("# chain\n{}\n# root\n{}", plugged.signing.pem, plugged.root.pem));
    let issued = plugged.load().unwrap().sign(&csr(), &["a"], 0, now()).unwrap();
    assert_eq!(issued.chain[1..], [plugged.signing.pem.clone(), plugged.root.pem.clone(), bundle]);
}

#[test]
fn keys_of_all_kinds_and_forms_sign() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_RSA_SHA256] {
        let root = ca(params("root"), algorithm, None);
        let signing = ca(params("signing"), algorithm, Some(&root));
        let issued = Plugged::of(root, signing).load().unwrap().sign(&csr(), &["a"], 0, now()).unwrap();
        let blocks: Vec<_> =
            issued.chain.iter().map(|pem| parse_x509_pem(pem.as_bytes()).unwrap().1).collect();
        let (leaf, signing) = (blocks[0].parse_x509().unwrap(), blocks[1].parse_x509().unwrap());
        leaf.verify_signature(Some(signing.public_key())).unwrap();
    }
}

/// What a key in PKCS#8 wraps: PKCS#1 of RSA.
fn wrapped(key: &KeyPair) -> Vec<u8> {
    let (_, outer) = x509_parser::der_parser::parse_der(key.serialized_der()).unwrap();
    outer.as_sequence().unwrap()[2].as_slice().unwrap().to_vec()
}

#[test]
fn older_forms_of_keys_are_read() {
    let rsa = ca(params("root"), &PKCS_RSA_SHA256, None);
    let older = crate::pem::encode("RSA PRIVATE KEY", &wrapped(&rsa.key));
    let plugged = Plugged::of(Ca::root("x"), rsa);
    plugged.put(ROOT, &plugged.signing.pem);
    plugged.put(CA_KEY, &older);
    plugged.load().unwrap();

    let plugged = Plugged::new();
    let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    let pair =
        aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(algorithm, plugged.signing.key.serialized_der());
    let sec1: EcPrivateKeyRfc5915Der<'_> = pair.unwrap().private_key().as_der().unwrap();
    plugged.put(CA_KEY, &crate::pem::encode("EC PRIVATE KEY", sec1.as_ref()));
    plugged.load().unwrap();
}

#[test]
fn nothing_there_is_no_mistake_and_a_part_is() {
    let empty = TempDir::new().unwrap();
    assert!(Files::read(empty.path(), true).unwrap().is_none());
    assert!(Files::read(&empty.path().join("missing"), true).unwrap().is_none());
    for name in [CA_CERT, CA_KEY, ROOT, CHAIN] {
        let plugged = Plugged::new();
        plugged.remove(name);
        let problem = plugged.problem();
        assert!(problem.contains(&format!("is incomplete: {name} missing")), "{problem}");
    }
    std::fs::write(empty.path().join("tls.crt"), "").unwrap();
    let problem = Files::read(empty.path(), true).unwrap_err().to_string();
    assert!(problem.contains("is incomplete: ca.crt, tls.key missing"), "{problem}");
}

#[test]
fn what_peers_would_refuse_is_refused_with_the_file_and_the_reason() {
    let check = |change: &dyn Fn(&Plugged), part: &str, reason: &str| {
        let plugged = Plugged::new();
        change(&plugged);
        let problem = plugged.problem();
        assert!(problem.contains(part) && problem.contains(reason), "{problem}");
        let key = plugged.signing.key.serialize_pem();
        assert!(!problem.contains(key.lines().nth(1).unwrap()), "{problem}");
    };
    check(&|p| p.put(CA_CERT, "text"), CA_CERT, "has no CERTIFICATE block");
    check(&|p| p.put(CA_KEY, "text"), CA_KEY, "is not an unencrypted PEM key");
    check(&|p| p.put(CA_KEY, &p.root.key.serialize_pem()), CA_KEY, "is not the key of the first certificate");
    check(&|p| p.put(ROOT, &Ca::root("root").pem), CA_CERT, "its signature does not verify");
    check(&|p| p.put(ROOT, &Ca::root("other").pem), CA_CERT, "no certificate is there that issued");
    check(&|p| p.put(ROOT, ""), CA_CERT, "does not lead to a root of root-cert.pem");
    check(
        &|p| p.put(CHAIN, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        CHAIN,
        "certificate 1",
    );
    let broken = |change: &dyn Fn(&mut CertificateParams), reason: &str| {
        let (root, mut params) = (Ca::root("root"), params("signing"));
        change(&mut params);
        let signing = ca(params, &PKCS_ECDSA_P256_SHA256, Some(&root));
        let problem = Plugged::of(root, signing).problem();
        assert!(problem.contains(CA_CERT) && problem.contains(reason), "{problem}");
    };
    broken(&|p| p.is_ca = IsCa::NoCa, "is not a CA's certificate");
    broken(&|p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature], "may not sign certificates");
    broken(&|p| p.not_after = days(-1), "expired at");
    broken(&|p| p.not_before = days(1), "is not valid before");
}

#[test]
fn intermediates_are_looked_for_in_the_chain_and_all_must_be_good() {
    let root = Ca::root("root");
    let middle = root.below("middle");
    let plugged = Plugged::of(root, middle.below("signing"));
    assert!(plugged.problem().contains("no certificate is there that issued"));
    // The order does not matter, nor does what leads nowhere.
    let chain = format!("{}{}{}", middle.pem, Ca::root("middle").pem, plugged.signing.pem);
    plugged.put(CHAIN, &chain);
    plugged.load().unwrap();

    for (change, reason) in [
        ((|p| p.not_after = days(-1)) as fn(&mut CertificateParams), "expired at"),
        (|p| p.is_ca = IsCa::ExplicitNoCa, "is not a CA's certificate"),
        (|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)), "pathLenConstraint"),
    ] {
        let root = Ca::root("root");
        let mut changed = params("middle");
        change(&mut changed);
        let middle = ca(changed, &PKCS_ECDSA_P256_SHA256, Some(&root));
        let plugged = Plugged::of(root, middle.below("signing"));
        plugged.put(CHAIN, &format!("{}{}", plugged.signing.pem, middle.pem));
        let problem = plugged.problem();
        assert!(problem.contains(reason), "{problem}");
    }
}

#[test]
fn certificates_that_issue_each_other_are_not_followed_for_ever() {
    let (a, b) = (Ca::root("a"), Ca::root("b"));
    let a_by_b = a.params.signed_by(&a.key, &b.issuer()).unwrap().pem();
    let b_by_a = b.params.signed_by(&b.key, &a.issuer()).unwrap().pem();
    let plugged = Plugged::of(Ca::root("root"), a.below("signing"));
    plugged.put(CHAIN, &format!("{a_by_b}{b_by_a}"));
    assert!(plugged.problem().contains("does not lead to a root"));
}

#[test]
fn a_root_that_signs_itself_needs_no_chain() {
    let plugged = Plugged::new();
    plugged.put(CA_CERT, &plugged.root.pem);
    plugged.put(CA_KEY, &plugged.root.key.serialize_pem());
    plugged.put(CHAIN, "");
    let issued = plugged.load().unwrap().sign(&csr(), &["a"], 0, now()).unwrap();
    assert_eq!(issued.chain[1..], *std::slice::from_ref(&plugged.root.pem));
}

#[test]
fn revocation_lists_must_be_of_every_ca_of_the_chain() {
    let plugged = Plugged::new();
    plugged.put(CRL, &plugged.signing.crl());
    let problem = plugged.problem();
    assert!(problem.contains("ca-crl.pem has no revocation list that is signed by CN=root;"), "{problem}");
    let other = Ca::root("root").crl();
    plugged.put(CRL, &format!("{}{other}", plugged.signing.crl()));
    assert!(plugged.problem().contains("signed by CN=root"), "a list of the same name by another key");
    let whole = format!("{}{}", plugged.root.crl(), plugged.signing.crl());
    plugged.put(CRL, &whole);
    plugged.load().unwrap();
    let files = Files::read(plugged.path(), true).unwrap().unwrap();
    assert_eq!(files.revoked(), Some(whole.as_str()));
    plugged.put(CRL, &plugged.root.pem);
    assert!(plugged.problem().contains("block 1 that is no revocation list"));
    let without = Files::read(plugged.path(), false).unwrap().unwrap();
    assert_eq!(without.revoked(), None);
    without.authority(now()).unwrap();
    plugged.put(CRL, "\n");
    plugged.load().unwrap();
}

#[test]
fn roots_follow_only_where_one_stays_known_to_all() {
    let [a, b, c] = ["a", "b", "c"].map(|name| Ca::root(name).pem);
    let (ab, ba, ac) = (format!("{a}{b}"), format!("# other order\n{b}{a}"), format!("{a}{c}"));
    for multiroot in [false, true] {
        check_roots_may_follow(&ab, &ba, multiroot).unwrap();
        assert_eq!(check_roots_may_follow(&a, &ab, multiroot).is_ok(), multiroot);
        assert_eq!(check_roots_may_follow(&ab, &b, multiroot).is_ok(), multiroot);
        for (before, after) in [(&a, &b), (&ab, &ac)] {
            let problem = check_roots_may_follow(before, after, multiroot).unwrap_err().to_string();
            assert!(problem.contains("the root certificates have changed"), "{problem}");
        }
    }
}

/// An authority below a root that shares its name with another one, which is trusted as well; `told`: whether its certificate
/// names the root's key.
fn below(root: &Ca, other: &Ca, told: bool) -> Authority {
    let mut params = params("signing");
    params.use_authority_key_identifier_extension = told;
    let signing = ca(params, &PKCS_ECDSA_P256_SHA256, Some(root));
    let plugged = Plugged::of(Ca { pem: root.pem.clone(), ..Ca::root("root") }, signing);
    plugged.put(ROOT, &format!("{}{}", root.pem, other.pem));
    plugged.load().unwrap()
}

#[test]
fn roots_of_one_name_are_told_apart_by_key_identifiers_alone() {
    let (old, new, third) = (Ca::root("root"), Ca::root("root"), Ca::root("third"));
    assert!(below(&old, &third, false).namesakes().is_empty(), "another name");
    assert!(below(&old, &old, false).namesakes().is_empty(), "the same key");
    assert!(below(&old, &new, true).namesakes().is_empty());
    for (root, other) in [(&old, &new), (&new, &old)] {
        let problems = below(root, other, false).namesakes();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let words = "one name, \"CN=root\", and the certificate \"CN=signing\" does not say";
        assert!(problems[0].contains(words), "{problems:?}");
    }
}

/// A root without a subject key identifier, as older tools make them.
fn unmarked(name: &str) -> Ca {
    let mut params = params(name);
    params.is_ca = IsCa::NoCa;
    let constraints = vec![0x30, 0x03, 0x01, 0x01, 0xff];
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 19], constraints)];
    ca(params, &PKCS_ECDSA_P256_SHA256, None)
}

#[test]
fn a_root_without_an_identifier_is_taken_for_its_namesake_also_where_it_signs_itself() {
    let (old, new) = (unmarked("root"), Ca::root("root"));
    for (root, other, mistaken) in [(&old, &new, 0), (&new, &old, 1)] {
        let plugged = Plugged::new();
        plugged.put(CA_CERT, &root.pem);
        plugged.put(CA_KEY, &root.key.serialize_pem());
        plugged.put(CHAIN, "");
        plugged.put(ROOT, &format!("{}{}", root.pem, other.pem));
        let problems = plugged.load().unwrap().namesakes();
        assert!(
            problems.len() == 1 && problems[0].contains("certificates of workloads do not say"),
            "{problems:?}"
        );
        // An intermediate names the key of its root, and rules out another one that has an identifier.
        assert_eq!(below(root, other, true).namesakes().len(), mistaken);
    }
}

#[test]
fn what_makes_peers_mistake_roots_does_not_follow() {
    let (old, new) = (Ca::root("root"), Ca::root("root"));
    let alone = |told| below(&old, &old, told);
    let refused = |before: &Authority, after: &Authority| {
        let problem = check_names_may_follow(before, after).unwrap_err().to_string();
        assert!(
            problem.contains("would cost connections: trusted roots of different keys have one name"),
            "{problem}"
        );
    };
    check_names_may_follow(&alone(true), &below(&old, &new, true)).unwrap();
    check_names_may_follow(&below(&old, &new, true), &below(&new, &old, true)).unwrap();
    refused(&alone(false), &below(&old, &new, false));
    // Certificates of the one before are still about.
    refused(&alone(false), &below(&old, &new, true));
    refused(&below(&old, &new, true), &below(&new, &old, false));
    // What is wrong already may go on, or nothing could ever be renewed.
    check_names_may_follow(&below(&old, &new, false), &below(&old, &new, false)).unwrap();
    check_names_may_follow(&below(&old, &new, false), &alone(false)).unwrap();
}

#[test]
fn nothing_of_the_key_is_shown() {
    let plugged = Plugged::new();
    let files = Files::read(plugged.path(), true).unwrap().unwrap();
    assert_eq!(format!("{files:?}"), "Files { layout: \"ca-cert.pem\", .. }");
}

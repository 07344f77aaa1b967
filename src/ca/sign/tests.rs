//! What is in a certificate, read back with another library.

use std::time::{Duration, SystemTime};

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::public_key::PublicKey;

use crate::{DEFAULT_LIFETIME, Error, MAX_LIFETIME, PrivateKey, Request, Root, ServerRequest, SpiffeId};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_700)
}

fn request(lifetime: Duration) -> Request {
    Request {
        public_key: PrivateKey::generate().unwrap().public_key().unwrap(),
        identity: SpiffeId::new("cluster.local", "shop", "web").unwrap(),
        lifetime,
    }
}

#[test]
fn a_leaf_has_exactly_what_the_mesh_expects() {
    let root = Root::generate("cluster.local", now()).unwrap();
    let signed = root.sign(&request(DEFAULT_LIFETIME), now()).unwrap();
    let (_, block) = parse_x509_pem(signed.chain_pem.as_bytes()).unwrap();
    let cert = block.parse_x509().unwrap();
    let (_, root_block) = parse_x509_pem(root.cert_pem().as_bytes()).unwrap();
    let root_cert = root_block.parse_x509().unwrap();

    cert.verify_signature(Some(root_cert.public_key())).unwrap();
    assert_eq!(cert.issuer(), root_cert.subject());
    assert_eq!(cert.subject().iter().count(), 0);
    assert_eq!(cert.validity().not_before.timestamp(), 1_800_000_000 - 120);
    assert_eq!(cert.validity().not_after.timestamp(), 1_800_000_000 + 24 * 3600);
    assert!(!cert.is_ca());

    let san = cert.subject_alternative_name().unwrap().unwrap();
    assert!(san.critical);
    assert_eq!(san.value.general_names, vec![GeneralName::URI("spiffe://cluster.local/ns/shop/sa/web")]);
    let usage = cert.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
    let extended = cert.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && !extended.any);
    let key_ids = |cert: &x509_parser::certificate::X509Certificate<'_>| {
        cert.extensions().iter().find_map(|e| match e.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|k| k.0.to_vec()),
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
    };
    assert!(key_ids(&cert).is_some());
    assert_eq!(key_ids(&cert), key_ids(&root_cert));
}

#[test]
fn the_root_is_a_ca_that_only_signs_certificates() {
    let root = Root::generate("td.example", now()).unwrap();
    let (_, block) = parse_x509_pem(root.cert_pem().as_bytes()).unwrap();
    let cert = block.parse_x509().unwrap();
    assert!(cert.is_ca());
    assert_eq!(cert.subject().to_string(), "O=td.example");
    let usage = cert.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && !usage.digital_signature());
    cert.verify_signature(None).unwrap();
}

#[test]
fn serial_numbers_differ() {
    let root = Root::generate("t", now()).unwrap();
    let request = request(DEFAULT_LIFETIME);
    let serial = || {
        let signed = root.sign(&request, now()).unwrap();
        let (_, block) = parse_x509_pem(signed.chain_pem.as_bytes()).unwrap();
        block.parse_x509().unwrap().raw_serial().to_vec()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn a_leaf_ends_with_its_root() {
    let root = Root::generate("t", now()).unwrap();
    let late = root.not_after() - Duration::from_secs(60);
    let signed = root.sign(&request(DEFAULT_LIFETIME), late).unwrap();
    assert_eq!(signed.not_after, super::whole_seconds(root.not_after()));
    let error = root.sign(&request(DEFAULT_LIFETIME), root.not_after()).unwrap_err();
    assert!(matches!(error, Error::Root { .. }), "{error}");
}

#[test]
fn lifetimes_out_of_range_are_refused_not_cut() {
    let root = Root::generate("t", now()).unwrap();
    for lifetime in [Duration::ZERO, MAX_LIFETIME + Duration::from_secs(1)] {
        let error = root.sign(&request(lifetime), now()).unwrap_err().to_string();
        assert!(error.starts_with("lifetime: "), "{error}");
    }
    root.sign(&request(MAX_LIFETIME), now()).unwrap();
}

fn server(names: &[&str]) -> ServerRequest {
    ServerRequest {
        public_key: PrivateKey::generate().unwrap().public_key().unwrap(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        lifetime: DEFAULT_LIFETIME,
    }
}

#[test]
fn a_server_is_certified_for_its_names_and_as_nothing_else() {
    let root = Root::generate("t", now()).unwrap();
    let names = ["istiod.istio-system.svc", "*.mesh.example", "10.0.0.1", "::1"];
    let signed = root.sign_server(&server(&names), now()).unwrap();
    let (_, block) = parse_x509_pem(signed.chain_pem.as_bytes()).unwrap();
    let cert = block.parse_x509().unwrap();
    let san = cert.subject_alternative_name().unwrap().unwrap().value;
    let mut six = [0_u8; 16];
    six[15] = 1;
    let expected = [
        GeneralName::DNSName("istiod.istio-system.svc"),
        GeneralName::DNSName("*.mesh.example"),
        GeneralName::IPAddress(&[10, 0, 0, 1]),
        GeneralName::IPAddress(&six),
    ];
    assert_eq!(san.general_names, expected);
    let usage = cert.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    assert!(!cert.is_ca());
    assert_eq!(cert.validity().not_after.timestamp(), 1_800_000_000 + 24 * 3600);
}

#[test]
fn names_that_no_client_can_ask_for_are_refused() {
    let root = Root::generate("t", now()).unwrap();
    for names in [&[][..], &[""], &["a b"], &["a..b"], &["*"], &["a.*.b"], &["istiod", "é"]] {
        let error = root.sign_server(&server(names), now()).unwrap_err().to_string();
        assert!(error.starts_with("names: "), "{names:?}: {error}");
    }
}

#[test]
fn a_root_to_be_stored_is_what_the_reference_reads_and_signs_when_it_is_read_back() {
    let made = Root::generate("mesh.example", now()).unwrap();
    let key = made.expose_key_pem();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8");
    let root = Root::from_pem(made.cert_pem(), &key, now()).unwrap();
    let (_, block) = parse_x509_pem(root.cert_pem().as_bytes()).unwrap();
    let cert = block.parse_x509().unwrap();
    assert_eq!(cert.subject().to_string(), "O=mesh.example");
    assert!(matches!(cert.public_key().parsed().unwrap(), PublicKey::EC(point) if point.key_size() == 256));
    let signed = root.sign(&request(DEFAULT_LIFETIME), now()).unwrap();
    let (_, leaf) = parse_x509_pem(signed.chain_pem.as_bytes()).unwrap();
    leaf.parse_x509().unwrap().verify_signature(Some(cert.public_key())).unwrap();
}

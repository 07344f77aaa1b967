//! Answers to workloads, read back with another library, field by field (spec security.md 1.5, 2.1).

use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData as _,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::{Pem, parse_x509_pem};

use crate::{Anchor, Authority, Error, Fault, Issued, Limits, Root};

const SPIFFE: &str = "spiffe://cluster.local/ns/shop/sa/web";
const DAY: u64 = 24 * 3600;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_700)
}

fn authority() -> Authority {
    Authority::self_signed(Root::generate("cluster.local", now()).unwrap(), None).unwrap()
}

fn csr_of(common_name: Option<&str>, key: &KeyPair) -> String {
    let mut params = CertificateParams::new(vec!["admin.example".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.serialize_request(key).unwrap().pem().unwrap()
}

fn csr() -> String {
    csr_of(None, &KeyPair::generate().unwrap())
}

fn block(pem: &str) -> Pem {
    parse_x509_pem(pem.as_bytes()).unwrap().1
}

fn with_leaf<T>(issued: &Issued, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    look(&block(&issued.chain[0]).parse_x509().unwrap())
}

#[test]
fn every_field_of_a_leaf_is_as_specified() {
    let authority = authority();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let issued = authority.sign(&csr_of(None, &key), &[SPIFFE], 3600, now()).unwrap();
    let root_block = block(authority.root_bundle());
    let root = root_block.parse_x509().unwrap();
    with_leaf(&issued, |leaf| {
        assert_eq!(leaf.version().0, 2, "version 3");
        assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
        leaf.verify_signature(Some(root.public_key())).unwrap();
        assert_eq!(leaf.signature_algorithm, root.signature_algorithm);
        assert_eq!(leaf.tbs_certificate.signature, leaf.signature_algorithm);
        assert_eq!(leaf.issuer().as_raw(), root.subject().as_raw());
        assert_eq!(leaf.subject().iter().count(), 0);
        assert_eq!(leaf.validity().not_before.timestamp(), 1_800_000_000 - 120);
        assert_eq!(leaf.validity().not_after.timestamp(), 1_800_000_000 + 3600);
        let names: Vec<String> = leaf.extensions().iter().map(|e| e.oid.to_string()).collect();
        assert_eq!(names, ["2.5.29.15", "2.5.29.37", "2.5.29.19", "2.5.29.35", "2.5.29.17"], "and no SKI");
        let critical: Vec<bool> = leaf.extensions().iter().map(|e| e.critical).collect();
        assert_eq!(critical, [true, false, true, false, true]);
        let san = leaf.subject_alternative_name().unwrap().unwrap();
        assert_eq!(san.value.general_names, [GeneralName::URI(SPIFFE)], "nothing of the request's");
        let usage = leaf.key_usage().unwrap().unwrap().value.flags;
        assert_eq!(usage, 0b101, "digitalSignature and keyEncipherment");
        let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.server_auth && purposes.client_auth && !purposes.any && purposes.other.is_empty());
        assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
        let authority_key = leaf.extensions().iter().find_map(|e| match e.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|k| k.0.to_vec()),
            _ => None,
        });
        let root_key = root.extensions().iter().find_map(|e| match e.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        assert!(root_key.is_some());
        assert_eq!(authority_key, root_key);
    });
    assert_eq!(issued.not_after, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_003_600));
}

#[test]
fn serials_are_positive_128_bit_and_random() {
    let authority = authority();
    let mut longest = 0;
    let mut seen = std::collections::BTreeSet::new();
    let csr = csr();
    for _ in 0..64 {
        let issued = authority.sign(&csr, &[SPIFFE], 0, now()).unwrap();
        let serial = with_leaf(&issued, |leaf| leaf.raw_serial().to_vec());
        assert!(serial[0] & 0x80 == 0 && serial.len() <= 17, "{serial:?}");
        longest = longest.max(serial.iter().skip_while(|&&byte| byte == 0).count());
        assert!(seen.insert(serial));
    }
    assert_eq!(longest, 16);
}

#[test]
fn each_identity_has_the_form_that_it_is_of() {
    let identities = [SPIFFE, "10.1.2.3", "::ffff:10.1.2.4", "2001:db8::1", "web.shop"];
    let issued = authority().sign(&csr(), &identities, 0, now()).unwrap();
    with_leaf(&issued, |leaf| {
        let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let expected = [
            GeneralName::URI(SPIFFE),
            GeneralName::IPAddress(&[10, 1, 2, 3]),
            GeneralName::IPAddress(&[10, 1, 2, 4]),
            GeneralName::IPAddress(&six),
            GeneralName::DNSName("web.shop"),
        ];
        assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names, expected);
    });
    for bad in [&[][..], &[""], &[SPIFFE, "a\nb"], &["é"]] {
        let error = authority().sign(&csr(), bad, 0, now()).unwrap_err();
        assert!(error.to_string().starts_with("identity: "), "{error}");
        assert_eq!(error.fault(), Fault::Signing);
    }
}

#[test]
fn who_asks_for_a_common_name_has_the_first_identity_and_a_critical_alternative_name() {
    let (authority, key) = (authority(), KeyPair::generate().unwrap());
    let long = format!("spiffe://cluster.local/ns/shop/sa/{}", "w".repeat(64));
    for (asked, identity, name) in [
        (Some("x"), SPIFFE, Some(SPIFFE)),
        (Some(""), SPIFFE, None),
        (None, SPIFFE, None),
        (Some("x"), &long, None),
    ] {
        let issued = authority.sign(&csr_of(asked, &key), &[identity, "other"], 0, now()).unwrap();
        with_leaf(&issued, |leaf| {
            let found: Vec<&str> =
                leaf.subject().iter_common_name().map(|name| name.as_str().unwrap()).collect();
            assert_eq!(found, name.into_iter().collect::<Vec<_>>(), "{asked:?}");
            assert!(leaf.subject_alternative_name().unwrap().unwrap().critical);
        });
    }
}

#[test]
fn lifetimes_have_a_default_and_a_maximum_that_is_not_cut() {
    let authority = authority();
    let life = |ttl| {
        let issued = authority.sign(&csr(), &[SPIFFE], ttl, now())?;
        Ok::<_, Error>(issued.not_after.duration_since(now()).unwrap().as_secs() + 1)
    };
    for (ttl, seconds) in [(0, DAY), (-5, DAY), (i64::MIN, DAY), (1, 1), (90 * 86_400, 90 * DAY)] {
        assert_eq!(life(ttl).unwrap(), seconds, "{ttl}");
    }
    for ttl in [90 * 86_400 + 1, i64::MAX] {
        let error = life(ttl).unwrap_err();
        assert_eq!(error.fault(), Fault::Lifetime, "{error}");
    }
}

#[test]
fn limits_can_be_set() {
    let limits = Limits { default_ttl: Duration::from_secs(10), max_ttl: Duration::from_secs(20) };
    let authority = authority().with_limits(limits);
    let issued = authority.sign(&csr(), &[SPIFFE], 0, now()).unwrap();
    assert_eq!(issued.not_after, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_010));
    authority.sign(&csr(), &[SPIFFE], 20, now()).unwrap();
    authority.sign(&csr(), &[SPIFFE], 21, now()).unwrap_err();
}

#[test]
fn what_outlives_the_signer_is_cut_and_an_ended_signer_signs_nothing() {
    let authority = authority();
    let late = authority.not_after() - Duration::from_secs(60);
    let issued = authority.sign(&csr(), &[SPIFFE], 3600, late).unwrap();
    assert_eq!(issued.not_after, authority.not_after());
    let error = authority.sign(&csr(), &[SPIFFE], 3600, authority.not_after()).unwrap_err();
    assert_eq!(error.fault(), Fault::NotReady, "{error}");
}

#[test]
fn years_after_2049_are_written_with_four_digits() {
    let late = SystemTime::UNIX_EPOCH + Duration::from_secs(2_524_608_000 + 3600);
    let authority = Authority::self_signed(Root::generate("t", late).unwrap(), None).unwrap();
    let issued = authority.sign(&csr(), &[SPIFFE], 0, late).unwrap();
    with_leaf(&issued, |leaf| {
        assert_eq!(leaf.validity().not_before.timestamp(), 2_524_608_000 + 3480);
        assert_eq!(leaf.validity().not_after.timestamp(), 2_524_608_000 + 3600 + 86_400);
    });
    let before = SystemTime::UNIX_EPOCH + Duration::from_secs(2_524_608_000 - 3600);
    let root = Root::generate("t", before).unwrap();
    let issued = Authority::self_signed(root, None).unwrap().sign(&csr(), &[SPIFFE], 0, before).unwrap();
    with_leaf(&issued, |leaf| {
        assert!(leaf.validity().not_before.is_utctime() && leaf.validity().not_after.is_generalizedtime());
    });
}

#[test]
fn the_last_element_is_the_whole_bundle_of_roots() {
    let other = Root::generate("other", now()).unwrap();
    let root = Root::generate("cluster.local", now()).unwrap();
    let bundle = format!("{}{}", root.cert_pem(), other.cert_pem());
    let authority = Authority::self_signed(root, Some(other.cert_pem())).unwrap();
    assert_eq!(authority.root_bundle(), bundle);
    let issued = authority.sign(&csr(), &[SPIFFE], 0, now()).unwrap();
    assert_eq!(issued.chain.len(), 2);
    assert_eq!(issued.chain[0].matches("-----BEGIN CERTIFICATE-----\n").count(), 1);
    assert!(issued.chain[0].ends_with("-----END CERTIFICATE-----\n"));
    assert_eq!(issued.chain[1], bundle);
    let error = Authority::self_signed(other, Some("nothing")).unwrap_err().to_string();
    assert!(error.starts_with("trust anchors: "), "{error}");
}

#[test]
fn nothing_of_the_key_is_shown() {
    let root = Root::generate("cluster.local", now()).unwrap();
    let key = root.expose_key_pem();
    let line = key.lines().nth(1).unwrap().to_owned();
    assert!(!format!("{root:?}").contains(&line));
    let shown = format!("{:?}", Authority::self_signed(root, None).unwrap());
    assert_eq!(shown, format!("Authority {{ chain: 0, not_after: {:?}, .. }}", now_plus_ten_years()));
}

fn now_plus_ten_years() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 3650 * DAY)
}

#[test]
fn roots_of_others_are_trusted_after_its_own_and_none_twice() {
    let (mine, other) = (Root::generate("t", now()).unwrap(), Root::generate("o", now()).unwrap());
    // As an operator may write it: without the line feed at the end.
    let own = mine.cert_pem().trim_end().to_owned();
    let pair = Root::from_pem(&own, &mine.expose_key_pem(), now()).unwrap();
    let anchors: Vec<Anchor> = [mine.cert_pem(), other.cert_pem(), other.cert_pem()]
        .into_iter()
        .flat_map(Anchor::read)
        .collect::<Result<_, _>>()
        .unwrap();
    let alone = Authority::self_signed(pair, None).unwrap();
    let authority = alone.trusting(anchors.iter());
    assert_eq!(authority.root_bundle(), own, "its own are the same");
    assert_eq!(authority.standings(), alone.standings());
    let bundle = format!("{own}\n{}", other.cert_pem());
    assert_eq!(authority.trust_bundle(), bundle);
    let issued = authority.sign(&csr(), &[SPIFFE], 0, now()).unwrap();
    assert_eq!(issued.chain[1], bundle);
    assert_eq!(authority.trusting([].into_iter()).trust_bundle(), own, "they can be taken back");
    assert_eq!(alone.trust_bundle(), own);
}

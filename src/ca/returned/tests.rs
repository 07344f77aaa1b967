//! Chains that signers return: taken, or told why not.

use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
    SanType,
};

use super::*;
use crate::{Csr, Fault, PrivateKey};

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

struct Ca {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn root(name: &str) -> Ca {
    let key = KeyPair::generate().unwrap();
    let certificate = params(name).self_signed(&key).unwrap();
    Ca { certificate, issuer: Issuer::new(params(name), key) }
}

impl Ca {
    fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name).signed_by(&key, &self.issuer).unwrap();
        Self { certificate, issuer: Issuer::new(params(name), key) }
    }

    fn sign(&self, csr: &str, change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr).unwrap();
        change(&mut request.params);
        request.signed_by(&self.issuer).unwrap().pem()
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }
}

struct Asked {
    csr: String,
    key: PublicKey,
}

fn asked() -> Asked {
    let key = PrivateKey::generate().unwrap();
    let csr = key.request(&WEB.parse().unwrap()).unwrap();
    Asked { key: Csr::from_pem(&csr).unwrap().key, csr }
}

/// Lines end as in every other answer.
fn unix(pem: &str) -> String {
    pem.replace("\r\n", "\n")
}

fn now() -> SystemTime {
    SystemTime::now()
}

fn answer(asked: &Asked, chain: &str, roots: &str) -> Result<Issued, String> {
    let read = Returned::read(chain.as_bytes()).map_err(|error| error.to_string())?;
    let answer = read.answer(&asked.key, &WEB.parse().unwrap(), roots, now());
    answer.map_err(|error| {
        assert_eq!(error.fault(), Fault::Signing);
        error.to_string()
    })
}

#[test]
fn each_certificate_stands_alone_and_all_roots_come_last() {
    let (root, other, asked) = (root("root"), root("other"), asked());
    let between = root.intermediate("between");
    let leaf = between.sign(&asked.csr, |_| {});
    let roots = format!("# ours\n{}{}", root.pem(), other.pem());
    for with_root in ["", &root.pem()] {
        let chain = format!("{leaf}{}{with_root}", between.pem());
        let issued = answer(&asked, &chain, &roots).unwrap();
        assert_eq!(issued.chain, [unix(&leaf), unix(&between.pem()), roots.clone()]);
        assert!(issued.not_before < now() && issued.not_after > now() + Duration::from_secs(3600));
    }
}

#[test]
fn the_last_ca_is_the_root_if_nobody_names_another() {
    let (root, asked) = (root("root"), asked());
    let between = root.intermediate("between");
    let leaf = between.sign(&asked.csr, |_| {});
    let last = |chain: &str| Returned::read(chain.as_bytes()).unwrap().last_ca();
    assert_eq!(last(&format!("{leaf}{}{}", between.pem(), root.pem())), Some(unix(&root.pem())));
    assert_eq!(last(&leaf), None);
}

#[test]
fn what_is_not_what_was_asked_for_is_not_passed_on() {
    let (root, asked) = (root("root"), asked());
    let leaf = root.sign(&asked.csr, |_| {});
    let of = |name: &str| {
        let name = SanType::URI(name.try_into().unwrap());
        root.sign(&asked.csr, |params| params.subject_alt_names = vec![name])
    };
    let ca = root.sign(&asked.csr, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let ended = root.sign(&asked.csr, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let roots = root.pem();
    for (chain, roots, reason) in [
        (&leaf, &self::root("root").pem(), "does not lead to a root that is known"),
        (&leaf, &self::root("other").pem(), "no certificate is there that issued"),
        (&root.sign(&self::asked().csr, |_| {}), &roots, "is of another key"),
        (&of("spiffe://cluster.local/ns/a/sa/b"), &roots, "is of [\"spiffe://cluster.local/ns/a/sa/b\"]"),
        (&ca, &roots, "is one of a CA"),
        (&ended, &roots, "expired at"),
        (&String::new(), &roots, "has no CERTIFICATE block"),
        (&"-----BEGIN CERTIFICATE-----".to_owned(), &roots, "signed certificate"),
    ] {
        let problem = answer(&asked, chain, roots).expect_err(reason);
        assert!(problem.starts_with("signed certificate: ") && problem.contains(reason), "{problem}");
    }
}

#[test]
fn a_server_is_told_when_its_certificate_ends() {
    let (root, key) = (root("root"), PrivateKey::generate().unwrap());
    let csr = key.request_server(&["istiod.istio-system.svc".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    let end = rcgen::date_time_ymd(2100, 1, 1);
    let returned = root.sign(&csr, |params| params.not_after = end);
    let read = Returned::read(returned.as_bytes()).unwrap();
    let public = Csr::from_pem(&csr).unwrap().key;
    let (chain, ends) = read.of_server(&public, Some(&root.pem()), now()).unwrap();
    assert_eq!((chain, ends), (unix(&returned), SystemTime::from(end)));
    assert!(read.of_server(&public, Some(&self::root("other").pem()), now()).is_err());
    read.of_server(&public, None, now()).unwrap();
}

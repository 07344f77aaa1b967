//! Who gets which certificate.

mod external;

use envoy::google::protobuf::Value;
use prometheus::Registry;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, SanType};
use sources::feed::Listener as _;
use x509_parser::pem::Pem;

use super::*;
use crate::kubernetes::{KubernetesTokens, Review, Reviewed, Rules};
use crate::testing::{Issuer, Scripted, now, pod_event, settings, token_for};
use crate::{Forwarded, Presence, certificate};

struct Nobody;

impl Review for Nobody {
    fn review(
        &self,
        _: String,
        _: Vec<String>,
    ) -> futures::future::BoxFuture<'static, Result<Reviewed, String>> {
        Box::pin(async { Ok(Reviewed::default()) })
    }
}

struct Office {
    issuer: Issuer,
    service: CertificateService,
    authority: Arc<Authority>,
    registry: Registry,
}

fn office() -> Office {
    let (issuer, presence) = (Issuer::new("one"), Arc::new(Presence::default()));
    presence.take(&[
        pod_event("shop", "web-1", "web-1", "web", "n1"),
        pod_event("istio-system", "ztunnel-1", "ztunnel-1", "ztunnel", "n1"),
    ]);
    presence.account("shop", "web", Some("web".to_owned()));
    presence.account("istio-system", "ztunnel", Some("ztunnel".to_owned()));
    let rules = Rules { audiences: vec!["istio-ca".to_owned()], ..Rules::default() };
    let keys = Scripted::of(&[&issuer]);
    let tokens = KubernetesTokens::new(rules, keys, Arc::clone(&presence), Nobody, settings());
    let authenticators = Authenticators::new(settings(), Some(tokens), Forwarded::default());
    let nodes = NodeProxies::new([("istio-system".to_owned(), "ztunnel".to_owned())], presence, settings());
    let root = ca::Root::generate("cluster.local", now()).unwrap();
    let authority = Arc::new(Authority::self_signed(root, None).unwrap());
    let authorities = watch::channel(Some(Arc::clone(&authority))).1;
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let service = CertificateService::new(
        Arc::new(authenticators),
        Some(nodes),
        (Signing::Here(authorities), witness()),
        Rate { per_second: 0.001, burst: 3.0 },
        metrics,
    );
    Office { issuer, service, authority, registry }
}

/// A request that asks for a name which its sender does not have.
fn csr(name: &str) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

const ADMIN: &str = "spiffe://cluster.local/ns/istio-system/sa/admin";
const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

fn request(csr: String) -> IstioCertificateRequest {
    IstioCertificateRequest { csr, ..IstioCertificateRequest::default() }
}

fn asking(key: &str, value: &str) -> IstioCertificateRequest {
    let value = Value { kind: Some(Kind::StringValue(value.to_owned())) };
    let metadata = Struct { fields: [(key.to_owned(), value)].into() };
    IstioCertificateRequest { metadata: Some(metadata), ..request(csr(ADMIN)) }
}

impl Office {
    fn token(&self, namespace: &str, account: &str) -> Credentials {
        let token = token_for(&self.issuer, namespace, account, now());
        Credentials { tokens: vec![token], ..Credentials::default() }
    }

    async fn web(&self, request: IstioCertificateRequest) -> Result<Vec<String>, Status> {
        self.ask(&self.token("shop", "web"), request).await
    }

    async fn ask(
        &self,
        credentials: &Credentials,
        request: IstioCertificateRequest,
    ) -> Result<Vec<String>, Status> {
        Ok(self.service.answer(credentials, request, now()).await?.into_inner().cert_chain)
    }

    fn count(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| family.get_metric().iter().map(|m| m.get_counter().get_value()).sum())
    }
}

fn identity(chain: &[String]) -> String {
    let pem = Pem::iter_from_buffer(chain[0].as_bytes()).next().unwrap().unwrap();
    certificate::identity(&pem.contents).unwrap().to_string()
}

#[tokio::test]
async fn the_name_is_the_callers_whatever_the_request_says() {
    let office = office();
    let chain = office.web(request(csr(ADMIN))).await.unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1], office.authority.root_bundle());
    assert!(chain[0].ends_with("-----END CERTIFICATE-----\n"), "{:?}", chain[0]);
    assert_eq!(identity(&chain), WEB);
    // With what a handshake verified, the same.
    let shown = Credentials { certificate: vec![WEB.to_owned()], ..Credentials::default() };
    assert_eq!(identity(&office.ask(&shown, request(csr(ADMIN))).await.unwrap()), WEB);
    assert_eq!(office.count("citadel_server_csr_count"), 2.0);
    assert_eq!(office.count("citadel_server_success_cert_issuance_count"), 2.0);
}

#[tokio::test]
async fn who_is_of_another_trust_domain_that_is_trusted_gets_no_certificate_of_this_one() {
    let office = office();
    let partner = "spiffe://partner.example/ns/shop/sa/web".to_owned();
    let shown = Credentials { certificate: vec![partner], ..Credentials::default() };
    let refused = office.ask(&shown, request(csr(ADMIN))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("\"partner.example\""), "{refused}");
    assert_eq!(office.count("citadel_server_success_cert_issuance_count"), 0.0);
}

#[tokio::test]
async fn who_is_not_known_learns_nothing() {
    let office = office();
    let stranger = Credentials {
        certificate: vec!["spiffe://evil/ns/shop/sa/web".to_owned()],
        ..Credentials::default()
    };
    let token = Credentials { tokens: vec!["nonsense".to_owned()], ..Credentials::default() };
    for nobody in [Credentials::default(), stranger, token] {
        let refused = office.ask(&nobody, request(csr(ADMIN))).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(refused.message(), "request authenticate failure");
    }
    assert_eq!(office.count("citadel_server_authentication_failure_count"), 3.0);
}

#[tokio::test]
async fn requests_that_are_malformed_or_huge_are_refused() {
    let office = office();
    let good = csr(WEB);
    let cut = good.replace("-----END", "");
    let mut bytes: Vec<u8> = good.clone().into_bytes();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(bytes).unwrap();
    let certificate = office.authority.root_bundle().to_owned();
    for bad in
        [String::new(), "\0".to_owned(), cut, flipped, certificate, good.clone() + &"\n".repeat(LONGEST)]
    {
        let refused = office.web(request(bad.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad}");
    }
    assert_eq!(office.count("citadel_server_csr_sign_err_count"), 6.0);
}

#[tokio::test]
async fn weak_keys_are_refused_and_rsa_is_not() {
    let office = office();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let csr = CertificateParams::default().serialize_request(&rsa).unwrap().pem().unwrap();
    assert_eq!(identity(&office.web(request(csr)).await.unwrap()), WEB);
    let edwards = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let csr = CertificateParams::default().serialize_request(&edwards).unwrap().pem().unwrap();
    assert_eq!(office.web(request(csr)).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn lifetimes_above_the_greatest_are_refused() {
    let office = office();
    let ask = async |seconds| {
        let request = IstioCertificateRequest { validity_duration: seconds, ..request(csr(WEB)) };
        office.web(request).await.map(|_| ()).map_err(|status| status.code())
    };
    for seconds in [i64::MIN, -1, 0, 1, 3600, 2160 * 3600] {
        assert_eq!(ask(seconds).await, Ok(()), "{seconds}");
    }
    for seconds in [2160 * 3600 + 1, i64::MAX] {
        assert_eq!(ask(seconds).await, Err(Code::InvalidArgument), "{seconds}");
    }
}

#[tokio::test]
async fn a_nodes_proxy_asks_for_its_neighbours_and_others_do_not() {
    let office = office();
    let ztunnel = office.token("istio-system", "ztunnel");
    let chain = office.ask(&ztunnel, asking("ImpersonatedIdentity", WEB)).await.unwrap();
    assert_eq!(identity(&chain), WEB);
    let by_certificate = Credentials {
        certificate: vec!["spiffe://cluster.local/ns/istio-system/sa/ztunnel".to_owned()],
        ..Credentials::default()
    };
    for (who, wanted) in [(&ztunnel, ADMIN), (&office.token("shop", "web"), WEB), (&by_certificate, WEB)] {
        let refused = office.ask(who, asking("ImpersonatedIdentity", wanted)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{wanted}");
        assert_eq!(refused.message(), "request impersonation authentication failure");
    }
    // Where nobody chooses among signers, the authority signs, as in the reference.
    assert_eq!(identity(&office.web(asking("CertSigner", "x")).await.unwrap()), WEB);
}

#[tokio::test]
async fn without_a_root_there_is_an_error_that_is_tried_again() {
    let authenticators = Authenticators::new(settings(), None, Forwarded::default());
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let service = CertificateService::new(
        Arc::new(authenticators),
        None,
        (Signing::Here(watch::channel(None).1), witness()),
        Rate::default(),
        metrics,
    );
    let shown = Credentials { certificate: vec![WEB.to_owned()], ..Credentials::default() };
    let refused = service.answer(&shown, request(csr(WEB)), now()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_come_later() {
    let office = office();
    let from = |address: &str| Credentials {
        address: Some(address.parse().unwrap()),
        tokens: vec![token_for(&office.issuer, "shop", "web", now())],
        ..Credentials::default()
    };
    let ask = async |address: &str| {
        let answer = office.service.answer(&from(address), request(csr(WEB)), now()).await;
        answer.map(drop).map_err(|status| status.code())
    };
    for _ in 0..3 {
        assert_eq!(ask("10.0.0.1:1").await, Ok(()));
    }
    assert_eq!(ask("10.0.0.1:2").await, Err(Code::ResourceExhausted));
    assert_eq!(ask("10.0.0.2:1").await, Ok(()));
    let told = office.registry.gather();
    let limited = told.iter().find(|family| family.name() == "pilothouse_csr_limited_total").unwrap();
    assert_eq!(limited.get_metric()[0].get_counter().get_value(), 1.0);
}

fn witness() -> Witness {
    Arc::new(|_, _, _| {})
}

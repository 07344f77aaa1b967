//! Certificates that somebody else signs.

use std::sync::Mutex;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::*;

/// Answers what it is told to, and remembers what it was asked.
struct Elsewhere {
    asked: Mutex<Vec<Order>>,
    answer: Result<Vec<String>, Unsigned>,
}

impl External for Elsewhere {
    fn sign(&self, order: Order) -> BoxFuture<'static, Result<Vec<String>, Unsigned>> {
        self.asked.lock().unwrap().push(order);
        let answer = self.answer.clone();
        async move { answer }.boxed()
    }
}

fn service(answer: Result<Vec<String>, Unsigned>) -> (CertificateService, Arc<Elsewhere>, Registry) {
    let external = Arc::new(Elsewhere { asked: Mutex::default(), answer });
    let registry = Registry::new();
    let service = CertificateService::new(
        Arc::new(Authenticators::new(settings(), None, Forwarded::default())),
        None,
        (Signing::Elsewhere(external.clone(), Duration::from_secs(7200)), witness()),
        Rate::default(),
        Metrics::register(&registry).unwrap(),
    );
    (service, external, registry)
}

fn web() -> Credentials {
    Credentials { certificate: vec![WEB.to_owned()], ..Credentials::default() }
}

fn own_csr() -> String {
    ca::PrivateKey::generate().unwrap().request(&WEB.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn it_is_asked_for_what_the_caller_may_have_and_its_answer_is_passed_on() {
    let chain = vec!["leaf".to_owned(), "roots".to_owned()];
    let (service, external, _) = service(Ok(chain.clone()));
    for (seconds, lifetime) in [(0, None), (-5, None), (3600, Some(Duration::from_secs(3600)))] {
        let mut request = asking("CertSigner", "istio-system");
        (request.csr, request.validity_duration) = (own_csr(), seconds);
        let csr = request.csr.clone();
        assert_eq!(service.answer(&web(), request, now()).await.unwrap().get_ref().cert_chain, chain);
        let order = external.asked.lock().unwrap().pop().unwrap();
        assert_eq!((order.csr, order.lifetime, order.signer.as_str()), (csr, lifetime, "istio-system"));
        assert_eq!(order.identity.to_string(), WEB);
    }
}

#[tokio::test]
async fn it_is_not_asked_for_what_the_caller_may_not_have() {
    let (service, external, registry) = service(Ok(Vec::new()));
    let refused = async |credentials: &Credentials, request| {
        service.answer(credentials, request, now()).await.unwrap_err().code()
    };
    // Another's name, a subject, no name.
    for csr in [csr(ADMIN), csr(WEB), String::new()] {
        assert_eq!(refused(&web(), request(csr)).await, Code::InvalidArgument);
    }
    let long = IstioCertificateRequest { validity_duration: 7201, ..request(own_csr()) };
    assert_eq!(refused(&web(), long).await, Code::InvalidArgument);
    assert_eq!(refused(&Credentials::default(), request(own_csr())).await, Code::Unauthenticated);
    assert!(external.asked.lock().unwrap().is_empty());
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [r#"{error="CSR_ERROR"} 3"#, r#"{error="TTL_ERROR"} 1"#] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn agents_are_told_whether_to_ask_again() {
    let words = || "why".to_owned();
    for (reason, code) in [
        (Unsigned::Lifetime(words()), Code::InvalidArgument),
        (Unsigned::Crowded(words()), Code::ResourceExhausted),
        (Unsigned::Failed(words()), Code::Internal),
    ] {
        let (service, ..) = service(Err(reason));
        let refused = service.answer(&web(), request(own_csr()), now()).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (code, "CSR signing error (why)"));
    }
}

//! What is put together, when any part of it changes.

use std::time::{Duration, SystemTime};

use api::mesh_config::CaCertificate;
use sources::spiffe::Bundle;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct Joined {
    trusted: watch::Sender<Option<Arc<str>>>,
    root: watch::Sender<Option<Arc<Authority>>>,
    settings: watch::Sender<Option<Ref<MeshConfig>>>,
    bundles: watch::Sender<Bundles>,
    wanted: watch::Receiver<Wanted>,
    trust: Trust,
    batches: mpsc::Receiver<Batch>,
}

fn made(name: &str) -> ca::Root {
    ca::Root::generate(name, SystemTime::now()).expect("a root")
}

fn authority(root: &ca::Root) -> Option<Arc<Authority>> {
    let root =
        ca::Root::from_pem(root.cert_pem(), &root.expose_key_pem(), SystemTime::now()).expect("a root");
    Some(Arc::new(Authority::self_signed(root, None).expect("an authority")))
}

/// A root as a bundle has it.
fn der(root: &ca::Root) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(root.cert_pem().as_bytes()).expect("PEM").to_vec()
}

fn joined() -> Joined {
    let ((root, roots), (settings, mesh)) = (watch::channel(None), watch::channel(None));
    let ((bundles, fetched), (asked, wanted)) =
        (watch::channel(Bundles::new()), watch::channel(Wanted::new()));
    let ((signing, signs), (known, others)) = (watch::channel(None), watch::channel(Arc::default()));
    let ((trusted, own), (sender, batches)) = (watch::channel(None), mpsc::channel(64));
    let joining = Joining {
        roots,
        own: own.clone(),
        settings: mesh,
        bundles: fetched,
        wanted: asked,
        signing,
        known,
        batches: sender,
    };
    tokio::spawn(joining.run());
    Joined { root, trusted, settings, bundles, wanted, trust: Trust { roots: signs, own, others }, batches }
}

impl Joined {
    /// Waits until certificates come with this bundle.
    async fn until(&mut self, bundle: &str) {
        let has = |signs: &Option<Arc<Authority>>| {
            signs.as_ref().is_some_and(|signs| signs.trust_bundle() == bundle)
        };
        timeout(PATIENCE, self.trust.roots.wait_for(has)).await.expect("in time").expect("it goes on");
    }
}

#[tokio::test]
async fn whatever_changes_the_bundle_follows() {
    let mut joined = joined();
    let [own, next, written, fetched] = ["own", "next", "written", "fetched"].map(made);
    joined.root.send_replace(authority(&own));
    joined.until(own.cert_pem()).await;
    let pem = CaCertificate { pem: Some(written.cert_pem().to_owned()), ..CaCertificate::default() };
    let url = CaCertificate { spiffe_bundle_url: Some("b".to_owned()), ..CaCertificate::default() };
    let mesh = MeshConfig { ca_certificates: vec![pem, url], ..MeshConfig::default() };
    joined.settings.send_replace(Some(Ref::new(mesh)));
    joined.until(&[own.cert_pem(), written.cert_pem()].concat()).await;
    assert_eq!(*joined.wanted.borrow(), Wanted::from(["b".into()]));
    assert!(joined.trust.page()[1].age_seconds.is_none());
    let der = der(&fetched);
    let bundle = Bundle {
        certificates: Some(Arc::from([der])),
        fetched: Some(tokio::time::Instant::now()),
        error: None,
    };
    joined.bundles.send_replace(Bundles::from([("b".into(), bundle)]));
    joined.until(&[own.cert_pem(), written.cert_pem(), fetched.cert_pem()].concat()).await;
    let page = joined.trust.page();
    assert_eq!(
        (page[1].field.as_str(), page[1].url.as_deref()),
        ("caCertificates[1].spiffeBundleUrl", Some("b"))
    );
    assert_eq!((page[1].age_seconds, page[1].certificates[0].name.as_str()), (Some(0), "O=fetched"));
    joined.root.send_replace(authority(&next));
    joined.until(&[next.cert_pem(), written.cert_pem(), fetched.cert_pem()].concat()).await;
    joined.settings.send_replace(Some(Ref::default()));
    joined.until(next.cert_pem()).await;
    assert!(joined.wanted.borrow().is_empty() && joined.trust.page().is_empty());
}

#[tokio::test]
async fn proxies_are_told_all_that_is_trusted_in_one_order() {
    let mut joined = joined();
    let [a, b, c] = ["a", "b", "c"].map(made);
    joined.trusted.send_replace(Some([b.cert_pem(), a.cert_pem()].concat().into()));
    let pem =
        |root: &ca::Root| CaCertificate { pem: Some(root.cert_pem().to_owned()), ..CaCertificate::default() };
    let mesh = MeshConfig { ca_certificates: vec![pem(&c), pem(&a)], ..MeshConfig::default() };
    joined.settings.send_replace(Some(Ref::new(mesh)));
    let mut expected: Vec<Arc<str>> = [&a, &b, &c].map(|root| root.cert_pem().into()).into();
    expected.sort();
    let told = async {
        while joined.batches.recv().await.expect("it goes on").trusted.as_ref() != Some(&expected) {}
    };
    timeout(PATIENCE, told).await.expect("in time");
}

#[tokio::test]
async fn problems_are_told_after_those_of_others_with_their_place() {
    let joined = joined();
    let lines = joined.trust.told_after(Arc::new(|| vec!["another".to_owned()]));
    assert_eq!(lines(), ["another"]);
    let bad = CaCertificate { pem: Some("nonsense".to_owned()), ..CaCertificate::default() };
    let mesh = MeshConfig { ca_certificates: vec![bad], ..MeshConfig::default() };
    joined.settings.send_replace(Some(Ref::new(mesh)));
    let mut others = joined.trust.others.clone();
    timeout(PATIENCE, others.wait_for(|others| others.len() == 1)).await.expect("in time").expect("anchors");
    let told = "mesh configuration: caCertificates[0].pem: has no CERTIFICATE block; it is left out";
    assert_eq!(lines(), ["another", told]);
}

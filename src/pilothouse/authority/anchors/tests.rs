//! Roots from several places, as they come and change.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use api::mesh_config::{CaCertificate, MeshConfig};
use model::Ref;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::features::certificates::Elsewhere;

/// What waiting for an event may take on a slow machine.
const LONG: Duration = Duration::from_secs(60);

fn pem(name: &str) -> String {
    ca::Root::generate(name, SystemTime::UNIX_EPOCH).expect("a root").cert_pem().to_owned()
}

fn known(text: &str) -> (watch::Sender<Option<Arc<str>>>, Trusted) {
    watch::channel(Some(text.into()))
}

async fn becomes(trusted: &Trusted, expected: &str) {
    let mut trusted = trusted.clone();
    let is = |now: &Option<Arc<str>>| now.as_deref() == Some(expected);
    let known = timeout(LONG, trusted.wait_for(is)).await.map(|_| ());
    assert!(known.is_ok(), "{:?} is not {expected}", trusted.borrow());
}

fn issuing(provider: Provider, elsewhere: Option<Elsewhere>) -> Issuing {
    Issuing { offered: true, provider, elsewhere }
}

fn mesh(certificates: &[(&str, &[&str])]) -> Option<Ref<MeshConfig>> {
    let of = |(pem, signers): &(&str, &[&str])| CaCertificate {
        pem: Some((*pem).to_owned()),
        cert_signers: signers.iter().map(|&name| name.to_owned()).collect(),
        ..CaCertificate::default()
    };
    let ca_certificates = certificates.iter().map(of).collect();
    Some(Ref::new(MeshConfig { ca_certificates, ..MeshConfig::default() }))
}

#[tokio::test]
async fn namespaces_are_told_the_ca_file_and_clients_are_known_by_the_authority_too() {
    let (authority, file) = (pem("authority"), format!("# ours\n{}", pem("file")));
    let ((authorities, of_authority), (files, of_file)) = (known(&authority), known(&file));
    let (_, settings) = watch::channel(mesh(&[]));
    let mut tasks = JoinSet::new();
    let parts = (Some(of_authority), Some(of_file));
    let trust = Anchored::of(&mut tasks, &issuing(Provider::Istiod, None), parts, None, &settings);
    let distributed = trust.distributed.expect("distribution");
    becomes(&distributed, &file).await;
    becomes(&trust.clients, &format!("{authority}{}", pem_of(&file))).await;
    let (next, renewed) = (pem("next"), pem("renewed"));
    files.send_replace(Some(next.as_str().into()));
    becomes(&distributed, &next).await;
    authorities.send_replace(Some(renewed.as_str().into()));
    becomes(&trust.clients, &format!("{renewed}{next}")).await;
    assert_eq!(distributed.borrow().as_deref(), Some(next.as_str()));
}

/// A bundle without what stands around its blocks.
fn pem_of(text: &str) -> &str {
    text.split_once('\n').expect("lines").1
}

#[tokio::test]
async fn nobody_is_told_where_that_is_not_wanted() {
    let (_, settings) = watch::channel(mesh(&[]));
    let (_file, of_file) = known(&pem("file"));
    let mut tasks = JoinSet::new();
    let off = Issuing { offered: false, ..issuing(Provider::Istiod, None) };
    for issuing in [issuing(Provider::Nobody, None), off] {
        let parts = (None, Some(of_file.clone()));
        let trust = Anchored::of(&mut tasks, &issuing, parts, None, &settings);
        assert!(trust.distributed.is_none());
        assert_eq!(*trust.clients.borrow(), *of_file.borrow(), "clients are known all the same");
    }
}

#[tokio::test]
async fn the_root_of_the_own_signer_comes_from_the_mesh_configuration() {
    let (one, two) = (pem("one"), pem("two"));
    let (mesh_config, settings) = watch::channel(None);
    let mut tasks = JoinSet::new();
    let issuing = issuing(Provider::Signer("example.com/istiod".to_owned()), None);
    let (_authority, of_authority) = known(&pem("authority"));
    let trust = Anchored::of(&mut tasks, &issuing, (Some(of_authority), None), None, &settings);
    let distributed = trust.distributed.expect("distribution");
    assert!(distributed.borrow().is_none(), "another root would not do");
    mesh_config.send_replace(mesh(&[(&two, &["example.com/other"]), (&one, &["example.com/istiod"])]));
    becomes(&distributed, &one).await;
    mesh_config.send_replace(mesh(&[(&two, &["example.com/other", "example.com/istiod"])]));
    becomes(&distributed, &two).await;
}

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        // As mounted files are replaced.
        std::fs::write(self.path("new"), text).expect("a file");
        std::fs::rename(self.path("new"), self.path(name)).expect("a file");
    }

    fn anchors(
        &self,
        tasks: &mut JoinSet<Result<()>>,
        (usual, domain): (&str, &str),
        settings: &Settings,
    ) -> Result<Anchors> {
        let signers = Elsewhere { usual: usual.to_owned(), domain: domain.to_owned() };
        Anchors::at(tasks, (self.path("file"), self.path("cluster")), signers, settings.clone())
    }
}

#[tokio::test]
async fn roots_of_signers_are_looked_for_in_the_reference_s_order() -> Result<()> {
    let (files, mut tasks) = (Files::new(), JoinSet::new());
    let (cluster, one, two) = (pem("cluster"), pem("one"), pem("two"));
    files.put("cluster", &cluster);
    let certificates: &[(&str, &[&str])] =
        &[(&one, &["example.com/one"]), (&two, &["x.org/two"]), ("no PEM", &["x.org/bad"]), (&one, &[])];
    let (_settings, settings) = watch::channel(mesh(certificates));
    let by_domain = files.anchors(&mut tasks, ("", "x.org"), &settings)?;
    assert_eq!(by_domain.of("x.org/two").as_deref(), Some(two.as_str()));
    assert_eq!(by_domain.of("x.org/three"), None, "the chain tells");
    assert_eq!(by_domain.of("x.org/bad"), None);
    becomes(&by_domain.all(&mut tasks), &two).await;
    let by_name = files.anchors(&mut tasks, ("example.com/one", ""), &settings)?;
    assert_eq!(by_name.of("example.com/one").as_deref(), Some(one.as_str()));
    assert_eq!(by_name.of("example.com/other").as_deref(), Some(cluster.as_str()));
    becomes(&by_name.all(&mut tasks), &one).await;
    let unnamed = files.anchors(&mut tasks, ("example.com/other", ""), &settings)?;
    becomes(&unnamed.all(&mut tasks), &cluster).await;
    // A file counts before all others, also one that comes later.
    let all = by_name.all(&mut tasks);
    files.put("file", &two);
    becomes(&all, &two).await;
    assert_eq!(by_name.of("example.com/one").as_deref(), Some(two.as_str()));
    // What cannot be used changes nothing, but is told at the start.
    files.put("file", "nonsense");
    assert!(files.anchors(&mut tasks, ("a/b", ""), &settings).is_err());
    Ok(())
}

#[tokio::test]
async fn roots_of_signers_are_told_behind_the_authority_s_own() -> Result<()> {
    let (files, mut tasks) = (Files::new(), JoinSet::new());
    let (one, authority) = (pem("one"), pem("authority"));
    let (_settings, settings) = watch::channel(mesh(&[(&one, &["example.com/one"])]));
    let anchors = files.anchors(&mut tasks, ("example.com/one", ""), &settings)?;
    let (authorities, of_authority) = watch::channel(None);
    let elsewhere = Elsewhere { usual: "example.com/one".to_owned(), domain: String::new() };
    let issuing = issuing(Provider::Istiod, Some(elsewhere));
    let trust = Anchored::of(&mut tasks, &issuing, (Some(of_authority), None), Some(&anchors), &settings);
    // Clients of one signer need not wait for the other.
    becomes(&trust.clients, &one).await;
    let distributed = trust.distributed.expect("distribution");
    assert!(distributed.borrow().is_none(), "half of it");
    authorities.send_replace(Some(authority.as_str().into()));
    let expected = format!("{authority}{one}");
    becomes(&distributed, &expected).await;
    becomes(&trust.clients, &expected).await;
    Ok(())
}

//! Clients of further roots that the mesh configuration names: who comes in, and what is kept from them.

use api::mesh_config::CaCertificate;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Roots for these trust domains.
fn written(root: &Root, domains: &[&str]) -> CaCertificate {
    CaCertificate {
        pem: Some(root.cert_pem().to_owned()),
        trust_domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        ..CaCertificate::default()
    }
}

impl Port {
    /// Puts these further roots into the mesh configuration; they count when this returns.
    async fn trust(&mut self, ca_certificates: Vec<CaCertificate>) -> Result<()> {
        let count = ca_certificates.len();
        let trust_domain_aliases = vec!["old.example".to_owned()];
        let mesh = MeshConfig { trust_domain_aliases, ca_certificates, ..MeshConfig::default() };
        self.settings.send_replace(Some(Ref::new(mesh)));
        timeout(PATIENCE, self.trust.others.wait_for(|others| others.len() == count)).await??;
        Ok(())
    }

    async fn comes_in(&self, root: &Root, domain: &str) -> bool {
        self.ask(Some((root, domain)), &[], SHOP[0]).await.is_ok_and(|refused| refused.is_none())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_roots_open_the_door_for_their_trust_domains_alone_while_they_are_written() -> Result<()> {
    let mut port = port(|_| {}).await?;
    let (second, partner) = (root(), root());
    assert!(!port.comes_in(&second, "cluster.local").await);
    port.trust(vec![written(&second, &[]), written(&partner, &["partner.example"])]).await?;
    let mesh = Arc::clone(&port.root);
    for (root, domain, expected) in [
        (&mesh, "cluster.local", true),
        (&second, "cluster.local", true),
        (&second, "old.example", true),
        (&partner, "partner.example", true),
        // Nobody else's authority speaks for the mesh, and the mesh's for nobody else.
        (&partner, "cluster.local", false),
        (&partner, "old.example", false),
        (&mesh, "partner.example", false),
        (&second, "partner.example", false),
        (&partner, "evil.example", false),
    ] {
        assert_eq!(port.comes_in(root, domain).await, expected, "{domain}");
    }
    port.trust(Vec::new()).await?;
    assert!(!port.comes_in(&second, "cluster.local").await);
    assert!(!port.comes_in(&partner, "partner.example").await);
    assert!(port.comes_in(&mesh, "cluster.local").await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_come_with_further_roots_and_are_of_the_mesh_alone() -> Result<()> {
    let mut port = port(|_| {}).await?;
    let (second, partner) = (root(), root());
    port.trust(vec![written(&second, &[]), written(&partner, &["partner.example"])]).await?;
    let csr = PrivateKey::generate()?.request(&SpiffeId::new("cluster.local", "shop", "web")?)?;
    let bundle = format!("{}{}{}", port.root.cert_pem(), second.cert_pem(), partner.cert_pem());
    for root in [&port.root, &second] {
        let chain = port.certificate(Some((root, "cluster.local")), &csr).await?;
        let chain = chain.map_err(anyhow::Error::msg)?;
        assert_eq!(chain.last(), Some(&bundle));
    }
    assert_eq!(port.holders.now().given.values().sum::<usize>(), 2, "they have the mesh's own root");
    let refused = port.certificate(Some((&partner, "partner.example")), &csr).await?;
    assert_eq!(refused, Err("7".to_owned()));
    Ok(())
}

#[test]
fn an_identity_of_another_trust_domain_has_no_account_here() {
    let (_sender, settings) = watch::channel(Some(Ref::new(MeshConfig::default())));
    let [own, other] = ["cluster.local", "partner.example"].map(|td| format!("spiffe://{td}/ns/shop/sa/web"));
    let both = [other, own.clone(), "nonsense".to_owned()];
    assert_eq!(crate::authority::trust::of_the_mesh(Some(&settings), &both), [own]);
    assert_eq!(crate::authority::trust::of_the_mesh(None, &both), both);
}

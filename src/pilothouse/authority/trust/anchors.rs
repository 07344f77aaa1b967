//! Further roots of the mesh configuration (`caCertificates[]`), read and held against what they may be.
//!
//! Source: `shared/spec/security.md` 1.6; Istio `pilot/pkg/trustbundle/trustbundle.go`.

use std::sync::Arc;

use api::mesh_config::{CaCertificate, MeshConfig};
use auth::Domains;
use ca::Anchor;
use sources::spiffe::{Bundle, Bundles, Wanted};

/// All of them, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anchors(pub(super) Vec<Entry>);

/// What one item of the configuration brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place, such as `caCertificates[0].pem`.
    pub(super) field: String,
    /// The trust domains whose certificates its roots verify; none stands for the mesh's own.
    pub(super) domains: Vec<String>,
    /// What can be trusted of it.
    pub(super) anchors: Vec<Anchor>,
    /// What is wrong with the rest.
    pub(super) problems: Vec<String>,
    /// The bundle that they come from, if they were fetched.
    pub(super) fetched: Option<(Arc<str>, Bundle)>,
}

impl Anchors {
    /// Those of a configuration, with the bundles that it names as they were fetched.
    pub(super) fn of(mesh: &MeshConfig, bundles: &Bundles) -> Self {
        let entry = |(at, written): (usize, &CaCertificate)| Entry::of(at, written, bundles);
        Self(mesh.ca_certificates.iter().enumerate().map(entry).collect())
    }

    /// How many items there are in the configuration.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All that peers are to trust.
    pub(super) fn all(&self) -> impl Iterator<Item = &Anchor> {
        self.0.iter().flat_map(|entry| &entry.anchors)
    }

    /// Those that verify certificates of a trust domain; the mesh's own are not among them.
    pub(crate) fn of_domain<'a>(
        &'a self,
        domain: &'a str,
        domains: &'a Domains,
    ) -> impl Iterator<Item = &'a Anchor> {
        let own = domains.include(domain);
        let verifies = move |entry: &&Entry| match entry.domains.as_slice() {
            [] => own,
            listed => listed.iter().any(|one| one == domain),
        };
        self.0.iter().filter(verifies).flat_map(|entry| &entry.anchors)
    }

    /// What is wrong with what is written or was fetched, a line each, with its place.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|entry| entry.problems.iter().map(|problem| entry.line(problem)))
    }

    /// The same, and what cannot be fetched.
    pub(super) fn troubles(&self) -> impl Iterator<Item = String> {
        let unfetched = |entry: &Entry| Some(entry.line(&entry.unfetched()?));
        self.problems().chain(self.0.iter().filter_map(unfetched))
    }
}

/// The addresses of the bundles that a configuration names.
pub(super) fn wanted(mesh: &MeshConfig) -> Wanted {
    mesh.ca_certificates.iter().filter_map(address).map(Arc::from).collect()
}

/// The address of the bundle, if one is to be fetched: certificates that are written down go before.
fn address(written: &CaCertificate) -> Option<&str> {
    let address = written.spiffe_bundle_url.as_deref().filter(|address| !address.is_empty());
    address.filter(|_| pem(written).is_none())
}

fn pem(written: &CaCertificate) -> Option<&str> {
    written.pem.as_deref().filter(|pem| !pem.is_empty())
}

impl Entry {
    fn of(at: usize, written: &CaCertificate, bundles: &Bundles) -> Self {
        let place = |field: &str| format!("caCertificates[{at}]{field}");
        let domains = written.trust_domains.clone();
        if let Some(pem) = pem(written) {
            let entry = Self { field: place(".pem"), domains, ..Self::default() };
            return entry.with(Anchor::read(pem));
        }
        let Some(address) = address(written) else {
            let problems = vec!["names no roots: write pem or spiffeBundleUrl".to_owned()];
            return Self { field: place(""), domains, problems, ..Self::default() };
        };
        let bundle = bundles.get(address).cloned().unwrap_or_default();
        let entry = Self { field: place(".spiffeBundleUrl"), domains, ..Self::default() };
        let certificates = bundle.certificates.iter().flat_map(|all| all.iter()).enumerate();
        let read = certificates
            .map(|(at, der)| Anchor::of(der).map_err(|problem| format!("certificate {}: {problem}", at + 1)));
        let entry = entry.with(read.collect());
        Self { fetched: Some((address.into(), bundle)), ..entry }
    }

    /// Why it cannot be fetched, if it cannot.
    pub(super) fn unfetched(&self) -> Option<String> {
        let (_, Bundle { certificates, error, .. }) = self.fetched.as_ref()?;
        let stay = if certificates.is_some() { "; the roots that were fetched before stay" } else { "" };
        Some(format!("{}{stay}", error.as_ref()?))
    }

    fn line(&self, problem: &str) -> String {
        format!("mesh configuration: {}: {problem}", self.field)
    }

    fn with(mut self, read: Vec<Result<Anchor, String>>) -> Self {
        for one in read {
            match one {
                Ok(anchor) => self.anchors.push(anchor),
                Err(problem) => self.problems.push(format!("{problem}; it is left out")),
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::sync::watch;

    use super::*;

    fn root(name: &str) -> ca::Root {
        ca::Root::generate(name, SystemTime::now()).expect("a root")
    }

    fn der(root: &ca::Root) -> Vec<u8> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        CertificateDer::from_pem_slice(root.cert_pem().as_bytes()).expect("PEM").to_vec()
    }

    fn written(pem: &str, address: &str, domains: &[&str]) -> CaCertificate {
        CaCertificate {
            pem: Some(pem.to_owned()),
            spiffe_bundle_url: Some(address.to_owned()),
            trust_domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            ..CaCertificate::default()
        }
    }

    fn mesh(ca_certificates: Vec<CaCertificate>) -> MeshConfig {
        let trust_domain_aliases = vec!["old".to_owned()];
        MeshConfig { ca_certificates, trust_domain_aliases, ..MeshConfig::default() }
    }

    fn names<'a>(anchors: impl Iterator<Item = &'a Anchor>) -> Vec<&'a str> {
        anchors.map(Anchor::name).collect()
    }

    #[test]
    fn roots_verify_the_trust_domains_that_they_are_for() {
        let [a, b, c] = ["a", "b", "c"].map(root);
        let mesh = mesh(vec![
            written(a.cert_pem(), "", &[]),
            written(b.cert_pem(), "", &["partner"]),
            written(c.cert_pem(), "", &["partner", "old"]),
        ]);
        let domains = Domains::now(&watch::channel(Some(model::Ref::new(mesh.clone()))).1).expect("domains");
        let anchors = Anchors::of(&mesh, &Bundles::new());
        let of = |domain| names(anchors.of_domain(domain, &domains));
        assert_eq!(of("cluster.local"), ["O=a"]);
        assert_eq!(of("old"), ["O=a", "O=c"]);
        assert_eq!(of("partner"), ["O=b", "O=c"]);
        assert!(of("stranger").is_empty());
        assert_eq!(names(anchors.all()), ["O=a", "O=b", "O=c"]);
        assert_eq!(anchors.troubles().count(), 0);
    }

    #[test]
    fn what_cannot_be_trusted_is_told_with_its_place_and_harms_no_other() {
        let [a, b] = ["a", "b"].map(root);
        let both = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", a.cert_pem());
        let mesh = mesh(vec![written("nothing", "", &[]), written("", "", &[]), written(&both, "", &[])]);
        let bundle = Bundle {
            certificates: Some(Arc::from([vec![1], der(&b)])),
            error: Some("no route".to_owned()),
            ..Bundle::default()
        };
        let mut mesh = mesh;
        mesh.ca_certificates.push(written("", "example.org", &[]));
        let anchors = Anchors::of(&mesh, &Bundles::from([("example.org".into(), bundle)]));
        assert_eq!(names(anchors.all()), ["O=a", "O=b"]);
        assert_eq!(anchors.problems().count(), 4, "without the fetch");
        let problems: Vec<String> = anchors.troubles().collect();
        let expected = [
            "caCertificates[0].pem: has no CERTIFICATE block",
            "caCertificates[1]: names no roots",
            "caCertificates[2].pem: certificate 2: cannot be read",
            "caCertificates[3].spiffeBundleUrl: certificate 1: cannot be read",
            "caCertificates[3].spiffeBundleUrl: no route; the roots that were fetched before stay",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, words) in problems.iter().zip(expected) {
            assert!(problem.contains(words), "{words}: {problem}");
        }
    }

    #[test]
    fn a_bundle_is_fetched_where_no_certificates_are_written_down() {
        let all = mesh(vec![
            written("x", "https://one", &[]),
            written("", "https://two", &[]),
            written("", "https://two", &["partner"]),
            written("", "", &[]),
        ]);
        assert_eq!(wanted(&all), Wanted::from(["https://two".into()]));
    }
}

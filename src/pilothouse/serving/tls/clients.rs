//! Certificates of clients: asked for, not demanded; one that is shown must be of the mesh or of a trust domain that it
//! trusts, by the roots of that domain at that moment.
//!
//! Source: `shared/spec/security.md` 3, traps 9, 53.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use auth::{Domains, Refused, Settings};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DistinguishedName, Error, OtherError, RootCertStore};

use crate::authority::trust::{Anchors, Trust};

/// Verifies clients.
pub(crate) struct Clients {
    trust: Trust,
    settings: Settings,
    provider: Arc<CryptoProvider>,
    known: Mutex<Option<Known>>,
}

/// What verifies by the roots that were last looked at.
struct Known {
    own: Arc<str>,
    others: Arc<Anchors>,
    /// By trust domain, and whether that is of the mesh.
    chains: BTreeMap<(String, bool), Arc<dyn ClientCertVerifier>>,
}

impl Clients {
    /// By what is trusted and the trust domains of `settings`, as they are when a client connects.
    pub(crate) fn new(trust: Trust, settings: Settings, provider: Arc<CryptoProvider>) -> Self {
        Self { trust, settings, provider, known: Mutex::new(None) }
    }

    /// What verifies clients of a trust domain by the roots of this moment.
    fn chains(&self, domain: &str, domains: &Domains) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let none = || Error::General("the mesh's root is not known yet".to_owned());
        let own = self.trust.own.borrow().clone().ok_or_else(none)?;
        let others = Arc::clone(&self.trust.others.borrow());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &Known| known.own == own && Arc::ptr_eq(&known.others, &others);
        if !known.as_ref().is_some_and(same) {
            *known = None;
        }
        let known = known.get_or_insert_with(|| Known { own, others, chains: BTreeMap::new() });
        let key = (domain.to_owned(), domains.include(domain));
        if let Some(chains) = known.chains.get(&key) {
            return Ok(Arc::clone(chains));
        }
        let mut store = RootCertStore::empty();
        let of_the_mesh = if key.1 { &*known.own } else { "" };
        for certificate in CertificateDer::pem_slice_iter(of_the_mesh.as_bytes()) {
            store.add(certificate.map_err(|error| Error::General(error.to_string()))?)?;
        }
        // One of others that is of no use locks nobody else out.
        for anchor in known.others.of_domain(domain, domains) {
            store.add_parsable_certificates(CertificateDer::from_pem_slice(anchor.pem().as_bytes()));
        }
        if store.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        let provider = Arc::clone(&self.provider);
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build();
        let chains = chains.map_err(|error| Error::General(error.to_string()))?;
        known.chains.insert(key, Arc::clone(&chains));
        Ok(chains)
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let known = Domains::now(&self.settings).map_err(refusal)?;
        let identity = auth::certificate::identity(leaf).map_err(refusal)?;
        known.means(&identity).map_err(refusal)?;
        self.chains(identity.trust_domain(), &known)?.verify_client_cert(leaf, others, now)
    }

    sources::checks_signatures!(self => self.algorithms());
}

fn refusal(refused: Refused) -> Error {
    let words = OtherError(Arc::new(std::io::Error::other(refused.to_string())));
    Error::InvalidCertificate(CertificateError::Other(words))
}

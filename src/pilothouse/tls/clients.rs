//! Certificates of clients: asked for, not demanded; one that is shown must be of the mesh, by its roots at that moment.
//!
//! Source: `shared/spec/security.md` 3, traps 9, 53.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use auth::{Domains, Settings};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::root::Trusted;

/// Verifies clients.
pub(crate) struct Clients {
    roots: Trusted,
    settings: Settings,
    provider: Arc<CryptoProvider>,
    /// What verifies by the roots that were last looked at.
    chains: Mutex<Option<(Arc<str>, Arc<dyn ClientCertVerifier>)>>,
}

impl Clients {
    /// By `roots` and the trust domains of `settings`, as they are when a client connects.
    pub(crate) fn new(roots: Trusted, settings: Settings, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, settings, provider, chains: Mutex::new(None) }
    }

    /// What verifies by the roots of this moment.
    fn chains(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let none = || Error::General("the mesh's root is not known yet".to_owned());
        let roots = self.roots.borrow().clone().ok_or_else(none)?;
        let mut known = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, chains)) = &*known
            && *of == roots
        {
            return Ok(Arc::clone(chains));
        }
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            store.add(certificate.map_err(|error| Error::General(error.to_string()))?)?;
        }
        let provider = Arc::clone(&self.provider);
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build();
        let chains = chains.map_err(|error| Error::General(error.to_string()))?;
        *known = Some((roots, Arc::clone(&chains)));
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
        let verified = self.chains()?.verify_client_cert(leaf, others, now)?;
        let known = auth::certificate::identity(leaf)
            .and_then(|identity| Domains::now(&self.settings)?.admit(identity));
        match known {
            Ok(_) => Ok(verified),
            Err(refused) => {
                let words = OtherError(Arc::new(std::io::Error::other(refused.to_string())));
                Err(Error::InvalidCertificate(CertificateError::Other(words)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

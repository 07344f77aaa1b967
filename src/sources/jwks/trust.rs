//! Whom a fetch of keys trusts: the machine's roots and those that the operator adds.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, Error, RootCertStore};

/// TLS 1.2 and 1.3 with the machine's roots and those of `extra`, if there is such a file. With `insecure` any
/// certificate is taken.
///
/// # Errors
/// There are no protocol versions to speak.
pub(super) fn config(extra: &Path, insecure: bool) -> Result<Arc<ClientConfig>, Error> {
    let provider = crate::tls::provider();
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    if insecure {
        tracing::warn!(
            "keys of those who issue tokens are fetched from anybody: certificates are not verified"
        );
        let anybody = Arc::new(Anybody(provider));
        return Ok(Arc::new(
            builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth(),
        ));
    }
    Ok(Arc::new(builder.with_root_certificates(roots(extra)).with_no_client_auth()))
}

fn roots(extra: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a root certificate of the machine cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    if let Ok(added) = CertificateDer::pem_file_iter(extra) {
        let (taken, left) = roots.add_parsable_certificates(added.flatten());
        tracing::info!(path = %extra.display(), taken, left, "root certificates for fetching keys are added");
    }
    roots
}

/// Takes any certificate (`JWKS_RESOLVER_INSECURE_SKIP_VERIFY`).
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    crate::checks_signatures!(self => &self.0.signature_verification_algorithms);
}

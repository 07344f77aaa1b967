//! Whom a fetch of keys trusts: the machine's roots and those that the operator adds.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// TLS 1.2 and 1.3 with the machine's roots and those of `extra`, if there is such a file. With `insecure` any
/// certificate is taken.
///
/// # Errors
/// There are no protocol versions to speak.
pub(super) fn config(extra: &Path, insecure: bool) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
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

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

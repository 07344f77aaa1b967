//! The certificate that a server shows: changed while connections go on, each of which keeps what it began with.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arc_swap::ArcSwapOption;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// What is shown to whoever connects next.
#[derive(Debug, Default)]
pub(crate) struct Shown(ArcSwapOption<CertifiedKey>);

impl Shown {
    /// Shows this chain from now on.
    pub(super) fn set(&self, pair: CertifiedKey) {
        self.0.store(Some(Arc::new(pair)));
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// A chain with its key, both PEM.
///
/// # Errors
/// One of them cannot be read, or they do not belong together; nothing of the key is in the text.
pub(super) fn pair(chain: &[u8], key: &[u8]) -> Result<CertifiedKey> {
    ca::check_key_pair(chain, key)?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().context("certificate chain")?;
    ensure!(!certificates.is_empty(), "certificate chain: has no CERTIFICATE block");
    let key = PrivateKeyDer::from_pem_slice(key).context("private key: is not PEM")?;
    let key = any_supported_type(&key).context("private key: is of a kind that no server can use")?;
    Ok(CertifiedKey::new(certificates, key))
}

//! Certificates for what is outside the mesh, and TLS for the echo app and its clients.

mod intermediate;
mod revocation;

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa,
    KeyPair,
};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use intermediate::Intermediate;

/// A certificate authority of a test's own, for gateways' and outside servers' certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS#8.
    pub key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Authority {
    /// Makes a root.
    pub fn new() -> Result<Self> {
        let mut params = named(&[], "test root")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// The root certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        let certificate: &Certificate = self.0.as_ref();
        certificate.pem()
    }

    /// A certificate for these DNS names (or IP addresses).
    pub fn issue(&self, names: &[&str]) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate =
            named(names, names.first().copied().unwrap_or_default())?.signed_by(&key, &*self.0)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Every certificate has a subject of its own: one that equals its issuer's would pass for self-signed.
fn named(names: &[&str], subject: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    Ok(params)
}

/// What a server saw of a TLS handshake.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Handshake {
    /// Server name that the client asked for.
    pub sni: Option<String>,
    /// Application protocol that was agreed on.
    pub alpn: Option<String>,
    /// URI and DNS names of the client's certificate; empty without one.
    pub client: Vec<String>,
}

impl Handshake {
    pub(crate) fn of(connection: &ServerConnection) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let client = connection.peer_certificates().and_then(|chain| chain.first());
        Self {
            sni: connection.server_name().map(str::to_owned),
            alpn: connection.alpn_protocol().map(text),
            client: client.map(|certificate| names(certificate)).unwrap_or_default(),
        }
    }
}

/// URI and DNS names of a certificate; none if it has none that can be read.
fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return Vec::new() };
    let named = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(name) | GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    named.collect()
}

/// A server's side; with `clients`, only clients with a certificate of that root are served.
pub(crate) fn server(identity: &Identity, clients: Option<&str>) -> Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(root) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots(root)?), provider()).build()?,
        ),
    };
    let (chain, key) = parse(identity)?;
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A client's side that trusts `root` and offers one protocol.
pub(crate) fn client(root: &str, identity: Option<&Identity>, alpn: &str) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(root)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = parse(identity)?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(pem: &str) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        store.add(certificate.map_err(|error| anyhow!("root: {error}"))?).context("root")?;
    }
    Ok(store)
}

fn parse(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect();
    let chain = chain.map_err(|error| anyhow!("certificate: {error}"))?;
    let key =
        PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|error| anyhow!("key: {error}"))?;
    Ok((chain, key))
}

//! TLS settings: of clients (DestinationRule, mesh) and of servers (Gateway, Sidecar).

use crate::schema::at_most_one;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS towards endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTlsSettings {
    /// Whether and how.
    pub mode: ClientTlsMode,
    /// File with the client's certificate chain (MUTUAL).
    pub client_certificate: String,
    /// File with the client's key (MUTUAL).
    pub private_key: String,
    /// File with the roots; empty means the system's.
    pub ca_certificates: String,
    /// Secret with key, certificate and roots; excludes the files.
    pub credential_name: String,
    /// Names of which the server's certificate must have one.
    pub subject_alt_names: Vec<String>,
    /// SNI; empty means derived from the host.
    pub sni: String,
    /// Do not verify the server's certificate.
    pub insecure_skip_verify: Option<bool>,
    /// File with revoked certificates.
    pub ca_crl: String,
}

/// Modes of TLS towards endpoints.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientTlsMode {
    /// None.
    #[default]
    Disable,
    /// The server shows a certificate.
    Simple,
    /// Both show one.
    Mutual,
    /// Both show the mesh's.
    IstioMutual,
}

/// TLS of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = at_most_one("tlsCertificates, credentialNames"))]
#[schemars(transform = at_most_one("credentialName, credentialNames"))]
pub struct ServerTlsSettings {
    /// Answer plain HTTP with a redirect to HTTPS.
    pub https_redirect: bool,
    /// How.
    pub mode: ServerTlsMode,
    /// File with the server's certificate chain.
    pub server_certificate: String,
    /// File with the server's key.
    pub private_key: String,
    /// File with the roots for clients' certificates.
    pub ca_certificates: String,
    /// File with revoked certificates.
    pub ca_crl: String,
    /// Secret with key and certificate; excludes the files.
    pub credential_name: String,
    /// Secrets with key and certificate (RSA and ECDSA).
    #[schemars(length(min = 1, max = 2))]
    pub credential_names: Vec<String>,
    /// Secret with the roots for clients' certificates.
    pub ca_cert_credential_name: String,
    /// Names of which a client's certificate must have one.
    pub subject_alt_names: Vec<String>,
    /// SHA-256 of the public key of accepted clients' certificates, in base64.
    pub verify_certificate_spki: Vec<String>,
    /// SHA-256 of accepted clients' certificates, in hex.
    pub verify_certificate_hash: Vec<String>,
    /// Oldest protocol; default TLS 1.2.
    pub min_protocol_version: TlsProtocol,
    /// Newest protocol.
    pub max_protocol_version: TlsProtocol,
    /// Cipher suites; empty means Envoy's default.
    pub cipher_suites: Vec<String>,
    /// Files with several certificates (RSA and ECDSA).
    #[schemars(length(min = 1, max = 2))]
    pub tls_certificates: Vec<TlsCertificate>,
    /// Accept clients' certificates unverified.
    pub insecure_skip_verify: Option<bool>,
}

/// Modes of TLS of a server.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerTlsMode {
    /// Not terminated; routed by SNI, by VirtualServices.
    #[default]
    Passthrough,
    /// The server shows a certificate.
    Simple,
    /// Both show one.
    Mutual,
    /// Not terminated; the SNI names the cluster.
    AutoPassthrough,
    /// Both show the mesh's.
    IstioMutual,
    /// The client may show one.
    OptionalMutual,
}

/// Versions of TLS.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TlsProtocol {
    /// Whatever is the default.
    #[default]
    #[serde(rename = "TLS_AUTO")]
    Auto,
    /// TLS 1.0.
    #[serde(rename = "TLSV1_0")]
    V1_0,
    /// TLS 1.1.
    #[serde(rename = "TLSV1_1")]
    V1_1,
    /// TLS 1.2.
    #[serde(rename = "TLSV1_2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "TLSV1_3")]
    V1_3,
}

/// A certificate in files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCertificate {
    /// File with the server's certificate chain.
    pub server_certificate: String,
    /// File with the server's key.
    pub private_key: String,
    /// File with the roots for clients' certificates.
    pub ca_certificates: String,
}

//! The TLS context in which a sidecar takes mesh mTLS.
//!
//! Source: Istio `pilot/pkg/security/authn/utils.go`; `shared/spec/security.md` 6.3.

use api::mesh_config::{MeshConfig, MeshTlsProtocol};
use envoy::config::core::v3::TransportSocket;
use envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};
use envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, TlsParameters,
};
use envoy::r#type::matcher::v3::StringMatcher;
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use model::mesh::{Compliance, Settings};
use model::proxy::{FileCertificates, SecretServers};

use super::upstream::{TLS, parameters, typed};
use super::{compliance, sds};
use crate::class::OwnView;

/// The cipher suites of mesh mTLS below TLS 1.3, unless the mesh names others.
const CIPHER_SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
];
/// The protocols that a server of the mesh agrees to.
const ALPN: [&str; 2] = ["h2", "http/1.1"];

/// What the mesh and the proxy set for the server side of mesh mTLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeshServer {
    /// TLS 1.2 is refused.
    newest_only: bool,
    /// Cipher suites below TLS 1.3.
    cipher_suites: Vec<String>,
    /// The standard that TLS is held to.
    compliance: Compliance,
    /// Whose identities are taken; empty for any that the roots vouch for.
    trust_domains: Vec<String>,
    /// Files that stand for the workload's certificate and the mesh's roots.
    files: FileCertificates,
    /// Which servers of secrets stand beside the proxy.
    secret_servers: SecretServers,
}

impl MeshServer {
    /// Those of a workload.
    pub fn of(settings: &Settings, view: &OwnView) -> Self {
        Self {
            files: view.tls_server.clone(),
            secret_servers: view.shared.secret_servers,
            ..Self::of_mesh(settings)
        }
    }

    fn of_mesh(settings: &Settings) -> Self {
        let mesh = &settings.mesh;
        let tls = mesh.mesh_mtls.as_ref();
        let named = tls.map(|t| t.cipher_suites.clone()).filter(|s| !s.is_empty());
        let skip = settings.features.skip_validate_trust_domain;
        Self {
            newest_only: tls.is_some_and(|t| t.min_protocol_version == MeshTlsProtocol::V1_3),
            cipher_suites: named.unwrap_or_else(|| CIPHER_SUITES.map(str::to_owned).to_vec()),
            compliance: settings.features.compliance,
            trust_domains: if skip { Vec::new() } else { trust_domains(mesh) },
            files: FileCertificates::default(),
            secret_servers: SecretServers::default(),
        }
    }

    /// The transport socket: the workload's certificate is shown, one of the mesh is asked for.
    pub fn socket(&self) -> TransportSocket {
        typed(TLS, &self.context())
    }

    fn context(&self) -> DownstreamTlsContext {
        let minimum = if self.newest_only { TlsProtocol::TlSv13 } else { TlsProtocol::TlSv12 };
        let asked = TlsParameters {
            tls_minimum_protocol_version: minimum.into(),
            cipher_suites: self.cipher_suites.clone(),
            ..parameters()
        };
        let common = CommonTlsContext {
            tls_params: compliance::enforce(self.compliance, Some(asked)),
            tls_certificate_sds_secret_configs: vec![sds::shown(&self.files, self.secret_servers)],
            alpn_protocols: ALPN.map(str::to_owned).to_vec(),
            validation_context_type: Some(self.validation()),
            ..CommonTlsContext::default()
        };
        DownstreamTlsContext {
            common_tls_context: Some(common),
            require_client_certificate: Some(true.into()),
            ..DownstreamTlsContext::default()
        }
    }

    fn validation(&self) -> ValidationContextType {
        let of_domain = |domain: &String| StringMatcher {
            match_pattern: Some(MatchPattern::Prefix(format!("spiffe://{domain}/"))),
            ..StringMatcher::default()
        };
        // The older, untyped form of the names: EnvoyFilters of users name it.
        #[allow(deprecated, reason = "what the reference sends and users patch")]
        let default = CertificateValidationContext {
            match_subject_alt_names: self.trust_domains.iter().map(of_domain).collect(),
            ..CertificateValidationContext::default()
        };
        ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
            default_validation_context: Some(default),
            validation_context_sds_secret_config: Some(sds::trusted(&self.files, self.secret_servers)),
            ..CombinedCertificateValidationContext::default()
        })
    }
}

/// The mesh's trust domain, its aliases, and those that further roots are for; each once.
fn trust_domains(mesh: &MeshConfig) -> Vec<String> {
    let of_roots = mesh.ca_certificates.iter().flat_map(|c| &c.trust_domains);
    let all = std::iter::once(&mesh.trust_domain).chain(&mesh.trust_domain_aliases).chain(of_roots);
    let mut domains: Vec<String> = Vec::new();
    for domain in all {
        if !domains.contains(domain) {
            domains.push(domain.clone());
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(yaml: serde_json::Value) -> MeshServer {
        let (mesh, _) = MeshConfig::default().apply(yaml).unwrap_or_default();
        MeshServer::of_mesh(&Settings { mesh: model::Ref::new(mesh), ..Settings::default() })
    }

    #[test]
    fn every_trust_domain_is_taken_once() {
        let json = serde_json::json!({"trustDomain": "a", "trustDomainAliases": ["b", "a"],
            "caCertificates": [{"pem": "x", "trustDomains": ["c", "b"]}]});
        assert_eq!(server(json).trust_domains, ["a", "b", "c"]);
    }

    #[test]
    fn the_mesh_may_ask_for_the_newest_tls() {
        let json = serde_json::json!({"meshMTLS": {"minProtocolVersion": "TLSV1_3"}});
        let context = server(json).context().common_tls_context.unwrap_or_default();
        let parameters = context.tls_params.unwrap_or_default();
        assert_eq!(parameters.tls_minimum_protocol_version(), TlsProtocol::TlSv13);
        assert_eq!(parameters.cipher_suites.len(), 6);
    }
}

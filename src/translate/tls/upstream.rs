//! TLS contexts and transport sockets of connections to endpoints.
//!
//! Source: Istio `pilot/pkg/networking/core/cluster_tls.go`; `shared/spec/xds.md` 2.7.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::mesh_config::MeshConfig;
use envoy::config::core::v3::data_source::Specifier;
use envoy::config::core::v3::transport_socket::ConfigType;
use envoy::config::core::v3::{DataSource, TransportSocket};
use envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};
use envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, SdsSecretConfig, TlsParameters, UpstreamTlsContext,
};
use envoy::r#type::matcher::v3::StringMatcher;
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy::{Message, Name, pack_any};
use model::mesh::Compliance;

use super::{compliance, sds};

/// Name of Envoy's TLS transport socket.
pub const TLS: &str = "envoy.transport_sockets.tls";
/// Name of Envoy's plain transport socket.
pub const RAW: &str = "envoy.transport_sockets.raw_buffer";
/// Whom to trust on the other side.
#[derive(Clone, Debug)]
pub(crate) enum Verify {
    /// Nobody is checked.
    Nothing,
    /// Nobody is checked, and nothing is said of it.
    Unsaid,
    /// The certificate must come from these roots and hold one of the names, if any are given.
    Roots {
        /// The roots.
        roots: Box<SdsSecretConfig>,
        /// The names.
        names: Vec<String>,
        /// File of revoked certificates; empty for none.
        crl: String,
    },
}

/// What a context is made of.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The client's certificate.
    pub(crate) certificate: Option<SdsSecretConfig>,
    /// How the server is checked.
    pub(crate) verify: Verify,
    /// Server name; empty for none.
    pub(crate) sni: String,
    /// Versions, cipher suites, curves.
    pub(crate) parameters: TlsParameters,
    /// The standard that they are held to.
    pub(crate) compliance: Compliance,
    /// Announced protocols.
    pub(crate) alpn: Vec<String>,
}

/// TLS 1.2 to 1.3, without choice of cipher suites.
pub(crate) fn parameters() -> TlsParameters {
    TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        ..TlsParameters::default()
    }
}

/// What the mesh sets for TLS that is not its own (`tlsDefaults`); its lowest version is for servers only.
pub(crate) fn default_parameters(mesh: &MeshConfig) -> TlsParameters {
    let Some(defaults) = &mesh.tls_defaults else { return parameters() };
    TlsParameters {
        cipher_suites: defaults.cipher_suites.clone(),
        ecdh_curves: defaults.ecdh_curves.clone(),
        ..parameters()
    }
}

/// The context of mesh mTLS: the workload's certificate, the mesh's roots, names of the other side, what is announced.
pub(crate) fn mesh(
    names: Vec<String>,
    sni: String,
    alpn: Vec<String>,
    compliance: Compliance,
) -> UpstreamTlsContext {
    context(Settings {
        certificate: Some(sds::workload()),
        verify: Verify::Roots { roots: Box::new(sds::root()), names, crl: String::new() },
        sni,
        parameters: parameters(),
        compliance,
        alpn,
    })
}

/// A context of any settings.
pub(crate) fn context(settings: Settings) -> UpstreamTlsContext {
    let common = CommonTlsContext {
        tls_params: compliance::enforce(settings.compliance, Some(settings.parameters)),
        tls_certificate_sds_secret_configs: settings.certificate.into_iter().collect(),
        alpn_protocols: settings.alpn,
        validation_context_type: validation(settings.verify),
        ..CommonTlsContext::default()
    };
    UpstreamTlsContext {
        common_tls_context: Some(common),
        sni: settings.sni,
        ..UpstreamTlsContext::default()
    }
}

fn validation(verify: Verify) -> Option<ValidationContextType> {
    Some(match verify {
        Verify::Unsaid => return None,
        Verify::Nothing => ValidationContextType::ValidationContext(CertificateValidationContext::default()),
        Verify::Roots { roots, names, crl } => {
            let exact = |name| StringMatcher {
                match_pattern: Some(MatchPattern::Exact(name)),
                ..StringMatcher::default()
            };
            let crl = (!crl.is_empty())
                .then(|| DataSource { specifier: Some(Specifier::Filename(crl)), ..DataSource::default() });
            // The older, untyped form of the names: EnvoyFilters of users name it.
            #[allow(deprecated, reason = "what the reference sends and users patch")]
            let default = CertificateValidationContext {
                match_subject_alt_names: names.into_iter().map(exact).collect(),
                crl,
                ..CertificateValidationContext::default()
            };
            ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
                default_validation_context: Some(default),
                validation_context_sds_secret_config: Some(*roots),
                ..CombinedCertificateValidationContext::default()
            })
        }
    })
}

/// Takes every server for the right one.
pub(crate) fn trust_anybody(context: &mut UpstreamTlsContext) {
    if let Some(common) = &mut context.common_tls_context {
        common.validation_context_type = validation(Verify::Nothing);
    }
}

/// A TLS transport socket.
pub(crate) fn socket(context: &UpstreamTlsContext) -> TransportSocket {
    typed(TLS, context)
}

/// A plain transport socket.
pub(crate) fn raw_socket() -> TransportSocket {
    typed(RAW, &RawBuffer {})
}

/// A transport socket of any kind.
pub(crate) fn typed<M: Message + Name>(name: &str, message: &M) -> TransportSocket {
    TransportSocket { name: name.to_owned(), config_type: Some(ConfigType::TypedConfig(pack_any(message))) }
}

/// Identities, and the same in every alias of the trust domain, sorted.
pub(crate) fn with_aliases<'a>(
    identities: impl Iterator<Item = &'a Arc<str>>,
    aliases: &[String],
) -> Vec<String> {
    let mut all = BTreeSet::new();
    for identity in identities {
        all.insert(identity.to_string());
        let Some(path) = identity.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        all.extend(aliases.iter().map(|alias| format!("spiffe://{alias}/{}", path.1)));
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_repeat_in_the_aliases_of_the_trust_domain() {
        let identities = [Arc::from("spiffe://td/ns/a/sa/b"), Arc::from("plain.example")];
        let all = with_aliases(identities.iter(), &["old".to_owned()]);
        assert_eq!(all, ["plain.example", "spiffe://old/ns/a/sa/b", "spiffe://td/ns/a/sa/b"]);
    }
}

//! TLS that ends at a port of a gateway, or of a Sidecar: certificates, whom of the clients to trust, versions and cipher suites.
//!
//! Source: Istio `pilot/pkg/networking/core/gateway.go`, `pilot/pkg/security/model/authentication.go`;
//! `shared/spec/xds.md` 4.8.

use api::istio::{ServerTlsMode, ServerTlsSettings, TlsProtocol};
use api::mesh_config::{MeshTlsConfig, MeshTlsProtocol};
use api::{ObjectKey, Problem, Severity};
use envoy::config::core::v3::data_source::Specifier;
use envoy::config::core::v3::{DataSource, TransportSocket};
use envoy::extensions::transport_sockets::quic::v3::QuicDownstreamTransport;
use envoy::extensions::transport_sockets::tls::v3::certificate_validation_context::TrustChainVerification;
use envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};
use envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol as EnvoyProtocol;
use envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, TlsParameters,
};
use envoy::r#type::matcher::v3::StringMatcher;
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use model::mesh::Compliance;
use model::proxy::{FileCertificates, SecretServers};

use super::{compliance, pins, sds, upstream};

/// Cipher suites that Envoy knows, without those of shared keys, which no server here has.
const CIPHER_SUITES: [&str; 17] = [
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// Name of Envoy's QUIC transport socket.
const QUIC: &str = "envoy.transport_sockets.quic";

/// Curves that Envoy knows.
const CURVES: [&str; 6] = ["P-256", "P-384", "P-521", "X25519", "X25519Kyber768Draft00", "X25519MLKEM768"];

/// What connections come over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// QUIC, which carries HTTP/3.
    Quic,
}

/// All that the TLS context of a server is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerTls {
    /// What the Gateway or Sidecar says.
    pub settings: Box<ServerTlsSettings>,
    /// What the mesh says where a server says nothing.
    pub defaults: Option<MeshTlsConfig>,
    /// The standard that TLS is held to.
    pub compliance: Compliance,
    /// Whether bytes are carried and not HTTP.
    pub tcp: bool,
    /// Files that stand for the workload's certificate.
    pub workload: FileCertificates,
    /// Servers of secrets beside the proxy.
    pub secret_servers: SecretServers,
    /// That object, and the field of the server in it.
    pub at: (ObjectKey, String),
}

impl ServerTls {
    /// The transport socket, and what of the settings is not in effect. That is told once: not again for QUIC, whose
    /// chains mirror others.
    pub(crate) fn build(&self, transport: Transport) -> (TransportSocket, Vec<Problem>) {
        let mut problems = Vec::new();
        let settings = &*self.settings;
        let mesh = settings.mode == ServerTlsMode::IstioMutual;
        let asked = if mesh { None } else { self.parameters(&mut problems) };
        let common = CommonTlsContext {
            alpn_protocols: self.alpn(transport),
            tls_params: compliance::enforce(self.compliance, asked),
            tls_certificate_sds_secret_configs: self.certificates(&mut problems),
            validation_context_type: self.validation(&mut problems),
            ..CommonTlsContext::default()
        };
        let required = matches!(settings.mode, ServerTlsMode::Mutual | ServerTlsMode::IstioMutual);
        let context = DownstreamTlsContext {
            common_tls_context: Some(common),
            require_client_certificate: Some(required.into()),
            ..DownstreamTlsContext::default()
        };
        match transport {
            Transport::Tcp => (upstream::typed(upstream::TLS, &context), problems),
            Transport::Quic => {
                let quic = QuicDownstreamTransport {
                    downstream_tls_context: Some(context),
                    ..QuicDownstreamTransport::default()
                };
                (upstream::typed(QUIC, &quic), Vec::new())
            }
        }
    }

    fn alpn(&self, transport: Transport) -> Vec<String> {
        if transport == Transport::Quic {
            return vec!["h3".to_owned()];
        }
        let exchange = self.tcp && self.settings.mode == ServerTlsMode::IstioMutual;
        let peer = exchange.then_some("istio-peer-exchange");
        peer.into_iter().chain(["h2", "http/1.1"]).map(str::to_owned).collect()
    }

    fn certificates(&self, problems: &mut Vec<Problem>) -> Vec<SdsSecretConfig> {
        let settings = &*self.settings;
        if settings.mode == ServerTlsMode::IstioMutual {
            return vec![sds::shown(&self.workload, self.secret_servers)];
        }
        if !settings.credential_names.is_empty() {
            return settings.credential_names.iter().map(|name| self.credential(name)).collect();
        }
        if !settings.credential_name.is_empty() {
            return vec![self.credential(&settings.credential_name)];
        }
        let listed = &settings.tls_certificates;
        let several = listed.iter().filter_map(|c| self.files(&c.server_certificate, &c.private_key));
        let mut found: Vec<_> = several.collect();
        if found.is_empty() {
            found.extend(self.files(&settings.server_certificate, &settings.private_key));
        }
        if found.is_empty() {
            let message = "no certificate is named; the workload's own is shown".to_owned();
            problems.push(self.problem("credentialName", message, "name a Secret or files"));
            found.push(sds::workload());
        }
        found
    }

    /// Where clients' certificates are looked at, and how.
    fn validation(&self, problems: &mut Vec<Problem>) -> Option<ValidationContextType> {
        let settings = &*self.settings;
        let names = exact(&settings.subject_alt_names);
        if !validates(settings.mode) {
            if !names.is_empty() {
                // Without roots Envoy refuses to look at names, and with them the whole listener.
                let message = format!(
                    "mode {:?} asks clients for no certificate; the names are ignored",
                    settings.mode
                );
                problems.push(self.problem("subjectAltNames", message, "use mode MUTUAL or OPTIONAL_MUTUAL"));
            }
            return None;
        }
        let mut default = matching(names);
        if settings.insecure_skip_verify == Some(true) {
            default.trust_chain_verification = TrustChainVerification::AcceptUntrusted.into();
        }
        let roots = if by_credential(settings) && settings.mode != ServerTlsMode::IstioMutual {
            let (spki, hash) = (&settings.verify_certificate_spki, &settings.verify_certificate_hash);
            let (spki, wrong) = pins::settled(spki, pins::is_spki, pins::NO_SPKI);
            self.wrong_pins("verifyCertificateSpki", &wrong, problems);
            let (hash, wrong) = pins::settled(hash, pins::is_hash, pins::NO_HASH);
            self.wrong_pins("verifyCertificateHash", &wrong, problems);
            default.verify_certificate_spki = spki;
            default.verify_certificate_hash = hash;
            self.credential_roots()
        } else {
            if !settings.ca_crl.is_empty() {
                let file = Specifier::Filename(settings.ca_crl.clone());
                default.crl = Some(DataSource { specifier: Some(file), ..DataSource::default() });
            }
            for (field, list) in [
                ("verifyCertificateSpki", &settings.verify_certificate_spki),
                ("verifyCertificateHash", &settings.verify_certificate_hash),
            ] {
                if !list.is_empty() {
                    let message = "it has no effect beside certificates from files".to_owned();
                    problems.push(self.problem(field, message, "use credentialName"));
                }
            }
            self.file_roots()
        };
        Some(ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
            default_validation_context: Some(default),
            validation_context_sds_secret_config: Some(roots),
            ..CombinedCertificateValidationContext::default()
        }))
    }

    fn credential(&self, name: &str) -> SdsSecretConfig {
        sds::credential(name, self.secret_servers)
    }

    fn files(&self, chain: &str, key: &str) -> Option<SdsSecretConfig> {
        let named = !chain.is_empty() && !key.is_empty();
        named.then(|| sds::certificate_files(chain, key, self.secret_servers))
    }

    fn credential_roots(&self) -> SdsSecretConfig {
        let settings = &*self.settings;
        if !settings.ca_cert_credential_name.is_empty() {
            return self.credential(&settings.ca_cert_credential_name);
        }
        let first = settings.credential_names.first().unwrap_or(&settings.credential_name);
        sds::credential_roots(first, self.secret_servers)
    }

    fn file_roots(&self) -> SdsSecretConfig {
        if self.settings.mode == ServerTlsMode::IstioMutual {
            return sds::trusted(&self.workload, self.secret_servers);
        }
        // Roots beside one of several certificates do not count.
        let path = &self.settings.ca_certificates;
        if path.is_empty() { sds::root() } else { sds::root_file(path, self.secret_servers) }
    }

    /// Versions, cipher suites and curves: the server's over the mesh's; none if nobody says anything.
    fn parameters(&self, problems: &mut Vec<Problem>) -> Option<TlsParameters> {
        let mut parameters = TlsParameters::default();
        if let Some(defaults) = &self.defaults {
            parameters.ecdh_curves = self.known_curves(&defaults.ecdh_curves, problems);
            parameters.cipher_suites = self.known_suites(&defaults.cipher_suites, problems);
            let minimum = match defaults.min_protocol_version {
                MeshTlsProtocol::Auto => EnvoyProtocol::TlsAuto,
                MeshTlsProtocol::V1_2 => EnvoyProtocol::TlSv12,
                MeshTlsProtocol::V1_3 => EnvoyProtocol::TlSv13,
            };
            parameters.tls_minimum_protocol_version = minimum.into();
        }
        let settings = &*self.settings;
        if let Some(version) = version(settings.min_protocol_version) {
            parameters.tls_minimum_protocol_version = version.into();
        }
        if let Some(version) = version(settings.max_protocol_version) {
            parameters.tls_maximum_protocol_version = version.into();
        }
        let suites = self.known_suites(&settings.cipher_suites, problems);
        if !suites.is_empty() {
            parameters.cipher_suites = suites;
        }
        (parameters != TlsParameters::default()).then_some(parameters)
    }

    /// Those that may be known to Envoy, each once.
    fn known_suites(&self, asked: &[String], problems: &mut Vec<Problem>) -> Vec<String> {
        let mut known: Vec<String> = Vec::new();
        for suite in asked {
            if !is_suite(suite) {
                let message = format!("cipher suite {suite:?} is unknown and left out");
                problems.push(self.problem("cipherSuites", message, "use a name that Envoy knows"));
            } else if !known.contains(suite) {
                known.push(suite.clone());
            }
        }
        known
    }

    /// Those that Envoy knows: it refuses the whole listener for another.
    fn known_curves(&self, asked: &[String], problems: &mut Vec<Problem>) -> Vec<String> {
        let (known, unknown): (Vec<&String>, Vec<&String>) =
            asked.iter().partition(|curve| CURVES.contains(&curve.as_str()));
        if !unknown.is_empty() {
            let message = format!("curves {unknown:?} are unknown and left out");
            problems.push(self.problem("ecdhCurves", message, "use names that Envoy knows, such as X25519"));
        }
        known.into_iter().cloned().collect()
    }

    fn wrong_pins(&self, field: &str, wrong: &[&String], problems: &mut Vec<Problem>) {
        if !wrong.is_empty() {
            let message = format!("{wrong:?} is no SHA-256 of a certificate; no certificate passes for it");
            problems.push(self.problem(field, message, "write 64 hexadecimal digits, or base64 for SPKI"));
        }
    }

    fn problem(&self, field: &str, message: String, hint: &str) -> Problem {
        Problem {
            severity: Severity::Warning,
            object: self.at.0.clone(),
            field: format!("{}.tls.{field}", self.at.1),
            message,
            hint: hint.to_owned(),
        }
    }
}

/// Whether a word may be one of BoringSSL's language of cipher suites: a suite, `ALL`, or the change of a list such as
/// `-SHA1`.
fn is_suite(word: &str) -> bool {
    let changes = word.chars().next().is_some_and(|first| !first.is_ascii_alphanumeric());
    CIPHER_SUITES.contains(&word) || word == "ALL" || changes
}

/// Whether clients' certificates are checked, if they show any.
fn validates(mode: ServerTlsMode) -> bool {
    matches!(mode, ServerTlsMode::Mutual | ServerTlsMode::IstioMutual | ServerTlsMode::OptionalMutual)
}

fn by_credential(settings: &ServerTlsSettings) -> bool {
    !settings.credential_name.is_empty() || !settings.credential_names.is_empty()
}

// The older, untyped form of the names: EnvoyFilters of users name it.
#[allow(deprecated, reason = "what the reference sends and users patch")]
fn matching(names: Vec<StringMatcher>) -> CertificateValidationContext {
    CertificateValidationContext { match_subject_alt_names: names, ..CertificateValidationContext::default() }
}

fn exact(names: &[String]) -> Vec<StringMatcher> {
    let exact = |name: &String| StringMatcher {
        match_pattern: Some(MatchPattern::Exact(name.clone())),
        ..StringMatcher::default()
    };
    names.iter().map(exact).collect()
}

fn version(asked: TlsProtocol) -> Option<EnvoyProtocol> {
    Some(match asked {
        TlsProtocol::Auto => return None,
        TlsProtocol::V1_0 => EnvoyProtocol::TlSv10,
        TlsProtocol::V1_1 => EnvoyProtocol::TlSv11,
        TlsProtocol::V1_2 => EnvoyProtocol::TlSv12,
        TlsProtocol::V1_3 => EnvoyProtocol::TlSv13,
    })
}

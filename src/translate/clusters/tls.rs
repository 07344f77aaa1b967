//! TLS towards endpoints: what the rule asks for, or the mesh's own where both sides have it.
//!
//! Source: Istio `pilot/pkg/networking/core/cluster_tls.go`; `shared/spec/xds.md` 2.7, `observed.md` 21, 22, 45-48, 78.

use api::istio::{ClientTlsMode, ClientTlsSettings, ProxyProtocolVersion};
use envoy::config::cluster::v3::cluster::TransportSocketMatch;
use envoy::config::core::v3::{ProxyProtocolConfig, TransportSocket, UpstreamHttpProtocolOptions};
use envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
use envoy::google::protobuf::{Struct, Value};
use model::ProxyKind;
use model::protocol::Class;
use model::service::{Registry, Resolution};

use super::draft::Draft;
use super::names;
use super::outbound::OutboundKey;
use super::policy::Policy;
use crate::tls::upstream::{self, Settings, Verify};
use crate::tls::{announced, sds};

/// How the reference names the plain socket inside that of the PROXY protocol.
const INNER_RAW: &str = "raw_buffer";
const PROXY_PROTOCOL: &str = "envoy.transport_sockets.upstream_proxy_protocol";
/// The roots of trust of the operating system.
const SYSTEM_ROOTS: &str = "system";

/// Sets the transport sockets of a service's cluster.
pub(super) fn apply(draft: &mut Draft, key: &OutboundKey, policy: &Policy<'_>) {
    match policy.tls {
        Some(tls) => apply_rule(draft, key, tls),
        None if key.auto_mtls => apply_auto(draft, key),
        None => {}
    }
}

fn apply_rule(draft: &mut Draft, key: &OutboundKey, tls: &ClientTlsSettings) {
    let own_files = !key.client.tls_client.is_empty();
    match tls.mode {
        ClientTlsMode::Disable => {}
        ClientTlsMode::Mutual | ClientTlsMode::IstioMutual if own_files && !key.service.mesh_external => {
            ByHost::of(tls, is_dynamic(key)).apply(draft);
            let mut context = file_context(draft, key, asked_names(key, tls), tls.sni.clone());
            if tls.insecure_skip_verify == Some(true) {
                upstream::trust_anybody(&mut context);
            }
            set(draft, context);
        }
        ClientTlsMode::Simple | ClientTlsMode::Mutual => {
            if let Some(context) = user_context(draft, key, tls) {
                set(draft, context);
            }
        }
        ClientTlsMode::IstioMutual => {
            let names = if tls.subject_alt_names.is_empty() {
                identities(key)
            } else {
                tls.subject_alt_names.clone()
            };
            let sni = if tls.sni.is_empty() { own_sni(key) } else { tls.sni.clone() };
            if is_dynamic(key) {
                ByHost::of(tls, true).apply(draft);
            }
            let announced = announced(draft, key);
            set(draft, upstream::mesh(names, sni, announced, key.settings.features.compliance));
        }
    }
}

/// Mesh mTLS where the endpoint takes it, plain text where it does not.
fn apply_auto(draft: &mut Draft, key: &OutboundKey) {
    if is_dynamic(key) {
        ByHost::of(&ClientTlsSettings::default(), true).apply(draft);
    }
    if !key.client.tls_client.is_empty() {
        let context = file_context(draft, key, identities(key), own_sni(key));
        set(draft, context);
        return;
    }
    let announced = announced(draft, key);
    let context = upstream::mesh(identities(key), own_sni(key), announced, key.settings.features.compliance);
    if draft.is_original_dst() {
        set(draft, context);
        return;
    }
    let matching = |name: &str, fields: Struct, socket: TransportSocket| TransportSocketMatch {
        name: name.to_owned(),
        r#match: Some(fields),
        transport_socket: Some(socket),
    };
    draft.cluster.transport_socket_matches = vec![
        matching(
            "tlsMode-istio",
            Struct::from([("tlsMode", Value::from("istio"))]),
            upstream::socket(&context),
        ),
        matching("tlsMode-disabled", Struct::default(), upstream::raw_socket()),
    ];
}

fn set(draft: &mut Draft, context: UpstreamTlsContext) {
    draft.cluster.transport_socket = Some(upstream::socket(&context));
}

/// Whether the server is found, and told by its certificate, by the host of each request.
fn is_dynamic(key: &OutboundKey) -> bool {
    key.service.resolution == Resolution::DynamicDns
}

/// Who may answer: the identities of the service's endpoints, in the trust domain and its aliases. Of a host that is
/// found by the request nothing is known but its name.
fn identities(key: &OutboundKey) -> Vec<String> {
    if is_dynamic(key) {
        return Vec::new();
    }
    let seen = key.identities.iter().flat_map(|i| i.iter());
    let all = seen.chain(&key.service.subject_alt_names);
    upstream::with_aliases(all, &key.settings.mesh.trust_domain_aliases)
}

/// Who may answer where a rule asks for TLS: whom it names, else those that a ServiceEntry and its endpoints name.
fn asked_names(key: &OutboundKey, tls: &ClientTlsSettings) -> Vec<String> {
    match key.service.registry {
        Registry::External if tls.subject_alt_names.is_empty() => identities(key),
        Registry::External | Registry::Kubernetes => tls.subject_alt_names.clone(),
    }
}

fn own_sni(key: &OutboundKey) -> String {
    if is_dynamic(key) {
        return String::new();
    }
    names::sni(key.port, &key.subset, &key.service.host)
}

/// The context of a proxy that has its certificates in files.
fn file_context(draft: &mut Draft, key: &OutboundKey, names: Vec<String>, sni: String) -> UpstreamTlsContext {
    let files = &key.client.tls_client;
    let tls = ClientTlsSettings {
        mode: ClientTlsMode::Mutual,
        client_certificate: files.chain.clone(),
        private_key: files.key.clone(),
        ca_certificates: files.root.clone(),
        ..ClientTlsSettings::default()
    };
    let verify = Verify::Roots { roots: Box::new(roots(key, &tls)), names, crl: String::new() };
    let certificate =
        Some(sds::certificate_files(&tls.client_certificate, &tls.private_key, key.client.secret_servers));
    upstream::context(Settings {
        certificate,
        verify,
        sni,
        parameters: upstream::default_parameters(&key.settings.mesh),
        compliance: key.settings.features.compliance,
        alpn: if key.client.announces_http { announced(draft, key) } else { http2_alpn(draft) },
    })
}

/// The context that a rule asks for (SIMPLE, MUTUAL); none if it cannot be had: the reference then sends plain text,
/// which the owner is told.
fn user_context(draft: &mut Draft, key: &OutboundKey, tls: &ClientTlsSettings) -> Option<UpstreamTlsContext> {
    let mutual = tls.mode == ClientTlsMode::Mutual;
    let by_credential = !tls.credential_name.is_empty();
    if by_credential && !may_use_credential(key, &tls.credential_name) {
        note(
            draft,
            key,
            "spec.trafficPolicy.tls.credentialName",
            "a sidecar takes a credential only from a rule with a workloadSelector: traffic is plain text",
            "add spec.workloadSelector, or name files",
        );
        return None;
    }
    ByHost::of(tls, is_dynamic(key)).apply(draft);
    let certificate = match (mutual, by_credential) {
        (false, _) => None,
        (true, true) => Some(sds::credential(&tls.credential_name, key.client.secret_servers)),
        (true, false) if tls.client_certificate.is_empty() || tls.private_key.is_empty() => {
            note(
                draft,
                key,
                "spec.trafficPolicy.tls",
                "MUTUAL needs clientCertificate and privateKey: traffic is plain text",
                "name both files, or a credentialName",
            );
            return None;
        }
        (true, false) => {
            Some(sds::certificate_files(&tls.client_certificate, &tls.private_key, key.client.secret_servers))
        }
    };
    let verify = match (tls.insecure_skip_verify == Some(true), by_credential) {
        (true, true) => Verify::Unsaid,
        (true, false) => Verify::Nothing,
        (false, _) => {
            let crl = if by_credential { String::new() } else { tls.ca_crl.clone() };
            Verify::Roots { roots: Box::new(roots(key, tls)), names: asked_names(key, tls), crl }
        }
    };
    Some(upstream::context(Settings {
        certificate,
        verify,
        sni: tls.sni.clone(),
        parameters: upstream::default_parameters(&key.settings.mesh),
        compliance: key.settings.features.compliance,
        alpn: http2_alpn(draft),
    }))
}

fn roots(
    key: &OutboundKey,
    tls: &ClientTlsSettings,
) -> envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig {
    if !tls.credential_name.is_empty() {
        return sds::credential_roots(&tls.credential_name, key.client.secret_servers);
    }
    let path = if tls.ca_certificates.is_empty() { SYSTEM_ROOTS } else { &tls.ca_certificates };
    sds::root_file(path, key.client.secret_servers)
}

/// Gateways use credentials; sidecars only those that a rule gives to chosen workloads, or that are no secret.
fn may_use_credential(key: &OutboundKey, name: &str) -> bool {
    key.client.kind == ProxyKind::Router
        || sds::is_config_map(name)
        || key.rule.as_ref().is_some_and(|r| r.selector().is_some())
}

/// What mesh mTLS announces.
fn announced(draft: &mut Draft, key: &OutboundKey) -> Vec<String> {
    let class = key.service.port(key.port).map_or(Class::None, |port| port.protocol.class());
    announced::by_cluster(class, draft.explicit_http2().is_some(), key.client.announces_http)
}

fn http2_alpn(draft: &mut Draft) -> Vec<String> {
    draft.explicit_http2().map(|_| "h2".to_owned()).into_iter().collect()
}

/// What Envoy takes from the host of each request for a connection's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByHost {
    /// The server name that it asks for: without one that the rule gives.
    sni: bool,
    /// The name that it looks for in the certificate: without names that the rule gives.
    names: bool,
}

impl ByHost {
    /// What a rule leaves to the request; `dynamic` where the server is found by it too.
    pub(super) fn of(tls: &ClientTlsSettings, dynamic: bool) -> Self {
        let sni = tls.sni.is_empty();
        let unnamed = sni && tls.subject_alt_names.is_empty();
        Self { sni, names: (dynamic || unnamed) && tls.insecure_skip_verify != Some(true) }
    }

    /// Whether a cluster that finds its servers by the request has to be told that this is meant so: Envoy refuses it
    /// otherwise.
    pub(super) fn is_insecure(self) -> bool {
        !self.sni || !self.names
    }

    /// Sets the options of a cluster.
    pub(super) fn apply(self, draft: &mut Draft) {
        if !self.sni && !self.names {
            return;
        }
        let http = draft.http();
        let options =
            http.upstream_http_protocol_options.get_or_insert_with(UpstreamHttpProtocolOptions::default);
        options.auto_sni = self.sni;
        options.auto_san_validation = self.names;
    }
}

/// Whether a rule asks for TLS that is not the mesh's.
pub(crate) fn is_foreign(policy: &Policy<'_>) -> bool {
    policy.tls.is_some_and(|tls| matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual))
}

/// Whether a rule makes a cluster that finds its servers by the request one that Envoy calls insecure.
pub(super) fn is_insecure(policy: &Policy<'_>) -> bool {
    let tls = policy.tls.filter(|tls| tls.mode != ClientTlsMode::Disable);
    tls.is_some_and(|tls| ByHost::of(tls, true).is_insecure())
}

fn note(draft: &mut Draft, key: &OutboundKey, field: &str, message: &str, hint: &str) {
    if let Some(rule) = &key.rule {
        draft.problem(&rule.rule.source.key, field, message.to_owned(), hint);
    }
}

/// Begins every connection with a PROXY protocol header.
pub(super) fn apply_proxy_protocol(draft: &mut Draft, policy: &Policy<'_>) {
    let Some(proxy_protocol) = policy.proxy_protocol else { return };
    let version = match proxy_protocol.version {
        ProxyProtocolVersion::V1 => 0,
        ProxyProtocolVersion::V2 => 1,
    };
    let wrap = |inner: TransportSocket| {
        let config = ProxyProtocolConfig { version, ..ProxyProtocolConfig::default() };
        let outer = ProxyProtocolUpstreamTransport {
            config: Some(config),
            transport_socket: Some(inner),
            ..ProxyProtocolUpstreamTransport::default()
        };
        upstream::typed(PROXY_PROTOCOL, &outer)
    };
    let cluster = &mut draft.cluster;
    if cluster.transport_socket_matches.is_empty() {
        let inner =
            cluster.transport_socket.take().unwrap_or_else(|| upstream::typed(INNER_RAW, &RawBuffer {}));
        cluster.transport_socket = Some(wrap(inner));
        return;
    }
    for socket_match in &mut cluster.transport_socket_matches {
        socket_match.transport_socket = socket_match.transport_socket.take().map(wrap);
    }
}

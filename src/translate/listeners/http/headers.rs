//! Headers that a connection manager adds, hides or forwards, as `proxyHeaders` and `gatewayTopology` ask.

use api::mesh_config::{ForwardClientCertDetails, ProxyConfig, ProxyHeaders};
use envoy::config::core::v3::http1_protocol_options::{HeaderKeyFormat, header_key_format::HeaderFormat};
use envoy::config::core::v3::{Http1ProtocolOptions, TypedExtensionConfig};
use envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig;
use envoy::pack_any;
use hcm::HttpConnectionManager;
use hcm::http_connection_manager::{
    ForwardClientCertDetails as EnvoyDetails, ServerHeaderTransformation, SetCurrentClientCertDetails,
};

use super::{HttpDefaults, Side};

/// The name that Istio's proxies answer with.
const SERVER_NAME: &str = "istio-envoy";

/// What a connection manager reads of `proxyHeaders`; the rest would only split what is shared.
pub(super) fn projected(config: &ProxyConfig) -> ProxyHeaders {
    let all = config.proxy_headers.clone().unwrap_or_default();
    ProxyHeaders { attempt_count: None, metadata_exchange_headers: None, x_forwarded_host: None, ..all }
}

/// Whether Envoy's own headers are hidden.
pub(super) fn suppress_envoy_headers(headers: &ProxyHeaders) -> bool {
    headers.envoy_debug_headers.as_ref().and_then(|h| h.disabled) == Some(true)
}

/// Sets the header fields of a connection manager.
pub(super) fn apply(manager: &mut HttpConnectionManager, defaults: &HttpDefaults, side: Side) {
    let headers = &defaults.headers;
    let server = headers.server.clone().unwrap_or_default();
    if server.disabled == Some(true) {
        manager.server_header_transformation = ServerHeaderTransformation::PassThrough.into();
    } else if !server.value.is_empty() {
        manager.server_name = server.value;
    } else if side != Side::Outbound {
        manager.server_name = SERVER_NAME.to_owned();
    }
    if headers.request_id.as_ref().and_then(|h| h.disabled) == Some(true) {
        manager.generate_request_id = Some(false.into());
    }
    manager.append_x_forwarded_port = headers.x_forwarded_port.as_ref().and_then(|h| h.enabled) == Some(true);
    if headers.preserve_http1_header_case == Some(true) {
        let options = manager.http_protocol_options.get_or_insert_default();
        preserve_case(options);
    }
    if side != Side::Outbound {
        client_certificates(manager, defaults, side);
    }
}

fn preserve_case(options: &mut Http1ProtocolOptions) {
    options.header_key_format = Some(HeaderKeyFormat {
        header_format: Some(HeaderFormat::StatefulFormatter(TypedExtensionConfig {
            name: "preserve_case".to_owned(),
            typed_config: Some(pack_any(&PreserveCaseFormatterConfig::default())),
        })),
    });
}

/// What becomes of `X-Forwarded-Client-Cert`. A gateway's topology alone says it there: what `proxyHeaders` say of the
/// whole mesh is meant for sidecars, whose clients are of the mesh, and would let anybody outside name himself.
fn client_certificates(manager: &mut HttpConnectionManager, defaults: &HttpDefaults, side: Side) {
    if side != Side::Gateway {
        let details =
            translate(defaults.headers.forwarded_client_cert).unwrap_or(EnvoyDetails::AppendForward);
        manager.forward_client_cert_details = details.into();
        // Inbound, the reference sets what is told even where nothing is appended.
        manager.set_current_client_cert_details = Some(told(&defaults.headers));
        return;
    }
    let topology = defaults.topology.as_ref();
    let asked = topology.and_then(|t| translate(t.forward_client_cert_details));
    let details = asked.unwrap_or(EnvoyDetails::SanitizeSet);
    manager.forward_client_cert_details = details.into();
    if matches!(details, EnvoyDetails::AppendForward | EnvoyDetails::SanitizeSet) {
        let told = told(&ProxyHeaders::default());
        manager.set_current_client_cert_details = Some(SetCurrentClientCertDetails { cert: true, ..told });
    }
}

fn told(headers: &ProxyHeaders) -> SetCurrentClientCertDetails {
    let asked = headers.set_current_client_cert_details.clone().unwrap_or_default();
    SetCurrentClientCertDetails {
        subject: Some(asked.subject.unwrap_or(true).into()),
        cert: asked.cert.unwrap_or_default(),
        chain: asked.chain.unwrap_or_default(),
        dns: asked.dns.unwrap_or(true),
        uri: asked.uri.unwrap_or(true),
        ..SetCurrentClientCertDetails::default()
    }
}

fn translate(details: ForwardClientCertDetails) -> Option<EnvoyDetails> {
    Some(match details {
        ForwardClientCertDetails::Undefined => return None,
        ForwardClientCertDetails::Sanitize => EnvoyDetails::Sanitize,
        ForwardClientCertDetails::ForwardOnly => EnvoyDetails::ForwardOnly,
        ForwardClientCertDetails::AppendForward => EnvoyDetails::AppendForward,
        ForwardClientCertDetails::SanitizeSet => EnvoyDetails::SanitizeSet,
        ForwardClientCertDetails::AlwaysForwardOnly => EnvoyDetails::AlwaysForwardOnly,
    })
}

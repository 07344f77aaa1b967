//! What a filter chain's transport socket makes of a connection: TLS that ends here, or bytes as they come.

use anyhow::{Context, Result, bail};
use envoy::config::core::v3::transport_socket::ConfigType;
use envoy::config::listener::v3::FilterChain;
use envoy::extensions::transport_sockets::quic::v3::QuicDownstreamTransport;
use envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use envoy::{type_name, unpack_any};

use super::known;
use super::{Call, Says};

const INERT: &[&str] = &[
    "common_tls_context",
    "disable_stateful_session_resumption",
    "session_timeout",
    "ocsp_staple_policy",
    "full_scan_certs_on_sni_mismatch",
    "session_ticket_keys_type",
    "prefer_client_ciphers",
];

/// What the filters of a chain get to see.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// What is said; none where it is TLS that goes on.
    pub(super) says: Option<Says>,
    /// TLS ended here.
    pub(super) tls: bool,
}

/// What comes out of the chain's transport socket, or why the connection is closed.
pub(super) fn accept(chain: &FilterChain, call: &Call) -> Result<Result<Content, String>> {
    let passed = Content { says: call.tls.is_none().then(|| call.says.clone()), tls: false };
    let Some(socket) = &chain.transport_socket else { return Ok(Ok(passed)) };
    let Some(ConfigType::TypedConfig(config)) = &socket.config_type else {
        bail!("transport socket {} has no configuration", socket.name);
    };
    match type_name(&config.type_url) {
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" => Ok(Ok(passed)),
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext" => {
            let context: DownstreamTlsContext = unpack_any(config)?;
            checked(&context)?;
            Ok(handshake(&context, call))
        }
        "envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport" => {
            let quic: QuicDownstreamTransport = unpack_any(config)?;
            known::only(&quic, &["downstream_tls_context"], &["enable_early_data", "enable_resumption"])?;
            let context = quic.downstream_tls_context.context("QUIC without TLS")?;
            checked(&context)?;
            Ok(handshake(&context, call))
        }
        unknown => bail!("the simulator does not know the transport socket {unknown}"),
    }
}

fn checked(context: &DownstreamTlsContext) -> Result<()> {
    known::only(context, &["require_client_certificate", "require_sni"], INERT).context("transport socket")
}

fn handshake(context: &DownstreamTlsContext, call: &Call) -> Result<Content, String> {
    let asks =
        |wanted: &Option<_>| wanted.as_ref().is_some_and(|b: &envoy::google::protobuf::BoolValue| b.value);
    let Some(tls) = &call.tls else { return Err("TLS is expected".to_owned()) };
    if asks(&context.require_client_certificate) && tls.certificate.is_none() {
        return Err("a client certificate is expected".to_owned());
    }
    if asks(&context.require_sni) && tls.sni.is_none() {
        return Err("a server name is expected".to_owned());
    }
    Ok(Content { says: Some(call.says.clone()), tls: true })
}

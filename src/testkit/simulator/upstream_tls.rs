//! How the connection to an endpoint is secured: the first socket whose match the endpoint's metadata fulfil.
//!
//! Source: `transport_socket_matches` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/cluster.proto>.

use anyhow::{Context, Result, bail};
use envoy::config::cluster::v3::Cluster;
use envoy::config::core::v3::transport_socket::ConfigType;
use envoy::config::core::v3::{Metadata, TransportSocket};
use envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy::extensions::transport_sockets::quic::v3::QuicUpstreamTransport;
use envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, UpstreamTlsContext,
};
use envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy::google::protobuf::Struct;
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy::{type_name, unpack_any};

use super::known;
use super::{Tls, Upstream};

/// Where the options of HTTP stand among a cluster's.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// Where an endpoint's metadata say which socket it takes.
const SOCKET_MATCH: &str = "envoy.transport_socket_match";

/// How a connection begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Secured {
    pub(super) tls: Tls,
    pub(super) quic: bool,
    pub(super) proxy_protocol: Option<u8>,
}

/// Nothing is secured.
const PLAIN: Secured = Secured { tls: Tls::Plaintext, quic: false, proxy_protocol: None };

impl Secured {
    /// The same with these protocols announced, separated by commas, if any are given.
    pub(super) fn announcing(mut self, protocols: Option<&str>) -> Self {
        if let (Tls::Tls { alpn, .. }, Some(protocols)) = (&mut self.tls, protocols) {
            *alpn = protocols.split(',').map(str::to_owned).collect();
        }
        self
    }

    /// The endpoint that is called so.
    pub(super) fn at(self, address: String, share: f64) -> Upstream {
        Upstream { address, share, tls: self.tls, quic: self.quic, proxy_protocol: self.proxy_protocol }
    }
}

/// How connections to an endpoint with these metadata are secured; `authority` is the host of the request, for clusters
/// that ask for it.
pub(super) fn of(cluster: &Cluster, endpoint: Option<&Metadata>, authority: Option<&str>) -> Result<Secured> {
    let metadata = endpoint.and_then(|m| m.filter_metadata.get(SOCKET_MATCH));
    let matching = cluster
        .transport_socket_matches
        .iter()
        .find(|m| m.r#match.as_ref().is_none_or(|wanted| fulfils(metadata, wanted)));
    let socket = match matching {
        Some(found) => found.transport_socket.as_ref(),
        None => cluster.transport_socket.as_ref(),
    };
    let Some(socket) = socket else { return Ok(PLAIN) };
    let mut secured = read(socket).with_context(|| format!("transport socket {}", socket.name))?;
    if let (Tls::Tls { sni, names, .. }, Some(authority)) = (&mut secured.tls, authority) {
        by_authority(cluster, host(authority), sni, names)?;
    }
    Ok(secured)
}

/// Whether TLS is spoken with endpoints that say nothing of themselves.
pub(super) fn has_tls(cluster: &Cluster) -> Result<bool> {
    Ok(of(cluster, None, None)?.tls != Tls::Plaintext)
}

fn fulfils(metadata: Option<&Struct>, wanted: &Struct) -> bool {
    let value = |name: &str| metadata.and_then(|m| m.fields.get(name));
    wanted.fields.iter().all(|(name, wanted)| value(name) == Some(wanted))
}

fn read(socket: &TransportSocket) -> Result<Secured> {
    let Some(ConfigType::TypedConfig(config)) = &socket.config_type else {
        return match socket.name.as_str() {
            "raw_buffer" | "envoy.transport_sockets.raw_buffer" => Ok(PLAIN),
            name => bail!("{name} has no configuration"),
        };
    };
    match type_name(&config.type_url) {
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" => Ok(PLAIN),
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" => {
            Ok(Secured { tls: tls(&unpack_any(config)?)?, ..PLAIN })
        }
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport" => {
            let outer: ProxyProtocolUpstreamTransport = unpack_any(config)?;
            known::only(&outer, &["config", "transport_socket"], &[])?;
            let inner = outer.transport_socket.as_ref().context("no socket inside")?;
            let version = outer.config.unwrap_or_default().version;
            Ok(Secured { proxy_protocol: Some(if version == 0 { 1 } else { 2 }), ..read(inner)? })
        }
        "envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport" => {
            let quic: QuicUpstreamTransport = unpack_any(config)?;
            known::only(&quic, &["upstream_tls_context"], &[])?;
            let context = quic.upstream_tls_context.context("QUIC without TLS")?;
            Ok(Secured { tls: tls(&context)?, quic: true, ..PLAIN })
        }
        unknown => bail!("the simulator does not know {unknown}"),
    }
}

fn tls(context: &UpstreamTlsContext) -> Result<Tls> {
    known::only(context, &["common_tls_context", "sni"], &["allow_renegotiation", "max_session_keys"])?;
    let common = context.common_tls_context.clone().unwrap_or_default();
    let used = ["alpn_protocols", "tls_certificates", "tls_certificate_sds_secret_configs"];
    let checked = [
        "tls_params",
        "validation_context",
        "combined_validation_context",
        "validation_context_sds_secret_config",
    ];
    known::only(&common, &used, &checked)?;
    Ok(Tls::Tls {
        mutual: !(common.tls_certificates.is_empty() && common.tls_certificate_sds_secret_configs.is_empty()),
        sni: context.sni.clone(),
        names: names(&common)?,
        alpn: common.alpn_protocols,
    })
}

#[allow(deprecated, reason = "the older field of names is what is sent")]
fn names(common: &CommonTlsContext) -> Result<Vec<String>> {
    let context: CertificateValidationContext = match &common.validation_context_type {
        Some(ValidationContextType::ValidationContext(context)) => context.clone(),
        Some(ValidationContextType::CombinedValidationContext(both)) => {
            both.default_validation_context.clone().unwrap_or_default()
        }
        _ => return Ok(Vec::new()),
    };
    let typed = context.match_typed_subject_alt_names.iter().filter_map(|m| m.matcher.as_ref());
    let all = context.match_subject_alt_names.iter().chain(typed);
    all.map(|matcher| match &matcher.match_pattern {
        Some(MatchPattern::Exact(name)) => Ok(name.clone()),
        Some(MatchPattern::Prefix(start)) => Ok(format!("{start}*")),
        Some(MatchPattern::Suffix(end)) => Ok(format!("*{end}")),
        other => bail!("the simulator does not know {other:?} as a name of a certificate"),
    })
    .collect()
}

/// Server name and names of the certificate that follow the request.
fn by_authority(cluster: &Cluster, host: &str, sni: &mut String, names: &mut Vec<String>) -> Result<()> {
    let Some(packed) = cluster.typed_extension_protocol_options.get(HTTP_OPTIONS) else { return Ok(()) };
    let options: HttpProtocolOptions = unpack_any(packed)?;
    let Some(options) = options.upstream_http_protocol_options else { return Ok(()) };
    known::only(&options, &["auto_sni", "auto_san_validation"], &[])?;
    if options.auto_sni && host.parse::<std::net::IpAddr>().is_err() {
        host.clone_into(sni);
    }
    if options.auto_san_validation {
        *names = vec![host.to_owned()];
    }
    Ok(())
}

/// An authority without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

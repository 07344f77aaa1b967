//! Which listener takes a connection, and what its listener filters find out.
//!
//! A connection whose original destination is restored is handed to the listener of that address, or of that port on all
//! addresses; else the listener that took it keeps it. Source: `use_original_dst` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/listener/v3/listener.proto>.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use envoy::config::core::v3::Address;
use envoy::config::core::v3::address::Address as Kind;
use envoy::config::core::v3::socket_address::PortSpecifier;
use envoy::config::listener::v3::listener_filter::ConfigType;
use envoy::config::listener::v3::listener_filter_chain_match_predicate::Rule;
use envoy::config::listener::v3::{Listener, ListenerFilter, ListenerFilterChainMatchPredicate};
use envoy::type_name;

use super::known;
use super::resources::Resources;
use super::{Call, Request, Says, Version};

const USED: &[&str] = &[
    "name",
    "address",
    "additional_addresses",
    "filter_chains",
    "default_filter_chain",
    "use_original_dst",
    "listener_filters",
    "udp_listener_config",
];
const INERT: &[&str] = &[
    "per_connection_buffer_limit_bytes",
    "metadata",
    "listener_filters_timeout",
    "continue_on_listener_filters_timeout",
    "transparent",
    "traffic_direction",
    "connection_balance_config",
    "access_log",
    "max_connections_to_accept_per_socket_event",
    "bind_to_port",
    "enable_reuse_port",
    "stat_prefix",
    "tcp_backlog_size",
    "socket_options",
    "ignore_global_conn_limit",
    "bypass_overload_manager",
    "deprecated_v1",
];

/// A listener, and what is known of the connection when it chooses a filter chain.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    pub(super) listener: &'a Listener,
    pub(super) seen: Seen,
}

/// What listener filters found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where the connection goes, as filter chains match it.
    pub(super) destination: Option<SocketAddr>,
    /// Server name of the TLS handshake; empty for none.
    pub(super) server_name: String,
    /// `tls` or `raw_buffer`.
    pub(super) transport: &'static str,
    /// Protocols that the client announced, or was found to speak.
    pub(super) protocols: Vec<String>,
}

/// The listener that takes the call; none if nobody listens there.
pub(super) fn choose<'a>(resources: &'a Resources, call: &Call) -> Result<Option<Taken<'a>>> {
    let redirected = call.arrives != call.wanted;
    let Some(first) = bound(resources, call.arrives, call.quic, true)? else { return Ok(None) };
    let restores = first.use_original_dst.is_some_and(|b| b.value);
    if restores && redirected {
        // Inbound and outbound ports of a workload may be equal: of listeners that do not bind themselves only those
        // that are handed to count.
        if let Some(handed) = bound(resources, call.wanted, false, false)? {
            return look(handed, call, call.wanted).map(Some);
        }
        return look(first, call, call.wanted).map(Some);
    }
    look(first, call, call.arrives).map(Some)
}

fn bound(resources: &Resources, at: SocketAddr, udp: bool, binding: bool) -> Result<Option<&Listener>> {
    let any = |address: &SocketAddr| address.ip().is_unspecified();
    let fits = |address: &SocketAddr| {
        address.port() == at.port()
            && (address.ip() == at.ip() || (any(address) && same_family(address, &at)))
    };
    let mut found: Option<(bool, &Listener)> = None;
    for listener in resources.listeners.values() {
        if binding && listener.bind_to_port.is_some_and(|b| !b.value) {
            continue;
        }
        if listener.udp_listener_config.is_some() != udp {
            continue;
        }
        for address in addresses(listener)?.into_iter().filter(fits) {
            let exact = !any(&address);
            if found.is_none_or(|(best, _)| exact && !best) {
                found = Some((exact, listener));
            }
        }
    }
    Ok(found.map(|(_, listener)| listener))
}

fn same_family(a: &SocketAddr, b: &SocketAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

fn addresses(listener: &Listener) -> Result<Vec<SocketAddr>> {
    let more = listener.additional_addresses.iter().map(|a| &a.address);
    let all = std::iter::once(&listener.address).chain(more);
    all.flatten().filter_map(|a| socket(a).with_context(|| listener.name.clone()).transpose()).collect()
}

/// The socket address of a listener; none if it is at a path.
fn socket(address: &Address) -> Result<Option<SocketAddr>> {
    let Some(Kind::SocketAddress(socket)) = &address.address else { return Ok(None) };
    let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else {
        bail!("a listener's address without a port: {socket:?}");
    };
    Ok(Some(SocketAddr::new(socket.address.parse()?, u16::try_from(port)?)))
}

fn look<'a>(listener: &'a Listener, call: &Call, destination: SocketAddr) -> Result<Taken<'a>> {
    known::only(listener, USED, INERT).with_context(|| listener.name.clone())?;
    let mut seen = Seen { destination: Some(destination), transport: "raw_buffer", ..Seen::default() };
    if call.quic {
        // QUIC knows by itself what the inspectors look for.
        let tls = call.tls.clone().unwrap_or_default();
        seen.transport = "quic";
        seen.server_name = tls.sni.unwrap_or_default();
        seen.protocols = tls.alpn;
    }
    for filter in &listener.listener_filters {
        let place = || format!("listener {}, listener filter {}", listener.name, filter.name);
        if disabled(filter, &seen).with_context(place)? {
            continue;
        }
        apply(filter, call, &mut seen).with_context(place)?;
    }
    Ok(Taken { listener, seen })
}

fn apply(filter: &ListenerFilter, call: &Call, seen: &mut Seen) -> Result<()> {
    let Some(ConfigType::TypedConfig(config)) = &filter.config_type else { bail!("it has no configuration") };
    match type_name(&config.type_url) {
        "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" => {
            seen.destination = Some(call.wanted);
        }
        // It sets the source of connections to endpoints.
        "envoy.extensions.filters.listener.original_src.v3.OriginalSrc" => {}
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" => {
            if let Some(tls) = &call.tls {
                seen.transport = "tls";
                seen.server_name = tls.sni.clone().unwrap_or_default();
                seen.protocols.clone_from(&tls.alpn);
            }
        }
        "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" => {
            if call.tls.is_none() {
                seen.protocols.extend(spoken(&call.says).map(str::to_owned));
            }
        }
        unknown => bail!("the simulator does not know {unknown}"),
    }
    Ok(())
}

/// The protocol that the HTTP inspector finds.
fn spoken(says: &Says) -> Option<&'static str> {
    let bytes = match says {
        Says::Http(Request { version: Version::Http10, .. }) => return Some("http/1.0"),
        Says::Http(Request { version: Version::Http11, .. }) => return Some("http/1.1"),
        Says::Http(Request { version: Version::Http2, .. }) => return Some("h2c"),
        Says::Bytes(bytes) => bytes,
    };
    let line = bytes.split(|b| *b == b'\r' || *b == b'\n').next().unwrap_or_default();
    match String::from_utf8_lossy(line).split(' ').collect::<Vec<_>>().as_slice() {
        ["PRI", "*", "HTTP/2.0"] => Some("h2c"),
        [_, _, "HTTP/1.1"] => Some("http/1.1"),
        [_, _, "HTTP/1.0"] => Some("http/1.0"),
        _ => None,
    }
}

fn disabled(filter: &ListenerFilter, seen: &Seen) -> Result<bool> {
    filter.filter_disabled.as_ref().map_or(Ok(false), |predicate| holds(predicate, seen))
}

fn holds(predicate: &ListenerFilterChainMatchPredicate, seen: &Seen) -> Result<bool> {
    match &predicate.rule {
        Some(Rule::OrMatch(set)) => set.rules.iter().try_fold(false, |any, r| Ok(any | holds(r, seen)?)),
        Some(Rule::AndMatch(set)) => set.rules.iter().try_fold(true, |all, r| Ok(all & holds(r, seen)?)),
        Some(Rule::NotMatch(inner)) => Ok(!holds(inner, seen)?),
        Some(Rule::AnyMatch(any)) => Ok(*any),
        Some(Rule::DestinationPortRange(range)) => {
            let port = seen.destination.map_or(0, |d| i32::from(d.port()));
            Ok((range.start..range.end).contains(&port))
        }
        None => bail!("a predicate without a rule"),
    }
}

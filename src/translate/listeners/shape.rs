//! Small pieces that all listeners are put together from: filters, addresses, ranges, durations.

use envoy::config::core::v3::{Address, CidrRange, Pipe, SocketAddress, address, socket_address};
use envoy::config::listener::v3::{Filter, ListenerFilter, filter, listener_filter};
use envoy::google::protobuf;
use envoy::{Message, Name, pack_any};

/// A network filter with its configuration.
pub(crate) fn network_filter<M: Message + Name>(name: &str, config: &M) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(pack_any(config))) }
}

/// A listener filter with its configuration.
pub(crate) fn listener_filter<M: Message + Name>(name: &str, config: &M) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack_any(config))),
        ..ListenerFilter::default()
    }
}

/// An IP address and port; `unix://PATH` is a pipe, whatever the port.
pub(crate) fn address(bind: &str, port: u16) -> Address {
    let place = match bind.strip_prefix("unix://") {
        Some(path) => address::Address::Pipe(Pipe { path: path.to_owned(), ..Pipe::default() }),
        None => address::Address::SocketAddress(SocketAddress {
            address: bind.to_owned(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(port))),
            ..SocketAddress::default()
        }),
    };
    Address { address: Some(place) }
}

/// An IP address and port of UDP.
pub(crate) fn udp_address(bind: &str, port: u16) -> Address {
    let place = SocketAddress {
        protocol: socket_address::Protocol::Udp.into(),
        address: bind.to_owned(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(port))),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(place)) }
}

/// An address with an optional prefix length as a range; `None` if it is neither.
pub(crate) fn cidr(text: &str) -> Option<CidrRange> {
    let (ip, length) = match text.split_once('/') {
        Some((ip, length)) => (ip, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let parsed: std::net::IpAddr = ip.parse().ok()?;
    let longest = if parsed.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(longest);
    (length <= longest).then(|| CidrRange { address_prefix: ip.to_owned(), prefix_len: Some(length.into()) })
}

/// A duration of a resource in Envoy's form.
pub(crate) fn duration(span: api::Duration) -> protobuf::Duration {
    std::time::Duration::from(span).into()
}

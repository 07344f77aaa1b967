//! What the rules depend on; the defaults are the reference's.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

/// Everything that the rules depend on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// How inbound connections reach the proxy.
    pub mode: Mode,
    /// Port of the proxy's outbound listener.
    pub outbound_port: u16,
    /// Port of the proxy's inbound listener.
    pub inbound_port: u16,
    /// Port of HBONE tunnels, never redirected.
    pub tunnel_port: u16,
    /// Port of the local DNS proxy.
    pub dns_port: u16,
    /// Which inbound ports are redirected.
    pub inbound_ports: Ports,
    /// Inbound ports that are not, when `inbound_ports` is all.
    pub inbound_ports_exclude: Vec<u16>,
    /// Which destinations are redirected.
    pub outbound_ranges: Ranges,
    /// Destinations that are not.
    pub outbound_ranges_exclude: Vec<IpNet>,
    /// Destination ports that are redirected whatever the address.
    pub outbound_ports: Vec<u16>,
    /// Destination ports that are not redirected.
    pub outbound_ports_exclude: Vec<u16>,
    /// Users whose traffic is the proxy's own.
    pub proxy_uids: Vec<u32>,
    /// Groups whose traffic is the proxy's own.
    pub proxy_gids: Vec<u32>,
    /// Interfaces that are left alone.
    pub exclude_interfaces: Vec<String>,
    /// Redirect DNS queries to `dns_port`; absent, or without servers: not.
    pub dns: Option<Dns>,
    /// Drop packets that connection tracking calls invalid, instead of letting the kernel reset them.
    pub drop_invalid: bool,
    /// Mark of TPROXY mode; the proxy's calls to itself get this plus one.
    pub tproxy_mark: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Redirect,
            outbound_port: 15001,
            inbound_port: 15006,
            tunnel_port: 15008,
            dns_port: 15053,
            inbound_ports: Ports::All,
            inbound_ports_exclude: vec![15090, 15021, 15020],
            outbound_ranges: Ranges::All,
            outbound_ranges_exclude: Vec::new(),
            outbound_ports: Vec::new(),
            outbound_ports_exclude: Vec::new(),
            proxy_uids: vec![1337],
            proxy_gids: vec![1337],
            exclude_interfaces: Vec::new(),
            dns: None,
            drop_invalid: false,
            tproxy_mark: 1337,
        }
    }
}

impl Options {
    /// DNS capture that has something to capture.
    pub(super) fn captured_dns(&self) -> Option<&Dns> {
        self.dns.as_ref().filter(|dns| dns.all || !dns.servers.is_empty())
    }
}

/// How inbound connections reach the proxy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Destination rewritten; the proxy asks the kernel for the original.
    Redirect,
    /// Packets delivered unchanged, which keeps the source address. Needs [`super::Rules::routes`] too, and a proxy with
    /// CAP_NET_ADMIN.
    Tproxy,
}

/// Inbound ports.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Ports {
    /// Every port (`*`).
    All,
    /// These; none if empty.
    Only(Vec<u16>),
}

/// Destination ranges.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Ranges {
    /// Every address (`*`).
    All,
    /// These; none if empty.
    Only(Vec<IpNet>),
}

/// DNS capture.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dns {
    /// The nameservers of the pod's `/etc/resolv.conf`.
    pub servers: Vec<IpAddr>,
    /// Queries to any server, not only to `servers`.
    pub all: bool,
}

//! Filter chains of outbound listeners: their keys and how they are built.

use std::sync::Arc;

use api::{Duration, ObjectKey, ObjectRef};
use envoy::config::core::v3::Metadata;
use envoy::config::listener::v3::{Filter, FilterChain, FilterChainMatch};
use envoy::extensions::filters::network::sni_dynamic_forward_proxy::v3 as sni_proxy;
use envoy::google::protobuf::{Struct, Value};

use super::OutboundDefaults;
use crate::listeners::http::{DnsCache, Manager, Route, Side};
use crate::listeners::shape::{cidr, network_filter};
use crate::listeners::tcp::{Forward, Inspection, Target, Tunnel};

/// A filter chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Chain {
    /// An HTTP connection manager.
    Http(HttpChain),
    /// A TCP proxy.
    Tcp(Box<TcpChain>),
}

/// An HTTP connection manager that asks for its routes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpChain {
    /// The host of the only service that the routes are for; `None` for the routes of the whole port.
    pub host: Option<Arc<str>>,
    /// Only connections that the inspector found to be HTTP come here.
    pub sniffed: bool,
    /// And of them only plaintext.
    pub plaintext: bool,
    /// gRPC-Web is translated.
    pub grpc_web: bool,
    /// Request lines may name a whole URL.
    pub absolute_url: bool,
    /// Hosts of requests are resolved.
    pub dns_cache: Option<DnsCache>,
    /// The service that the chain was first made for; none for the HTTP proxy.
    pub source: Option<ObjectRef>,
}

/// A TCP proxy for some of the connections of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpChain {
    /// What asks for it.
    pub origin: Origin,
    /// Names in the SNI; empty for any.
    pub sni_hosts: Vec<String>,
    /// Ranges of the address asked for; empty for any.
    pub ranges: Vec<String>,
    /// The VirtualService whose match this is; matches by address only do not tell it.
    pub config: Option<ObjectRef>,
    /// Clusters and their weights; one cluster's weight does not matter.
    pub clusters: Vec<(Destination, u32)>,
    /// Whether clusters are chosen by weight, be it one alone that is left.
    pub weighted: bool,
    /// Prefix of the statistics; empty for the name of the only cluster.
    pub stat_prefix: String,
    /// Time without data after which a connection is closed; absent means as the proxy's metadata say.
    pub idle_timeout: Option<Duration>,
    /// Time after which a connection is closed, data or not.
    pub max_duration: Option<Duration>,
    /// An endpoint is chosen by the client's address.
    pub hash_source_ip: bool,
    /// Connections go through a tunnel.
    pub tunnel: Option<Tunnel>,
    /// The clusters announce HTTP, and have to be told that bytes come.
    pub corrects: bool,
    /// The protocol is looked into.
    pub inspection: Inspection,
    /// The name in the SNI is resolved: cache and port.
    pub sni_proxy: Option<(DnsCache, u16)>,
    /// The objects that it came from: service, VirtualService, DestinationRule.
    pub sources: Vec<ObjectRef>,
}

/// An outbound cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Port of the service.
    pub port: u32,
    /// Subset; empty for all.
    pub subset: String,
    /// Host of the service.
    pub host: Arc<str>,
}

/// The object that asks for a chain, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The object.
    pub object: ObjectKey,
    /// The field, such as `spec.tls[0].match[1]`.
    pub field: String,
}

impl Destination {
    /// The name of the cluster.
    pub(super) fn cluster(&self) -> String {
        format!("outbound|{}|{}|{}", self.port, self.subset, self.host)
    }
}

impl Chain {
    /// Whether it takes every connection.
    pub(super) fn takes_all(&self) -> bool {
        match self {
            Self::Http(chain) => !chain.sniffed && !chain.plaintext,
            Self::Tcp(chain) => chain.takes_all(),
        }
    }

    /// Whether the TLS inspector must run before chains are chosen.
    pub(super) fn needs_tls_inspector(&self) -> bool {
        matches!(self, Self::Tcp(chain) if !chain.sni_hosts.is_empty() || chain.sni_proxy.is_some())
    }

    /// Whether the HTTP inspector must run before chains are chosen.
    pub(super) fn needs_http_inspector(&self) -> bool {
        matches!(self, Self::Http(chain) if chain.sniffed)
    }

    /// Whether both take every connection, or every one with HTTP.
    pub(super) fn same_match(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(a), Self::Http(b)) => a.sniffed == b.sniffed && a.plaintext == b.plaintext,
            _ => self.takes_all() && other.takes_all(),
        }
    }

    /// The objects that it came from.
    pub(super) fn sources(&self) -> Vec<ObjectRef> {
        match self {
            Self::Http(chain) => chain.source.iter().cloned().collect(),
            Self::Tcp(chain) => chain.sources.clone(),
        }
    }

    /// The chain of a listener with this name and port.
    pub(super) fn build(
        &self,
        listener: &str,
        bind: &str,
        port: u16,
        defaults: &OutboundDefaults,
    ) -> FilterChain {
        let (filters, metadata) = match self {
            Self::Http(chain) => (vec![chain.filter(listener, bind, port, defaults)], None),
            Self::Tcp(chain) => (chain.filters(defaults), chain.config.as_ref().map(config_metadata)),
        };
        FilterChain {
            filter_chain_match: self.filter_chain_match(defaults.http10),
            filters,
            metadata,
            transport_socket_connect_timeout: defaults.connect_timeout(),
            ..FilterChain::default()
        }
    }

    fn filter_chain_match(&self, http10: bool) -> Option<FilterChainMatch> {
        if self.takes_all() {
            return None;
        }
        Some(match self {
            Self::Http(chain) => FilterChainMatch {
                application_protocols: crate::listeners::http_protocols(http10),
                transport_protocol: if chain.plaintext { "raw_buffer".to_owned() } else { String::new() },
                ..FilterChainMatch::default()
            },
            Self::Tcp(chain) => FilterChainMatch {
                server_names: chain.names().map(str::to_owned).collect(),
                prefix_ranges: chain.ranges.iter().filter_map(|r| cidr(r)).collect(),
                ..FilterChainMatch::default()
            },
        })
    }
}

impl HttpChain {
    fn filter(&self, listener: &str, bind: &str, port: u16, defaults: &OutboundDefaults) -> Filter {
        let route = match &self.host {
            _ if self.absolute_url && self.source.is_none() => "http_proxy".to_owned(),
            _ if port == 0 => bind.to_owned(),
            Some(host) => format!("{host}:{port}"),
            None => port.to_string(),
        };
        let prefix = format!("outbound_{listener};");
        let mut manager = Manager::new(&defaults.http, Side::Outbound);
        manager.grpc_web = self.grpc_web;
        manager.absolute_url = self.absolute_url;
        manager.dns_cache = self.dns_cache.clone();
        manager.filter(prefix, Route::Rds(route))
    }
}

impl TcpChain {
    /// Whether every connection is taken.
    pub(super) fn takes_all(&self) -> bool {
        self.ranges.is_empty() && self.names().next().is_none()
    }

    /// The names that are matched. `*` among them means any, with and without SNI, so none is matched.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let any = self.sni_hosts.iter().any(|name| name == "*");
        self.sni_hosts.iter().map(String::as_str).filter(move |_| !any)
    }

    fn filters(&self, defaults: &OutboundDefaults) -> Vec<Filter> {
        let target = match self.clusters.as_slice() {
            [(only, _)] if !self.weighted => Target::Cluster(only.cluster()),
            several => Target::Weighted(several.iter().map(|(d, weight)| (d.cluster(), *weight)).collect()),
        };
        let stat_prefix = match &target {
            Target::Cluster(name) if self.stat_prefix.is_empty() => name.clone(),
            _ => self.stat_prefix.clone(),
        };
        let forward = Forward {
            stat_prefix,
            target,
            idle_timeout: self.idle_timeout.or(defaults.idle_timeout),
            max_duration: self.max_duration,
            hash_source_ip: self.hash_source_ip,
            tunnel: self.tunnel.clone(),
            corrects: self.corrects,
            inspection: self.inspection,
            access_logs: defaults.access_logs.clone(),
        };
        let resolve = self.sni_proxy.as_ref().map(|(cache, port)| sni_filter(cache, *port));
        resolve.into_iter().chain(forward.filters()).collect()
    }
}

fn sni_filter(cache: &DnsCache, port: u16) -> Filter {
    let config = sni_proxy::FilterConfig {
        dns_cache_config: Some(cache.config()),
        port_specifier: Some(sni_proxy::filter_config::PortSpecifier::PortValue(u32::from(port))),
        ..sni_proxy::FilterConfig::default()
    };
    network_filter("envoy.extensions.filters.network.sni_dynamic_forward_proxy", &config)
}

/// `filter_metadata.istio.config`: the path of the VirtualService.
fn config_metadata(config: &ObjectRef) -> Metadata {
    let key = &config.key;
    let path =
        format!("/apis/networking.istio.io/v1/namespaces/{}/virtual-service/{}", key.namespace, key.name);
    let fields = Struct::from([("config", Value::from(path))]);
    Metadata { filter_metadata: [("istio".to_owned(), fields)].into(), ..Metadata::default() }
}

/// A range as Envoy compares it: cut to its length. None if it is no range.
pub(super) fn mask(range: &str) -> Option<(u128, u32)> {
    let range = cidr(range)?;
    let length = range.prefix_len.map_or(0, |l| l.value);
    let (bits, longest) = match range.address_prefix.parse().ok()? {
        std::net::IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32),
        std::net::IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let host_bits = u32::min(longest, 128).saturating_sub(length);
    let network = bits.checked_shr(host_bits).and_then(|n| n.checked_shl(host_bits)).unwrap_or(0);
    // Families do not meet: the longest length tells them apart.
    Some((network, length.saturating_add(longest.saturating_mul(256))))
}

//! Endpoints on their way into an assignment: each with what later steps look at, grouped by locality.

use std::sync::Arc;

use envoy::config::core::v3::address::Address as WireAddress;
use envoy::config::core::v3::socket_address::PortSpecifier;
use envoy::config::core::v3::{Address, Locality as WireLocality, Pipe, SocketAddress};
use envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy::config::endpoint::v3::{Endpoint as WireEndpoint, LbEndpoint, LocalityLbEndpoints};
use model::Labels;
use model::endpoint::Locality;

/// An endpoint and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    /// Its message; the weight is in `weight`.
    pub(super) message: LbEndpoint,
    /// Its weight.
    pub(super) weight: u32,
    /// Labels that preferences look at.
    pub(super) labels: Labeled<'a>,
    /// Its network; empty if unknown.
    pub(super) network: &'a str,
    /// Its cluster.
    pub(super) cluster: &'a str,
    /// Whether mesh mTLS reaches it.
    pub(super) mtls: bool,
}

/// Labels of an endpoint: its workload's, or those of a gateway that stands for others.
#[derive(Clone, Debug)]
pub(super) enum Labeled<'a> {
    /// The workload's.
    Workload(&'a Labels),
    /// A gateway's.
    Gateway(Arc<Labels>),
}

impl Labeled<'_> {
    /// The value of a label; empty if it is not there.
    pub(super) fn get(&self, key: &str) -> &str {
        let labels = match self {
            Self::Workload(labels) => labels,
            Self::Gateway(labels) => &**labels,
        };
        labels.get(key).map_or("", String::as_str)
    }
}

/// The endpoints of one locality.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    /// Where they are.
    pub(super) locality: &'a Locality,
    /// The endpoints.
    pub(super) members: Vec<Member<'a>>,
    /// The group's weight if it is not the sum of its endpoints'.
    pub(super) weight: Option<u32>,
    /// Groups of lower numbers are used first.
    pub(super) priority: u32,
}

impl<'a> Group<'a> {
    /// An empty group.
    pub(super) fn new(locality: &'a Locality) -> Self {
        Self { locality, members: Vec::new(), weight: None, priority: 0 }
    }

    /// The group's weight.
    pub(super) fn weight(&self) -> u32 {
        self.weight.unwrap_or_else(|| self.members.iter().fold(0, |sum, m| sum.saturating_add(m.weight)))
    }

    /// The message.
    pub(super) fn message(self) -> LocalityLbEndpoints {
        let weight = self.weight();
        let lb_endpoints = self
            .members
            .into_iter()
            .map(|m| LbEndpoint { load_balancing_weight: Some(m.weight.into()), ..m.message })
            .collect();
        LocalityLbEndpoints {
            locality: Some(WireLocality {
                region: self.locality.region.clone(),
                zone: self.locality.zone.clone(),
                sub_zone: self.locality.subzone.clone(),
            }),
            lb_endpoints,
            load_balancing_weight: (weight > 0).then(|| weight.into()),
            priority: self.priority,
            ..LocalityLbEndpoints::default()
        }
    }
}

/// An endpoint at an address.
pub(crate) fn at(address: Address) -> WireEndpoint {
    WireEndpoint { address: Some(address), ..WireEndpoint::default() }
}

/// The endpoint message of an address.
pub(crate) fn host(endpoint: WireEndpoint) -> LbEndpoint {
    LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() }
}

/// An IP address or host name and a port.
pub(crate) fn socket(address: &str, port: u16) -> Address {
    let socket = SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(port.into())),
        ..SocketAddress::default()
    };
    Address { address: Some(WireAddress::SocketAddress(socket)) }
}

/// A Unix domain socket.
pub(crate) fn pipe(path: &str) -> Address {
    Address { address: Some(WireAddress::Pipe(Pipe { path: path.to_owned(), ..Pipe::default() })) }
}

//! Gateways of networks: through which those of other networks are reached.
//!
//! Source: Istio `pilot/pkg/model/network.go`; `shared/spec/xds.md` 3.6.

use std::net::IpAddr;
use std::sync::Arc;

/// A gateway of a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkGateway {
    /// Its address: an IP address, or a host name.
    pub address: Arc<str>,
    /// Its port.
    pub port: u16,
    /// The network behind it.
    pub network: Arc<str>,
    /// Its cluster; empty if unknown.
    pub cluster: Arc<str>,
}

impl NetworkGateway {
    /// Its address, if it is no host name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }
}

/// All gateways of networks, each list sorted and each gateway once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetworkGateways {
    /// As they are written down, some by host name: for clusters that resolve names themselves.
    pub written: Vec<NetworkGateway>,
    /// With the addresses of host names in their place; names without known addresses are left out.
    pub resolved: Vec<NetworkGateway>,
}

impl NetworkGateways {
    /// The host names among the addresses.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.written.iter().filter(|gateway| gateway.ip().is_none()).map(|gateway| &gateway.address)
    }
}

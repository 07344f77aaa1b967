//! A connected proxy: what its node id and metadata say, parsed once.
//!
//! Source: Istio `pilot/pkg/model/context.go`, `pkg/model/proxy.go`; `shared/spec/xds.md` 1.

pub mod identity;
mod metadata;
mod version;

use std::net::IpAddr;
use std::sync::Arc;

use api::mesh_config::ProxyConfig;
use serde_json::Value;
use thiserror::Error;

use crate::config::Labels;
use crate::content::Ref;
use crate::endpoint::Locality;
use crate::mesh::Account;

pub use metadata::{FileCertificates, Metadata, SecretServers};
pub use version::Version;

/// What kind of proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyKind {
    /// Beside a workload.
    Sidecar,
    /// A gateway.
    Router,
}

/// How traffic reaches a sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interception {
    /// iptables REDIRECT.
    #[default]
    Redirect,
    /// iptables TPROXY.
    Tproxy,
    /// Not at all: listeners bind to their ports.
    None,
}

/// The address families of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpFamilies {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both.
    Dual,
}

impl IpFamilies {
    /// Whether IPv4 is spoken.
    pub fn v4(self) -> bool {
        self != Self::V6
    }

    /// Whether IPv6 is spoken.
    pub fn v6(self) -> bool {
        self != Self::V4
    }
}

/// Which addresses of a Kubernetes Service, or of those that were allotted to a ServiceEntry, a proxy uses.
///
/// Source: Istio `pilot/pkg/model/service.go` (`getAllAddressesForProxy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Those of IPv4.
    V4,
    /// Those of IPv6.
    V6,
    /// Those of the family of the first one: of a proxy of both, unless `ISTIO_DUAL_STACK` is on.
    First,
    /// All.
    Both,
}

impl Reach {
    /// What a proxy of these families uses.
    pub fn of(families: IpFamilies, dual_stack: bool) -> Self {
        match families {
            IpFamilies::V4 => Self::V4,
            IpFamilies::V6 => Self::V6,
            IpFamilies::Dual if dual_stack => Self::Both,
            IpFamilies::Dual => Self::First,
        }
    }

    /// The addresses that are used, in their order.
    pub fn select(self, addresses: &[Arc<str>]) -> impl Iterator<Item = &Arc<str>> {
        let v6 = |address: &str| address.contains(':');
        let wanted = match self {
            Self::V4 => Some(false),
            Self::V6 => Some(true),
            Self::First => addresses.first().map(|first| v6(first)),
            Self::Both => None,
        };
        addresses.iter().filter(move |a| wanted.is_none_or(|wanted| v6(a) == wanted))
    }
}

/// A proxy that asked for configuration.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Sidecar or router.
    pub kind: ProxyKind,
    /// The whole node id, for logs.
    pub node_id: String,
    /// The third part of the node id, normally `<pod>.<namespace>`.
    pub id: Arc<str>,
    /// Name of the pod: `id` without its namespace.
    pub pod: Arc<str>,
    /// The namespace whose configuration it gets.
    pub namespace: Arc<str>,
    /// Its DNS domain, e.g. `shop.svc.cluster.local`.
    pub dns_domain: Arc<str>,
    /// Its addresses, at least one.
    pub addresses: Vec<IpAddr>,
    /// Where it says that it is.
    pub locality: Locality,
    /// The service account that it was proved to run as; none if it was not.
    pub account: Option<Arc<Account>>,
    /// Whether it said which extensions it has, as every Envoy does.
    pub says_extensions: bool,
    /// The rest of what its metadata say.
    pub metadata: Metadata,
}

/// Characters of a node's words that are repeated to it and in the log: whoever connects may write as many as a request has.
const REPEATED: usize = 256;

/// The beginning of what a node says.
fn beginning(text: &str) -> String {
    text.chars().take(REPEATED).collect()
}

/// Why a node is refused. The texts go to the proxy and to the log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NodeError {
    /// Not four parts.
    #[error("node id {0:?} has not the form type~ip~id~domain: set it in the proxy's bootstrap")]
    Parts(String),
    /// An unknown first part.
    #[error("node id {0:?} begins with an unknown proxy type: use sidecar or router")]
    Kind(String),
    /// A type that is known and not served.
    #[error("{0} proxies are not served: ambient and proxyless protocols are not built")]
    NotServed(String),
    /// No usable address.
    #[error("node {0:?} has no valid IP address in INSTANCE_IPS or in its id")]
    Address(String),
    /// A metadata field of the wrong form.
    #[error("node metadata {field}: {reason}")]
    Metadata {
        /// The field.
        field: String,
        /// What is wrong.
        reason: String,
    },
}

impl Proxy {
    /// Reads a node: its id (`type~ip~id~domain`), metadata as JSON, and locality.
    ///
    /// # Errors
    /// The id is malformed, the type is not served, no address is valid, or a metadata field has a wrong form.
    pub fn parse(node_id: &str, metadata: &Value, locality: Locality) -> Result<Self, NodeError> {
        let parts: Vec<&str> = node_id.split('~').collect();
        let [kind, ip, id, domain] = parts.as_slice() else {
            return Err(NodeError::Parts(beginning(node_id)));
        };
        let kind = match *kind {
            "sidecar" => ProxyKind::Sidecar,
            "router" => ProxyKind::Router,
            "waypoint" | "ztunnel" | "agentgateway" => return Err(NodeError::NotServed((*kind).to_owned())),
            _ => return Err(NodeError::Kind(beginning(node_id))),
        };
        let metadata = Metadata::parse(metadata)?;
        let addresses = addresses(&metadata.instance_ips, ip);
        if addresses.is_empty() {
            return Err(NodeError::Address(beginning(node_id)));
        }
        let namespace = if metadata.namespace.is_empty() {
            domain.split_once('.').map_or("", |(first, _)| first)
        } else {
            &metadata.namespace
        };
        let pod = id.strip_suffix(namespace).and_then(|p| p.strip_suffix('.')).unwrap_or(id);
        Ok(Self {
            kind,
            node_id: node_id.to_owned(),
            id: Arc::from(*id),
            pod: Arc::from(pod),
            namespace: Arc::from(namespace),
            dns_domain: Arc::from(*domain),
            addresses,
            locality,
            account: None,
            says_extensions: false,
            metadata,
        })
    }

    /// Its address families.
    pub fn families(&self) -> IpFamilies {
        match (self.addresses.iter().any(IpAddr::is_ipv4), self.addresses.iter().any(IpAddr::is_ipv6)) {
            (true, true) => IpFamilies::Dual,
            (false, true) => IpFamilies::V6,
            _ => IpFamilies::V4,
        }
    }

    /// Its own `ProxyConfig`, or the mesh's default if its metadata carry none. There is no merge.
    pub fn proxy_config<'a>(&'a self, mesh_default: &'a Ref<ProxyConfig>) -> &'a Ref<ProxyConfig> {
        self.metadata.proxy_config.as_ref().unwrap_or(mesh_default)
    }

    /// The labels that its metadata name.
    pub fn labels(&self) -> &Labels {
        &self.metadata.labels
    }
}

/// `INSTANCE_IPS` if all are valid, else the address in the id.
fn addresses(instance_ips: &str, id_ip: &str) -> Vec<IpAddr> {
    let listed: Result<Vec<IpAddr>, _> = instance_ips.split(',').map(|ip| ip.trim().parse()).collect();
    match listed {
        Ok(ips) if !ips.is_empty() => ips,
        _ => id_ip.parse().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests;

//! A service of the mesh, whatever registry it comes from.
//!
//! Source: Istio `pilot/pkg/model/service.go`; `shared/spec/kubernetes.md` 2.1, 2.8; `shared/spec/xds.md` 2.3.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ObjectRef;

use crate::config::{Creation, Labels};
use crate::content::Ref;
use crate::protocol::Protocol;
use crate::visibility::ExportTo;

/// Where a service is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    External,
}

/// How a client finds the service's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Endpoints are sent (EDS).
    ClientSide,
    /// Every address of the DNS name (STRICT_DNS).
    Dns,
    /// One address of the DNS name at a time (LOGICAL_DNS).
    DnsRoundRobin,
    /// The address that the client connected to (ORIGINAL_DST).
    Passthrough,
    /// The name of each request is resolved (dynamic forward proxy).
    DynamicDns,
    /// Another name of some other service (ExternalName): no cluster of its own.
    Alias,
}

/// The preference of a service for endpoints near its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficDistribution {
    /// None.
    #[default]
    Any,
    /// The same zone first (`PreferClose`, `PreferSameZone`).
    PreferSameZone,
    /// The same node first.
    PreferSameNode,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// Its name; the empty string if it has none.
    pub name: Arc<str>,
    /// The number that clients connect to.
    pub number: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where the workload listens.
    pub target: TargetPort,
}

/// Where a workload listens for a service port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TargetPort {
    /// On this number.
    Number(u16),
    /// On the container port of this name.
    Name(Arc<str>),
}

/// Another host name of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias {
    /// The alias' host name.
    pub host: Arc<str>,
    /// The namespace of the Service that defines the alias.
    pub namespace: Arc<str>,
}

/// A service. Immutable; shared as `Ref<Service>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// The full host name.
    pub host: Arc<str>,
    /// The name of the Kubernetes Service; the host name for a ServiceEntry.
    pub name: Arc<str>,
    /// The namespace of the object.
    pub namespace: Arc<str>,
    /// Where it is defined.
    pub registry: Registry,
    /// The object that defines it.
    pub source: ObjectRef,
    /// Its age: older services win conflicts.
    pub creation: Creation,
    /// How clients find its endpoints.
    pub resolution: Resolution,
    /// Its ports in declared order, UDP ones included.
    pub ports: Vec<ServicePort>,
    /// Its own addresses, in order: cluster IPs, or the addresses and CIDRs of a ServiceEntry. Empty for none.
    pub addresses: Vec<Arc<str>>,
    /// Automatically allocated addresses, used only by proxies that capture DNS.
    pub auto_addresses: Vec<Arc<str>>,
    /// Addresses under which it is reached from outside: load balancer IPs and host names, external IPs.
    pub external_addresses: Vec<Arc<str>>,
    /// The ports of nodes that lead to its ports, if it is reached from outside at nodes.
    pub node_ports: BTreeMap<u16, u16>,
    /// ExternalName Services that point here.
    pub aliases: Vec<Alias>,
    /// For an ExternalName: the host that it leads to over all others, which need not be one of the mesh; for one that
    /// is part of a loop the host that it names.
    pub alias_of: Option<Arc<str>>,
    /// Outside of the mesh (ServiceEntry `MESH_EXTERNAL`, ExternalName).
    pub mesh_external: bool,
    /// Who sees it.
    pub export_to: ExportTo,
    /// The object's labels.
    pub labels: Labels,
    /// The annotations that are read below.
    pub annotations: Labels,
    /// Labels of the workloads behind it, if it selects any.
    pub selector: Option<Labels>,
    /// Clients reach endpoints of their own node only (`internalTrafficPolicy: Local`).
    pub node_local: bool,
    /// Its endpoints count before they are ready, as far as names go (`publishNotReadyAddresses`).
    pub publish_not_ready: bool,
    /// Its preference for near endpoints.
    pub traffic_distribution: TrafficDistribution,
    /// Identities that its endpoints may have beyond those seen (ServiceEntry `subjectAltNames`,
    /// canonical service accounts).
    pub subject_alt_names: Vec<Arc<str>>,
    /// The same Service as other clusters than the home cluster have it, by cluster, in order of their names.
    pub remotes: Vec<(Arc<str>, Ref<Self>)>,
    /// Only other clusters have it: everything above is what the first of `remotes` says.
    pub remote_only: bool,
}

impl Service {
    /// The address that stands for "none" in Istio's model.
    pub const UNSPECIFIED: &'static str = "0.0.0.0";

    /// The number of the port of this name; none if there is no such port.
    pub fn number_of(&self, name: &str) -> Option<u16> {
        self.ports.iter().find(|p| *p.name == *name).map(|p| p.number)
    }

    /// The first port with this number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|p| p.number == number)
    }

    /// The addresses under which clients in a cluster reach it: those that it has there, else its own.
    ///
    /// Source: Istio `pilot/pkg/model/service.go` (`GetAddressForProxy`).
    pub fn addresses_in(&self, cluster: &str) -> &[Arc<str>] {
        self.remote(cluster).map_or(&self.addresses, |service| &service.addresses)
    }

    /// The Service as a cluster other than the home cluster has it.
    pub fn remote(&self, cluster: &str) -> Option<&Ref<Self>> {
        if self.remotes.is_empty() {
            return None;
        }
        self.remotes.iter().find(|(name, _)| **name == *cluster).map(|(_, service)| service)
    }

    /// The addresses and automatic addresses that it has in any cluster.
    pub fn every_address(&self) -> impl Iterator<Item = &Arc<str>> {
        let remote = self.remotes.iter().flat_map(|(_, service)| &service.addresses);
        self.addresses.iter().chain(&self.auto_addresses).chain(remote)
    }

    /// A Kubernetes Service without a cluster IP.
    pub fn is_headless(&self) -> bool {
        self.registry == Registry::Kubernetes && self.resolution == Resolution::Passthrough
    }

    /// Whether the service keeps its sessions on draining endpoints (label `istio.io/persistent-session`).
    pub fn has_persistent_session(&self) -> bool {
        self.labels.get("istio.io/persistent-session").is_some_and(|v| !v.is_empty())
    }

    /// Older services first, then those of Kubernetes, then by name: the order in which listeners are claimed.
    pub fn by_age(&self, other: &Self) -> std::cmp::Ordering {
        crate::config::by_age(self.creation, other.creation)
            .then_with(|| self.registry.cmp(&other.registry))
            .then_with(|| self.name.cmp(&other.name))
            .then_with(|| self.namespace.cmp(&other.namespace))
            .then_with(|| self.host.cmp(&other.host))
            .then_with(|| self.source.cmp(&other.source))
    }
}

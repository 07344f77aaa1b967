//! The entries of a part.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use envoy::istio::networking::nds::v1::NameTable;
use envoy::istio::networking::nds::v1::name_table::NameInfo;
use model::endpoint::{Address, Endpoint, Health};
use model::proxy::Reach;
use model::service::{Registry, Service};

use super::{Client, NamedService, NamesKey, Of};
use crate::output::Built;

/// The domain of services that several clusters export under one name: the names of their own are those of the cluster's.
const CLUSTER_SET: &str = ".clusterset.local";

/// Builds a part: a table, whose entries are those of the whole one.
pub fn build(key: &NamesKey) -> Built<NameTable> {
    let mut table = BTreeMap::new();
    for named in &key.services {
        match key.of {
            Of::Services => add_service(&mut table, named, &key.client),
            Of::Workloads => add_workloads(&mut table, named, &key.client),
        }
    }
    Built::new(NameTable { table }, key.sources())
}

type Table = BTreeMap<String, NameInfo>;

/// The entry of a service. Several of one host add up, but for a Kubernetes Service, which stands alone.
fn add_service(table: &mut Table, named: &NamedService, client: &Client) {
    let service = &*named.service;
    let ips = match own_addresses(service, client) {
        Some(own) => own,
        None => endpoint_addresses(named, client),
    };
    if ips.is_empty() {
        return;
    }
    match table.get_mut(&*service.host) {
        Some(entry) if entry.registry == registry(Registry::Kubernetes) => {}
        Some(entry) if service.registry == Registry::External => {
            let new: Vec<_> = ips.into_iter().filter(|ip| !entry.ips.contains(ip)).collect();
            entry.ips.extend(new);
        }
        _ => {
            let named = service.registry == Registry::Kubernetes && !service.host.ends_with(CLUSTER_SET);
            let of = |name: &Arc<str>| if named { name.to_string() } else { String::new() };
            let entry = NameInfo {
                ips,
                registry: registry(service.registry).to_owned(),
                shortname: of(&service.name),
                namespace: of(&service.namespace),
                ..NameInfo::default()
            };
            table.insert(service.host.to_string(), entry);
        }
    }
}

/// The addresses at which a client reaches the service itself; `None` if it has none of its own. Networks are left out.
///
/// Source: Istio `pilot/pkg/model/service.go` (`GetAllAddressesForProxy`).
fn own_addresses(service: &Service, client: &Client) -> Option<Vec<String>> {
    let specified = |a: &&Arc<str>| ***a != *Service::UNSPECIFIED;
    let own: Vec<_> = service.addresses_in(&client.cluster).iter().filter(specified).cloned().collect();
    let entry = service.registry == Registry::External;
    if !own.is_empty() {
        // A ServiceEntry is known by the addresses that it lists, whatever the client's families.
        let reach = if entry { Reach::Both } else { client.reach };
        let usable = reach.select(&own).filter(|a| a.parse::<IpAddr>().is_ok());
        return Some(usable.map(|a| a.to_string()).collect());
    }
    let allotted = if client.dns_capture { service.auto_addresses.as_slice() } else { &[] };
    let allotted: Vec<_> = client.reach.select(allotted).map(|a| a.to_string()).collect();
    // The address of a headless Service is the unspecified one of IPv4, which clients of IPv6 alone do not see.
    let unseen = !entry && client.reach == Reach::V6;
    (unseen || !allotted.is_empty()).then_some(allotted)
}

/// The addresses of the endpoints behind a headless service that are in the client's network.
fn endpoint_addresses(named: &NamedService, client: &Client) -> Vec<String> {
    let reached = |e: &&Endpoint| client.across_clusters || client.shares_cluster(e);
    endpoints(named, client).filter(reached).flat_map(addresses).collect()
}

/// An entry for each workload behind a headless service that has a host name of its own. The endpoints of the client's
/// cluster go before those of others.
fn add_workloads(table: &mut Table, named: &NamedService, client: &Client) {
    let service = &*named.service;
    if own_addresses(service, client).is_some() {
        return;
    }
    let Some((_, domain)) = service.host.split_once('.') else { return };
    let mut found: BTreeMap<String, [Vec<String>; 2]> = BTreeMap::new();
    for endpoint in endpoints(named, client).filter(|e| !e.workload.subdomain.is_empty()) {
        let name = format!("{}.{}", endpoint.workload.hostname, endpoint.workload.subdomain);
        let [near, far] = found.entry(name).or_default();
        let place = if client.shares_cluster(endpoint) { near } else { far };
        place.extend(addresses(endpoint));
    }
    for (name, [near, far]) in found {
        let host = format!("{name}.{domain}");
        let entry = NameInfo {
            ips: if near.is_empty() { far } else { near },
            registry: registry(service.registry).to_owned(),
            shortname: name,
            namespace: service.namespace.to_string(),
            ..NameInfo::default()
        };
        table.insert(host, entry);
    }
}

/// The endpoints of a headless service that a name may stand for, each workload once: those in the client's network that
/// are ready, or said to count before they are.
fn endpoints<'a>(named: &'a NamedService, client: &'a Client) -> impl Iterator<Item = &'a Endpoint> {
    let service = &*named.service;
    let mut seen = BTreeSet::new();
    named
        .endpoints
        .iter()
        .flatten()
        // Nobody looks after endpoints that are written down: like the reference, do not answer with them.
        .filter(|e| service.publish_not_ready || e.health == Health::Healthy)
        .filter(|e| service.number_of(&e.port_name).is_some() && client.shares_network(e))
        .filter(|e| matches!(e.address, Address::Ip(_)))
        .filter(move |e| seen.insert(&e.address))
}

fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = String> {
    let first = match &endpoint.address {
        Address::Ip(ip) => Some(ip),
        Address::Host(_) | Address::Pipe(_) => None,
    };
    first.into_iter().chain(&endpoint.additional).map(ToString::to_string)
}

impl Client {
    fn shares_cluster(&self, endpoint: &Endpoint) -> bool {
        same_or_unknown(&self.cluster, &endpoint.workload.cluster)
    }

    fn shares_network(&self, endpoint: &Endpoint) -> bool {
        same_or_unknown(&self.network, &endpoint.workload.network)
    }
}

fn same_or_unknown(one: &str, other: &str) -> bool {
    one.is_empty() || other.is_empty() || one == other
}

/// What the wire calls a registry.
fn registry(registry: Registry) -> &'static str {
    match registry {
        Registry::Kubernetes => "Kubernetes",
        Registry::External => "External",
    }
}

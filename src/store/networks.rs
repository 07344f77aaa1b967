//! Gateways of networks: of the mesh networks, and of Services that say they are one; host names among them by the
//! addresses that were found for them.
//!
//! Source: Istio `pilot/pkg/model/network.go`, `pilot/pkg/serviceregistry/kube/controller/network.go`;
//! `shared/spec/xds.md` 3.6, `observed.md` 71-75.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::mesh::{NetworkGateway, NetworkGateways, Settings};
use model::service::Service;
use model::{Mesh, Ref};

use crate::next::Pending;
use crate::tables::Tables;

/// Label of a Service that is a gateway of a network.
const NETWORK: &str = "topology.istio.io/network";
/// Label of such a Service: the gateway's port.
const GATEWAY_PORT: &str = "networking.istio.io/gatewayPort";
/// The port of a gateway that names none.
const DEFAULT_PORT: u16 = 15443;

impl Tables {
    /// Takes the addresses that a host name has now; none if it has none, or if nobody asks any more.
    pub fn resolve(&mut self, host: &Arc<str>, addresses: &[IpAddr]) -> Option<Pending> {
        let known = self.resolved.get(host).map(Vec::as_slice).unwrap_or_default();
        if known == addresses {
            return None;
        }
        if addresses.is_empty() {
            self.resolved.remove(host);
        } else {
            self.resolved.insert(Arc::clone(host), addresses.to_vec());
        }
        self.dirty.resolved = true;
        Some(Pending::Configuration)
    }

    /// The gateways as settings, services and host names make them; true if any differs.
    pub(crate) fn update_networks(&self, mesh: &mut Mesh) -> bool {
        let mut written = configured(mesh, &mesh.settings);
        written.extend(labelled(mesh));
        written.sort();
        written.dedup();
        let resolves = mesh.settings.features.resolve_hostname_gateways;
        let next = NetworkGateways { resolved: resolved(&written, &self.resolved, resolves), written };
        if next == *mesh.network_gateways {
            return false;
        }
        mesh.network_gateways = Ref::new(next);
        true
    }
}

/// The gateways with the addresses of their host names.
fn resolved(
    written: &[NetworkGateway],
    known: &BTreeMap<Arc<str>, Vec<IpAddr>>,
    resolves: bool,
) -> Vec<NetworkGateway> {
    let mut found = Vec::new();
    for gateway in written {
        if gateway.ip().is_some() {
            found.push(gateway.clone());
        } else if resolves {
            let addresses = known.get(&gateway.address).into_iter().flatten();
            let at = |ip: &IpAddr| NetworkGateway { address: ip.to_string().into(), ..gateway.clone() };
            found.extend(addresses.map(at));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Those of Services that name their network by a label.
fn labelled(mesh: &Mesh) -> Vec<NetworkGateway> {
    let mut found = Vec::new();
    for service in mesh.services.all() {
        for (cluster, service) in in_each_cluster(service, &mesh.settings.cluster) {
            if let Some(network) = service.labels.get(NETWORK).filter(|n| !n.is_empty()) {
                let port = service.labels.get(GATEWAY_PORT).and_then(|p| p.parse().ok());
                let port = port.unwrap_or(DEFAULT_PORT);
                // Without that port it may be a gateway of another kind.
                if service.port(port).is_some() {
                    found.extend(of_service(service, network, port, cluster));
                }
            }
        }
    }
    found
}

/// Those that the mesh networks name by address, or by Service.
fn configured(mesh: &Mesh, settings: &Settings) -> Vec<NetworkGateway> {
    let mut found = Vec::new();
    for (name, network) in &settings.networks.networks {
        for gateway in &network.gateways {
            let Ok(port) = u16::try_from(gateway.port) else { continue };
            if let Some(address) = gateway.address.as_deref().filter(|a| !a.is_empty()) {
                found.push(NetworkGateway {
                    address: Arc::from(address),
                    port,
                    network: Arc::from(name.as_str()),
                    cluster: Arc::from(""),
                });
            } else if let Some(host) = &gateway.registry_service_name {
                // Only the clusters that are of the network have gateways of it.
                let of = |cluster: &str| {
                    network.endpoints.iter().any(|e| e.from_registry.as_deref() == Some(cluster))
                };
                let services = mesh.services.of_host(host).iter();
                let services = services.flat_map(|s| in_each_cluster(s, &settings.cluster));
                // Those that say for themselves what they are do not count by their name as well.
                let silent = |s: &Service| s.labels.get(NETWORK).is_none_or(String::is_empty);
                for (cluster, service) in services.filter(|(cluster, s)| of(cluster) && silent(s)) {
                    found.extend(of_service(service, name, port, cluster));
                }
            }
        }
    }
    found
}

/// A service as each cluster has it, with the cluster.
fn in_each_cluster<'a>(
    service: &'a Ref<Service>,
    home: &'a Arc<str>,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Ref<Service>)> {
    let own = (!service.remote_only).then_some((home, service));
    own.into_iter().chain(service.remotes.iter().map(|(cluster, service)| (cluster, service)))
}

/// A Service at each of its outside addresses; what reaches it there may be another port.
fn of_service<'a>(
    service: &'a Service,
    network: &'a str,
    port: u16,
    cluster: &'a Arc<str>,
) -> impl Iterator<Item = NetworkGateway> + use<'a> {
    let port = service.node_ports.get(&port).copied().unwrap_or(port);
    service.external_addresses.iter().map(move |address| NetworkGateway {
        address: Arc::clone(address),
        port,
        network: Arc::from(network),
        cluster: Arc::clone(cluster),
    })
}

//! Other networks: their gateways, and endpoints behind them replaced by these.
//!
//! Source: Istio `pilot/pkg/model/network.go`, `pilot/pkg/xds/endpoints/ep_filters.go`; `shared/spec/xds.md` 3.6,
//! `observed.md` 71-75.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use envoy::config::core::v3::HealthStatus;
use envoy::config::endpoint::v3::LbEndpoint;
use model::mesh::Settings;
use model::proxy::IpFamilies;
use model::service::Service;
use model::{Labels, Mesh, Ref};

use super::Form;
use super::build::metadata;
use super::group::{self, Group, Labeled, Member};
use crate::context::Context;

/// Label of a Service that is a gateway of a network.
const NETWORK: &str = "topology.istio.io/network";
const CLUSTER: &str = "topology.istio.io/cluster";
/// Label of such a Service: the gateway's port.
const GATEWAY_PORT: &str = "networking.istio.io/gatewayPort";
/// The port of a gateway that names none.
const DEFAULT_PORT: u16 = 15443;

/// A gateway of a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gateway {
    /// Its address: an IP address, or a host name.
    pub address: Arc<str>,
    /// Its port.
    pub port: u16,
    /// The network behind it.
    pub network: Arc<str>,
    /// Its cluster; empty if unknown.
    pub cluster: Arc<str>,
}

impl Gateway {
    fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }
}

/// How a client reaches other networks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetworkView {
    /// Its network; empty if unknown.
    pub network: Arc<str>,
    /// Networks whose endpoints it asks for; empty for all.
    pub requested: Vec<String>,
    /// Its address families.
    pub families: IpFamilies,
    /// All gateways, sorted.
    pub gateways: Vec<Gateway>,
}

impl NetworkView {
    /// Whether endpoints of a network are among those asked for. Endpoints of no network always are.
    pub(super) fn sees(&self, network: &str) -> bool {
        self.requested.is_empty() || network.is_empty() || self.requested.iter().any(|n| n == network)
    }

    /// The gateways that an assignment can hold: only DNS clusters can hold those that are known by name.
    fn usable(&self, form: Form) -> impl Iterator<Item = &Gateway> {
        self.gateways.iter().filter(move |g| form.is_inline() || g.ip().is_some())
    }

    /// How an endpoint is reached: through the gateways of its cluster, else of its network.
    fn route(&self, network: &str, cluster: &str, form: Form) -> Route<'_> {
        if network.is_empty() || *network == *self.network {
            return Route::Direct;
        }
        let of_network = || self.usable(form).filter(|g| *g.network == *network);
        let mut found: Vec<&Gateway> = of_network().filter(|g| *g.cluster == *cluster).collect();
        if found.is_empty() {
            found = of_network().collect();
        }
        if found.is_empty() {
            return Route::Direct;
        }
        found.retain(|g| match g.ip() {
            Some(IpAddr::V4(_)) => self.families.v4(),
            Some(IpAddr::V6(_)) => self.families.v6(),
            None => true,
        });
        Route::Through(found)
    }

    /// What all weights are multiplied with, so that each can be shared among the gateways of any network.
    fn scale(&self, form: Form) -> u32 {
        let mut counts: BTreeMap<(&str, Option<&str>), u32> = BTreeMap::new();
        for gateway in self.usable(form) {
            for key in [(&*gateway.network, None), (&*gateway.network, Some(&*gateway.cluster))] {
                let count = counts.entry(key).or_default();
                *count = count.saturating_add(1);
            }
        }
        counts.into_values().fold(1, least_common_multiple)
    }
}

/// How an endpoint is reached.
enum Route<'a> {
    /// At its own address.
    Direct,
    /// Through any of these; not at all if the client speaks to none of them.
    Through(Vec<&'a Gateway>),
}

fn least_common_multiple(a: u32, b: u32) -> u32 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x.checked_rem(y).unwrap_or_default());
    }
    a.checked_div(x).unwrap_or_default().saturating_mul(b)
}

/// How a class reaches other networks; `None` if there is only one network and it asks for all.
pub(super) fn view(context: &Context<'_>) -> Option<NetworkView> {
    let gateways = gateways(context.mesh);
    let view = context.view;
    if gateways.is_empty() && view.network_view.is_empty() {
        return None;
    }
    let mut requested = view.network_view.clone();
    requested.sort();
    Some(NetworkView { network: Arc::clone(&view.network), requested, families: view.families, gateways })
}

/// All gateways: of the mesh networks, and of Services that say they are one.
fn gateways(mesh: &Mesh) -> Vec<Gateway> {
    let mut found = configured(mesh, &mesh.settings);
    for service in mesh.services.all() {
        for (cluster, service) in in_each_cluster(service, &mesh.settings.cluster) {
            if let Some(network) = service.labels.get(NETWORK).filter(|n| !n.is_empty()) {
                let port = service.labels.get(GATEWAY_PORT).and_then(|p| p.parse().ok());
                let port = port.unwrap_or(DEFAULT_PORT);
                // Without that port it may be a gateway of another kind.
                if service.port(port).is_some() {
                    of_service(service, network, port, cluster, &mut found);
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn configured(mesh: &Mesh, settings: &Settings) -> Vec<Gateway> {
    let mut found = Vec::new();
    for (name, network) in &settings.networks.networks {
        for gateway in &network.gateways {
            let Ok(port) = u16::try_from(gateway.port) else { continue };
            if let Some(address) = gateway.address.as_deref().filter(|a| !a.is_empty()) {
                found.push(Gateway {
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
                    of_service(service, name, port, cluster, &mut found);
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

fn of_service(service: &Service, network: &str, port: u16, cluster: &Arc<str>, found: &mut Vec<Gateway>) {
    found.extend(service.external_addresses.iter().map(|address| Gateway {
        address: Arc::clone(address),
        port,
        network: Arc::from(network),
        cluster: Arc::clone(cluster),
    }));
}

/// Puts gateways in the place of endpoints that the client does not reach directly; their weight is shared among the
/// gateways. Such endpoints without mesh mTLS are dropped: gateways route by its SNI.
pub(super) fn replace(groups: &mut [Group<'_>], view: &NetworkView, form: Form) {
    if view.gateways.is_empty() {
        return;
    }
    let scale = view.scale(form);
    for group in groups {
        let mut shares: BTreeMap<&Gateway, u32> = BTreeMap::new();
        let mut members = Vec::with_capacity(group.members.len());
        for mut member in group.members.drain(..) {
            member.weight = member.weight.saturating_mul(scale);
            match view.route(member.network, member.cluster, form) {
                Route::Direct => members.push(member),
                Route::Through(gateways) if member.mtls => share(&mut shares, gateways, member.weight),
                Route::Through(_) => {}
            }
        }
        let weighty = shares.into_iter().filter(|(_, weight)| *weight > 0);
        members.extend(weighty.map(|(gateway, weight)| stand_in(gateway, weight)));
        group.members = members;
    }
}

/// Shares a weight out among gateways.
fn share<'a>(shares: &mut BTreeMap<&'a Gateway, u32>, gateways: Vec<&'a Gateway>, weight: u32) {
    let count = u32::try_from(gateways.len()).unwrap_or(u32::MAX);
    let part = weight.checked_div(count).unwrap_or_default();
    for gateway in gateways {
        let sum = shares.entry(gateway).or_default();
        *sum = sum.saturating_add(part);
    }
}

/// The endpoint that stands for those behind a gateway: it is no workload.
fn stand_in<'a>(gateway: &Gateway, weight: u32) -> Member<'a> {
    let labels: Labels = [(NETWORK, &gateway.network), (CLUSTER, &gateway.cluster)]
        .into_iter()
        .filter(|(_, v)| !v.is_empty())
        .map(|(k, v)| (k.to_owned(), v.to_string()))
        .collect();
    let address = group::at(group::socket(&gateway.address, gateway.port));
    Member {
        message: LbEndpoint {
            health_status: HealthStatus::Unknown.into(),
            metadata: metadata(true, Some(format!(";;;;{}", gateway.cluster))),
            ..group::host(address)
        },
        weight,
        labels: Labeled::Gateway(Arc::new(labels)),
        network: "",
        cluster: "",
        mtls: true,
    }
}

#[cfg(test)]
mod tests;

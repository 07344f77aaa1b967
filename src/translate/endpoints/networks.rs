//! Other networks: their gateways, and endpoints behind them replaced by these.
//!
//! Source: Istio `pilot/pkg/model/network.go`, `pilot/pkg/xds/endpoints/ep_filters.go`; `shared/spec/xds.md` 3.6,
//! `observed.md` 71-75.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use envoy::config::core::v3::HealthStatus;
use envoy::config::endpoint::v3::LbEndpoint;
use model::mesh::{NetworkGateway, NetworkGateways};
use model::proxy::IpFamilies;
use model::{Labels, Ref};

use super::Form;
use super::build::metadata;
use super::group::{self, Group, Labeled, Member};
use crate::context::Context;

const NETWORK: &str = "topology.istio.io/network";
const CLUSTER: &str = "topology.istio.io/cluster";

/// How a client reaches other networks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetworkView {
    /// Its network; empty if unknown.
    pub network: Arc<str>,
    /// Networks whose endpoints it asks for; empty for all.
    pub requested: Vec<String>,
    /// Its address families.
    pub families: IpFamilies,
    /// All gateways.
    pub gateways: Ref<NetworkGateways>,
}

impl NetworkView {
    /// Whether endpoints of a network are among those asked for. Endpoints of no network always are.
    pub(super) fn sees(&self, network: &str) -> bool {
        self.requested.is_empty() || network.is_empty() || self.requested.iter().any(|n| n == network)
    }

    /// The gateways that an assignment can hold: only DNS clusters can hold those that are known by name.
    fn usable(&self, form: Form) -> impl Iterator<Item = &NetworkGateway> {
        if form.is_inline() { self.gateways.written.iter() } else { self.gateways.resolved.iter() }
    }

    /// How an endpoint is reached: through the gateways of its cluster, else of its network.
    fn route(&self, network: &str, cluster: &str, form: Form) -> Route<'_> {
        if network.is_empty() || *network == *self.network {
            return Route::Direct;
        }
        let of_network = || self.usable(form).filter(|g| *g.network == *network);
        let mut found: Vec<&NetworkGateway> = of_network().filter(|g| *g.cluster == *cluster).collect();
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
    Through(Vec<&'a NetworkGateway>),
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
    let gateways = context.mesh.network_gateways.clone();
    let view = context.view;
    if gateways.written.is_empty() && view.network_view.is_empty() {
        return None;
    }
    let mut requested = view.network_view.clone();
    requested.sort();
    Some(NetworkView { network: Arc::clone(&view.network), requested, families: view.families, gateways })
}

/// Puts gateways in the place of endpoints that the client does not reach directly; their weight is shared among the
/// gateways. Such endpoints without mesh mTLS are dropped: gateways route by its SNI.
pub(super) fn replace(groups: &mut [Group<'_>], view: &NetworkView, form: Form) {
    if view.gateways.written.is_empty() {
        return;
    }
    let scale = view.scale(form);
    for group in groups {
        let mut shares: BTreeMap<&NetworkGateway, u32> = BTreeMap::new();
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
fn share<'a>(shares: &mut BTreeMap<&'a NetworkGateway, u32>, gateways: Vec<&'a NetworkGateway>, weight: u32) {
    let count = u32::try_from(gateways.len()).unwrap_or(u32::MAX);
    let part = weight.checked_div(count).unwrap_or_default();
    for gateway in gateways {
        let sum = shares.entry(gateway).or_default();
        *sum = sum.saturating_add(part);
    }
}

/// The endpoint that stands for those behind a gateway: it is no workload.
fn stand_in<'a>(gateway: &NetworkGateway, weight: u32) -> Member<'a> {
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

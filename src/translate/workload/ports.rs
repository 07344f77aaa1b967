//! The ports that a proxy takes for its workload: those of the services, or those that a Sidecar lists instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::istio::{CaptureMode, Sidecar};
use model::protocol::Protocol;
use model::proxy::Interception;
use model::service::Service;
use model::{Config, Ref};

use super::Target;
use crate::class::OwnView;
use crate::context::Context;
use crate::listeners::outbound::{Wildcard, may_bind};

/// A port that the proxy takes for its workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundPort {
    /// The port that the workload is reached at.
    pub number: u16,
    /// The number of the service port, or of the Sidecar's.
    pub service_port: u16,
    /// Its name.
    pub name: Arc<str>,
    /// What is spoken.
    pub protocol: Protocol,
    /// The services behind it: the first decides, the others have the same number. None for a port that only a
    /// Sidecar knows.
    pub services: Vec<Ref<Service>>,
    /// The Sidecar that lists it, if one does.
    pub ingress: Option<Ingress>,
}

/// Where a Sidecar lists a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ingress {
    /// The Sidecar.
    pub sidecar: Ref<Config<Sidecar>>,
    /// The index of the listener.
    pub index: usize,
    /// The name that stands for the host of a service: `<sidecar>.<namespace of the workload>`.
    pub host: Arc<str>,
    /// The address that it binds to, and that names it.
    pub bind: Arc<str>,
    /// Whether it really binds, instead of being redirected to.
    pub bound: bool,
}

/// The ports that a proxy takes, by number: those that the Sidecar lists, if it lists any, else those of `targets`.
pub fn inbound_ports(context: &Context<'_>, view: &OwnView, targets: &[Target]) -> Vec<InboundPort> {
    let sidecar = context.scope.sidecar.as_ref().filter(|s| !s.spec.ingress.is_empty());
    let Some(sidecar) = sidecar else {
        // Nothing is redirected, and the proxy cannot bind where the workload listens.
        let none = view.shared.interception == Interception::None;
        return if none { Vec::new() } else { of_targets(targets.iter()) };
    };
    let mut ports = of_ingress(context, view, targets, sidecar);
    if context.settings().features.merge_sidecar_ingress && view.shared.interception != Interception::None {
        let listed = |t: &&Target| !ports.iter().any(|p| p.number == t.number);
        let rest = of_targets(targets.iter().filter(listed));
        ports.extend(rest);
    }
    ports.sort_by_key(|p| p.number);
    ports
}

/// One port for each number; the first target decides.
fn of_targets<'a>(targets: impl Iterator<Item = &'a Target>) -> Vec<InboundPort> {
    let mut ports: BTreeMap<u16, InboundPort> = BTreeMap::new();
    for target in targets {
        let port = ports.entry(target.number).or_insert_with(|| InboundPort {
            number: target.number,
            service_port: target.port.number,
            name: Arc::clone(&target.port.name),
            protocol: target.port.protocol,
            services: Vec::new(),
            ingress: None,
        });
        if port.service_port == target.port.number {
            port.services.push(target.service.clone());
        }
    }
    ports.into_values().collect()
}

fn of_ingress(
    context: &Context<'_>,
    view: &OwnView,
    targets: &[Target],
    sidecar: &Ref<Config<Sidecar>>,
) -> Vec<InboundPort> {
    let host: Arc<str> = format!("{}.{}", sidecar.name(), view.shared.namespace).into();
    let mut ports: Vec<InboundPort> = Vec::new();
    for (index, listener) in sidecar.spec.ingress.iter().enumerate() {
        let Some(port) = &listener.port else { continue };
        let Ok(number) = u16::try_from(port.number) else { continue };
        let protocol = Protocol::of_declared(&port.protocol);
        let bound = match listener.capture_mode {
            CaptureMode::Default => view.shared.interception == Interception::None,
            CaptureMode::Iptables => false,
            CaptureMode::None => true,
        };
        let bind = if listener.bind.is_empty() { own_address(view) } else { Arc::from(&*listener.bind) };
        let mesh = &context.settings().mesh;
        let asked = (!listener.bind.is_empty()).then_some(&*listener.bind);
        let taken = ports.iter().any(|p| p.number == number);
        if number == 0 || taken || !may_bind(&view.shared, mesh, asked, bound, number, protocol) {
            continue;
        }
        let service = targets.iter().find(|t| t.number == number).map(|t| t.service.clone());
        ports.push(InboundPort {
            number,
            service_port: number,
            name: Arc::from(&*port.name),
            protocol,
            services: service.into_iter().collect(),
            ingress: Some(Ingress { sidecar: sidecar.clone(), index, host: Arc::clone(&host), bind, bound }),
        });
    }
    ports
}

/// The first address under which others reach the workload; all addresses if it has none.
fn own_address(view: &OwnView) -> Arc<str> {
    let unicast = view.addresses.iter().find(|ip| {
        let local = match ip {
            std::net::IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        !(local || ip.is_loopback() || ip.is_multicast() || ip.is_unspecified())
    });
    unicast.map_or_else(|| Arc::clone(&Wildcard::of(view.shared.families).any), |ip| ip.to_string().into())
}

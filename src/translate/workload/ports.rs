//! The ports that a proxy takes for its workload: those of the services, or those that a Sidecar lists instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::istio::{CaptureMode, IstioIngressListener, Sidecar};
use api::{Problem, Severity};
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

/// The ports that a proxy takes for its workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ports {
    /// By number.
    pub ports: Vec<InboundPort>,
    /// What a Sidecar lists in vain.
    pub problems: Vec<Problem>,
}

/// The ports that a proxy takes: those that the Sidecar lists, if it lists any, else those of `targets`.
pub fn inbound_ports(context: &Context<'_>, view: &OwnView, targets: &[Target]) -> Ports {
    let sidecar = context.scope.sidecar.as_ref().filter(|s| !s.spec.ingress.is_empty());
    let Some(sidecar) = sidecar else {
        // Nothing is redirected, and the proxy cannot bind where the workload listens.
        let none = view.shared.interception == Interception::None;
        let ports = if none { Vec::new() } else { of_targets(targets.iter()) };
        return Ports { ports, problems: Vec::new() };
    };
    let Ports { mut ports, problems } = of_ingress(context, view, targets, sidecar);
    if context.settings().features.merge_sidecar_ingress && view.shared.interception != Interception::None {
        let listed = |t: &&Target| !ports.iter().any(|p| p.number == t.number);
        let rest = of_targets(targets.iter().filter(listed));
        ports.extend(rest);
    }
    ports.sort_by_key(|p| p.number);
    Ports { ports, problems }
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

/// The listeners of a Sidecar; what is wrong with one leaves out no other.
fn of_ingress(
    context: &Context<'_>,
    view: &OwnView,
    targets: &[Target],
    sidecar: &Ref<Config<Sidecar>>,
) -> Ports {
    let host: Arc<str> = format!("{}.{}", sidecar.name(), view.shared.namespace).into();
    let mut found = Ports::default();
    for (index, listener) in sidecar.spec.ingress.iter().enumerate() {
        match Asked::of(context, view, listener, &found.ports) {
            Ok(asked) => {
                let service = targets.iter().find(|t| t.number == asked.number).map(|t| t.service.clone());
                let Asked { number, name, protocol, bind, bound } = asked;
                let ingress =
                    Ingress { sidecar: sidecar.clone(), index, host: Arc::clone(&host), bind, bound };
                found.ports.push(InboundPort {
                    number,
                    service_port: number,
                    name,
                    protocol,
                    services: service.into_iter().collect(),
                    ingress: Some(ingress),
                });
            }
            Err((message, hint)) => found.problems.push(Problem {
                severity: Severity::Error,
                object: sidecar.source.key.clone(),
                field: format!("spec.ingress[{index}].port"),
                message,
                hint: hint.to_owned(),
            }),
        }
    }
    found
}

/// What a Sidecar's ingress listener asks for, where it can be had.
struct Asked {
    number: u16,
    name: Arc<str>,
    protocol: Protocol,
    bind: Arc<str>,
    bound: bool,
}

impl Asked {
    /// Reads a listener; `before` are the ports of those before it. The error says why it is left out and what to do.
    fn of(
        context: &Context<'_>,
        view: &OwnView,
        listener: &IstioIngressListener,
        before: &[InboundPort],
    ) -> Result<Self, (String, &'static str)> {
        let left_out = |why: &str| format!("{why}; the ingress listener is left out");
        let Some(port) = &listener.port else {
            return Err((left_out("there is no port"), "name the port that the workload is reached at"));
        };
        let number = u16::try_from(port.number).ok().filter(|number| *number != 0).ok_or_else(|| {
            (left_out(&format!("{} is no port number", port.number)), "name a number from 1 to 65535")
        })?;
        if before.iter().any(|p| p.number == number) {
            let why = left_out(&format!("port {number} is taken by an ingress listener before it"));
            return Err((why, "list each port once"));
        }
        let declared = Protocol::of_declared(&port.protocol);
        let ends_tls = listener.tls.is_some() && context.settings().features.tls_on_sidecar_ingress;
        let protocol = if ends_tls { declared.inside_tls() } else { declared };
        let bound = match listener.capture_mode {
            CaptureMode::Default => view.shared.interception == Interception::None,
            CaptureMode::Iptables => false,
            CaptureMode::None => true,
        };
        let asked = (!listener.bind.is_empty()).then_some(&*listener.bind);
        if !may_bind(&view.shared, &context.settings().mesh, asked, bound, number, protocol) {
            let why = left_out(&format!("the proxy may not bind port {number}"));
            return Err((
                why,
                "name a port that is none of the proxy's own, and not below 1024 without the right to it",
            ));
        }
        let bind = asked.map_or_else(|| own_address(view), Arc::from);
        Ok(Self { number, name: Arc::from(&*port.name), protocol, bind, bound })
    }
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

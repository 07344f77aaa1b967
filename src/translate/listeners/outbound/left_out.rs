//! What a class cannot have outbound listeners for, told at the object that asks for them.

use api::istio::IstioEgressListener;
use api::{Problem, Severity};
use model::protocol::Protocol;

use super::bind::{Placing, Wildcard, allowed};
use crate::class::Layer;
use crate::context::Context;
use crate::scope::EgressListener;

/// The ports of egress listeners of a Sidecar, and of services, that no outbound listener can be opened for.
pub fn left_out(context: &Context<'_>) -> Vec<Problem> {
    if context.view.kind != model::ProxyKind::Sidecar {
        return Vec::new();
    }
    let scope = context.scope;
    let mut problems = Vec::new();
    for egress in &scope.egress {
        let declared = declared(context, egress);
        let placing = Placing::of(context.view, declared);
        match egress.index.zip(declared.and_then(|d| d.port.as_ref())) {
            Some((index, port)) => {
                let number = egress_port(port.number, placing.unix);
                let protocol = Protocol::of_declared(&port.protocol);
                let why = match number {
                    None => format!("{} is no port number", port.number),
                    Some(number) if !placing.allows(context, number, protocol) => {
                        format!("the proxy may not bind port {number}")
                    }
                    Some(_) => continue,
                };
                problems.extend(scope.sidecar.iter().map(|sidecar| Problem {
                    severity: Severity::Error,
                    object: sidecar.source.key.clone(),
                    field: format!("spec.egress[{index}].port"),
                    message: format!("{why}; the egress listener is left out"),
                    hint: "name a port from 1 to 65535 that is none of the proxy's own, and not below 1024 without \
                           the right to it"
                        .to_owned(),
                }));
            }
            // The layer below tells what all namespaces have in common.
            None if context.view.layer != Layer::Upper => problems.extend(own_ports(context, egress)),
            None => {}
        }
    }
    problems
}

/// What the Sidecar says of an egress listener; nothing for the built-in one.
pub(super) fn declared<'a>(
    context: &Context<'a>,
    egress: &EgressListener,
) -> Option<&'a IstioEgressListener> {
    context.scope.sidecar.as_ref()?.spec.egress.get(egress.index?)
}

/// The port of an egress listener; only a Unix socket has none.
pub(super) fn egress_port(number: u32, unix: bool) -> Option<u16> {
    u16::try_from(number).ok().filter(|number| *number != 0 || unix)
}

/// Ports of services that are the proxy's own: what sends there would come back for ever.
fn own_ports(context: &Context<'_>, egress: &EgressListener) -> Vec<Problem> {
    let mesh = &context.settings().mesh;
    let any = &*Wildcard::of(context.view.families).any;
    let mut problems = Vec::new();
    for scoped in &egress.services {
        for port in scoped.ports() {
            if port.protocol.is_http()
                && !allowed(context.view, mesh, Some(any), false, port.number, port.protocol)
            {
                let number = port.number;
                problems.push(Problem {
                    severity: Severity::Warning,
                    object: scoped.service.source.key.clone(),
                    field: "spec.ports".to_owned(),
                    message: format!(
                        "port {number} is one that sidecars listen on themselves; they open no outbound listener for it"
                    ),
                    hint: "give the service another port; its targetPort may stay".to_owned(),
                });
            }
        }
    }
    problems
}

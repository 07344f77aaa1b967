//! Inbound listeners of sidecars: `virtualInbound`, and those that a Sidecar binds to a port.
//!
//! A plan settles which ports there are ([`crate::workload`]) and what each takes ([`crate::authn`]); a key holds one
//! [`Group`] of filter chains for each, and building spells the chains out.
//!
//! Source: Istio `pilot/pkg/networking/core/listener_inbound.go`; `shared/spec/xds.md` 4.6.

mod chain;
mod common;
mod defaults;
mod inspect;
mod key;
mod matches;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::proxy::Interception;
use model::{ProxyKind, Ref};

pub use chain::{Group, Place};
pub use defaults::InboundDefaults;
pub use key::InboundKey;

use super::ListenerKey;
use super::outbound::{Wildcard, may_bind};
use crate::authn::{self, Effective};
use crate::class::OwnView;
use crate::context::Context;
use crate::key::Key;
use crate::workload::InboundPort;

/// The name of the listener that gets what iptables redirects.
pub const VIRTUAL_INBOUND: &str = "virtualInbound";

/// Plans the inbound listeners of a workload; `ports` are those that its proxy takes.
pub fn plan(context: &Context<'_>, view: &OwnView, ports: &[InboundPort]) -> Vec<(Arc<str>, Key)> {
    if view.shared.kind != ProxyKind::Sidecar {
        return Vec::new();
    }
    let defaults = Ref::new(InboundDefaults::of(context, view));
    let modes = authn::effective(context.mesh, &view.shared.namespace, &view.labels);
    let group = |port: &InboundPort| Group {
        place: Place::Port(Ref::new(port.clone())),
        mode: modes.of_port(port.number),
        sources: modes.sources.clone(),
    };
    let mut planned = Vec::new();
    let ports: Vec<_> = ports.iter().filter(|port| port.ingress.is_some() || taken(context, port)).collect();
    let mut redirected = passthrough(&ports, &modes);
    for port in ports {
        match port.ingress.as_ref().filter(|i| i.bound) {
            Some(ingress) => {
                let key = InboundKey::bound(&ingress.bind, port.number, group(port), &defaults);
                planned.push(entry(key));
            }
            None => redirected.push(group(port)),
        }
    }
    // Without redirection nothing would ever reach it.
    if view.shared.interception != Interception::None {
        planned.push(entry(InboundKey::virtual_inbound(context, view, redirected, &defaults)));
    }
    planned
}

/// Whether the proxy takes a port of a service: not where it listens itself.
fn taken(context: &Context<'_>, port: &InboundPort) -> bool {
    let any = &*Wildcard::of(context.view.families).any;
    may_bind(context.view, &context.settings().mesh, Some(any), false, port.number, port.protocol)
}

fn entry(key: InboundKey) -> (Arc<str>, Key) {
    (key.name().into(), Key::Listener(Ref::new(ListenerKey::Inbound(key))))
}

/// What becomes of ports that are not the workload's as far as the mesh knows: all of them as the workload's mode has
/// it, and those that a PeerAuthentication names as it says, where that differs.
fn passthrough(ports: &[&InboundPort], modes: &Effective) -> Vec<Group> {
    let known = |number: u16| ports.iter().any(|p| p.number == number);
    let group = |port, mode| Group { place: Place::Passthrough(port), mode, sources: modes.sources.clone() };
    let named: BTreeMap<_, _> =
        modes.ports.iter().filter(|(port, mode)| **mode != modes.mode && !known(**port)).collect();
    let named = named.into_iter().map(|(port, mode)| group(Some(*port), *mode));
    std::iter::once(group(None, modes.mode)).chain(named).collect()
}

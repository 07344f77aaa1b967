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

use std::sync::Arc;

use model::proxy::Interception;
use model::{ProxyKind, Ref};

pub use chain::{Group, Place};
pub use defaults::InboundDefaults;
pub use key::InboundKey;

use super::ListenerKey;
use super::outbound::{Wildcard, may_bind};
use crate::authn::{self, Effective, Mode};
use crate::class::OwnView;
use crate::context::Context;
use crate::key::Key;
use crate::tls::server::ServerTls;
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
        tls: ends_tls(context, view, port).filter(|_| modes.of_port(port.number) == Mode::Disable),
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

/// The TLS that a Sidecar ends at a port; only where the mesh's own is off, or both would be asked for on one port.
fn ends_tls(context: &Context<'_>, view: &OwnView, port: &InboundPort) -> Option<Box<ServerTls>> {
    let settings = context.settings();
    let ingress = port.ingress.as_ref().filter(|_| settings.features.tls_on_sidecar_ingress)?;
    let asked = ingress.sidecar.spec.ingress.get(ingress.index)?.tls.as_ref()?;
    Some(Box::new(ServerTls {
        settings: Box::new(asked.clone()),
        defaults: settings.mesh.tls_defaults.clone(),
        compliance: settings.features.compliance,
        tcp: false,
        workload: view.tls_server.clone(),
        secret_servers: view.shared.secret_servers,
        at: (ingress.sidecar.source.key.clone(), format!("spec.ingress[{}]", ingress.index)),
    }))
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
/// it, and those that a PeerAuthentication names as it says, in chains of their own even where that is the same: users'
/// EnvoyFilters name them.
fn passthrough(ports: &[&InboundPort], modes: &Effective) -> Vec<Group> {
    let known = |number: u16| ports.iter().any(|p| p.number == number);
    let group = |port, mode| Group {
        place: Place::Passthrough(port),
        mode,
        sources: modes.sources.clone(),
        tls: None,
    };
    let named = modes.ports.iter().filter(|(port, _)| !known(**port));
    let named = named.map(|(port, mode)| group(Some(*port), *mode));
    std::iter::once(group(None, modes.mode)).chain(named).collect()
}

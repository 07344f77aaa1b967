//! Outbound listeners of sidecars: by port, by service address, the HTTP proxy and the catch-all.
//!
//! Plans walk the egress listeners of the scope and collect what each service wants of a bind and port
//! ([`collect`]); where several want the same, [`entry`] settles it. Keys hold the chains that came out of it.
//!
//! Source: Istio `pilot/pkg/networking/core/listener.go`, `listener_address.go`; `shared/spec/xds.md` 4.1-4.4.

mod bind;
mod chain;
mod claims;
mod collect;
mod defaults;
mod entry;
mod hidden;
mod key;
mod left_out;
mod routes;
mod unknown;
mod virtual_outbound;

use std::sync::Arc;

use model::Ref;
use model::proxy::Interception;

pub use bind::Wildcard;
pub(crate) use bind::allowed as may_bind;
pub use chain::{Chain, Destination, HttpChain, Origin, TcpChain};
pub use defaults::OutboundDefaults;
pub use hidden::hidden;
pub use key::OutboundKey;
pub(super) use key::{accepts, http_inspector, tls_inspector};
pub use left_out::left_out;
pub use unknown::Unknown;
pub use virtual_outbound::VirtualOutboundKey;

use super::ListenerKey;
use crate::context::Context;
use crate::key::Key;

/// The name of the listener that gets what iptables redirects.
pub const VIRTUAL_OUTBOUND: &str = "virtualOutbound";

/// Plans the outbound listeners of a class.
pub fn plan(context: &Context<'_>) -> Vec<(Arc<str>, Key)> {
    if context.view.kind != model::ProxyKind::Sidecar {
        return Vec::new();
    }
    let defaults = Ref::new(OutboundDefaults::of(context));
    let unknown = Unknown::of(context);
    let collected = collect::all(context, &defaults, &unknown);
    let proxy = key::http_proxy(context, &defaults);
    let mut planned: Vec<(Arc<str>, Key)> = Vec::with_capacity(collected.len().saturating_add(2));
    for key in collected.into_iter().chain(proxy) {
        let name: Arc<str> = key.name().into();
        planned.push((name, Key::Listener(Ref::new(ListenerKey::Outbound(key)))));
    }
    // Without redirection nothing would ever reach it.
    if context.view.interception != Interception::None {
        let key = VirtualOutboundKey::of(context, &defaults, unknown);
        planned.push((VIRTUAL_OUTBOUND.into(), Key::Listener(Ref::new(ListenerKey::VirtualOutbound(key)))));
    }
    planned
}

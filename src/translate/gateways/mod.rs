//! Gateways: which servers a router opens, put together from all Gateway resources that apply to it, and the
//! VirtualServices bound to them.
//!
//! Source: Istio `pilot/pkg/model/gateway.go`, `pilot/pkg/networking/core/gateway.go`; `shared/spec/xds.md` 4.8, 5.4.

mod bound;
pub(crate) mod hosts;
pub(crate) mod merge;
mod misdirected;
mod ports;
mod quic;
pub(crate) mod references;
pub(crate) mod routes;
pub(crate) mod rules;
mod select;
pub(crate) mod server;
mod virtual_host;

pub use virtual_host::{Answer, GatewayHost};

use crate::class::OwnView;
use crate::context::Context;
use crate::listeners::outbound::Wildcard;
use crate::workload;
use merge::Merged;

/// The servers of a router, those that clash with older ones left out.
pub(crate) fn merged<'a>(context: &Context<'a>, view: &OwnView) -> Merged<'a> {
    let targets = workload::targets(context.mesh, view);
    let any = &Wildcard::of(view.shared.families).any;
    merge::merge(&select::select(context, view, &targets), any, context.settings().features.quic_listeners)
}

//! Listeners of gateways: one for each port and address that their servers open.
//!
//! Source: Istio `pilot/pkg/networking/core/gateway.go`; `shared/spec/xds.md` 4.8.

mod chain;
mod forward;
mod key;
mod pins;
mod plan;
mod taken;
mod tls;

use std::sync::Arc;

pub use chain::{Content, GatewayChain};
pub use key::GatewayKey;
pub use tls::ServerTls;

use crate::class::OwnView;
use crate::context::Context;
use crate::gateways::{self, rules::Bindings};
use crate::key::Key;

/// Planned resources: name and key.
type Planned = Vec<(Arc<str>, Key)>;

/// Plans the listeners and the route configurations of a router.
pub fn plan(context: &Context<'_>, view: &OwnView) -> (Planned, Planned) {
    let merged = gateways::merged(context, view);
    let bindings = Bindings::of(context);
    (plan::listeners(&bindings, view, &merged), gateways::routes::plan(&bindings, &merged))
}

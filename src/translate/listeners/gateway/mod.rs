//! Listeners of gateways: one for each port and address that their servers open.
//!
//! Source: Istio `pilot/pkg/networking/core/gateway.go`; `shared/spec/xds.md` 4.8.

mod chain;
mod forward;
mod key;
mod plan;
mod taken;

use std::sync::Arc;

use api::Problem;

pub use chain::{Content, GatewayChain};
pub use key::GatewayKey;

use crate::class::OwnView;
use crate::context::Context;
use crate::gateways::{self, rules::Bindings};
use crate::key::Key;

/// Planned resources: name and key.
type Planned = Vec<(Arc<str>, Key)>;

/// What a router has for itself.
#[derive(Debug, Default)]
pub struct RouterPlan {
    /// Its listeners.
    pub listeners: Planned,
    /// The route configurations that they ask for.
    pub routes: Planned,
    /// What is left out.
    pub problems: Vec<Problem>,
}

/// Plans the listeners and the route configurations of a router.
pub fn plan(context: &Context<'_>, view: &OwnView) -> RouterPlan {
    let merged = gateways::merged(context, view);
    let bindings = Bindings::of(context);
    let (listeners, problems) = plan::listeners(&bindings, view, &merged);
    RouterPlan { listeners, routes: gateways::routes::plan(&bindings, &merged), problems }
}

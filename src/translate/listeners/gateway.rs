//! Listeners and routes of gateways.

use std::sync::Arc;

use crate::class::OwnView;
use crate::context::Context;
use crate::key::Key;

/// Planned resources: name and key.
type Planned = Vec<(Arc<str>, Key)>;

/// Plans the listeners and the route configurations of a router.
pub fn plan(_context: &Context<'_>, _view: &OwnView) -> (Planned, Planned) {
    (Vec::new(), Vec::new())
}

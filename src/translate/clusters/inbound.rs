//! Inbound clusters: one for each port that the workload serves.

use std::sync::Arc;

use crate::class::OwnView;
use crate::context::Context;
use crate::key::Key;

/// Plans the inbound clusters of a workload.
pub fn plan(_context: &Context<'_>, _view: &OwnView) -> Vec<(Arc<str>, Key)> {
    Vec::new()
}

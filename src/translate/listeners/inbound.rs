//! Inbound listeners of sidecars: `virtualInbound` and those that bind.

use std::sync::Arc;

use crate::class::OwnView;
use crate::context::Context;
use crate::key::Key;

/// Plans the inbound listeners of a workload.
pub fn plan(_context: &Context<'_>, _view: &OwnView) -> Vec<(Arc<str>, Key)> {
    Vec::new()
}

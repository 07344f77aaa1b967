//! Outbound listeners of sidecars: by port, by service address, and the catch-all.

use std::sync::Arc;

use crate::class::OwnView;
use crate::context::Context;
use crate::key::Key;

/// Plans the outbound listeners of a class.
pub fn plan(_context: &Context<'_>) -> Vec<(Arc<str>, Key)> {
    Vec::new()
}

/// The shared listeners that this workload must not have: those of its own address as a headless pod.
pub fn hidden(_context: &Context<'_>, _view: &OwnView) -> Vec<Arc<str>> {
    Vec::new()
}

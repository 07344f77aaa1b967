//! Outbound clusters: one for each port of each service in scope, and their subsets.

use std::sync::Arc;

use crate::context::Context;
use crate::key::Key;

/// Plans the outbound clusters of a class.
pub fn plan(_context: &Context<'_>) -> Vec<(Arc<str>, Key)> {
    Vec::new()
}

//! What became of objects, for logs, pages, metrics and statuses.

pub(crate) mod analysis;
pub(crate) mod counts;
pub(crate) mod outcomes;
pub(crate) mod peers;
pub(crate) mod reports;
pub(crate) mod secret_expiry;

//! Who signs certificates, and what is trusted.

pub(crate) mod anchors;
pub(crate) mod certificates;
pub(crate) mod external;
pub(crate) mod root;
pub(crate) mod trust;

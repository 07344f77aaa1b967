//! What of a proxy the mesh's configuration looks at: everything else of it must not split what is shared.

use std::collections::BTreeSet;

/// The union of what all objects of the mesh look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Keys of labels that some selector, source match or locality rule names.
    pub label_keys: BTreeSet<String>,
    /// Whether any load balancing looks at the client's locality.
    pub locality: bool,
}

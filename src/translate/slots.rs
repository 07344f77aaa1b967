//! Values that differ from workload to workload deep inside messages that are otherwise shared: they are written as
//! placeholders and filled in when the message is sent.
//!
//! The texts of the placeholders are those of `xds::slot`; a test of the binary holds the two together.

use model::{Mesh, Proxy};

/// Canonical service of the workload.
pub const CANONICAL_SERVICE: u16 = 0;
/// Canonical revision of the workload.
pub const CANONICAL_REVISION: u16 = 1;
/// The mesh that the workload says it is of.
pub const MESH_ID: u16 = 2;
/// Cluster of the workload.
pub const CLUSTER_ID: u16 = 3;
/// Namespace of the workload.
pub const NAMESPACE: u16 = 4;

/// The text that stands for slot `index`.
pub fn placeholder(index: u16) -> String {
    format!("\u{1f}pilothouse-slot-{index:03}\u{1f}")
}

/// A proxy's values, by slot.
pub fn values(mesh: &Mesh, proxy: &Proxy) -> Vec<String> {
    let labels = crate::topology::own_labels(mesh, proxy);
    // Unlike endpoints, spans are told by these labels alone, which the injector sets.
    let label = |key: &str, absent: &str| or(labels.get(key).map_or("", String::as_str), absent);
    vec![
        label("service.istio.io/canonical-name", "unknown"),
        label("service.istio.io/canonical-revision", "latest"),
        or(&proxy.metadata.mesh_id, "unknown"),
        or(&proxy.metadata.cluster_id, "unknown"),
        or(&proxy.namespace, "default"),
    ]
}

/// The text, or what stands for an empty one.
fn or(text: &str, empty: &str) -> String {
    if text.is_empty() { empty } else { text }.to_owned()
}

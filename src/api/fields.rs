//! Which fields a document may have: the schemas of all that is read, for whoever holds what is done against what may be said.

use serde_json::Value;

use crate::kind::Kind;
use crate::mesh_config::{MeshConfig, MeshNetworks};
use crate::schema::structural;
use crate::{crd, kubernetes};

/// The schema of a kind's `spec`; of Kubernetes' own kinds only what is read of them. `None` for kinds without a schema
/// here.
pub fn of(kind: Kind) -> Option<Value> {
    match kind {
        Kind::Service => Some(structural::<kubernetes::Service>()),
        Kind::Ingress => Some(structural::<kubernetes::Ingress>()),
        kind => crd::spec(kind),
    }
}

/// The schema of the mesh's configuration.
pub fn mesh_config() -> Value {
    structural::<MeshConfig>()
}

/// The schema of the mesh's networks.
pub fn mesh_networks() -> Value {
    structural::<MeshNetworks>()
}

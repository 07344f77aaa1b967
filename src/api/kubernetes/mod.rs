//! Kubernetes' kinds, trimmed to the fields that a control plane reads.
//!
//! For kinds with a `spec` the structs are the `spec`, with the document's `status` as the field `status`; for the others
//! they are the fields beside the metadata.

mod endpoint_slice;
mod ingress;
mod pod;
mod service;
mod stores;

pub use endpoint_slice::*;
pub use ingress::*;
pub use pod::*;
pub use service::*;
pub use stores::*;

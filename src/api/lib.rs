//! The wire types and the proto-JSON door: Envoy's, Istio's, Kubernetes' and the Gateway API's.

pub use envoy;

mod condition;
pub mod content;
pub mod crd;
pub mod decode;
pub mod fields;
pub mod gateway_api;
pub mod istio;
pub mod json;
pub mod kind;
pub mod kubernetes;
pub mod mesh_config;
pub mod object;
pub mod scalar;
mod schema;

pub use condition::Condition;
pub use content::ContentHash;
pub use decode::{AnyObject, Decoded, FieldWarning, decode, items};
pub use kind::Kind;
pub use object::{Meta, Object, ObjectKey, ObjectRef, Owner, Problem, Severity};
pub use scalar::{Base64, Duration, F64, Json, SecretBytes, SecretText};

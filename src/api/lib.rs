//! The wire types and the proto-JSON door: Envoy's, Istio's, Kubernetes' and the Gateway API's.

pub use envoy;

pub mod json;

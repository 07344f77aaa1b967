//! Whether an object may be taken, asked by the API server over the validating webhook.
//!
//! Source: `shared/spec/kubernetes.md` 6; Kubernetes' `admission.k8s.io/v1`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>).

mod http;
mod judge;
mod metrics;
mod text;
mod wire;

pub use http::{Admission, ready};
pub use judge::{Warn, review};
pub use metrics::Metrics;
pub use wire::{AdmissionRequest, AdmissionResponse, GroupVersionResource, Reason, Verdict};

#[cfg(test)]
mod tests;

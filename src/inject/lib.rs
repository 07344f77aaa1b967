//! Pod in, patch out; admission of configuration: what the API server asks before it takes an object.
//!
//! ```text
//! admission   may this object of Istio's kinds be taken, and what should its owner know?
//!   http      the rim: content types, sizes, `/validate`
//!   wire      the documents that go to and fro: AdmissionReview
//!   judge     the answer to one request, a pure function
//!   text      the answer as `kubectl` shows it
//!   metrics   what is counted
//! ```
//!
//! Injection is not built yet.

pub mod admission;

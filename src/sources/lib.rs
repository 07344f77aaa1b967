//! The outside world as events: a folder of YAML, a Kubernetes API server, the addresses of host names, the keys of
//! those who issue tokens, the roots of other trust domains.

pub mod due;
pub mod event;
pub mod feed;
pub mod files;
pub mod jwks;
pub mod kube;
pub mod report;
pub mod resolve;
pub mod spiffe;
pub mod tls;

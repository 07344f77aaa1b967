//! TLS: where secrets come from, and the contexts of connections to endpoints.
//!
//! Source: Istio `pilot/pkg/security/model/authentication.go`, `pilot/pkg/networking/core/cluster_tls.go`;
//! `shared/spec/xds.md` 2.7.

pub(crate) mod announced;
pub(crate) mod compliance;
pub mod downstream;
mod pins;
pub mod sds;
pub mod server;
pub mod upstream;

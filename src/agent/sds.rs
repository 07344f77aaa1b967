//! The SDS server for one workload identity: certificate, trust anchors and file secrets on a Unix socket.
//!
//! [`store::Store`] holds what is served now; [`workload`], which asks the [`issuer`], and [`files`] fill it; [`sotw`] and [`delta`] are the
//! pure state of one stream each; [`service`] joins them to gRPC (spec security.md 4.1, 5.1; stock-envoy.md 3.7).

mod agent;
mod delta;
mod files;
mod issuer;
mod service;
mod sotw;
mod store;
mod workload;

pub use agent::{Agent, AgentError, Config};
pub use issuer::Issuer;
pub use workload::Grace;

/// The only type that is served.
const SECRET_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

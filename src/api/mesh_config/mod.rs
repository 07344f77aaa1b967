//! The mesh's own configuration: `MeshConfig`, the proxies' `ProxyConfig`, and `MeshNetworks`, with their defaults.
//!
//! Fields are those of `istio.mesh.v1alpha1` (specification: kubernetes 1.11, 1.12 and 4.4).

mod access_log_providers;
mod connection_settings;
mod extension_provider;
mod merge;
mod mesh;
mod networks;
mod policies;
mod proxy;
mod proxy_headers;
mod proxy_tracing;
mod tracing_providers;

pub use access_log_providers::*;
pub use connection_settings::*;
pub use extension_provider::*;
pub use merge::MeshConfigError;
pub use mesh::*;
pub use networks::*;
pub use policies::*;
pub use proxy::*;
pub use proxy_headers::*;
pub use proxy_tracing::*;
pub use tracing_providers::*;

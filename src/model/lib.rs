//! What the mesh is: services, endpoints, workloads, typed configuration, the immutable Mesh, and what of a proxy matters.
//!
//! Nothing here does I/O, reads a clock or an environment variable.

pub mod analyze;
pub mod canonical;
pub mod cel;
pub mod config;
pub mod content;
pub mod credential;
pub mod endpoint;
pub mod hostname;
pub mod ingress;
pub mod mesh;
pub mod protocol;
pub mod proxy;
pub mod re2;
pub mod selector;
pub mod service;
pub mod validate;
pub mod visibility;

pub use config::{Config, Labels};
pub use content::{ContentHash, Ref, content_hash};
pub use mesh::{Changes, Mesh, ServiceKey};
pub use proxy::{Proxy, ProxyKind};

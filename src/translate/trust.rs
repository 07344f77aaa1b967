//! What peers trust, for agents that ask for it (PCDS).
//!
//! Source: Istio `pilot/pkg/xds/pcds.go`; `shared/spec/security.md` 1.6.

use std::sync::Arc;

use envoy::istio::mesh::v1alpha1::ProxyConfig;
use model::{Mesh, Ref};

use crate::key::{Entries, Key};
use crate::output::Built;

/// The name of the one resource that there is.
pub const NAME: &str = "";

/// All that it is built from: certificates in PEM, one each.
pub type TrustKey = Vec<Arc<str>>;

/// Plans it; nothing where proxies are not told what is trusted.
pub fn plan(mesh: &Mesh) -> Entries {
    let planned = || (Arc::from(NAME), Key::Trust(Ref::clone(&mesh.trusted)));
    (!mesh.trusted.is_empty()).then(planned).into_iter().collect()
}

/// Builds it.
pub fn build(key: &TrustKey) -> Built<ProxyConfig> {
    let ca_certificates_pem = key.iter().map(ToString::to_string).collect();
    Built::new(ProxyConfig { ca_certificates_pem }, Vec::new())
}

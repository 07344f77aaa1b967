//! Looks at what objects make together whenever something of it may have changed, beside the threads that serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{ObjectKey, Problem};
use model::{Mesh, analyze};

/// What was looked at last.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    last: Option<Arc<Mesh>>,
}

impl Analysis {
    /// What the objects of a mesh make together; none if that is what it was.
    pub(crate) async fn look(&mut self, mesh: Arc<Mesh>) -> Option<BTreeMap<ObjectKey, Vec<Problem>>> {
        if self.last.as_ref().is_some_and(|last| is_same(last, &mesh)) {
            return None;
        }
        self.last = Some(Arc::clone(&mesh));
        tokio::task::spawn_blocking(move || analyze::all(&mesh)).await.ok()
    }
}

/// Whether nothing differs that the analysis looks at.
fn is_same(a: &Mesh, b: &Mesh) -> bool {
    a.settings == b.settings
        && Arc::ptr_eq(&a.services, &b.services)
        && Arc::ptr_eq(&a.virtual_services, &b.virtual_services)
        && Arc::ptr_eq(&a.destination_rules, &b.destination_rules)
        && Arc::ptr_eq(&a.gateways, &b.gateways)
        && Arc::ptr_eq(&a.sidecars, &b.sidecars)
        && Arc::ptr_eq(&a.peer_authentications, &b.peer_authentications)
        && Arc::ptr_eq(&a.request_authentications, &b.request_authentications)
        && Arc::ptr_eq(&a.authorization_policies, &b.authorization_policies)
        && Arc::ptr_eq(&a.reference_grants, &b.reference_grants)
        && a.credentials.holds_the_same(&b.credentials)
        && (Arc::ptr_eq(&a.workloads, &b.workloads)
            || a.settings.features.selector_gateway_policy && analyze::places(a) == analyze::places(b))
}

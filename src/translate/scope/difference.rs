//! What differs between two scopes of one class, by what is planned from it.

use model::Ref;
use model::mesh::VirtualServiceEntry;

use super::{EgressListener, Scope};

/// What must be planned again when one scope takes the place of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Clusters: the services or the Sidecar differ.
    pub clusters: bool,
    /// Assignments: the services differ.
    pub endpoints: bool,
    /// Listeners: services, the Sidecar, what listeners import, or rules for TCP and TLS differ.
    pub listeners: bool,
    /// The table of names: the services that listeners import differ.
    pub names: bool,
    /// Route configurations: anything differs.
    pub routes: bool,
}

impl Scope {
    /// What must be planned again when this scope takes the place of `old`. Most changes are of rules for HTTP, which
    /// routes alone look at.
    pub fn difference(&self, old: &Self) -> Difference {
        let endpoints = self.services != old.services;
        let clusters = endpoints || self.sidecar != old.sidecar;
        let imported = |scope: &Self| scope.egress.iter().map(|e| e.index).collect::<Vec<_>>();
        let services = |scope: &Self| scope.egress.iter().map(|e| e.services.clone()).collect::<Vec<_>>();
        let names = services(self) != services(old);
        let listeners = clusters
            || names
            || imported(self) != imported(old)
            || (self.egress.iter().zip(&old.egress))
                .any(|(new, old)| !for_connections(new).eq(for_connections(old)));
        let routes = listeners || self.egress != old.egress;
        Difference { clusters, endpoints, listeners, names, routes }
    }
}

/// The rules that listeners look at.
fn for_connections(listener: &EgressListener) -> impl Iterator<Item = &Ref<VirtualServiceEntry>> {
    listener.virtual_services.iter().filter(|v| v.for_connections())
}

//! Load assignments: where the endpoints of a cluster are (EDS).
//!
//! Source: Istio `pilot/pkg/xds/endpoints/`; `shared/spec/xds.md` 3.

mod build;
pub(crate) mod group;
mod local;
pub(crate) mod mtls;
mod networks;
mod own;
mod plan;
pub(crate) mod preference;
mod priority;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Ref;
use model::endpoint::{Endpoint, Locality};
use model::mesh::{MergedRule, Settings};
use model::service::Service;
use model::{ContentHash, Labels};

use crate::clusters::policy::Policy;

pub use build::build;
pub use networks::NetworkView;
pub use own::{concerns_own, plan_own};
pub use plan::{Planner, plan, plan_service};

/// The cluster of the bootstrap by which a proxy knows the zones of its own workload (zone-aware load balancing).
pub const LOCAL_CLUSTER: &str = "local_cluster";

/// What the assignment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// It is sent on its own.
    Eds,
    /// It is part of a cluster that resolves names.
    Inline,
    /// It is sent on its own, for a cluster behind an AUTO_PASSTHROUGH server.
    SniDnat,
    /// It is part of such a cluster.
    InlineSniDnat,
    /// It is that of the client's own workload ([`LOCAL_CLUSTER`]).
    Local,
}

impl Form {
    /// Whether it is part of a cluster.
    pub(crate) fn is_inline(self) -> bool {
        matches!(self, Self::Inline | Self::InlineSniDnat)
    }

    /// Whether its cluster passes the client's TLS on.
    pub(crate) fn is_sni_dnat(self) -> bool {
        matches!(self, Self::SniDnat | Self::InlineSniDnat)
    }
}

/// Where the client is, as far as the preference of the service looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its locality; empty if it does not count.
    pub locality: Locality,
    /// Its labels that count.
    pub labels: Labels,
}

/// All that a load assignment is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointsKey {
    /// The service.
    pub service: Ref<Service>,
    /// The number of its port.
    pub port: u16,
    /// The subset; empty for the whole service.
    pub subset: Arc<str>,
    /// The rule that applies to the client.
    pub rule: Option<Ref<MergedRule>>,
    /// The endpoints of all ports.
    pub endpoints: Ref<Vec<Endpoint>>,
    /// Settings of the mesh.
    pub settings: Ref<Settings>,
    /// What it is for.
    pub form: Form,
    /// Positions of endpoints that take plain text only, by their PeerAuthentication.
    pub plain: Option<Ref<BTreeSet<usize>>>,
    /// Only endpoints of this node.
    pub node: Option<Arc<str>>,
    /// Only endpoints of this cluster.
    pub cluster: Option<Arc<str>>,
    /// How the client reaches other networks, where there are several.
    pub networks: Option<Ref<NetworkView>>,
    /// Where the client is, where that counts.
    pub place: Option<Ref<Place>>,
}

impl EndpointsKey {
    /// Whether no endpoint is left for this port and subset.
    pub(crate) fn is_empty(&self) -> bool {
        build::selected(self).next().is_none()
    }

    /// The policy in force. The mesh's defaults do not count for what is sent on its own, as in the reference.
    pub(crate) fn policy(&self) -> Policy<'_> {
        let rule = self.rule.as_ref().map(|r| &r.rule.spec);
        if self.form.is_inline() {
            Policy::of(rule, self.port, &self.subset, &self.settings.mesh)
        } else {
            Policy::of_rule(rule, self.port, &self.subset)
        }
    }

    /// The key, shared.
    pub(crate) fn shared(self) -> Ref<Self> {
        Ref::new(self)
    }

    /// Identity of what is built.
    pub fn content_hash(&self) -> ContentHash {
        model::content_hash(self)
    }
}

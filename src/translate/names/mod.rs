//! The table of names from which the agent beside a proxy answers DNS queries (NDS).
//!
//! The table is put together of parts, one for each namespace, so that tables which differ in one service share the
//! rest. Which services are in it is what the egress listeners import; routers get a table without entries.
//!
//! Source: Istio `pkg/dns/server/name_table.go`; `shared/spec/xds.md` 8.2.

mod build;
mod plan;

use std::sync::Arc;

use api::ObjectRef;
use model::Ref;
use model::endpoint::Endpoint;
use model::proxy::Reach;
use model::service::Service;

pub use build::build;
pub use plan::plan;

/// The name of the one resource that there is.
pub const NAME: &str = "";

/// All that a table is built from: the keys of its parts, in order. Of entries of one name the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameTableKey {
    /// The parts.
    pub parts: Vec<Ref<NamesKey>>,
}

/// All that a part of a table is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamesKey {
    /// What the entries stand for.
    pub of: Of,
    /// The namespace of the services, or of the first of those of one host.
    pub namespace: Arc<str>,
    /// The services, as listeners import them.
    pub services: Vec<NamedService>,
    /// Who asks, reduced to what the services look at.
    pub client: Client,
}

/// What the entries of a part stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Of {
    /// Services, by their hosts.
    Services,
    /// Single workloads behind headless services, by host name and subdomain.
    Workloads,
}

impl NamesKey {
    /// The objects that the services come from.
    pub fn sources(&self) -> Vec<ObjectRef> {
        self.services.iter().map(|named| named.service.source.clone()).collect()
    }

    /// A name that stays the same while the services change.
    pub fn name(&self) -> Arc<str> {
        match self.of {
            Of::Services => Arc::clone(&self.namespace),
            Of::Workloads => format!("{}/workloads", self.namespace).into(),
        }
    }
}

/// A service, and its endpoints if its name may stand for these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedService {
    /// The service.
    pub service: Ref<Service>,
    /// The endpoints of all ports; none for a service that is known by addresses of its own.
    pub endpoints: Option<Ref<Vec<Endpoint>>>,
}

/// What of a client decides which addresses a name has for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Which addresses of a service it uses.
    pub reach: Reach,
    /// Whether it takes addresses that were allotted automatically.
    pub dns_capture: bool,
    /// Its cluster; empty if it does not count.
    pub cluster: Arc<str>,
    /// Its network; empty if it does not count.
    pub network: Arc<str>,
    /// Whether names of headless services stand for endpoints of other clusters too.
    pub across_clusters: bool,
}

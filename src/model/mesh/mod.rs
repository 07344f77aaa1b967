//! The immutable mesh: one snapshot of everything that decides what a proxy gets.
//!
//! No locks, lazy fields, clients or clocks inside. A section that a change does not touch stays the same
//! allocation from one snapshot to the next, so that "unchanged" is one pointer comparison.

mod contested;
mod credentials;
mod destination_rules;
mod endpoints;
mod interest;
pub mod jwks;
mod lists;
mod networks;
mod policies;
mod reference_grants;
mod services;
mod settings;
mod virtual_services;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use credentials::{Access, Account, CA_SUFFIX, Credentials, SecretsOf, Seen};
pub use destination_rules::{Client, DestinationRules, MergedRule, RulesByHost, RulesOfHost};
pub use endpoints::Endpoints;
pub use interest::Interest;
pub use jwks::{Jwks, JwksMode, JwksSource, KeysFrom, WantedKeys};
pub use networks::{NetworkGateway, NetworkGateways};
pub use policies::{AuthorizationPolicies, Gateways, PeerAuthentications, RequestAuthentications, Sidecars};
pub use reference_grants::ReferenceGrants;
pub use services::Services;
pub use settings::{Compliance, Features, Settings};
pub use virtual_services::{
    Entry as VirtualServiceEntry, MESH, Origin as RuleOrigin, Place as RulePlace, VirtualServices,
};
pub use workloads::{ContainerPort, Pod, Workloads};

use crate::content::Ref;
use crate::service::{Registry, Service};

/// Host and namespace: what names a service.
pub type ServiceKey = (Arc<str>, Arc<str>);

/// One snapshot of the mesh.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// Mesh configuration, networks, flags.
    pub settings: Ref<Settings>,
    /// Gateways of networks.
    pub network_gateways: Ref<NetworkGateways>,
    /// Services of all registries.
    pub services: Arc<Services>,
    /// Their endpoints.
    pub endpoints: Arc<Endpoints>,
    /// Pods and workload entries of the home cluster.
    pub workloads: Arc<Workloads>,
    /// Those of other clusters that have any, by cluster.
    pub remotes: Arc<BTreeMap<Arc<str>, Arc<Workloads>>>,
    /// VirtualServices, delegates resolved.
    pub virtual_services: Arc<VirtualServices>,
    /// DestinationRules, merged and indexed by visibility.
    pub destination_rules: Arc<DestinationRules>,
    /// Sidecar resources.
    pub sidecars: Arc<Sidecars>,
    /// Gateway resources.
    pub gateways: Arc<Gateways>,
    /// PeerAuthentications.
    pub peer_authentications: Arc<PeerAuthentications>,
    /// RequestAuthentications.
    pub request_authentications: Arc<RequestAuthentications>,
    /// Keys that were fetched for them.
    pub jwks: Arc<Jwks>,
    /// AuthorizationPolicies.
    pub authorization_policies: Arc<AuthorizationPolicies>,
    /// Which Secrets gateways may have beside those of their own namespaces.
    pub reference_grants: Arc<ReferenceGrants>,
    /// Secrets and ConfigMaps that proxies are sent.
    pub credentials: Arc<Credentials>,
    /// What peers trust, certificates in PEM, one each; none where proxies are not told.
    pub trusted: Ref<Vec<Arc<str>>>,
    /// What of a proxy any of the above looks at.
    pub interest: Ref<Interest>,
}

impl Mesh {
    /// Pods and workload entries of a cluster; a proxy that names none is of the home cluster.
    pub fn workloads_in(&self, cluster: &str) -> Option<&Arc<Workloads>> {
        if self.is_home(cluster) { Some(&self.workloads) } else { self.remotes.get(cluster) }
    }

    /// The pod of this name in a cluster.
    pub fn pod(&self, cluster: &str, namespace: &str, name: &str) -> Option<&Ref<Pod>> {
        self.workloads_in(cluster)?.pod(namespace, name)
    }

    /// A service as a cluster has it; none if it is not of that cluster.
    pub fn service_in<'a>(&self, cluster: &str, service: &'a Ref<Service>) -> Option<&'a Ref<Service>> {
        if self.is_home(cluster) {
            return (!service.remote_only).then_some(service);
        }
        match service.registry {
            Registry::Kubernetes => service.remote(cluster),
            Registry::External => Some(service),
        }
    }

    /// Whether a proxy that names this cluster is of the home cluster.
    pub fn is_home(&self, cluster: &str) -> bool {
        cluster.is_empty() || *cluster == *self.settings.cluster
    }
}

/// What differs between two successive meshes, beyond what pointer comparison of their sections tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Services whose endpoints changed.
    pub endpoints: BTreeSet<ServiceKey>,
    /// Services whose endpoints' identities, or whether all of them take mTLS, changed: their clusters differ.
    pub identities: BTreeSet<ServiceKey>,
    /// Pods that changed in any cluster, by namespace and name; workload entries count with their namespace and no name.
    pub workloads: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Whether Secrets or ConfigMaps that proxies are sent changed.
    pub credentials: bool,
    /// Service accounts that may have other secrets than before.
    pub accounts: BTreeSet<Account>,
    /// Whether any section but endpoints, workloads and credentials changed.
    pub configuration: bool,
    /// Whether what classes of proxies are made of changed: settings, Sidecars, or which labels and localities count.
    pub classes: bool,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
            && self.workloads.is_empty()
            && self.accounts.is_empty()
            && !self.credentials
            && !self.configuration
    }

    /// Adds what `later` changed on top.
    pub fn merge(&mut self, later: Self) {
        self.endpoints.extend(later.endpoints);
        self.identities.extend(later.identities);
        self.workloads.extend(later.workloads);
        self.credentials |= later.credentials;
        self.accounts.extend(later.accounts);
        self.configuration |= later.configuration;
        self.classes |= later.classes;
    }
}

//! Everything that is known, by kind: the one mutable state behind the immutable meshes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use api::decode::AnyObject;
use api::gateway_api::ReferenceGrant;
use api::istio::{
    AuthorizationPolicy, DestinationRule, Gateway, PeerAuthentication, RequestAuthentication, ServiceEntry,
    Sidecar, VirtualService,
};
use api::kubernetes::{ConfigMap, Ingress, IngressClass};
use api::{Object, ObjectKey, ObjectRef, Problem};
use model::config::Config;
use model::credential::{Roots, roots_of_config_map};
use model::mesh::{Access, Account, Jwks, Settings};
use model::service::Service as MeshService;
use model::{Mesh, Ref};

use crate::dirty::Dirty;
use crate::interest::Interests;
use crate::next::Pending;
use crate::registry::Registry;
use crate::services::Aliases;
use crate::settings::Options;
use crate::{destination_rules, ingress, virtual_services};

/// Namespace and name.
pub(crate) type Id = (Arc<str>, Arc<str>);

/// Objects of one kind.
pub(crate) type Table<S> = BTreeMap<Id, Arc<Object<S>>>;

/// All objects that are known, and what is derived from each alone.
#[derive(Debug)]
pub struct Tables {
    pub(crate) options: Options,
    /// What the home cluster says of its services and workloads.
    pub(crate) home: Registry,
    /// The same of the other clusters, by their names.
    pub(crate) remotes: BTreeMap<Arc<str>, Registry>,
    /// Those of the mesh's configuration.
    pub(crate) config_maps: Table<ConfigMap>,
    /// Roots of trust in ConfigMaps.
    pub(crate) roots: BTreeMap<Id, Ref<Roots>>,
    /// Service accounts whose proxies ask for secrets, and whether they may have private keys.
    pub(crate) accounts: BTreeMap<Account, Access>,
    pub(crate) ingresses: Table<Ingress>,
    pub(crate) ingress_classes: Table<IngressClass>,
    pub(crate) service_entries: BTreeMap<Id, Ref<Config<ServiceEntry>>>,
    pub(crate) virtual_services: BTreeMap<Id, Ref<Config<VirtualService>>>,
    pub(crate) destination_rules: BTreeMap<Id, Ref<Config<DestinationRule>>>,
    pub(crate) gateways: BTreeMap<Id, Ref<Config<Gateway>>>,
    pub(crate) sidecars: BTreeMap<Id, Ref<Config<Sidecar>>>,
    pub(crate) peer_authentications: BTreeMap<Id, Ref<Config<PeerAuthentication>>>,
    pub(crate) request_authentications: BTreeMap<Id, Ref<Config<RequestAuthentication>>>,
    pub(crate) authorization_policies: BTreeMap<Id, Ref<Config<AuthorizationPolicy>>>,
    pub(crate) reference_grants: BTreeMap<Id, Ref<Config<ReferenceGrant>>>,
    /// ServiceEntries as services, one for each host.
    pub(crate) converted_entries: BTreeMap<Id, Vec<Ref<MeshService>>>,
    /// The ExternalNames that lead to each host.
    pub(crate) aliases: Aliases,
    /// VirtualServices as the mesh sees them.
    pub(crate) known_virtual_services: virtual_services::Known,
    /// Ingresses as Gateways and VirtualServices.
    pub(crate) known_ingresses: ingress::Known,
    /// DestinationRules by the hosts that they are for.
    pub(crate) known_destination_rules: destination_rules::Known,
    /// The addresses that host names have.
    pub(crate) resolved: BTreeMap<Arc<str>, Vec<IpAddr>>,
    /// Keys that were fetched.
    pub(crate) jwks: Jwks,
    /// What peers trust.
    pub(crate) trusted: Ref<Vec<Arc<str>>>,
    /// What the sections of the last mesh look at.
    pub(crate) interests: Interests,
    /// The last settings, kept while the mesh ConfigMap does not parse.
    pub(crate) settings: Ref<Settings>,
    /// What is wrong with each object, as far as the store can tell.
    pub(crate) problems: BTreeMap<ObjectKey, Vec<Problem>>,
    pub(crate) dirty: Dirty,
    pub(crate) mesh: Arc<Mesh>,
}

impl Tables {
    /// Nothing known yet.
    pub fn new(options: Options) -> Self {
        let settings = options.settings();
        Self {
            home: Registry::new(Arc::clone(&options.cluster)),
            remotes: BTreeMap::new(),
            config_maps: Table::new(),
            roots: BTreeMap::new(),
            accounts: BTreeMap::new(),
            ingresses: Table::new(),
            ingress_classes: Table::new(),
            service_entries: BTreeMap::new(),
            virtual_services: BTreeMap::new(),
            destination_rules: BTreeMap::new(),
            gateways: BTreeMap::new(),
            sidecars: BTreeMap::new(),
            peer_authentications: BTreeMap::new(),
            request_authentications: BTreeMap::new(),
            authorization_policies: BTreeMap::new(),
            reference_grants: BTreeMap::new(),
            converted_entries: BTreeMap::new(),
            aliases: Aliases::default(),
            known_virtual_services: virtual_services::Known::default(),
            known_ingresses: ingress::Known::default(),
            known_destination_rules: destination_rules::Known::default(),
            resolved: BTreeMap::new(),
            jwks: Jwks::new(),
            trusted: Ref::default(),
            interests: Interests::new(&settings),
            mesh: Arc::new(Mesh { settings: settings.clone(), ..Mesh::default() }),
            settings,
            problems: BTreeMap::new(),
            dirty: Dirty::default(),
            options,
        }
    }

    /// Takes an object of another cluster, or its absence. Of other clusters only what they say of their services and
    /// workloads is taken; under the name of the home cluster it is [`Tables::apply`].
    pub fn apply_in(
        &mut self,
        cluster: &Arc<str>,
        key: &ObjectKey,
        object: Option<&AnyObject>,
    ) -> Option<Pending> {
        if *cluster == self.options.cluster {
            return self.apply(key, object);
        }
        if !Registry::has(key.kind) || (object.is_none() && !self.remotes.contains_key(cluster)) {
            return None;
        }
        let object = object.filter(|object| self.options.counts(object));
        let registry = || Registry::new(Arc::clone(cluster));
        let registry = self.remotes.entry(Arc::clone(cluster)).or_insert_with(registry);
        let touched = self.dirty.remotes.entry(Arc::clone(cluster)).or_default();
        registry.apply(touched, key, object).then(|| Pending::of(key.kind))
    }

    /// The objects that are known of another cluster.
    pub fn known_in(&self, cluster: &str) -> impl Iterator<Item = ObjectKey> {
        self.remotes.get(cluster).into_iter().flat_map(Registry::keys)
    }

    /// Takes an object of the home cluster, or its absence, and tells what it leaves pending. An object equal to what is
    /// known changes nothing; one of another revision is as one that is not there.
    pub fn apply(&mut self, key: &ObjectKey, object: Option<&AnyObject>) -> Option<Pending> {
        use api::Kind;
        let object = object.filter(|object| self.options.counts(object));
        let mut pending = None;
        let id = (Arc::clone(&key.namespace), Arc::clone(&key.name));
        macro_rules! object {
            ($table:ident, $variant:ident, $mark:expr) => {{
                let new = match object {
                    Some(AnyObject::$variant(o)) => Some(Arc::clone(o)),
                    _ => None,
                };
                let old = self.$table.get(&id).cloned();
                if old != new {
                    match &new {
                        Some(o) => self.$table.insert(id.clone(), Arc::clone(o)),
                        None => self.$table.remove(&id),
                    };
                    #[allow(clippy::redundant_closure_call)]
                    ($mark)(self, &id, old.as_deref(), new.as_deref());
                    pending = Some(Pending::of(key.kind));
                }
            }};
        }
        macro_rules! config {
            ($table:ident, $variant:ident, $mark:expr) => {{
                let new = match object {
                    Some(AnyObject::$variant(o)) => Some(config(key, o)),
                    _ => None,
                };
                let old = self.$table.get(&id).cloned();
                if old != new {
                    match new {
                        Some(o) => self.$table.insert(id.clone(), o),
                        None => self.$table.remove(&id),
                    };
                    #[allow(clippy::redundant_closure_call)]
                    ($mark)(self, &id);
                    pending = Some(Pending::of(key.kind));
                }
            }};
        }
        match key.kind {
            kind if Registry::has(kind) => {
                let changed = self.home.apply(&mut self.dirty.home, key, object);
                pending = changed.then(|| Pending::of(kind));
            }
            Kind::ConfigMap if self.options.is_mesh_config_map(&key.namespace, &key.name) => {
                object!(config_maps, ConfigMap, |t: &mut Self, _: &Id, _, _| t.dirty.settings = true);
            }
            Kind::ConfigMap => {
                let new = match object {
                    Some(AnyObject::ConfigMap(o)) => roots_of_config_map(o).ok(),
                    _ => None,
                };
                if self.roots.get(&id) != new.as_ref() {
                    match new {
                        Some(roots) => self.roots.insert(id, roots),
                        None => self.roots.remove(&id),
                    };
                    self.dirty.roots = true;
                    pending = Some(Pending::Endpoints);
                }
            }
            Kind::Ingress => object!(ingresses, Ingress, |t: &mut Self, id: &Id, _, _| {
                t.dirty.ingresses.insert(id.clone());
            }),
            Kind::IngressClass => object!(ingress_classes, IngressClass, |t: &mut Self, id: &Id, _, _| {
                t.dirty.ingress_classes.insert(id.clone());
            }),
            Kind::ServiceEntry => config!(service_entries, ServiceEntry, |t: &mut Self, id: &Id| {
                t.dirty.service_entries.insert(id.clone());
            }),
            Kind::VirtualService => {
                config!(virtual_services, VirtualService, |t: &mut Self, id: &Id| {
                    t.dirty.virtual_services.insert(id.clone());
                })
            }
            Kind::DestinationRule => {
                config!(destination_rules, DestinationRule, |t: &mut Self, id: &Id| {
                    t.dirty.destination_rules.insert(id.clone());
                })
            }
            Kind::Gateway => config!(gateways, Gateway, |t: &mut Self, _: &Id| t.dirty.gateways = true),
            Kind::Sidecar => config!(sidecars, Sidecar, |t: &mut Self, _: &Id| t.dirty.sidecars = true),
            Kind::PeerAuthentication => {
                config!(peer_authentications, PeerAuthentication, |t: &mut Self, _: &Id| {
                    t.dirty.peer_authentications = true;
                })
            }
            Kind::RequestAuthentication => {
                config!(request_authentications, RequestAuthentication, |t: &mut Self, _: &Id| {
                    t.dirty.request_authentications = true;
                })
            }
            Kind::AuthorizationPolicy => {
                config!(authorization_policies, AuthorizationPolicy, |t: &mut Self, _: &Id| {
                    t.dirty.authorization_policies = true;
                })
            }
            Kind::ReferenceGrant => {
                config!(reference_grants, ReferenceGrant, |t: &mut Self, _: &Id| {
                    t.dirty.reference_grants = true;
                })
            }
            _ => {}
        }
        pending
    }

    /// What is wrong with the known objects, by object.
    pub fn problems(&self) -> &BTreeMap<ObjectKey, Vec<Problem>> {
        &self.problems
    }

    /// The kinds that `apply` reads; others are known at most and not served.
    pub fn reads(kind: api::Kind) -> bool {
        use api::Kind;
        Self::reads_in_each_cluster(kind)
            || matches!(
                kind,
                Kind::ConfigMap
                    | Kind::Ingress
                    | Kind::IngressClass
                    | Kind::ServiceEntry
                    | Kind::VirtualService
                    | Kind::DestinationRule
                    | Kind::Gateway
                    | Kind::Sidecar
                    | Kind::PeerAuthentication
                    | Kind::RequestAuthentication
                    | Kind::AuthorizationPolicy
                    | Kind::ReferenceGrant
            )
    }

    /// The kinds that `apply_in` reads: what each cluster says of its own services and workloads.
    pub fn reads_in_each_cluster(kind: api::Kind) -> bool {
        Registry::has(kind)
    }
}

/// An object as the mesh keeps it.
pub(crate) fn config<S: Clone + std::hash::Hash>(key: &ObjectKey, object: &Object<S>) -> Ref<Config<S>> {
    let mut annotations = object.meta.annotations.clone();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    Ref::new(Config {
        source: ObjectRef { key: key.clone(), generation: object.meta.generation },
        made: None,
        creation: object.meta.creation,
        labels: object.meta.labels.clone(),
        annotations,
        spec: object.spec.clone(),
    })
}

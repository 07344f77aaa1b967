//! The next mesh: only the sections that the applied objects touch are rebuilt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Kind;
use model::mesh::{
    AuthorizationPolicies, Changes, DestinationRules, Gateways, PeerAuthentications, ReferenceGrants,
    RequestAuthentications, Sidecars, VirtualServices,
};
use model::{Mesh, Ref};

use crate::dirty::Dirty;
use crate::ingress;
use crate::tables::{Id, Tables};
use crate::virtual_services::{self, Difference};

/// A mesh and what differs from the one before it.
#[derive(Clone, Debug)]
pub struct Next {
    /// The mesh.
    pub mesh: Arc<Mesh>,
    /// What differs.
    pub changes: Changes,
}

/// What everything of a cluster is derived from differs.
#[derive(Debug, Default)]
pub(crate) struct Resettled {
    /// For all clusters: the settings, or what the namespaces of the home cluster say.
    pub(crate) all: bool,
    /// What the namespaces of these clusters say.
    pub(crate) remotes: BTreeSet<Arc<str>>,
}

impl Resettled {
    /// Whether it does for another cluster than the home cluster.
    pub(crate) fn remote(&self, cluster: &str) -> bool {
        self.all || self.remotes.contains(cluster)
    }
}

impl Tables {
    /// The mesh after everything that was applied. If nothing differs, the last mesh comes back.
    pub fn next_mesh(&mut self) -> Next {
        let dirty = std::mem::take(&mut self.dirty);
        self.make(&dirty)
    }

    /// The mesh with the endpoints and secrets that were applied; configuration keeps waiting.
    pub fn next_endpoints(&mut self) -> Next {
        let dirty = self.dirty.take_endpoints();
        self.make(&dirty)
    }

    fn make(&mut self, dirty: &Dirty) -> Next {
        let mut mesh = Mesh::clone(&self.mesh);
        let mut changes = Changes::default();

        if dirty.settings {
            self.read_settings();
        }
        let resettled = mesh.settings != self.settings;
        if resettled {
            mesh.settings = self.settings.clone();
            changes.configuration = true;
        }
        let all = ((dirty.settings || dirty.home.namespaces) && self.read_namespaces()) || resettled;
        let resettled =
            Resettled { all, remotes: self.read_remote_namespaces(dirty, resettled || dirty.settings) };
        let moved = self.update_workloads(&mut mesh, dirty, &resettled);
        changes.workloads = moved.names();
        let services = self.update_services(&mut mesh, dirty, &resettled);
        changes.configuration |= services;
        if services || resettled.all || dirty.resolved {
            changes.configuration |= self.update_networks(&mut mesh);
        }
        self.update_endpoints(&mut mesh, dirty, &moved, &resettled, &mut changes);
        self.update_credentials(&mut mesh, dirty, &resettled, &mut changes);
        let resettled = resettled.all;
        changes.configuration |= self.update_policies(&mut mesh, dirty, resettled);
        changes.classes |= resettled || dirty.sidecars;
        // What is still marked must be found by the next mesh, were it only to be taken out.
        self.remotes.retain(|name, registry| !registry.is_empty() || self.dirty.remotes.contains_key(name));
        self.finish(mesh, changes)
    }

    /// Sections that are built from objects of one kind; true if any differs.
    fn update_policies(&mut self, mesh: &mut Mesh, dirty: &Dirty, all: bool) -> bool {
        let made = self.update_ingresses(dirty, all);
        let gateways = dirty.gateways || made.gateways;
        let mut changed = self.update_virtual_services(mesh, dirty, made, all);
        changed |= self.update_destination_rules(mesh, dirty, all);
        if all || gateways {
            let written = self.counted(&self.gateways);
            mesh.gateways =
                Arc::new(Gateways::new(written.chain(self.known_ingresses.gateways()).cloned().collect()));
            changed = true;
        }
        if all || dirty.sidecars {
            mesh.sidecars = Arc::new(Sidecars::new(self.counted(&self.sidecars).cloned().collect()));
            changed = true;
        }
        if all || dirty.peer_authentications {
            let objects = self.counted(&self.peer_authentications).cloned().collect();
            mesh.peer_authentications = Arc::new(PeerAuthentications::new(objects));
            changed = true;
        }
        if all || dirty.request_authentications {
            let objects = self.counted(&self.request_authentications).cloned().collect();
            mesh.request_authentications = Arc::new(RequestAuthentications::new(objects));
            changed = true;
        }
        if dirty.trusted {
            mesh.trusted = self.trusted.clone();
            changed = true;
        }
        if dirty.jwks {
            mesh.jwks = Arc::new(self.jwks.clone());
            changed = true;
        }
        if all || dirty.authorization_policies {
            let objects = self.counted(&self.authorization_policies).cloned().collect();
            mesh.authorization_policies = Arc::new(AuthorizationPolicies::new(objects));
            changed = true;
        }
        if all || dirty.reference_grants {
            let grants = ReferenceGrants::of(self.counted(&self.reference_grants).map(|grant| &**grant));
            if grants != *mesh.reference_grants {
                mesh.reference_grants = Arc::new(grants);
                changed = true;
            }
        }
        changed
    }

    /// VirtualServices, those `made` of Ingresses among them; true if any differs.
    fn update_virtual_services(
        &mut self,
        mesh: &mut Mesh,
        dirty: &Dirty,
        made: ingress::Difference,
        all: bool,
    ) -> bool {
        let mut known = std::mem::take(&mut self.known_virtual_services);
        if all {
            known = virtual_services::Known::default();
        }
        let objects = self.touched(&self.virtual_services, &dirty.virtual_services, all);
        let Difference { mut gone, mut came, problems } = known.update(objects, &mesh.settings);
        gone.extend(made.gone);
        came.extend(made.came);
        self.known_virtual_services = known;
        problems.into_iter().for_each(|(key, problems)| self.report(&key, problems));
        let section = if all { &VirtualServices::default() } else { &*mesh.virtual_services };
        let changed = all || !gone.is_empty() || !came.is_empty();
        if changed {
            mesh.virtual_services = Arc::new(section.replaced(&gone, &came));
        }
        changed
    }

    /// DestinationRules; true if any differs.
    fn update_destination_rules(&mut self, mesh: &mut Mesh, dirty: &Dirty, all: bool) -> bool {
        if !all && dirty.destination_rules.is_empty() {
            return false;
        }
        let mut known = std::mem::take(&mut self.known_destination_rules);
        let mut section = DestinationRules::clone(&mesh.destination_rules);
        if all {
            (known, section) = Default::default();
        }
        let objects = self.touched(&self.destination_rules, &dirty.destination_rules, all);
        let problems = known.update(&mut section, objects, &mesh.settings);
        self.known_destination_rules = known;
        problems.into_iter().for_each(|(key, problems)| self.report(&key, problems));
        mesh.destination_rules = Arc::new(section);
        true
    }

    /// Changed objects, or all with those that are gone, by what is known of them now.
    fn touched<'a, S>(
        &'a self,
        objects: &'a BTreeMap<Id, S>,
        dirty: &'a BTreeSet<Id>,
        all: bool,
    ) -> impl Iterator<Item = (&'a Id, Option<&'a S>)> {
        let rest = objects.keys().filter(move |id| all && !dirty.contains(*id));
        dirty.iter().chain(rest).map(|id| (id, objects.get(id).filter(|_| self.home.said.discovers(&id.0))))
    }

    /// The objects of one kind whose namespaces count.
    fn counted<'a, S>(&'a self, objects: &'a BTreeMap<Id, S>) -> impl Iterator<Item = &'a S> {
        objects.iter().filter(|(id, _)| self.home.said.discovers(&id.0)).map(|(_, object)| object)
    }

    fn finish(&mut self, mut mesh: Mesh, mut changes: Changes) -> Next {
        if changes.is_empty() {
            return Next { mesh: Arc::clone(&self.mesh), changes };
        }
        if changes.configuration {
            let interest = self.interests.update(&self.mesh, &mesh);
            if interest != *mesh.interest {
                mesh.interest = Ref::new(interest);
                changes.classes = true;
            }
        }
        self.mesh = Arc::new(mesh);
        Next { mesh: Arc::clone(&self.mesh), changes }
    }
}

impl Pending {
    /// What a change of an object of this kind touches.
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Pod | Kind::EndpointSlice | Kind::WorkloadEntry | Kind::Secret => Self::Endpoints,
            _ => Self::Configuration,
        }
    }
}

/// What waits to be put into the next mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pending {
    /// Only endpoints and secrets: they go at once.
    Endpoints,
    /// Configuration: a burst is collected first.
    Configuration,
}

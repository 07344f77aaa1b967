//! One route configuration of the base: where its virtual hosts stand, and the form that it takes for others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::Ref;

use super::configuration::{Configuration, Place, Placed};
use super::contested::Names;
use super::touched::Touched;
use super::{Common, Egress};
use crate::routes::RouteKey;
use crate::routes::virtual_host::{Host, Hosted, VirtualHostKey};

/// What is looked at to find virtual hosts.
#[derive(Debug)]
pub(super) struct Outline {
    name: Option<Arc<str>>,
    /// Of the virtual hosts in their order.
    places: Vec<Place>,
    /// The positions of the virtual hosts of each host; never iterated.
    positions: HashMap<Arc<str>, Vec<usize>>,
    /// Hosts that stand for no service.
    names: Names,
}

impl Outline {
    /// Of a configuration, which nobody asks for if it has no name.
    pub(super) fn new(name: Option<Arc<str>>, configuration: &Configuration<'_>) -> Self {
        let places = configuration.places();
        let mut positions: HashMap<_, Vec<usize>> = HashMap::with_capacity(places.len());
        for (at, Place(host, _)) in places.iter().enumerate() {
            positions.entry(Arc::clone(host)).or_default().push(at);
        }
        Self { name, places, positions, names: configuration.names().clone() }
    }

    /// Whether the configuration has this name.
    pub(super) fn is_called(&self, name: &Option<Arc<str>>) -> bool {
        self.name == *name
    }

    /// Whether what is touched might compete for a domain with what is not, or did so in the base; `part` is what was
    /// planned again, `egresses` are the listeners of the class and of the base.
    pub(super) fn disputes(
        &self,
        common: &Common<'_>,
        egresses: [&Egress; 2],
        port: Option<u16>,
        touched: &Touched,
        part: &Configuration<'_>,
    ) -> bool {
        let contested = common.context.mesh.services.contested();
        let hosts = || touched.hosts().chain(touched.renamed());
        if !contested.is_empty() && hosts().any(|host| contested.contains(host)) {
            return true;
        }
        let reached = |host: &Arc<str>| {
            let mut services = egresses.iter().flat_map(|e| e.table.of_host(host, port));
            services.any(|c| self.names.reach(&c.service))
        };
        if !self.names.is_empty() && hosts().any(reached) {
            return true;
        }
        let names = part.names().with_some_of(&self.names, touched.hosts().map(|h| &**h));
        let mut services = egresses.iter().flat_map(|e| e.table.with(port));
        !names.is_empty() && services.any(|c| names.reach(&c.service))
    }

    /// The base's form with what was planned again in its place; none if that changes nothing.
    pub(super) fn edit(
        &self,
        common: &Common<'_>,
        below: &RouteKey,
        touched: &Touched,
        part: Configuration<'_>,
    ) -> Option<RouteKey> {
        let positions = |host: &Arc<str>| self.positions.get(host).into_iter().flatten().copied();
        let renamed: Vec<usize> = touched.renamed().iter().flat_map(&positions).collect();
        let removed: HashSet<usize> = touched.hosts().flat_map(&positions).collect();
        let added = part.into_virtual_hosts();
        if renamed.is_empty() && removed.is_empty() && added.is_empty() {
            return None;
        }
        let mut hosts = below.virtual_hosts.clone();
        for at in renamed {
            if let Some(host) = hosts.get_mut(at) {
                *host = rename(common, host);
            }
        }
        if !(removed.is_empty() && added.is_empty()) {
            hosts = self.replace(hosts, &removed, &added);
        }
        Some(RouteKey { name: Arc::clone(&below.name), virtual_hosts: hosts })
    }

    /// The virtual hosts but for those at some positions, with others beside them. The catch-all stays the last.
    fn replace(
        &self,
        mut hosts: Vec<Ref<VirtualHostKey>>,
        removed: &HashSet<usize>,
        added: &[Placed],
    ) -> Vec<Ref<VirtualHostKey>> {
        let catch_all = hosts.pop();
        let old = self.places.iter().zip(hosts).enumerate().filter(|(at, _)| !removed.contains(at));
        let new = added.iter().map(|(place, host)| (place, host.clone()));
        let mut all: Vec<(&Place, Ref<VirtualHostKey>)> = old.map(|(_, placed)| placed).chain(new).collect();
        all.sort_by(|(a, _), (b, _)| a.order(b));
        all.into_iter().map(|(_, host)| host).chain(catch_all).collect()
    }
}

/// The virtual host of a service as this client calls it.
fn rename(common: &Common<'_>, host: &Ref<VirtualHostKey>) -> Ref<VirtualHostKey> {
    match &**host {
        VirtualHostKey::Hosted(hosted @ Hosted { host: Host::Service(service), .. }) => {
            let renamed = Host::Service(service.renamed(common.context.view));
            Ref::new(VirtualHostKey::Hosted(Hosted { host: renamed, ..hosted.clone() }))
        }
        _ => host.clone(),
    }
}

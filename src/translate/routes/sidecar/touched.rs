//! What of the common route configurations is otherwise for the clients of a namespace.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use api::istio::Destination;
use model::hostname;
use model::mesh::VirtualServiceEntry;
use model::visibility::ExportTo;

use super::base::Base;
use super::{Common, Egress};
use crate::apart;
use crate::context::Context;
use crate::routes::{domains, http};
use crate::scope::{self, Scope, ScopedService};

/// The virtual hosts that are planned again for a class.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Services, and hosts of VirtualServices, for which anything is otherwise.
    hosts: HashSet<Arc<str>>,
    /// VirtualServices of the class, by their place, that apply otherwise or to otherwise hosts.
    rules: BTreeSet<usize>,
    /// Services for which nothing but what the client calls them for short is otherwise.
    renamed: Vec<Arc<str>>,
}

/// Destinations that may mean something else than in the base.
struct Moved<'a> {
    /// Hosts that stand for another service.
    targets: HashSet<&'a str>,
    /// Hosts to which another DestinationRule applies.
    ruled: HashSet<Arc<str>>,
    hashing: bool,
}

impl Touched {
    /// Compares what the class sees with what the base was planned from.
    pub(super) fn of(common: &Common<'_>, egress: &Egress, base: &Base) -> Self {
        let context = common.context;
        let below = Context { mesh: context.mesh, view: base.view(), scope: base.scope() };
        let moved = Moved {
            targets: different(&context.scope.services, &base.scope().services, |s| &*s.service.host),
            ruled: apart::ruled(context, &below),
            hashing: common.hashing,
        };
        let mut touched = Self::default();
        let listed = different(services(context.scope), services(base.scope()), |s| &s.service.host);
        touched.hosts.extend(listed.into_iter().cloned());
        if common.hashing {
            touched.hosts.extend(moved.ruled.iter().cloned());
        }
        touched.compare_rules(context, egress, base, &moved);
        touched.close(egress);
        touched.rename(context, base);
        touched
    }

    /// Whether nothing is planned again.
    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.rules.is_empty() && self.renamed.is_empty()
    }

    /// Whether the VirtualService at this place speaks of what is planned again.
    pub(super) fn speaks(&self, rule: usize) -> bool {
        self.rules.contains(&rule)
    }

    /// Whether the virtual hosts of the service with this host are planned again.
    pub(super) fn plans(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }

    /// The hosts that [`Touched::plans`] says.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.hosts.iter()
    }

    /// The services that are called otherwise and no more.
    pub(super) fn renamed(&self) -> &[Arc<str>] {
        &self.renamed
    }

    /// Adds the VirtualServices that only one of the two has, or that apply otherwise.
    fn compare_rules(&mut self, context: &Context<'_>, egress: &Egress, base: &Base, moved: &Moved<'_>) {
        let client = &*context.view.namespace;
        let (new, old) = (egress.rules.entries(), base.egress().rules.entries());
        let known: HashSet<_> = if base.has(egress) { HashSet::new() } else { old.iter().collect() };
        for (index, entry) in new.iter().enumerate() {
            // These stand elsewhere in the order than for others.
            let own = **entry.config.namespace() == *client;
            let placed = entry.export_to != ExportTo::All || (own && entry.has_gateway_semantics());
            let added = !base.has(egress) && !known.contains(entry);
            if added || placed || scope::looks_for(entry, client) || moved.concerns(entry) {
                self.add(index, entry, egress);
            }
        }
        if !base.has(egress) {
            let kept: HashSet<_> = new.iter().collect();
            old.iter().filter(|e| !kept.contains(e)).for_each(|e| self.add_hosts(e, egress));
        }
    }

    fn add(&mut self, index: usize, entry: &VirtualServiceEntry, egress: &Egress) {
        if self.rules.insert(index) {
            self.add_hosts(entry, egress);
        }
    }

    /// Adds the hosts of a VirtualService and the services that these cover.
    fn add_hosts(&mut self, entry: &VirtualServiceEntry, egress: &Egress) {
        for host in &entry.config.spec.hosts {
            self.hosts.insert(Arc::from(host.as_str()));
            if hostname::is_wildcard(host) {
                let covered = egress.table.hosts().filter(|h| hostname::overlaps(host, h));
                self.hosts.extend(covered.cloned());
            }
        }
    }

    /// Adds the VirtualServices that speak of any of the hosts, with all their hosts, until there are no more: which of
    /// them has a host is decided among them.
    fn close(&mut self, egress: &Egress) {
        loop {
            let exact = self.hosts.iter().flat_map(|host| egress.rules.of_host(host)).copied();
            let covers =
                |(wildcard, _): &&(String, usize)| self.hosts.iter().any(|h| hostname::overlaps(wildcard, h));
            let wild = egress.rules.wildcards().iter().filter(covers).map(|(_, index)| *index);
            let more: Vec<usize> = exact.chain(wild).filter(|index| !self.rules.contains(index)).collect();
            if more.is_empty() {
                return;
            }
            for index in more {
                if let Some(entry) = egress.rules.entries().get(index) {
                    self.add(index, entry, egress);
                }
            }
        }
    }

    /// Adds the services that only the client's own namespace calls by their first label.
    fn rename(&mut self, context: &Context<'_>, base: &Base) {
        let client = domains::client(&context.view.dns_domain);
        let near = client.map_or(&[][..], |client| base.near(client));
        self.renamed = near.iter().filter(|host| !self.hosts.contains(*host)).cloned().collect();
    }
}

impl Moved<'_> {
    /// Whether a VirtualService sends requests to any of them in a way in which that matters.
    fn concerns(&self, entry: &VirtualServiceEntry) -> bool {
        let matters = |d: &Destination| {
            self.targets.contains(&*d.host)
                || (self.ruled.contains(&*d.host) && (self.hashing || !d.subset.is_empty()))
        };
        let destinations = || entry.config.spec.http.iter().flat_map(http::destinations);
        !(self.targets.is_empty() && self.ruled.is_empty()) && destinations().any(matters)
    }
}

/// The services of the scope's only listener.
fn services(scope: &Scope) -> &[ScopedService] {
    scope.egress.first().map_or(&[], |listener| &listener.services)
}

/// What `by` says of the items that only one of the lists has.
fn different<'a, T: Eq + Hash, N: Eq + Hash + ?Sized>(
    a: &'a [T],
    b: &'a [T],
    by: impl Fn(&'a T) -> &'a N,
) -> HashSet<&'a N> {
    if a == b {
        return HashSet::new();
    }
    let (in_a, in_b): (HashSet<&T>, HashSet<&T>) = (a.iter().collect(), b.iter().collect());
    in_a.symmetric_difference(&in_b).map(|item| by(item)).collect()
}

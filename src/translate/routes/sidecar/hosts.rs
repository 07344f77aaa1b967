//! Which VirtualServices speak of which services, and of which hosts that no service has.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`separateVSHostsAndServices`), `pilot/pkg/model/sidecar.go`
//! (`computeWildcardHostVirtualServiceIndex`); `shared/spec/xds.md` 5.2.

use std::collections::{BTreeMap, HashMap};

use model::Ref;
use model::hostname;
use model::mesh::{MESH, VirtualServiceEntry};

use super::table::{Candidate, Table};

/// The only port whose configuration has hosts that no service there has.
const HOSTS_PORT: u16 = 80;

/// The VirtualServices of one egress listener that sidecars apply, in order of precedence.
#[derive(Debug, Default)]
pub(super) struct Rules<'a> {
    entries: Vec<&'a Ref<VirtualServiceEntry>>,
    /// The first VirtualService of each host.
    exact: HashMap<&'a str, usize>,
    /// The same for wildcards, the most specific first.
    wildcard: Vec<(&'a str, usize)>,
    /// Those that have HTTP rules and name a service with the port.
    at: BTreeMap<u16, Vec<usize>>,
    /// Those that have HTTP rules and wildcards: they may speak of services with any port.
    anywhere: Vec<usize>,
}

/// What one VirtualService speaks of, among the services with some port.
#[derive(Debug, Default)]
pub(super) struct Spoken<'a> {
    /// The services.
    pub(super) services: Vec<Candidate<'a>>,
    /// Hosts that no service has.
    pub(super) hosts: Vec<&'a str>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(listed: &'a [Ref<VirtualServiceEntry>], table: &Table<'a>) -> Self {
        let mut rules = Self::default();
        for (index, entry) in listed.iter().filter(|v| v.applies_to(MESH)).enumerate() {
            rules.entries.push(entry);
            let has_http = !entry.config.spec.http.is_empty();
            for host in &entry.config.spec.hosts {
                if hostname::is_wildcard(host) {
                    rules.wildcard.push((host, index));
                    continue;
                }
                rules.exact.entry(host.as_str()).or_insert(index);
                for candidate in table.of_host(host, None).filter(|_| has_http) {
                    rules.at.entry(candidate.port.number).or_default().push(index);
                }
            }
            if has_http && entry.config.spec.hosts.iter().any(|h| hostname::is_wildcard(h)) {
                rules.anywhere.push(index);
            }
        }
        // Stable: of equal hosts the first VirtualService's stays first.
        rules.wildcard.sort_by(|(a, _), (b, _)| hostname::by_specificity(a, b));
        rules
    }

    /// Those that may have virtual hosts on a port, or on any if none is given, in order of precedence.
    pub(super) fn on(&self, port: Option<u16>) -> Vec<(usize, &'a Ref<VirtualServiceEntry>)> {
        let mut places: Vec<usize> = match port {
            None | Some(HOSTS_PORT) => (0..self.entries.len()).collect(),
            Some(port) => self.at.get(&port).into_iter().flatten().chain(&self.anywhere).copied().collect(),
        };
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|index| Some((index, *self.entries.get(index)?))).collect()
    }

    /// The VirtualService with the most specific host for a service.
    fn most_specific(&self, host: &str) -> Option<usize> {
        let exact = self.exact.get(host).copied();
        exact.or_else(|| self.wildcard.iter().find(|(w, _)| hostname::subset_of(host, w)).map(|(_, i)| *i))
    }

    /// What a VirtualService speaks of among the services with a port, or among all if none is given.
    pub(super) fn spoken(&self, index: usize, table: &Table<'a>, port: Option<u16>) -> Spoken<'a> {
        let mut spoken = Spoken::default();
        let Some(entry) = self.entries.get(index) else { return spoken };
        let hosts = || entry.config.spec.hosts.iter().map(String::as_str);
        for host in hosts().filter(|h| !hostname::is_wildcard(h)) {
            let before = spoken.services.len();
            spoken.services.extend(table.of_host(host, port));
            if spoken.services.len() == before && !table.has_opaque(port, host) {
                spoken.hosts.push(host);
            }
        }
        for wildcard in hosts().filter(|h| hostname::is_wildcard(h)) {
            let mut covers = table.has_opaque_within(port, wildcard);
            for candidate in table.with(port).filter(|c| hostname::overlaps(wildcard, &c.service.host)) {
                covers = true;
                if self.most_specific(&candidate.service.host) == Some(index) {
                    spoken.services.push(candidate);
                }
            }
            if !covers {
                spoken.hosts.push(wildcard);
            }
        }
        // Hosts that no service has are honoured beside services, and on one port.
        if spoken.services.is_empty() && port != Some(HOSTS_PORT) {
            spoken.hosts.clear();
        }
        spoken
    }
}

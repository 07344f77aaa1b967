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
pub(super) struct Rules {
    entries: Vec<Ref<VirtualServiceEntry>>,
    /// The VirtualServices of each host.
    exact: HashMap<String, Vec<usize>>,
    /// The same for wildcards, the most specific first.
    wildcard: Vec<(String, usize)>,
    /// Those that have HTTP rules and name a service with the port.
    at: BTreeMap<u16, Vec<usize>>,
    /// Those that have HTTP rules and wildcards: they may speak of services with any port.
    anywhere: Vec<usize>,
}

/// What one VirtualService speaks of, among the services with some port.
#[derive(Debug, Default)]
pub(super) struct Spoken<'a> {
    /// The services.
    pub(super) services: Vec<&'a Candidate>,
    /// Hosts that no service has.
    pub(super) hosts: Vec<&'a str>,
}

impl Rules {
    pub(super) fn new(listed: &[Ref<VirtualServiceEntry>], table: &Table) -> Self {
        let mut rules = Self::default();
        for (index, entry) in listed.iter().filter(|v| v.applies_to(MESH)).enumerate() {
            rules.entries.push(entry.clone());
            let has_http = !entry.config.spec.http.is_empty();
            for host in &entry.config.spec.hosts {
                if hostname::is_wildcard(host) {
                    rules.wildcard.push((host.clone(), index));
                    continue;
                }
                rules.exact.entry(host.clone()).or_default().push(index);
                for candidate in table.of_host(host, None).filter(|_| has_http) {
                    rules.at.entry(candidate.port).or_default().push(index);
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

    /// All of them, in order of precedence.
    pub(super) fn entries(&self) -> &[Ref<VirtualServiceEntry>] {
        &self.entries
    }

    /// Those with this very host.
    pub(super) fn of_host(&self, host: &str) -> &[usize] {
        self.exact.get(host).map_or(&[], Vec::as_slice)
    }

    /// The wildcards of all, the most specific first.
    pub(super) fn wildcards(&self) -> &[(String, usize)] {
        &self.wildcard
    }

    /// Those that may have virtual hosts on a port, or on any if none is given, in order of precedence.
    pub(super) fn on(&self, port: Option<u16>) -> Vec<(usize, &Ref<VirtualServiceEntry>)> {
        let mut places: Vec<usize> = match port {
            None | Some(HOSTS_PORT) => (0..self.entries.len()).collect(),
            Some(port) => self.at.get(&port).into_iter().flatten().chain(&self.anywhere).copied().collect(),
        };
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|index| Some((index, self.entries.get(index)?))).collect()
    }

    /// The VirtualService with the most specific host for a service.
    fn most_specific(&self, host: &str) -> Option<usize> {
        let exact = self.of_host(host).first().copied();
        exact.or_else(|| self.wildcard.iter().find(|(w, _)| hostname::subset_of(host, w)).map(|(_, i)| *i))
    }

    /// What a VirtualService speaks of among the services with a port, or among all if none is given.
    pub(super) fn spoken<'a>(&'a self, index: usize, table: &'a Table, port: Option<u16>) -> Spoken<'a> {
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

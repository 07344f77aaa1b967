//! The hosts of an egress listener: what they let in.
//!
//! Source: Istio `pilot/pkg/model/sidecar.go`; `shared/spec/xds.md` 6.

use std::collections::{BTreeMap, BTreeSet};

use api::istio::IstioEgressListener;
use model::Ref;
use model::hostname;
use model::mesh::VirtualServiceEntry;
use model::protocol::Protocol;
use model::service::Service;

use super::ScopedService;

/// Stands for every namespace.
const EVERY: &str = "*";

/// What an egress listener lets in.
#[derive(Debug, Default)]
pub(super) struct Imports<'a> {
    taken: BTreeMap<&'a str, Hosts<'a>>,
    refused: BTreeMap<&'a str, Hosts<'a>>,
    /// Only services with this port, and of them only this port.
    port: Option<u16>,
}

/// Host names and wildcards.
#[derive(Debug, Default)]
struct Hosts<'a> {
    exact: BTreeSet<&'a str>,
    wildcard: Vec<&'a str>,
}

impl<'a> Hosts<'a> {
    fn add(&mut self, host: &'a str) {
        if hostname::is_wildcard(host) {
            self.wildcard.push(host);
        } else {
            self.exact.insert(host);
        }
    }

    /// Whether all names of `host` are among them.
    fn cover(&self, host: &str) -> bool {
        self.exact.contains(host) || self.wildcard.iter().any(|w| hostname::subset_of(host, w))
    }

    /// Whether some name of `host` is among them.
    fn meet(&self, host: &str) -> bool {
        self.cover(host)
            || (hostname::is_wildcard(host)
                && self.exact.iter().chain(&self.wildcard).any(|h| hostname::overlaps(host, h)))
    }
}

impl<'a> Imports<'a> {
    /// Reads the hosts of a listener for a client of a namespace: `namespace/host`, where `.` is the client's
    /// namespace, `*` any, and `~` before either refuses what follows (`~/host` from anywhere).
    pub(super) fn of(listener: &'a IstioEgressListener, client: &'a str) -> Self {
        let mut imports = Self { port: port(listener), ..Self::default() };
        for (namespace, host) in listener.hosts.iter().filter_map(|h| h.split_once('/')) {
            let (list, namespace) = match namespace.strip_prefix('~') {
                Some("") => (&mut imports.refused, EVERY),
                Some(rest) => (&mut imports.refused, rest),
                None => (&mut imports.taken, namespace),
            };
            let namespace = if namespace == "." { client } else { namespace };
            list.entry(namespace).or_default().add(host);
        }
        imports
    }

    /// The namespaces of which anything is let in; `None` for all.
    pub(super) fn namespaces(&self) -> Option<Vec<&'a str>> {
        (!self.taken.contains_key(EVERY)).then(|| self.taken.keys().copied().collect())
    }

    /// A service as it is let in: with the ports and the aliases that are.
    pub(super) fn service(&self, service: &Ref<Service>) -> Option<ScopedService> {
        if Self::lists(&self.refused, &service.namespace).any(|hosts| hosts.cover(&service.host)) {
            return None;
        }
        let hosts = Self::lists(&self.taken, &service.namespace).find(|hosts| hosts.cover(&service.host))?;
        let ports = match self.port {
            Some(port) => Some(BTreeSet::from([service.port(port)?.number])),
            None => None,
        };
        if service.aliases.iter().all(|alias| hosts.cover(&alias.host)) {
            return Some(ScopedService { service: service.clone(), ports });
        }
        let mut trimmed = Service::clone(service);
        trimmed.aliases.retain(|alias| hosts.cover(&alias.host));
        Some(ScopedService { service: Ref::new(trimmed), ports })
    }

    /// Whether a VirtualService is let in: one of its hosts has a name in common with those of the listener; a route
    /// of the Gateway API is let in by one of its hosts as a whole.
    pub(super) fn virtual_service(&self, entry: &VirtualServiceEntry) -> bool {
        let namespace = entry.config.namespace();
        let whole = entry.has_gateway_semantics();
        entry.config.spec.hosts.iter().any(|host| {
            !Self::lists(&self.refused, namespace).any(|hosts| hosts.cover(host))
                && Self::lists(&self.taken, namespace)
                    .any(|hosts| if whole { hosts.cover(host) } else { hosts.meet(host) })
        })
    }

    /// The hosts for a namespace, then those for every one.
    fn lists<'h>(
        hosts: &'h BTreeMap<&'a str, Hosts<'a>>,
        namespace: &str,
    ) -> impl Iterator<Item = &'h Hosts<'a>> {
        hosts.get(namespace).into_iter().chain(hosts.get(EVERY))
    }
}

/// The port that services must have. The HTTP proxy and Unix sockets take all of them.
pub(super) fn port(listener: &IstioEgressListener) -> Option<u16> {
    let port = listener.port.as_ref()?;
    if Protocol::of_declared(&port.protocol) == Protocol::HttpProxy {
        return None;
    }
    u16::try_from(port.number).ok().filter(|number| *number != 0)
}

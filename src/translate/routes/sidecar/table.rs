//! The services of one egress listener by port and by host, as far as HTTP may reach them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use model::protocol::Class;
use model::service::{Resolution, Service};
use model::{Ref, hostname};

use crate::context::Context;
use crate::routes::domains;
use crate::scope::EgressListener;

/// A port of a service that carries HTTP or may do so.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) service: Ref<Service>,
    /// The number of the port.
    pub(super) port: u16,
    /// What the port carries.
    pub(super) class: Class,
    /// The place of the service in the listener's list.
    place: usize,
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_port: BTreeMap<u16, Vec<Candidate>>,
    /// The ports of each host, whatever they carry; never iterated.
    by_host: HashMap<Arc<str>, Vec<Candidate>>,
    /// Hosts of services with ports that carry no HTTP: nobody else has these hosts there.
    opaque: BTreeMap<u16, HashSet<Arc<str>>>,
    /// Ports at which some listener asks for the configuration by number.
    by_number: BTreeMap<u16, bool>,
}

impl Table {
    pub(super) fn new(context: &Context<'_>, listener: &EgressListener) -> Self {
        let mut table = Self::default();
        let listed = listener.services.iter().enumerate();
        let services = || listed.clone().filter(|(_, s)| s.service.resolution != Resolution::Alias);
        for (place, scoped) in services() {
            let candidates = table.by_host.entry(Arc::clone(&scoped.service.host)).or_default();
            for port in scoped.ports() {
                let (service, class) = (scoped.service.clone(), port.protocol.class());
                let candidate = Candidate { service, port: port.number, class, place };
                // Of several ports of a service with one number the first counts, of several services of a host the last.
                match candidates.iter_mut().find(|c| c.port == port.number) {
                    Some(other) if other.place != place => *other = candidate,
                    Some(_) => {}
                    None => candidates.push(candidate),
                }
            }
        }
        for (place, scoped) in services() {
            let wildcard = has_no_address(context, &scoped.service);
            let host = &scoped.service.host;
            let all = table.by_host.get(host).map_or(&[][..], Vec::as_slice);
            for candidate in all.iter().filter(|c| c.place == place) {
                let (number, class) = (candidate.port, candidate.class);
                if candidate.carries_http() {
                    table.by_port.entry(number).or_default().push(candidate.clone());
                    *table.by_number.entry(number).or_default() |= class == Class::Http || wildcard;
                } else {
                    table.opaque.entry(number).or_default().insert(Arc::clone(host));
                }
            }
        }
        table
    }

    /// The hosts of all services.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_host.keys()
    }

    /// The ports that some service has.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> + '_ {
        self.by_port.keys().copied()
    }

    /// Whether a listener asks for the configuration of a port by its number.
    pub(super) fn asked_by_number(&self, port: u16) -> bool {
        self.by_number.get(&port).copied().unwrap_or(false)
    }

    /// The services with a port.
    pub(super) fn at(&self, port: u16) -> &[Candidate] {
        self.by_port.get(&port).map_or(&[], Vec::as_slice)
    }

    /// The ports of the services with a host that may carry HTTP: all, or one.
    pub(super) fn of_host(&self, host: &str, port: Option<u16>) -> impl Iterator<Item = &Candidate> {
        let all = self.by_host.get(host).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|c| c.carries_http()).filter(move |c| port.is_none_or(|p| c.port == p))
    }

    /// Whether the service with a host has the port, or any if none is given, for other than HTTP.
    pub(super) fn has_opaque(&self, port: Option<u16>, host: &str) -> bool {
        self.opaque(port).any(|hosts| hosts.contains(host))
    }

    /// The same for all services that a wildcard covers.
    pub(super) fn has_opaque_within(&self, port: Option<u16>, wildcard: &str) -> bool {
        self.opaque(port).any(|hosts| hosts.iter().any(|h| hostname::overlaps(wildcard, h)))
    }

    fn opaque(&self, port: Option<u16>) -> impl Iterator<Item = &HashSet<Arc<str>>> {
        self.opaque
            .iter()
            .filter(move |(number, _)| port.is_none_or(|p| p == **number))
            .map(|(_, hosts)| hosts)
    }

    /// All ports of all services, or the services with one port.
    pub(super) fn with(&self, port: Option<u16>) -> impl Iterator<Item = &Candidate> {
        let one = port.map(|p| self.at(p).iter());
        let all = port.is_none().then(|| self.all());
        one.into_iter().flatten().chain(all.into_iter().flatten())
    }

    /// All ports of all services.
    fn all(&self) -> impl Iterator<Item = &Candidate> {
        self.by_port.values().flatten()
    }
}

impl Candidate {
    fn carries_http(&self) -> bool {
        matches!(self.class, Class::Http | Class::Auto)
    }
}

/// Whether its listeners are on the wildcard address.
fn has_no_address(context: &Context<'_>, service: &Service) -> bool {
    if service.is_headless() {
        return false;
    }
    match domains::addresses(service, context.view) {
        domains::Addresses::Own => service.addresses.iter().all(|a| &**a == Service::UNSPECIFIED),
        domains::Addresses::These(list) => list.is_empty(),
    }
}

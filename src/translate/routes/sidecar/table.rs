//! The services of one egress listener by port and by host, as far as HTTP may reach them.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::protocol::Class;
use model::service::{Resolution, Service, ServicePort};
use model::{Ref, hostname};

use crate::context::Context;
use crate::routes::domains;
use crate::scope::EgressListener;

/// A port of a service that carries HTTP or may do so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) service: &'a Ref<Service>,
    pub(super) port: &'a ServicePort,
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    by_port: BTreeMap<u16, Vec<Candidate<'a>>>,
    /// The ports of each host, whatever they carry; never iterated.
    by_host: HashMap<&'a str, Vec<Candidate<'a>>>,
    /// Hosts of services with ports that carry no HTTP: nobody else has these hosts there.
    opaque: BTreeMap<u16, HashSet<&'a str>>,
    /// Ports at which some listener asks for the configuration by number.
    by_number: BTreeMap<u16, bool>,
}

impl<'a> Table<'a> {
    pub(super) fn new(context: &Context<'a>, listener: &'a EgressListener) -> Self {
        let mut table = Self::default();
        let services = || listener.services.iter().filter(|s| s.service.resolution != Resolution::Alias);
        for scoped in services() {
            let candidates = table.by_host.entry(&scoped.service.host).or_default();
            for port in scoped.ports() {
                let candidate = Candidate { service: &scoped.service, port };
                // Of several ports of a service with one number the first counts, of several services of a host the last.
                match candidates.iter_mut().find(|c| c.port.number == port.number) {
                    Some(other) if !std::ptr::eq(other.service, &raw const scoped.service) => {
                        *other = candidate
                    }
                    Some(_) => {}
                    None => candidates.push(candidate),
                }
            }
        }
        for scoped in services() {
            let wildcard = has_no_address(context, &scoped.service);
            let all = table.by_host.get(&*scoped.service.host).map_or(&[][..], Vec::as_slice);
            for candidate in all.iter().filter(|c| std::ptr::eq(c.service, &raw const scoped.service)) {
                let number = candidate.port.number;
                let class = candidate.port.protocol.class();
                if matches!(class, Class::Http | Class::Auto) {
                    table.by_port.entry(number).or_default().push(*candidate);
                    *table.by_number.entry(number).or_default() |= class == Class::Http || wildcard;
                } else {
                    table.opaque.entry(number).or_default().insert(&scoped.service.host);
                }
            }
        }
        table
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
    pub(super) fn at(&self, port: u16) -> &[Candidate<'a>] {
        self.by_port.get(&port).map_or(&[], Vec::as_slice)
    }

    /// The ports of the services with a host that may carry HTTP: all, or one.
    pub(super) fn of_host(&self, host: &str, port: Option<u16>) -> impl Iterator<Item = Candidate<'a>> + '_ {
        let all = self.by_host.get(host).map_or(&[][..], Vec::as_slice);
        let http = |c: &Candidate<'a>| matches!(c.port.protocol.class(), Class::Http | Class::Auto);
        all.iter().copied().filter(http).filter(move |c| port.is_none_or(|p| c.port.number == p))
    }

    /// Whether the service with a host has the port, or any if none is given, for other than HTTP.
    pub(super) fn has_opaque(&self, port: Option<u16>, host: &str) -> bool {
        self.opaque(port).any(|hosts| hosts.contains(host))
    }

    /// The same for all services that a wildcard covers.
    pub(super) fn has_opaque_within(&self, port: Option<u16>, wildcard: &str) -> bool {
        self.opaque(port).any(|hosts| hosts.iter().any(|h| hostname::overlaps(wildcard, h)))
    }

    fn opaque(&self, port: Option<u16>) -> impl Iterator<Item = &HashSet<&'a str>> {
        self.opaque
            .iter()
            .filter(move |(number, _)| port.is_none_or(|p| p == **number))
            .map(|(_, hosts)| hosts)
    }

    /// All ports of all services, or the services with one port.
    pub(super) fn with(&self, port: Option<u16>) -> impl Iterator<Item = Candidate<'a>> + '_ {
        let one = port.map(|p| self.at(p).iter().copied());
        let all = port.is_none().then(|| self.all());
        one.into_iter().flatten().chain(all.into_iter().flatten())
    }

    /// All ports of all services.
    pub(super) fn all(&self) -> impl Iterator<Item = Candidate<'a>> + '_ {
        self.by_port.values().flatten().copied()
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

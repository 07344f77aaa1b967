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
    /// The ports of each host; never iterated.
    by_host: HashMap<&'a str, Vec<Candidate<'a>>>,
    /// Hosts of services with ports that carry no HTTP: nobody else has these hosts there.
    opaque: BTreeMap<u16, HashSet<&'a str>>,
    /// Ports at which some listener asks for the configuration by number.
    by_number: BTreeMap<u16, bool>,
}

impl<'a> Table<'a> {
    pub(super) fn new(context: &Context<'a>, listener: &'a EgressListener) -> Self {
        let mut table = Self::default();
        for scoped in listener.services.iter().filter(|s| s.service.resolution != Resolution::Alias) {
            let service = &scoped.service;
            let wildcard = has_no_address(context, service);
            let mut candidates: Vec<Candidate<'a>> = Vec::new();
            for port in scoped.ports() {
                let class = port.protocol.class();
                let http = matches!(class, Class::Http | Class::Auto);
                // Of several ports with one number the first counts.
                if candidates.iter().any(|c| c.port.number == port.number) {
                    continue;
                }
                if !http {
                    table.opaque.entry(port.number).or_default().insert(&service.host);
                    continue;
                }
                let candidate = Candidate { service, port };
                candidates.push(candidate);
                table.by_port.entry(port.number).or_default().push(candidate);
                *table.by_number.entry(port.number).or_default() |= class == Class::Http || wildcard;
            }
            table.by_host.entry(&service.host).or_insert(candidates);
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

    /// The ports of the services with a host: all, or one.
    pub(super) fn of_host(&self, host: &str, port: Option<u16>) -> impl Iterator<Item = Candidate<'a>> + '_ {
        let all = self.by_host.get(host).map_or(&[][..], Vec::as_slice);
        all.iter().copied().filter(move |c| port.is_none_or(|p| c.port.number == p))
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

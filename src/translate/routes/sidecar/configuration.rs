//! The virtual hosts of one route configuration: which services and hosts it has, with which routes and domains.

use model::Ref;
use model::protocol::Class;
use model::service::Service;

use super::Common;
use super::contested;
use super::table::{Candidate, Table};
use crate::routes::default_route::DefaultRoute;
use crate::routes::domains::{self, PortForm};
use crate::routes::hash_policy;
use crate::routes::virtual_host::{Host, Hosted, Routes, VirtualHostKey};

/// A virtual host that is going to be, in the order in which domains are given away.
#[derive(Clone, Debug)]
pub(super) struct Planned<'a> {
    pub(super) hosted: Hosted,
    /// The port of the service that it stands for, if it does.
    pub(super) of: Option<Candidate<'a>>,
}

/// A configuration before its virtual hosts are keys.
#[derive(Debug)]
pub(super) struct Configuration<'a> {
    planned: Vec<Planned<'a>>,
}

impl<'a> Configuration<'a> {
    /// Of one port.
    pub(super) fn of_port(common: &Common<'a>, table: &Table<'a>, port: u16) -> Self {
        let planned = table.at(port).iter().map(|c| of_service(common, *c, PortForm::Bare)).collect();
        Self::without_duplicates(common, planned)
    }

    /// Of all ports of all services.
    pub(super) fn of_all_ports(common: &Common<'a>, table: &Table<'a>) -> Self {
        let form = |port: u16| if port == 80 { PortForm::Both } else { PortForm::Only };
        let planned = table.all().map(|c| of_service(common, c, form(c.port.number))).collect();
        Self::without_duplicates(common, planned)
    }

    fn without_duplicates(common: &Common<'a>, mut planned: Vec<Planned<'a>>) -> Self {
        contested::settle(&common.context.mesh.services, &mut planned);
        Self { planned }
    }

    /// The keys, sorted by name.
    pub(super) fn virtual_hosts(&self) -> Vec<Ref<VirtualHostKey>> {
        let mut hosts: Vec<&Planned<'_>> = self.planned.iter().collect();
        hosts.sort_by(|a, b| a.name().cmp(b.name()));
        hosts.into_iter().map(|p| Ref::new(VirtualHostKey::Hosted(p.hosted.clone()))).collect()
    }

    /// Services whose protocol is told by inspection, with their port and the virtual host that they have alone.
    pub(super) fn inspected(&self) -> impl Iterator<Item = (&'a Ref<Service>, u16, Ref<VirtualHostKey>)> {
        self.planned.iter().filter_map(|p| {
            let of = p.of.filter(|c| c.port.protocol.class() == Class::Auto)?;
            let host = Host::Alone(of.service.clone(), of.port.number);
            let hosted = Hosted { host, ..p.hosted.clone() };
            Some((of.service, of.port.number, Ref::new(VirtualHostKey::Hosted(hosted))))
        })
    }
}

impl Planned<'_> {
    /// What sorts it among the others: the bytes of `<host>:<port>`.
    fn name(&self) -> impl Iterator<Item = u8> + '_ {
        let (host, port) = match &self.hosted.host {
            Host::Service(host) => (&*host.service.host, host.port),
            Host::Alone(service, port) => (&*service.host, *port),
            Host::Named(host) => (&*host.host, host.port),
        };
        host.bytes().chain([b':']).chain(port.to_be_bytes())
    }
}

/// The virtual host of a service that no VirtualService speaks of.
fn of_service<'a>(common: &Common<'a>, candidate: Candidate<'a>, form: PortForm) -> Planned<'a> {
    let Candidate { service, port } = candidate;
    let view = common.context.view;
    let mut host = domains::service_host(service, port.number, view, common.absolute);
    host.form = form;
    let rule = if common.hashing { common.context.rule(service) } else { None };
    let routes = Routes::Default(DefaultRoute {
        host: std::sync::Arc::clone(&service.host),
        port: port.number,
        retries: common.retries.clone(),
        hashing: hash_policy::hashing(rule, Some(port.number), ""),
    });
    let hosted =
        Hosted { host: Host::Service(host), routes, attempt_count: common.attempt_count, https_only: false };
    Planned { hosted, of: Some(candidate) }
}

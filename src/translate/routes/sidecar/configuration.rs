//! The virtual hosts of one route configuration: which services and hosts it has, with which routes and domains.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use model::Ref;
use model::protocol::Class;
use model::service::Service;

use super::contested::{self, Names};
use super::table::Candidate;
use super::touched::Touched;
use super::{Common, Egress};
use crate::routes::default_route::DefaultRoute;
use crate::routes::domains::{self, PortForm};
use crate::routes::hash_policy;
use crate::routes::http::{self, RuleSet};
use crate::routes::session::Session;
use crate::routes::virtual_host::{Host, Hosted, NamedHost, Routes, VirtualHostKey};

/// A virtual host that is going to be, in the order in which domains are given away.
#[derive(Clone, Debug)]
pub(super) struct Planned<'a> {
    pub(super) hosted: Hosted,
    /// The port of the service that it stands for, if it does.
    pub(super) of: Option<&'a Candidate>,
}

/// A configuration before its virtual hosts are keys.
#[derive(Debug)]
pub(super) struct Configuration<'a> {
    planned: Vec<Planned<'a>>,
    /// The hosts that stand for no service.
    names: Names,
}

impl<'a> Configuration<'a> {
    /// Of one port, or of all ports of all services; all its virtual hosts, or those that are touched.
    pub(super) fn of(
        common: &Common<'a>,
        egress: &'a Egress,
        port: Option<u16>,
        touched: Option<&Touched>,
    ) -> Self {
        let form = |number: u16| match port {
            Some(_) => PortForm::Bare,
            None if number == 80 => PortForm::Both,
            None => PortForm::Only,
        };
        let speaks = |index: usize| touched.is_none_or(|t| t.speaks(index));
        let plans = |c: &Candidate| touched.is_none_or(|t| t.plans(&c.service.host));
        let mut planned = Vec::new();
        let mut spoken_of: HashSet<(&str, u16)> = HashSet::new();
        for (index, entry) in egress.rules.on(port).into_iter().filter(|(index, _)| speaks(*index)) {
            let spoken = egress.rules.spoken(index, &egress.table, port);
            if spoken.services.is_empty() && spoken.hosts.is_empty() {
                continue;
            }
            let Some(rules) = http::plan(common.listener(port.unwrap_or(0)), entry) else { continue };
            let rules = Ref::new(rules);
            let mut ports: BTreeSet<u16> = spoken.services.iter().map(|c| c.port).collect();
            if ports.is_empty() {
                ports.extend(port);
            }
            for number in ports {
                let named = |host: &&str| named(common, host, number, form(number), &rules);
                planned.extend(spoken.hosts.iter().map(named));
            }
            for candidate in spoken.services {
                // The first VirtualService has the service; others are not merged in.
                if spoken_of.insert((&candidate.service.host, candidate.port)) {
                    let routes = Routes::Rules(rules.clone());
                    planned.push(of_service(common, candidate, form(candidate.port), routes));
                }
            }
        }
        for candidate in egress.table.with(port).filter(|c| plans(c)) {
            if !spoken_of.contains(&(&*candidate.service.host, candidate.port)) {
                let routes = default_routes(common, candidate);
                planned.push(of_service(common, candidate, form(candidate.port), routes));
            }
        }
        let names = contested::settle(&common.context.mesh.services, &mut planned);
        Self { planned, names }
    }

    /// The hosts that stand for no service.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Where its virtual hosts stand, in the order of [`Configuration::into_virtual_hosts`].
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.planned.iter().map(Planned::placed).collect();
        places.sort_by(Place::order);
        places
    }

    /// Host and port of each virtual host with its key, sorted by name.
    pub(super) fn into_virtual_hosts(self) -> Vec<Placed> {
        let placed = |p: Planned<'_>| (p.placed(), Ref::new(VirtualHostKey::Hosted(p.hosted)));
        let mut placed: Vec<_> = self.planned.into_iter().map(placed).collect();
        placed.sort_by(|(a, _), (b, _)| a.order(b));
        placed
    }

    /// Services whose protocol is told by inspection, with their port and the virtual host that they have alone.
    pub(super) fn inspected(&self) -> impl Iterator<Item = (&'a Ref<Service>, u16, Ref<VirtualHostKey>)> {
        self.planned.iter().filter_map(|p| {
            let of = p.of.filter(|c| c.class == Class::Auto)?;
            let host = Host::Alone(of.service.clone(), of.port);
            let hosted = Hosted { host, ..p.hosted.clone() };
            Some((&of.service, of.port, Ref::new(VirtualHostKey::Hosted(hosted))))
        })
    }
}

/// Host and port: what names a virtual host.
#[derive(Clone, Debug)]
pub(super) struct Place(pub(super) Arc<str>, pub(super) u16);

/// A virtual host where it stands.
pub(super) type Placed = (Place, Ref<VirtualHostKey>);

impl Place {
    /// The order of names, which are `<host>:<port>`, without writing them.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        by_name((&self.0, self.1), (&other.0, other.1))
    }
}

impl Planned<'_> {
    fn placed(&self) -> Place {
        let (host, port) = match &self.hosted.host {
            Host::Service(host) => (&host.service.host, host.port),
            Host::Alone(service, port) => (&service.host, *port),
            Host::Named(host) => (&host.host, host.port),
        };
        Place(Arc::clone(host), port)
    }
}

/// Whether `<a>:<a_port>` stands before `<b>:<b_port>`.
fn by_name((a, a_port): (&str, u16), (b, b_port): (&str, u16)) -> Ordering {
    let common = a.len().min(b.len());
    let (a, b) = (a.as_bytes(), b.as_bytes());
    a.get(..common).cmp(&b.get(..common)).then_with(|| {
        // The shorter host goes on with its colon.
        match a.get(common).map(|c| c.cmp(&b':')).or_else(|| b.get(common).map(|c| b':'.cmp(c))) {
            Some(order) => order,
            None if a_port == b_port => Ordering::Equal,
            None => a_port.to_string().cmp(&b_port.to_string()),
        }
    })
}

/// The virtual host of a service.
fn of_service<'a>(
    common: &Common<'a>,
    candidate: &'a Candidate,
    form: PortForm,
    routes: Routes,
) -> Planned<'a> {
    let Candidate { service, port, .. } = candidate;
    let mut host = domains::service_host(service, *port, common.context.view, common.absolute);
    host.form = form;
    let session = Session::of(service, &common.context.settings().features);
    let hosted = Hosted {
        host: Host::Service(host),
        routes,
        attempt_count: common.attempt_count,
        https_only: false,
        session,
    };
    Planned { hosted, of: Some(candidate) }
}

/// The routes of a service that no VirtualService speaks of.
fn default_routes(common: &Common<'_>, candidate: &Candidate) -> Routes {
    let Candidate { service, port, .. } = candidate;
    let rule = if common.hashing { common.context.rule(service) } else { None };
    Routes::Default(DefaultRoute {
        host: Arc::clone(&service.host),
        port: *port,
        retries: common.retries.clone(),
        hashing: hash_policy::hashing(rule, Some(*port), ""),
    })
}

/// The virtual host of a host that no service has.
fn named<'a>(
    common: &Common<'a>,
    host: &str,
    port: u16,
    form: PortForm,
    rules: &Ref<RuleSet>,
) -> Planned<'a> {
    let host: Arc<str> = Arc::from(host);
    let named = NamedHost { domains: vec![Arc::clone(&host)], host, port, form };
    let routes = Routes::Rules(rules.clone());
    let hosted = Hosted {
        host: Host::Named(named),
        routes,
        attempt_count: common.attempt_count,
        https_only: false,
        session: None,
    };
    Planned { hosted, of: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_sorted_as_their_names_are() {
        let places = [("a", 80), ("a", 443), ("a-b", 80), ("a.b", 80), ("a", 9), ("b", 1), ("*.x", 80)];
        for a in places {
            for b in places {
                let written = format!("{}:{}", a.0, a.1).cmp(&format!("{}:{}", b.0, b.1));
                assert_eq!(by_name(a, b), written, "{a:?} {b:?}");
            }
        }
    }
}

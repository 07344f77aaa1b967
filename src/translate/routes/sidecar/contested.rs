//! Domains that several virtual hosts of a configuration would have: Envoy refuses the whole configuration, so the
//! first keeps the domain and the others lose it.
//!
//! Only hosts that may be contested are looked at; which services those are the mesh's index tells.
//! Source: Istio `pilot/pkg/networking/core/httproute.go` (`dedupeDomains`); `shared/spec/xds.md` 5.2, trap 76.

use std::collections::HashSet;
use std::net::IpAddr;

use model::mesh::Services;
use model::service::Service;

use super::configuration::Planned;
use crate::routes::domains::ServiceHost;
use crate::routes::virtual_host::{Host, NamedHost};

/// Takes domains from hosts that come later, and drops hosts without any domain left or with a name that is taken.
/// Returns the names that competed.
pub(super) fn settle(services: &Services, planned: &mut Vec<Planned<'_>>) -> Names {
    let names = Names::of(planned);
    if names.is_empty() && services.contested().is_empty() {
        return names;
    }
    let suspect = |service: &Service| services.contested().contains(&service.host) || names.reach(service);
    let full = planned.iter().filter_map(|p| match &p.hosted.host {
        Host::Service(s) if suspect(&s.service) => Some(s.service.host.to_string()),
        _ => None,
    });
    let mut given = Given { full: full.collect(), ..Given::default() };
    planned.retain_mut(|p| match &mut p.hosted.host {
        Host::Service(host) if suspect(&host.service) => given.give_service(host),
        Host::Service(_) | Host::Alone(..) => true,
        Host::Named(host) => given.give_named(host),
    });
    names
}

/// What has been given away, by domain in lower case and port: configurations for several ports put the port into
/// their domains.
#[derive(Default)]
struct Given {
    hosts: HashSet<(String, u16)>,
    domains: HashSet<(String, u16)>,
    /// Full names of services: no shortened name of another may stand for them.
    full: HashSet<String>,
}

impl Given {
    /// Whether the host has a domain left.
    fn give_service(&mut self, host: &mut ServiceHost) -> bool {
        if !self.hosts.insert((host.service.host.to_string(), host.port)) {
            return false;
        }
        let all = host.all();
        let count = all.len();
        for domain in all {
            let known = domain.short && self.full.contains(&domain.text);
            if known || !self.domains.insert((domain.text.to_ascii_lowercase(), host.port)) {
                host.taken.push(domain.text);
            }
        }
        host.taken.len() < count
    }

    /// Whether the host has a domain left. `*` belongs to the catch-all.
    fn give_named(&mut self, host: &mut NamedHost) -> bool {
        let port = host.port;
        self.hosts.insert((host.host.to_string(), port)) && {
            host.domains.retain(|d| &**d != "*" && self.domains.insert((d.to_ascii_lowercase(), port)));
            !host.domains.is_empty()
        }
    }
}

/// Hosts that stand for no service, without what makes `*.x` and `x.` of `x`: a service that is called so for short
/// competes with them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    texts: HashSet<String>,
    addresses: bool,
}

impl Names {
    fn of(planned: &[Planned<'_>]) -> Self {
        Self::of_texts(planned.iter().filter_map(|p| match &p.hosted.host {
            Host::Named(host) => Some(plain(&host.host)),
            Host::Service(_) | Host::Alone(..) => None,
        }))
    }

    fn of_texts(texts: impl Iterator<Item = String>) -> Self {
        let texts: HashSet<String> = texts.collect();
        let addresses = texts.iter().any(|t| t.parse::<IpAddr>().is_ok() || t.contains('/'));
        Self { texts, addresses }
    }

    /// These, and those of `other` that are among `hosts`.
    pub(super) fn with_some_of<'h>(&self, other: &Self, hosts: impl Iterator<Item = &'h str>) -> Self {
        let some = hosts.map(plain).filter(|text| other.texts.contains(text));
        Self::of_texts(self.texts.iter().cloned().chain(some))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Whether a service may have a domain in common with one of them.
    pub(super) fn reach(&self, service: &Service) -> bool {
        if self.is_empty() {
            return false;
        }
        let host = &*service.host;
        let own = host.split_once(".svc.").map_or(host, |(own, _)| own);
        let label = own.split('.').next().unwrap_or(own);
        let dotted = host.get(..own.len().saturating_add(".svc".len())).unwrap_or(host);
        [host, own, dotted, label].iter().any(|form| self.texts.contains(*form))
            || (self.addresses && service.every_address().any(|a| self.texts.contains(&**a)))
    }
}

fn plain(host: &str) -> String {
    let text = host.strip_prefix("*.").unwrap_or(host);
    text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()
}

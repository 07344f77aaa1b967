//! Requests that come over a connection which was opened for another host: clients that hold a certificate for both
//! re-use it. They are told to open one of their own (421, RFC 9110 15.5.20), where another chain of the port serves
//! the host; otherwise nobody would find it there.
//!
//! The reference cannot do this; it is on with [`answer_misdirected`](model::mesh::Features::answer_misdirected).

use std::collections::{BTreeMap, BTreeSet};

use api::ObjectRef;
use model::hostname;

use super::merge::Listening;
use super::rules::Bindings;
use super::server::{Carries, Server};
use super::virtual_host::{Answer, GatewayHost};

/// The virtual hosts of route configurations, by name.
pub(super) type Configurations = BTreeMap<String, Vec<GatewayHost>>;

/// A chain with TLS of a listener.
struct Chain<'a> {
    server: &'a Server<'a>,
    /// The name of its routes, if it carries HTTP.
    routes: Option<String>,
    /// The names for which connections come to it.
    names: BTreeSet<String>,
    /// The hosts that it serves.
    domains: BTreeSet<String>,
}

/// Adds what answers misdirected requests to the configurations of one listener.
pub(super) fn answer(bindings: &Bindings<'_>, listening: &Listening<'_>, all: &mut Configurations) {
    let chains: Vec<Chain<'_>> = listening.servers.iter().filter_map(|s| chain(bindings, s, all)).collect();
    for own in chains.iter().filter(|c| c.routes.is_some()) {
        let foreign: BTreeSet<String> = chains
            .iter()
            .filter(|other| other.routes != own.routes)
            .flat_map(|other| &other.domains)
            .filter(|domain| !own.domains.contains(*domain) && !own.owns(domain, &chains))
            .cloned()
            .collect();
        let Some(hosts) = own.routes.as_ref().and_then(|name| all.get_mut(name)) else { continue };
        if foreign.is_empty() {
            continue;
        }
        // What is this chain's own stays unknown, or clients would come back for ever.
        let covered = |name: &&String| foreign.iter().any(|f| hostname::subset_of(name, f));
        let unserved: Vec<String> = own.names.difference(&own.domains).filter(covered).cloned().collect();
        hosts.retain(|host| !host.domains.iter().any(|d| foreign.contains(d)));
        if !unserved.is_empty() {
            hosts.push(own.host("unserved", unserved, Answer::Routes));
        }
        hosts.push(own.host("misdirected", foreign.into_iter().collect(), Answer::Misdirected));
        hosts.sort_by_cached_key(GatewayHost::name);
    }
}

/// The chain of a server; none if it has no TLS, or leads to what no request asks for by its host.
fn chain<'a>(bindings: &Bindings<'_>, server: &'a Server<'a>, all: &Configurations) -> Option<Chain<'a>> {
    let names: BTreeSet<String> = server.hosts.iter().map(|h| h.host.to_lowercase()).collect();
    let domains = match server.carries() {
        Carries::Https => {
            let hosts = all.get(&server.route_name()?)?;
            let served = hosts.iter().filter(|host| !host.rules.is_empty());
            served.flat_map(|host| host.domains.iter().cloned()).collect()
        }
        Carries::Tls => names.clone(),
        Carries::Passthrough => passed_on(bindings, server),
        Carries::Http | Carries::Tcp | Carries::AutoPassthrough => return None,
    };
    Some(Chain { server, routes: server.route_name(), names, domains })
}

/// The names that a server passes on.
fn passed_on(bindings: &Bindings<'_>, server: &Server<'_>) -> BTreeSet<String> {
    let rules = bindings.to(&server.gateway_name).iter().flat_map(|rule| &rule.config.spec.tls);
    let matches = rules.flat_map(|tls| &tls.r#match).filter(|m| server.fits(m.port, &m.gateways));
    let names = matches.flat_map(|m| &m.sni_hosts).map(|name| name.to_lowercase());
    names
        .filter(|name| server.hosts.iter().any(|h| hostname::subset_of(name, &h.host.to_lowercase())))
        .collect()
}

impl Chain<'_> {
    /// Whether connections for a host come to this chain: no other has a more specific name for it.
    fn owns(&self, host: &str, chains: &[Chain<'_>]) -> bool {
        let best = chains
            .iter()
            .filter_map(|c| Some((c.closest(host)?, c)))
            .min_by(|(a, _), (b, _)| hostname::by_specificity(a, b));
        best.is_some_and(|(_, chain)| std::ptr::eq(chain.server, self.server))
    }

    /// The most specific name that covers a host.
    fn closest(&self, host: &str) -> Option<&str> {
        let covering = self.names.iter().filter(|name| hostname::subset_of(host, name));
        covering.map(String::as_str).min_by(|a, b| hostname::by_specificity(a, b))
    }

    fn host(&self, name: &str, domains: Vec<String>, answer: Answer) -> GatewayHost {
        let gateways: Vec<ObjectRef> = vec![self.server.gateway.source.clone()];
        GatewayHost {
            host: name.into(),
            port: self.server.number,
            domains,
            rules: Vec::new(),
            answer,
            https_only: false,
            attempt_count: false,
            gateways,
        }
    }
}

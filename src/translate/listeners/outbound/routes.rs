//! TCP and TLS routes of VirtualServices as filter chains, and the chain of a service that has none.
//!
//! What depends on the client (labels, namespace, gateway, port) is decided here; what depends on the connection (SNI,
//! address) is matched by the chain. Source: `shared/spec/xds.md` 4.4.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::istio::{L4MatchAttributes, RouteDestination, TlsMatchAttributes, VirtualService};
use model::config::selects;
use model::hostname;
use model::mesh::{MergedRule, VirtualServiceEntry};
use model::protocol::Protocol;
use model::service::{Resolution, Service};
use model::{Config, Ref};

use super::bind::{self, Wildcard};
use super::chain::{Chain, Destination, Origin, TcpChain};
use crate::context::Context;
use crate::listeners::http::DnsCache;
use crate::listeners::tcp::{Inspection, policy};
use crate::scope::{EgressListener, ScopedService};
use crate::tls::announced;

/// The gateway name that stands for all sidecars.
const MESH: &str = "mesh";

/// The port of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listen {
    /// Its number.
    pub(super) port: u16,
    /// What it speaks.
    pub(super) protocol: Protocol,
}

/// The VirtualServices of an egress listener that have TCP or TLS routes for sidecars.
pub(super) struct Routes<'a> {
    context: &'a Context<'a>,
    rules: Vec<&'a Ref<VirtualServiceEntry>>,
}

impl<'a> Routes<'a> {
    pub(super) fn of(context: &'a Context<'a>, egress: &'a EgressListener) -> Self {
        let matters = |spec: &VirtualService| {
            (!spec.tcp.is_empty() || !spec.tls.is_empty())
                && (spec.gateways.is_empty() || spec.gateways.iter().any(|g| g == MESH))
        };
        let rules = egress.virtual_services.iter().filter(|v| matters(&v.config.spec)).collect();
        Self { context, rules }
    }

    /// The chains of a service on a listener; `ranges` are the addresses of the service, where the listener has not
    /// got them.
    pub(super) fn chains(
        &self,
        scoped: &ScopedService,
        listen: Listen,
        on_any: bool,
        ranges: &[String],
    ) -> Vec<Chain> {
        let host = &*scoped.service.host;
        let covers =
            |v: &VirtualServiceEntry| v.config.spec.hosts.iter().any(|h| hostname::overlaps(h, host));
        let rules: Vec<_> = self.rules.iter().copied().filter(|v| covers(v)).collect();
        let place = Place { context: self.context, scoped, listen, on_any };
        let chains =
            if listen.protocol.is_tls() { place.tls(&rules, ranges) } else { place.tcp(&rules, ranges) };
        chains.into_iter().map(|c| Chain::Tcp(Box::new(c))).collect()
    }
}

/// A service on a listener.
struct Place<'a> {
    context: &'a Context<'a>,
    scoped: &'a ScopedService,
    listen: Listen,
    on_any: bool,
}

impl Place<'_> {
    fn tls(&self, rules: &[&Ref<VirtualServiceEntry>], ranges: &[String]) -> Vec<TcpChain> {
        let mut chains = Vec::new();
        // As in the reference, subnets of one match stay for those that follow and name none.
        let mut subnets = ranges;
        for rule in rules {
            for (index, tls) in rule.config.spec.tls.iter().enumerate() {
                let matches = tls.r#match.iter().enumerate();
                for (at, matched) in matches.filter(|(_, m)| self.holds(&TlsSide(m))) {
                    if !matched.destination_subnets.is_empty() {
                        subnets = &matched.destination_subnets;
                    }
                    let field = format!("spec.tls[{index}].match[{at}]");
                    let sni = matched.sni_hosts.clone();
                    chains.extend(self.routed((&rule.config, field), &tls.route, sni, subnets.to_vec()));
                }
            }
        }
        if chains.is_empty() {
            chains.push(self.plain(self.sni_hosts(ranges), ranges.to_vec()));
        }
        chains
    }

    fn tcp(&self, rules: &[&Ref<VirtualServiceEntry>], ranges: &[String]) -> Vec<TcpChain> {
        let mut chains = Vec::new();
        let mut covered = false;
        for rule in rules {
            for (index, tcp) in rule.config.spec.tcp.iter().enumerate() {
                let from = || (&*rule.config, format!("spec.tcp[{index}]"));
                let matching: Vec<_> = tcp.r#match.iter().filter(|m| self.holds(&TcpSide(m))).collect();
                if tcp.r#match.is_empty() || matching.iter().any(|m| m.destination_subnets.is_empty()) {
                    chains.extend(self.routed(from(), &tcp.route, Vec::new(), ranges.to_vec()));
                    return chains;
                }
                let subnets: Vec<String> =
                    matching.into_iter().flat_map(|m| m.destination_subnets.iter().cloned()).collect();
                if subnets.is_empty() {
                    continue;
                }
                covered |= same_set(&subnets, ranges);
                let routed = self.routed(from(), &tcp.route, Vec::new(), subnets);
                // The reference tells the VirtualService only where the match is final.
                chains.extend(routed.map(|chain| TcpChain { config: None, ..chain }));
            }
        }
        // Envoy refuses two chains with one match.
        if !covered {
            chains.push(self.plain(Vec::new(), ranges.to_vec()));
        }
        chains
    }

    /// Whether the parts of a match hold that the client decides.
    fn holds(&self, matched: &dyn ClientSide) -> bool {
        let (view, port) = (self.context.view, matched.port());
        let gateways = matched.gateways();
        (gateways.is_empty() || gateways.iter().any(|g| g == MESH))
            && (port == 0 || port == u32::from(self.listen.port))
            && selects(matched.labels(), &view.labels)
            && (matched.namespace().is_empty() || *matched.namespace() == *view.namespace)
    }

    /// The chain to the destinations of a route; none if there are none.
    fn routed(
        &self,
        (config, field): (&Config<VirtualService>, String),
        route: &[RouteDestination],
        sni_hosts: Vec<String>,
        ranges: Vec<String>,
    ) -> Option<TcpChain> {
        let first = route.first()?;
        let service = self.context.scope.service(&first.destination.host);
        let rule = service.and_then(|s| self.context.rule(&s.service));
        let weighted = route.len() > 1;
        let weight = |r: &RouteDestination| u32::try_from(r.weight).unwrap_or_default();
        let clusters: Vec<_> = route
            .iter()
            .filter(|r| !weighted || weight(r) > 0)
            .map(|r| (self.destination(r), weight(r)))
            .collect();
        let subset = if weighted { "" } else { &first.destination.subset };
        let mut chain = self.chain(clusters, rule, subset);
        if weighted {
            chain.stat_prefix = format!("{}.{}", config.name(), config.namespace());
        } else if let (Some((to, _)), Some(service)) = (chain.clusters.first(), service) {
            // The port is that of the listener, wherever the route goes.
            let port = self.listen.port;
            let name = self.scoped.service.port(port).map_or("", |p| &p.name);
            chain.stat_prefix = self.stat_prefix(&service.service, port, name, &to.subset);
        }
        chain.sources.push(config.source.clone());
        let origin = Origin { object: config.source.key.clone(), field };
        let config = Some(config.source.clone());
        Some(TcpChain { origin, sni_hosts, ranges, config, weighted, ..chain })
    }

    fn destination(&self, route: &RouteDestination) -> Destination {
        let to = &route.destination;
        let service = self.context.scope.service(&to.host);
        let only = || service.and_then(only_port).unwrap_or(self.listen.port);
        let port = to.port.as_ref().map_or_else(|| u32::from(only()), |p| p.number);
        let host = service.map(|s| s.service.alias_of.as_ref().unwrap_or(&s.service.host));
        let host = host.map_or_else(|| Arc::from(to.host.as_str()), Arc::clone);
        Destination { port, subset: to.subset.clone(), host }
    }

    /// The chain to the service itself.
    fn plain(&self, sni_hosts: Vec<String>, ranges: Vec<String>) -> TcpChain {
        let service = &self.scoped.service;
        let port = only_port(self.scoped).unwrap_or(self.listen.port);
        let to =
            Destination { port: u32::from(port), subset: String::new(), host: Arc::clone(&service.host) };
        // The reference does not know the port's name here.
        let stat_prefix = self.stat_prefix(service, port, "", &to.subset);
        let chain = self.chain(vec![(to, 1)], self.context.rule(service), "");
        let dynamic = self.is_dynamic() && self.listen.protocol == Protocol::Tls;
        let features = &self.context.settings().features;
        let cache = || DnsCache::of_host(&service.host, self.context.view.families, features);
        TcpChain { sni_hosts, ranges, stat_prefix, sni_proxy: dynamic.then(|| (cache(), port)), ..chain }
    }

    fn chain(
        &self,
        clusters: Vec<(Destination, u32)>,
        rule: Option<&Ref<MergedRule>>,
        subset: &str,
    ) -> TcpChain {
        let spec = rule.map(|r| &r.rule.spec);
        let features = &self.context.settings().features;
        let corrects = announced::must_correct(self.context, self.ports(&clusters));
        let mut sources = vec![self.scoped.service.source.clone()];
        sources.extend(rule.into_iter().flat_map(|r| r.from.iter().cloned()));
        TcpChain {
            origin: Origin { object: self.scoped.service.source.key.clone(), field: "spec.ports".to_owned() },
            sni_hosts: Vec::new(),
            ranges: Vec::new(),
            config: None,
            clusters,
            weighted: false,
            stat_prefix: String::new(),
            idle_timeout: spec.and_then(policy::idle_timeout),
            max_duration: spec.and_then(policy::max_duration),
            hash_source_ip: spec.is_some_and(|s| policy::hashes_source_ip(s, subset)),
            tunnel: spec.and_then(|s| policy::tunnel(s, subset)),
            corrects,
            inspection: Inspection::of(self.listen.protocol, features),
            sni_proxy: None,
            sources,
        }
    }

    /// The ports that connections go to.
    fn ports<'c>(
        &'c self,
        clusters: &'c [(Destination, u32)],
    ) -> impl Iterator<Item = (Option<&'c Ref<Service>>, u16, &'c str)> {
        clusters.iter().map(|(to, _)| {
            let service = self.context.scope.service(&to.host).map(|scoped| &scoped.service);
            (service, u16::try_from(to.port).unwrap_or_default(), &*to.subset)
        })
    }

    fn stat_prefix(&self, service: &Service, port: u16, port_name: &str, subset: &str) -> String {
        let pattern = &self.context.settings().mesh.outbound_cluster_stat_name;
        if pattern.is_empty() {
            return String::new();
        }
        policy::stat_name(pattern, service, u32::from(port), port_name, subset)
    }

    fn is_dynamic(&self) -> bool {
        let service = &self.scoped.service;
        service.resolution == Resolution::DynamicDns && hostname::is_wildcard(&service.host)
    }

    /// The names by which a TLS service is told from others. With an address of its own there is no need, and
    /// clients may send any name.
    fn sni_hosts(&self, ranges: &[String]) -> Vec<String> {
        let service = &self.scoped.service;
        let addresses = bind::addresses(service, self.context.view);
        let any = &Wildcard::of(self.context.view.families).any;
        let shared = match addresses.first() {
            // The ranges are then the addresses of single endpoints, which tell the service as well as a name.
            None if !ranges.is_empty() => return Vec::new(),
            None => self.on_any,
            Some(bind) => bind.address.contains('/') || bind.address == *any && self.on_any,
        };
        if ranges.is_empty() && !shared && !self.is_dynamic() {
            return Vec::new();
        }
        let mut names = vec![service.host.to_string()];
        for alias in &service.aliases {
            names.push(alias.host.to_string());
            names.extend(short_forms(&alias.host, &self.context.view.dns_domain));
        }
        names
    }
}

/// The port of a service that has, as far as it is imported, only one.
fn only_port(scoped: &ScopedService) -> Option<u16> {
    let mut ports = scoped.ports();
    let first = ports.next()?;
    ports.next().is_none().then_some(first.number)
}

/// The shorter names of a Kubernetes host that a client with this DNS domain may use.
fn short_forms(host: &str, dns_domain: &str) -> Vec<String> {
    let (Some((service, suffix)), Some((own, own_suffix))) =
        (host.split_once(".svc."), dns_domain.split_once(".svc."))
    else {
        return Vec::new();
    };
    let Some((name, namespace)) = service.split_once('.') else { return Vec::new() };
    if suffix != own_suffix {
        return Vec::new();
    }
    let mut forms = vec![format!("{name}.{namespace}.svc"), service.to_owned()];
    if namespace == own {
        forms.insert(0, name.to_owned());
    }
    forms
}

fn same_set(a: &[String], b: &[String]) -> bool {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    sorted(a) == sorted(b)
}

/// The parts of a match that the client decides.
trait ClientSide {
    fn port(&self) -> u32;
    fn labels(&self) -> &BTreeMap<String, String>;
    fn gateways(&self) -> &[String];
    fn namespace(&self) -> &str;
}

struct TlsSide<'a>(&'a TlsMatchAttributes);

struct TcpSide<'a>(&'a L4MatchAttributes);

macro_rules! client_side {
    ($($kind:ident),*) => {$(
        impl ClientSide for $kind<'_> {
            fn port(&self) -> u32 {
                self.0.port
            }

            fn labels(&self) -> &BTreeMap<String, String> {
                &self.0.source_labels
            }

            fn gateways(&self) -> &[String] {
                &self.0.gateways
            }

            fn namespace(&self) -> &str {
                &self.0.source_namespace
            }
        }
    )*};
}

client_side!(TlsSide, TcpSide);

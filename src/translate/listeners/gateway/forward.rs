//! TCP proxies of a gateway: to the destinations of a route of a VirtualService, or to the service that a name spells.

use api::ObjectRef;
use api::istio::{RouteDestination, VirtualService};
use model::mesh::MergedRule;
use model::service::{Service, ServicePort};
use model::{Config, Ref};

use crate::clusters::names;
use crate::context::Context;
use crate::gateways::server::Server;
use crate::listeners::outbound::OutboundDefaults;
use crate::listeners::tcp::{Forward, Inspection, Target, policy};
use crate::tls::announced;

/// A TCP proxy and the objects that it came from.
pub(super) struct Forwarding {
    pub(super) forward: Forward,
    pub(super) sources: Vec<ObjectRef>,
}

/// Makes the TCP proxies of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwarder<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) server: &'a Server<'a>,
    pub(super) defaults: &'a OutboundDefaults,
}

impl Forwarder<'_> {
    /// To the destinations of a route, by weight if there are several; none if there are none.
    pub(super) fn routed(
        &self,
        config: &Config<VirtualService>,
        route: &[RouteDestination],
    ) -> Option<Forwarding> {
        let first = &route.first()?.destination;
        let service = self.service(&first.host);
        let rule = service.and_then(|s| self.context.rule(s));
        let (target, stat_prefix, subset) = if let [only] = route {
            let name = self.cluster(only);
            let Server { number, port_name, .. } = self.server;
            let prefix = service.and_then(|s| self.stat_prefix(s, *number, port_name, &first.subset));
            (Target::Cluster(name.clone()), prefix.unwrap_or(name), first.subset.as_str())
        } else {
            let weight = |r: &RouteDestination| u32::try_from(r.weight).unwrap_or_default();
            let weighted = route.iter().filter(|r| weight(r) > 0).map(|r| (self.cluster(r), weight(r)));
            let prefix = format!("{}.{}", config.name(), config.namespace());
            (Target::Weighted(weighted.collect()), prefix, "")
        };
        let mut forwarding = self.forwarding(target, stat_prefix, rule, subset);
        let ports =
            route.iter().map(|r| (self.service(&r.destination.host), self.port(r), &*r.destination.subset));
        forwarding.forward.corrects = announced::must_correct(self.context, ports);
        forwarding.sources.push(config.source.clone());
        forwarding.sources.extend(service.map(|s| s.source.clone()));
        Some(forwarding)
    }

    /// To the cluster that mesh mTLS of another network asks for by its name.
    pub(super) fn spelt(
        &self,
        service: &Ref<Service>,
        port: &ServicePort,
        subset: &str,
        rule: Option<&Ref<MergedRule>>,
    ) -> (String, Forwarding) {
        let name = names::sni(port.number, subset, &service.host);
        let prefix = self.stat_prefix(service, port.number, &port.name, subset);
        let prefix = prefix.unwrap_or_else(|| name.clone());
        let mut forwarding = self.forwarding(Target::Cluster(name.clone()), prefix, rule, subset);
        // What passes is mesh mTLS of another network, which no tunnel takes further.
        forwarding.forward.tunnel = None;
        forwarding.sources.push(service.source.clone());
        (name, forwarding)
    }

    fn forwarding(
        &self,
        target: Target,
        stat_prefix: String,
        rule: Option<&Ref<MergedRule>>,
        subset: &str,
    ) -> Forwarding {
        let spec = rule.map(|r| &r.rule.spec);
        let forward = Forward {
            stat_prefix,
            target,
            idle_timeout: spec.and_then(policy::idle_timeout).or(self.defaults.idle_timeout),
            max_duration: spec.and_then(policy::max_duration),
            hash_source_ip: spec.is_some_and(|s| policy::hashes_source_ip(s, subset)),
            tunnel: spec.and_then(|s| policy::tunnel(s, subset)),
            corrects: false,
            inspection: Inspection::of(self.server.protocol, &self.context.settings().features),
            access_logs: self.defaults.access_logs.clone(),
        };
        Forwarding { forward, sources: rule.into_iter().flat_map(|r| r.from.iter().cloned()).collect() }
    }

    fn service(&self, host: &str) -> Option<&Ref<Service>> {
        self.context.mesh.services.visible(host, &self.context.view.namespace)
    }

    /// The port of a destination: one that is not named is the only one of the service, else the server's. 0 for one that
    /// there cannot be.
    fn port(&self, route: &RouteDestination) -> u16 {
        let only = || match self.service(&route.destination.host).map(|s| s.ports.as_slice()) {
            Some([only]) => only.number,
            _ => self.server.number,
        };
        let named = route.destination.port.as_ref();
        named.map_or_else(only, |port| u16::try_from(port.number).unwrap_or_default())
    }

    /// The cluster of a destination.
    fn cluster(&self, route: &RouteDestination) -> String {
        let to = &route.destination;
        let service = self.service(&to.host);
        let port = to.port.as_ref().map_or_else(|| u32::from(self.port(route)), |p| p.number);
        let host = service.and_then(|s| s.alias_of.as_deref()).unwrap_or(&to.host);
        format!("outbound|{port}|{}|{host}", to.subset)
    }

    /// The prefix of statistics, if the mesh has a pattern for it.
    fn stat_prefix(&self, service: &Service, port: u16, port_name: &str, subset: &str) -> Option<String> {
        let pattern = &self.context.settings().mesh.outbound_cluster_stat_name;
        let name = || policy::stat_name(pattern, service, u32::from(port), port_name, subset);
        (!pattern.is_empty()).then(name)
    }
}

//! Walks the egress listeners of a scope and enters what each service wants.

use std::sync::Arc;

use api::istio::IstioEgressListener;
use model::Ref;
use model::endpoint::Address;
use model::mesh::Features;
use model::protocol::{Class, Protocol};
use model::service::{Registry, Resolution, Service, ServicePort};

use super::bind::{self, Bind, Placing, Wildcard};
use super::entry::{Entries, Wish};
use super::left_out::{declared, egress_port};
use super::routes::{Listen, Routes};
use super::{Chain, HttpChain, OutboundDefaults, OutboundKey, Unknown};
use crate::class::SharedView;
use crate::context::Context;
use crate::listeners::http::DnsCache;
use crate::scope::{EgressListener, ScopedService};

/// The listeners that the services of a scope want.
pub(super) fn all(
    context: &Context<'_>,
    defaults: &Ref<OutboundDefaults>,
    unknown: &Unknown,
) -> Vec<OutboundKey> {
    let mut entries = Entries::default();
    for egress in &context.scope.egress {
        let declared = declared(context, egress);
        let mut collector = Collector::new(context, unknown, egress, declared, &mut entries);
        match declared.and_then(|d| d.port.as_ref()) {
            Some(port) => {
                if let Some(number) = egress_port(port.number, collector.placing.unix) {
                    collector.port(number, Protocol::of_declared(&port.protocol));
                }
            }
            None => collector.every_port(),
        }
    }
    let fallback: Arc<str> = unknown.cluster().into();
    let key =
        |e: super::entry::Entry| OutboundKey::new(e.bind, e.port, e.bound, e.chains, &fallback, defaults);
    entries.into_vec().into_iter().map(key).collect()
}

/// Collects for one egress listener.
struct Collector<'a, 'e> {
    context: &'a Context<'a>,
    unknown: &'a Unknown,
    egress: &'a EgressListener,
    /// VirtualServices for TCP and TLS.
    routes: Routes<'a>,
    wildcard: &'static Wildcard,
    placing: Placing,
    entries: &'e mut Entries,
}

impl<'a, 'e> Collector<'a, 'e> {
    fn new(
        context: &'a Context<'a>,
        unknown: &'a Unknown,
        egress: &'a EgressListener,
        declared: Option<&IstioEgressListener>,
        entries: &'e mut Entries,
    ) -> Self {
        let placing = Placing::of(context.view, declared);
        let wildcard = Wildcard::of(context.view.families);
        let routes = Routes::of(context, egress);
        Self { context, unknown, egress, routes, wildcard, placing, entries }
    }

    /// One port, whatever ports the services have.
    fn port(&mut self, number: u16, protocol: Protocol) {
        if !self.placing.allows(self.context, number, protocol) {
            return;
        }
        for scoped in &self.egress.services {
            self.at_addresses(scoped, Listen { port: number, protocol });
        }
    }

    /// Every port of every service that no listener before has claimed.
    fn every_port(&mut self) {
        self.entries.lock();
        for scoped in &self.egress.services {
            for port in scoped.ports() {
                if self.placing.allows(self.context, port.number, port.protocol) {
                    self.service_port(scoped, port);
                }
            }
        }
    }

    fn service_port(&mut self, scoped: &ScopedService, port: &ServicePort) {
        let listen = Listen { port: port.number, protocol: port.protocol };
        let service = &scoped.service;
        let free = self.placing.bind.is_none() && port.protocol.class() != Class::Http;
        if free && bind::is_headless(service) && bind::addresses(service, self.context.view).is_empty() {
            return self.headless(scoped, port, listen);
        }
        self.at_addresses(scoped, listen);
    }

    /// A listener at the address that the egress listener names; else HTTP is told apart by the hosts of requests, and
    /// everything else by the addresses of services.
    fn at_addresses(&mut self, scoped: &ScopedService, listen: Listen) {
        if let Some(bind) = self.placing.bind.clone() {
            return self.enter(scoped, listen, bind, Vec::new());
        }
        if listen.protocol.class() == Class::Http {
            return self.enter(scoped, listen, Bind::any(self.wildcard), Vec::new());
        }
        let service = &scoped.service;
        let addresses = bind::addresses(service, self.context.view);
        if addresses.is_empty() {
            let any = match service.registry {
                Registry::External => Bind::any(self.wildcard),
                Registry::Kubernetes => Bind::to(Arc::clone(&self.wildcard.any)),
            };
            return self.enter(scoped, listen, any, Vec::new());
        }
        for bind in addresses {
            if bind.address.contains('/') {
                self.enter(scoped, listen, Bind::any(self.wildcard), vec![bind.address.to_string()]);
            } else {
                self.enter(scoped, listen, bind, Vec::new());
            }
        }
    }

    /// Listeners on the addresses of the endpoints; on a TCP port they may be chains of one listener on the unspecified
    /// address instead. A ServiceEntry that can have no endpoints gets that address; any other service without endpoints
    /// gets nothing.
    fn headless(&mut self, scoped: &ScopedService, port: &ServicePort, listen: Listen) {
        let service = &scoped.service;
        let endpoints = self.context.endpoints(service).map(|e| e.endpoints.clone());
        let of_port = || endpoints.iter().flat_map(|e| e.iter()).filter(|e| e.port_name == port.name);
        let open = service.registry == Registry::External && service.selector.is_none();
        if open && of_port().next().is_none() {
            return self.enter(scoped, listen, Bind::any(self.wildcard), Vec::new());
        }
        // Where the protocol is not declared, chains by address would take HTTP away from its own chain.
        let features = &self.context.settings().features;
        let chains = features.headless_filter_chains && listen.protocol.class() == Class::Tcp;
        for endpoint in of_port() {
            if let Address::Ip(address) = &endpoint.address {
                if chains {
                    let ranges = [address].into_iter().chain(&endpoint.additional);
                    let ranges = ranges.map(ToString::to_string).collect();
                    self.enter(scoped, listen, Bind::any(self.wildcard), ranges);
                    continue;
                }
                let bind = Bind { address: Arc::clone(address), extra: endpoint.additional.clone() };
                self.enter(scoped, listen, bind, Vec::new());
            }
        }
    }

    fn enter(&mut self, scoped: &ScopedService, listen: Listen, bind: Bind, ranges: Vec<String>) {
        if scoped.service.resolution == Resolution::Alias {
            return;
        }
        let class = listen.protocol.class();
        if class == Class::None {
            return;
        }
        let on_any = bind.address == self.wildcard.any;
        let wish = Wish { bind, port: listen.port, bound: self.placing.bound, protocol: listen.protocol };
        let (routes, unknown, view) = (&self.routes, self.unknown, self.context.view);
        let features = &self.context.settings().features;
        let http = || {
            let dns_cache = dns_cache(&scoped.service, view, features, unknown);
            Chain::Http(http_chain(&scoped.service, listen.protocol, on_any, dns_cache))
        };
        self.entries.enter(wish, on_any, || match class {
            Class::Http => vec![http()],
            Class::Auto => {
                let mut chains = routes.chains(scoped, listen, on_any, &ranges);
                chains.push(http());
                chains
            }
            Class::Tcp | Class::None => routes.chains(scoped, listen, on_any, &ranges),
        });
    }
}

/// The chain of an HTTP port. On the unspecified address, and where the protocol is not declared, HTTP is told
/// from the rest; what comes to an HTTP proxy is nothing else.
fn http_chain(service: &Service, protocol: Protocol, on_any: bool, dns_cache: Option<DnsCache>) -> HttpChain {
    let auto = protocol == Protocol::Auto;
    let told_apart = (on_any && protocol != Protocol::HttpProxy) || auto;
    HttpChain {
        host: (auto && !on_any).then(|| Arc::clone(&service.host)),
        sniffed: told_apart,
        plaintext: told_apart,
        grpc_web: protocol == Protocol::GrpcWeb,
        absolute_url: false,
        dns_cache,
        source: Some(service.source.clone()),
    }
}

/// The cache of names, where requests are sent to the host that they name.
fn dns_cache(
    service: &Service,
    view: &SharedView,
    features: &Features,
    unknown: &Unknown,
) -> Option<DnsCache> {
    if service.resolution == Resolution::DynamicDns && model::hostname::is_wildcard(&service.host) {
        return Some(DnsCache::of_host(&service.host, view.families, features));
    }
    (*unknown == Unknown::PassByName).then(|| DnsCache::allow_any(view, features))
}

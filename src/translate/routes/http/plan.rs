//! What one listener applies of a VirtualService.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::istio::{Destination, HttpMatchRequest, HttpRetry};
use model::Ref;
use model::config::selects;
use model::mesh::{MergedRule, VirtualServiceEntry};
use model::service::Service;

use super::{Missing, RuleSet, Target, destinations};
use crate::context::Context;
use crate::routes::hash_policy;
use crate::routes::session::Session;

/// The services that destinations may name.
pub trait Services {
    /// The service that a VirtualService of `namespace` means by `host`.
    fn service(&self, host: &str, namespace: &str) -> Option<&Ref<Service>>;
}

/// Whose routes are planned.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    /// The class: its namespace and labels are what `sourceNamespace` and `sourceLabels` are compared with.
    pub context: &'a Context<'a>,
    /// The port for which routes are made: of the listener on sidecars, of the server on gateways; 0 for all ports.
    pub port: u16,
    /// What `gateways` of a match may name: `mesh`, or `<namespace>/<name>` of the Gateways of a router.
    pub gateways: &'a BTreeSet<Arc<str>>,
    /// Whether the listener terminates TLS.
    pub tls: bool,
    /// What the hosts of destinations mean.
    pub services: &'a dyn Services,
    /// Whether a destination without a port takes the only port of its service instead of the listener's.
    pub only_port: bool,
    /// Whether any DestinationRule of the mesh hashes: if not, none needs to be looked for.
    pub hashing: bool,
    /// The mesh's retry policy, if it sets one.
    pub retries: Option<&'a Ref<HttpRetry>>,
    /// Whether answers tell that the port serves HTTP/3 as well.
    pub http3: bool,
}

/// What the listener applies of a VirtualService; none if no match of it can hold there.
pub fn plan(listener: Listener<'_>, entry: &Ref<VirtualServiceEntry>) -> Option<RuleSet> {
    let rules = &entry.config.spec.http;
    let mut excluded = BTreeSet::new();
    let mut applies = false;
    for (rule, http) in rules.iter().enumerate() {
        applies |= http.r#match.is_empty();
        for (index, request) in http.r#match.iter().enumerate() {
            if listener.may_hold(request) {
                applies = true;
            } else {
                excluded.insert((rule, index));
            }
        }
    }
    if !applies {
        return None;
    }
    let namespace = entry.config.namespace();
    let targets = rules.iter().flat_map(destinations).map(|d| listener.target(d, namespace)).collect();
    // What no rule looks at would only keep equal routes apart.
    let headers = listener.context.view.proxy_config.proxy_headers.as_ref();
    let forwarded = headers.and_then(|h| h.x_forwarded_host.as_ref()).and_then(|h| h.enabled);
    let rewrites = || rules.iter().any(|r| r.rewrite.is_some());
    let redirects = || rules.iter().any(|r| r.redirect.is_some());
    let mirrors = || rules.iter().any(|r| r.mirror.is_some() || !r.mirrors.is_empty());
    Some(RuleSet {
        entry: entry.clone(),
        port: listener.port,
        tls: listener.tls && redirects(),
        excluded,
        targets,
        retries: listener.retries.cloned(),
        shadow_suffix: !listener.context.settings().features.disable_shadow_host_suffix && mirrors(),
        append_x_forwarded_host: forwarded == Some(true) && rewrites(),
        http3: listener.http3,
    })
}

impl Listener<'_> {
    /// Whether what a match says of the listener and the client is so. As in the reference, naming gateways makes
    /// the client's labels and namespace count for nothing.
    fn may_hold(&self, request: &HttpMatchRequest) -> bool {
        if request.port != 0 && request.port != u32::from(self.port) {
            return false;
        }
        if !request.gateways.is_empty() {
            return request.gateways.iter().any(|g| self.gateways.contains(g.as_str()));
        }
        let view = self.context.view;
        selects(&request.source_labels, &view.labels)
            && (request.source_namespace.is_empty() || request.source_namespace == *view.namespace)
    }

    fn target(&self, destination: &Destination, namespace: &str) -> Target {
        let service = self.services.service(&destination.host, namespace);
        let named = destination.port.as_ref().map(|p| u16::try_from(p.number).unwrap_or(0));
        let only =
            service.filter(|_| self.only_port || self.port == 0).and_then(|s| match s.ports.as_slice() {
                [port] => Some(port.number),
                _ => None,
            });
        let port = named.or(only).unwrap_or(self.port);
        let rule = service
            .filter(|_| self.hashing || !destination.subset.is_empty())
            .and_then(|s| self.context.rule(s));
        let alias_of = service.and_then(|s| s.alias_of.clone());
        let defined = |r: &Ref<MergedRule>| r.rule.spec.subsets.iter().any(|s| s.name == destination.subset);
        let missing = match service {
            None => Some(Missing::Host),
            Some(_) if alias_of.is_some() => None,
            Some(service) if service.port(port).is_none() => Some(Missing::Port),
            Some(_) if destination.subset.is_empty() || rule.is_some_and(defined) => None,
            Some(_) => Some(Missing::Subset),
        };
        let hashing =
            if self.hashing { hash_policy::hashing(rule, named, &destination.subset) } else { None };
        let features = &self.context.settings().features;
        let session = service.and_then(|s| Session::of(s, features));
        Target { port, alias_of, hashing, session, missing }
    }
}

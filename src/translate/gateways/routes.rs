//! The route configurations of a router: for each name that its listeners ask for, the hosts of its servers with the
//! routes of all VirtualServices that are bound to them.
//!
//! Source: Istio `pilot/pkg/networking/core/gateway.go` (`buildGatewayHTTPRouteConfig`); `shared/spec/xds.md` 5.4.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Ref, hostname};

use super::bound::{Bound, Rules};
use super::hosts;
use super::merge::Merged;
use super::misdirected::{self, Configurations};
use super::rules::Bindings;
use super::server::Server;
use super::virtual_host::{Answer, GatewayHost};
use crate::context::Context;
use crate::key::Key;
use crate::routes::{RouteKey, VirtualHostKey};

/// Plans the route configurations.
pub(crate) fn plan(bindings: &Bindings<'_>, merged: &Merged<'_>) -> Vec<(Arc<str>, Key)> {
    let hosts = merged.routes.iter().map(|(name, servers)| (name.clone(), virtual_hosts(bindings, servers)));
    let mut all: Configurations = hosts.collect();
    if bindings.context.settings().features.answer_misdirected {
        merged.listeners.iter().for_each(|listening| misdirected::answer(bindings, listening, &mut all));
    }
    let planned = all.into_iter().map(|(name, hosts)| {
        let name: Arc<str> = Arc::from(name);
        let hosts = hosts.into_iter().map(|host| Ref::new(VirtualHostKey::Gateway(host)));
        let virtual_hosts = hosts.collect();
        (Arc::clone(&name), Key::Route(Ref::new(RouteKey { name, virtual_hosts })))
    });
    planned.collect()
}

/// A host before it is known which others have the same routes.
#[derive(Debug, Default)]
struct Draft<'a> {
    rules: Vec<Rules>,
    https_only: bool,
    servers: Vec<&'a Server<'a>>,
}

/// The virtual hosts of the servers that share a configuration, sorted by name.
fn virtual_hosts(bindings: &Bindings<'_>, servers: &[Arc<Server<'_>>]) -> Vec<GatewayHost> {
    let Some(first) = servers.first() else { return Vec::new() };
    let mut drafts: BTreeMap<String, Draft<'_>> = BTreeMap::new();
    let mut bound = Bound::new(bindings);
    for server in servers {
        for (index, entry) in bindings.to(&server.gateway_name).iter().enumerate() {
            let config = &entry.config;
            let found = hosts::intersection(&server.hosts, &config.spec.hosts, config.namespace());
            if found.is_empty() {
                continue;
            }
            let Some(rules) = bound.rules(server, index, entry) else { continue };
            for host in found {
                let draft = Draft::named(&mut drafts, &host);
                draft.rules.push(rules.clone());
                draft.https_only |= server.redirects();
                draft.servers.push(server);
            }
        }
        // Hosts that no VirtualService speaks of are redirected all the same.
        for served in server.hosts.iter().filter(|_| server.redirects()) {
            let draft = Draft::named(&mut drafts, &served.host);
            draft.https_only = true;
            draft.servers.push(server);
        }
    }
    let attempt_count = attempt_count(bindings.context);
    let mut found: Vec<GatewayHost> = if drafts.is_empty() {
        vec![blackhole(first)]
    } else {
        let keep = !bindings.context.settings().features.route_collapse;
        let drafts = if keep { alone(drafts) } else { collapse(drafts) };
        drafts.into_iter().map(|(hosts, draft)| draft.host(&hosts, first, attempt_count)).collect()
    };
    found.sort_by_cached_key(GatewayHost::name);
    found
}

/// Each host for itself.
fn alone(drafts: BTreeMap<String, Draft<'_>>) -> Vec<(Vec<String>, Draft<'_>)> {
    drafts.into_iter().map(|(host, draft)| (vec![host], draft)).collect()
}

/// Puts hosts with the same routes together, the most specific one first.
fn collapse(drafts: BTreeMap<String, Draft<'_>>) -> Vec<(Vec<String>, Draft<'_>)> {
    let mut drafts: Vec<_> = drafts.into_iter().collect();
    drafts.sort_by(|(a, _), (b, _)| hostname::by_specificity(a, b));
    let mut collapsed: Vec<(Vec<String>, Draft<'_>)> = Vec::new();
    for (host, draft) in drafts {
        // As in the reference, hosts are compared with the last one that had these routes.
        let same = collapsed.iter_mut().rev().find(|(_, other)| other.rules == draft.rules);
        match same {
            Some((hosts, other)) if other.https_only == draft.https_only => {
                hosts.push(host);
                other.servers.extend(draft.servers);
            }
            _ => collapsed.push((vec![host], draft)),
        }
    }
    collapsed
}

impl Draft<'_> {
    /// The draft of a host. Envoy does not tell hosts apart that differ in case only.
    fn named<'d>(drafts: &'d mut BTreeMap<String, Self>, host: &str) -> &'d mut Self {
        drafts.entry(host.to_lowercase()).or_default()
    }

    fn host(self, hosts: &[String], first: &Server<'_>, attempt_count: bool) -> GatewayHost {
        let mut gateways: Vec<_> = self.servers.iter().map(|s| s.gateway.source.clone()).collect();
        gateways.sort();
        gateways.dedup();
        GatewayHost {
            host: hosts.first().map(String::as_str).unwrap_or_default().into(),
            port: self.servers.first().map_or(first.number, |s| s.number),
            domains: hosts.to_vec(),
            rules: self.rules.into_iter().map(Rules::into_shared).collect(),
            answer: Answer::Routes,
            https_only: self.https_only,
            attempt_count,
            gateways,
        }
    }
}

/// What answers 404 where nothing is bound.
fn blackhole(server: &Server<'_>) -> GatewayHost {
    GatewayHost {
        host: "blackhole".into(),
        port: server.number,
        domains: vec!["*".to_owned()],
        rules: Vec::new(),
        answer: Answer::Routes,
        https_only: false,
        attempt_count: false,
        gateways: vec![server.gateway.source.clone()],
    }
}

/// Whether requests tell how often they were tried.
fn attempt_count(context: &Context<'_>) -> bool {
    let headers = context.view.proxy_config.proxy_headers.as_ref();
    headers.and_then(|h| h.attempt_count.as_ref()).and_then(|a| a.disabled) != Some(true)
}

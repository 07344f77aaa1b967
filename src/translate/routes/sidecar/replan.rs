//! The route configurations after nothing but the HTTP rules of VirtualServices changed: the virtual hosts that held
//! the old rules take the new ones, all else stays. Most changes of a busy mesh are of this kind.

use std::collections::HashMap;
use std::sync::Arc;

use api::istio::HttpRoute;
use model::Ref;
use model::mesh::VirtualServiceEntry;

use super::Common;
use crate::context::Context;
use crate::key::{Entries, Key};
use crate::routes::RouteKey;
use crate::routes::http;
use crate::routes::virtual_host::{Hosted, Routes, VirtualHostKey};
use crate::scope::Scope;

/// VirtualServices by the form that they replace.
type Replaced<'a> = HashMap<&'a Ref<VirtualServiceEntry>, &'a Ref<VirtualServiceEntry>>;

/// The entries that a whole plan would give, if between the two scopes only HTTP rules of VirtualServices differ that
/// apply to every client alike; `None` if a whole plan is needed.
pub fn replan(context: &Context<'_>, last: &Scope, entries: &Entries) -> Option<Entries> {
    let replaced = replaced(context.scope, last)?;
    let common = Common::new(context);
    let next = entries.iter().map(|(name, key)| (Arc::clone(name), renew(&common, &replaced, key)));
    Some(next.collect())
}

/// The VirtualServices that differ, if nothing else does.
fn replaced<'a>(scope: &'a Scope, last: &'a Scope) -> Option<Replaced<'a>> {
    let same = scope.sidecar == last.sidecar
        && scope.services == last.services
        && scope.egress.len() == last.egress.len();
    let mut replaced = Replaced::new();
    for (new, old) in scope.egress.iter().zip(&last.egress).filter(|_| same) {
        let alike = new.index == old.index
            && new.services == old.services
            && new.virtual_services.len() == old.virtual_services.len();
        if !alike {
            return None;
        }
        for (new, old) in new.virtual_services.iter().zip(&old.virtual_services).filter(|(a, b)| a != b) {
            if !only_rules_differ(new, old) {
                return None;
            }
            replaced.insert(old, new);
        }
    }
    (same && !replaced.is_empty()).then_some(replaced)
}

/// Whether one form of a VirtualService stands where the other stood, and both apply wherever their hosts do.
fn only_rules_differ(new: &VirtualServiceEntry, old: &VirtualServiceEntry) -> bool {
    let (a, b) = (&new.config, &old.config);
    (a.namespace(), a.name()) == (b.namespace(), b.name())
        && a.annotations == b.annotations
        && new.export_to == old.export_to
        && a.spec.hosts == b.spec.hosts
        && a.spec.gateways == b.spec.gateways
        && [new, old].iter().all(|v| v.config.spec.http.iter().any(for_all))
}

/// Whether a rule may hold at every listener, for every client.
fn for_all(rule: &HttpRoute) -> bool {
    let anywhere = |request: &api::istio::HttpMatchRequest| {
        request.port == 0
            && request.gateways.is_empty()
            && request.source_labels.is_empty()
            && request.source_namespace.is_empty()
    };
    rule.r#match.is_empty() || rule.r#match.iter().any(anywhere)
}

/// A configuration with the new rules.
fn renew(common: &Common<'_>, replaced: &Replaced<'_>, key: &Key) -> Key {
    let Key::Route(route) = key else { return key.clone() };
    let mut hosts = None;
    for (at, host) in route.virtual_hosts.iter().enumerate() {
        if let Some(renewed) = renew_host(common, replaced, host)
            && let Some(place) = hosts.get_or_insert_with(|| route.virtual_hosts.clone()).get_mut(at)
        {
            *place = renewed;
        }
    }
    match hosts {
        Some(virtual_hosts) => Key::Route(Ref::new(RouteKey { virtual_hosts, ..RouteKey::clone(route) })),
        None => key.clone(),
    }
}

fn renew_host(
    common: &Common<'_>,
    replaced: &Replaced<'_>,
    host: &VirtualHostKey,
) -> Option<Ref<VirtualHostKey>> {
    let VirtualHostKey::Hosted(hosted @ Hosted { routes: Routes::Rules(rules), .. }) = host else {
        return None;
    };
    let entry = replaced.get(&rules.entry)?;
    let rules = http::plan(common.listener(rules.port), entry)?;
    let routes = Routes::Rules(Ref::new(rules));
    Some(Ref::new(VirtualHostKey::Hosted(Hosted { routes, ..hosted.clone() })))
}

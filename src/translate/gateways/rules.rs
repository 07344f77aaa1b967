//! The VirtualServices of Gateways, in the order in which they count, and what all of their routes have in common.

use std::collections::BTreeMap;

use api::istio::HttpRetry;
use model::Ref;
use model::mesh::VirtualServiceEntry;
use model::service::Service;

use crate::context::Context;
use crate::routes::{hash_policy, http};

/// The VirtualServices that a router sees, by the Gateways that they are bound to. Made once for a router: one that
/// serves many hosts asks often.
#[derive(Debug)]
pub(crate) struct Bindings<'a> {
    /// What they are planned for.
    pub(crate) context: &'a Context<'a>,
    /// The mesh's retry policy.
    pub(crate) retries: Option<Ref<HttpRetry>>,
    /// Whether any DestinationRule of the mesh hashes: if not, none needs to be looked for.
    pub(crate) hashing: bool,
    by_gateway: BTreeMap<&'a str, Vec<&'a Ref<VirtualServiceEntry>>>,
}

impl<'a> Bindings<'a> {
    /// Those of a router.
    pub(crate) fn of(context: &'a Context<'a>) -> Self {
        let mut by_gateway: BTreeMap<&str, Vec<&Ref<VirtualServiceEntry>>> = BTreeMap::new();
        for entry in context.mesh.virtual_services.visible_to(&context.view.namespace, None) {
            for gateway in &entry.config.spec.gateways {
                let bound = by_gateway.entry(gateway).or_default();
                // One that names a Gateway twice is bound once.
                if bound.last().is_none_or(|last| !std::ptr::eq(*last, entry)) {
                    bound.push(entry);
                }
            }
        }
        Self {
            context,
            retries: context.settings().mesh.default_http_retry_policy.clone().map(Ref::new),
            hashing: context.mesh.destination_rules.all().any(|r| hash_policy::hashes(&r.rule.spec)),
            by_gateway,
        }
    }

    /// Those that are bound to a Gateway (`<namespace>/<name>`).
    pub(crate) fn to(&self, gateway: &str) -> &[&'a Ref<VirtualServiceEntry>] {
        self.by_gateway.get(gateway).map_or(&[], Vec::as_slice)
    }
}

impl http::Services for Bindings<'_> {
    /// The service of the VirtualService's own namespace, if the router sees it, before any other.
    fn service(&self, host: &str, namespace: &str) -> Option<&Ref<Service>> {
        let services = &self.context.mesh.services;
        let router = &*self.context.view.namespace;
        let own = |s: &&Ref<Service>| *s.namespace == *namespace && s.export_to.visible_to(router);
        services.of_host(host).iter().find(own).or_else(|| services.visible(host, router))
    }
}

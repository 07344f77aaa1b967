//! What VirtualServices say of requests to the Gateways that they are bound to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::istio::{HttpRetry, VirtualService};
use model::service::Service;
use model::{Config, Ref};

use super::rules;
use super::server::Server;
use crate::context::Context;
use crate::routes::hash_policy;
use crate::routes::http::{self, Listener, RuleSet, Services};

/// The routes of a VirtualService at a Gateway. Those of another Gateway are others, even if they say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    gateway: Arc<str>,
    set: Ref<RuleSet>,
}

impl Rules {
    pub(super) fn into_shared(self) -> Ref<RuleSet> {
        self.set
    }
}

/// VirtualServices and what they say, in the order in which they count.
pub(super) type Listed<'a> = Vec<(&'a Ref<Config<VirtualService>>, Rules)>;

/// The services that a router sees.
struct Visible<'a>(&'a Context<'a>);

impl Services for Visible<'_> {
    fn service(&self, host: &str, namespace: &str) -> Option<&Ref<Service>> {
        rules::service(self.0, host, namespace)
    }
}

/// The routes of one configuration by Gateway: made once for each, with the port of its first server.
pub(super) struct Bound<'a> {
    context: &'a Context<'a>,
    retries: Option<Ref<HttpRetry>>,
    hashing: bool,
    by_gateway: BTreeMap<Arc<str>, Listed<'a>>,
}

impl<'a> Bound<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            retries: context.settings().mesh.default_http_retry_policy.clone().map(Ref::new),
            hashing: context.mesh.destination_rules.all().any(|r| hash_policy::hashes(&r.rule.spec)),
            by_gateway: BTreeMap::new(),
        }
    }

    /// The VirtualServices of a server's Gateway that have routes for it.
    pub(super) fn to(&mut self, server: &Server<'_>) -> &Listed<'a> {
        let Self { context, retries, hashing, by_gateway } = self;
        let context = *context;
        let name = &server.gateway_name;
        by_gateway.entry(Arc::clone(name)).or_insert_with(|| {
            let gateways = BTreeSet::from([Arc::clone(name)]);
            let listener = Listener {
                context,
                port: server.number,
                gateways: &gateways,
                tls: server.tls().is_some(),
                services: &Visible(context),
                only_port: true,
                hashing: *hashing,
                retries: retries.as_ref(),
            };
            let entries = rules::of_gateway(context, name).into_iter();
            let planned = entries.filter_map(|entry| {
                let set = Ref::new(http::plan(listener, entry)?);
                Some((&entry.config, Rules { gateway: Arc::clone(name), set }))
            });
            planned.collect()
        })
    }
}

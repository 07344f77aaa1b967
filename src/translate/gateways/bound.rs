//! What VirtualServices say of requests to the Gateways that they are bound to.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::istio::VirtualService;
use model::mesh::VirtualServiceEntry;
use model::{Config, Ref};

use super::rules;
use super::server::Server;
use crate::context::Context;

/// The routes of a VirtualService at a Gateway. Those of another Gateway are others, even if they say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    gateway: Arc<str>,
    entry: Ref<VirtualServiceEntry>,
}

impl Rules {
    pub(super) fn into_shared(self) -> Ref<VirtualServiceEntry> {
        self.entry
    }
}

type Listed<'a> = Vec<(&'a Ref<Config<VirtualService>>, Rules)>;

/// The routes of one configuration by Gateway: made once for each, with the port of its first server.
pub(super) struct Bound<'a> {
    context: &'a Context<'a>,
    by_gateway: BTreeMap<Arc<str>, Listed<'a>>,
}

impl<'a> Bound<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Self { context, by_gateway: BTreeMap::new() }
    }

    /// The VirtualServices of a server's Gateway that have HTTP routes, in order.
    pub(super) fn to(&mut self, server: &Server<'_>) -> &Listed<'a> {
        let name = &server.gateway_name;
        let context = self.context;
        self.by_gateway.entry(Arc::clone(name)).or_insert_with(|| {
            let entries = rules::of_gateway(context, name).into_iter();
            entries
                .filter(|e| !e.config.spec.http.is_empty())
                .map(|e| (&e.config, Rules { gateway: Arc::clone(name), entry: e.clone() }))
                .collect()
        })
    }
}

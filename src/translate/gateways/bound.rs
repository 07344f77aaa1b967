//! What VirtualServices say of requests to the Gateways that they are bound to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Ref;
use model::mesh::VirtualServiceEntry;

use super::rules::Bindings;
use super::server::Server;
use crate::routes::http::{self, Listener, RuleSet};

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

/// The routes of one configuration: those of a VirtualService are made once for each Gateway, with the port of the
/// first server that lets it in.
pub(super) struct Bound<'a> {
    bindings: &'a Bindings<'a>,
    made: BTreeMap<(Arc<str>, usize), Option<Rules>>,
}

impl<'a> Bound<'a> {
    pub(super) fn new(bindings: &'a Bindings<'a>) -> Self {
        Self { bindings, made: BTreeMap::new() }
    }

    /// What a VirtualService, the `index`th of the server's Gateway, says; none if nothing of it can hold there.
    pub(super) fn rules(
        &mut self,
        server: &Server<'_>,
        index: usize,
        entry: &Ref<VirtualServiceEntry>,
    ) -> Option<Rules> {
        let gateway = &server.gateway_name;
        let bindings = self.bindings;
        let make = || {
            let gateways = BTreeSet::from([Arc::clone(gateway)]);
            let listener = Listener {
                context: bindings.context,
                port: server.number,
                gateways: &gateways,
                tls: server.tls().is_some(),
                services: bindings,
                only_port: true,
                hashing: bindings.hashing,
                retries: bindings.retries.as_ref(),
                http3: server.http3,
            };
            let set = Ref::new(http::plan(listener, entry)?);
            Some(Rules { gateway: Arc::clone(gateway), set })
        };
        self.made.entry((Arc::clone(gateway), index)).or_insert_with(make).clone()
    }
}

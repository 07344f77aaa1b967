//! The HTTP rules of VirtualServices as routes, for sidecars and gateways alike.
//!
//! [`plan`] decides what one listener applies of a VirtualService: which matches can hold there, which ports its
//! destinations have, what requests are hashed by. [`build`] says the result in Envoy's words.
//! Source: Istio `pilot/pkg/networking/core/route/route.go`; `shared/spec/xds.md` 5.5.

mod action;
mod build;
mod claims;
mod cors;
mod direct_response;
mod fault;
mod format;
mod header_operations;
mod matching;
mod mirror;
mod percent;
mod plan;
mod redirect;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::istio::{Destination, HttpRetry, HttpRoute};
use model::Ref;
use model::mesh::VirtualServiceEntry;

use super::hash_policy::Hashing;
use super::session::Session;

pub use build::{all, build, is_catch_all};
pub use plan::{Listener, Services, plan};

/// A VirtualService as one listener applies it: all that its routes are built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleSet {
    /// The VirtualService.
    pub entry: Ref<VirtualServiceEntry>,
    /// The port for which routes are made: of the listener on sidecars, of the server on gateways; 0 for all ports.
    pub port: u16,
    /// Whether the listener terminates TLS.
    pub tls: bool,
    /// Matches that cannot hold at this listener or for this client, as indices of rule and match.
    pub excluded: BTreeSet<(usize, usize)>,
    /// What is known of each destination, in the order of [`destinations`] over all rules.
    pub targets: Vec<Target>,
    /// The mesh's retry policy, if it sets one.
    pub retries: Option<Ref<HttpRetry>>,
    /// Whether copies of requests are marked by a suffix of their host.
    pub shadow_suffix: bool,
    /// Whether rewriting the authority keeps the old one in `X-Forwarded-Host`.
    pub append_x_forwarded_host: bool,
    /// Whether answers tell that the port serves HTTP/3 as well.
    pub http3: bool,
}

/// Whose rules a VirtualService writes down: those of other APIs mean slightly other things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Semantics {
    /// VirtualService.
    Istio,
    /// Ingress.
    Ingress,
    /// HTTPRoute and the like.
    Gateway,
}

impl Semantics {
    /// Whether a prefix ends where a segment of the path ends.
    fn separated(self) -> bool {
        self != Self::Istio
    }
}

impl RuleSet {
    /// Whether some destination is missing.
    pub fn dangles(&self) -> bool {
        self.targets.iter().any(|target| target.missing.is_some())
    }

    fn semantics(&self) -> Semantics {
        match self.entry.config.annotations.get("internal.istio.io/route-semantics").map(String::as_str) {
            Some("gateway") => Semantics::Gateway,
            Some("ingress") => Semantics::Ingress,
            _ => Semantics::Istio,
        }
    }
}

/// A destination as its listener sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its port.
    pub port: u16,
    /// The service that its host is another name of, if it is.
    pub alias_of: Option<Arc<str>>,
    /// What its requests are hashed by, if they are.
    pub hashing: Option<Ref<Hashing>>,
    /// The sessions of its service.
    pub session: Option<Session>,
    /// What is missing.
    pub missing: Option<Missing>,
}

impl Target {
    /// The host that requests go to.
    fn host<'a>(&'a self, destination: &'a Destination) -> &'a str {
        self.alias_of.as_deref().unwrap_or(&destination.host)
    }
}

/// What a destination names and nobody defines: requests to it will fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// The host.
    Host,
    /// The port of the host.
    Port,
    /// The subset.
    Subset,
}

/// The destinations of a rule: of its routes, then of its mirrors.
pub fn destinations(rule: &HttpRoute) -> impl Iterator<Item = &Destination> {
    let routes = rule.route.iter().map(|r| &r.destination);
    routes.chain(&rule.mirror).chain(rule.mirrors.iter().map(|m| &m.destination))
}

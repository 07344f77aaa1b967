//! What operators look at: /debug, /ready, /version, /metrics.
//!
//! ```text
//! access     who may look at which page
//! ads        the same over xDS, as istioctl asks
//! clients    the connected proxies: syncz, adsz, connections
//! dump       what a proxy is to have: config_dump, edsz, ndsz, sources
//! objects    what the mesh is made of: configz, registryz, endpointz, mesh, problems, leaders
//! jwks       the keys of those who issue tokens: jwks
//! clusters   the clusters that are followed: clusterz
//! rootz      what the mesh trusts, and how far a replacement of its root is
//! spreadz    how far objects have come with the proxies of this replica
//! index      the list of pages, for people and for programs
//! metrics    /metrics
//! ```

mod access;
mod ads;
mod answer;
mod clients;
mod clusters;
mod dump;
mod index;
mod jwks;
mod metrics;
mod objects;
mod redact;
mod rootz;
mod spreadz;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::get;
use model::Mesh;
use prometheus::Registry;
use xds::server::Clients;

pub use access::{Access, Finding, Who};
pub use ads::{Ads, Later};
pub use clusters::{Cluster, Clusters};
pub use jwks::{FetchedKeys, Jwks};
pub use rootz::{FurtherRoots, ROOTZ, ReplacedRoot, RootPage, RootSpread, Rootz, TrustedRoot};
pub use spreadz::{Counting, SPREADZ, Spreads, Spreadz, read as read_spreadz};

/// Whether the control plane serves. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// It serves from now on.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// It no longer serves.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether it serves.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Everything that the pages show.
#[derive(Clone)]
pub struct Surface {
    /// Whether the control plane serves.
    pub ready: Ready,
    /// Who may see which page.
    pub access: Access,
    /// The metrics.
    pub registry: Registry,
    /// The connected proxies.
    pub clients: Clients,
    /// The text of `/version`.
    pub version: String,
    /// What is wrong with the configuration now, a line each.
    pub problems: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Which replica does the work of which controller, a line each.
    pub leaders: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The mesh that is served.
    pub mesh: Arc<dyn Fn() -> Arc<Mesh> + Send + Sync>,
    /// The clusters that are followed, the home cluster first; none if no cluster is.
    pub clusters: Option<Clusters>,
    /// The keys of those who issue tokens.
    pub jwks: Jwks,
    /// How far objects have come with the proxies of this replica.
    pub spreadz: Spreadz,
    /// What the mesh trusts.
    pub rootz: Rootz,
    /// What the sources of objects still wait for and what they cannot reach, a line each.
    pub sources: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl Surface {
    /// The pages of the HTTP port: `/ready` and `/debug`.
    pub fn http(&self) -> Router {
        let (ready, sources) = (self.ready.clone(), Arc::clone(&self.sources));
        let state = move || async move {
            let code = if ready.is_set() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (code, answer::lines(&sources()))
        };
        self.finish(Router::new().route("/ready", get(state)).merge(self.debug()))
    }

    /// The pages of the monitoring port: `/metrics`, `/version` and `/debug`.
    pub fn monitoring(&self) -> Router {
        self.finish(self.monitoring_only().merge(self.debug()))
    }

    /// `/metrics` and `/version`, for when both share one port.
    pub fn monitoring_only(&self) -> Router {
        let version = self.version.clone();
        Router::new().route("/version", get(move || async move { version })).merge(metrics::router(self))
    }

    fn debug(&self) -> Router {
        if !self.access.pages {
            return Router::new();
        }
        let access = self.access.clone();
        let replicas = |pages: Router, admits: &access::Admits| {
            let state = (self.access.clone(), Arc::clone(admits));
            pages.layer(middleware::from_fn_with_state(state, access::authorize_or_bearer))
        };
        self.pages()
            .layer(middleware::from_fn_with_state(access, access::authorize))
            .merge(replicas(spreadz::router(self), &self.spreadz.admits))
            .merge(replicas(rootz::router(self), &self.rootz.admits))
            .merge(index::router())
    }

    /// The pages for operators, open to everybody; each needs the [`access::View`] of who asks.
    fn pages(&self) -> Router {
        index::list()
            .merge(clients::router(self))
            .merge(dump::router(self))
            .merge(objects::router(self))
            .merge(clusters::router(self))
            .merge(jwks::router(self))
    }

    /// All pages, open to everybody.
    fn all_pages(&self) -> Router {
        let pages = if self.access.pages {
            self.pages().merge(spreadz::router(self)).merge(rootz::router(self))
        } else {
            Router::new()
        };
        pages.fallback(answer::not_found)
    }

    fn finish(&self, router: Router) -> Router {
        router.fallback(answer::not_found).layer(middleware::from_fn(answer::single_slashes))
    }
}

//! Who may look at `/debug`: one set of rules, whichever way a page is asked for.
//!
//! Clients on the loopback, which is where `kubectl port-forward` comes from, see everything. Others prove an identity as for
//! a stream of xDS; its namespace says what they see. Other replicas prove themselves by a token, at the pages that are for them.
//!
//! Source: `shared/spec/operations.md` 1.1; CVE-2026-31838 (`shared/spec/security.md` 9.2).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use xds::generate::Peer;
use xds::server::Client;

use crate::clients::namespace;

/// The pages that whoever has an identity sees, of the proxies of its namespace.
const OF_NAMESPACES: [&str; 3] = ["config_dump", "edsz", "ndsz"];

/// The mesh's root namespace where none is said.
const SYSTEM: &str = "istio-system";

/// Finds out who asks; implemented by whoever knows credentials.
pub trait Who: Send + Sync {
    /// The namespace of the identity that these headers of a request from an address prove; none if they prove none of the
    /// mesh.
    fn of_request(&self, address: Option<SocketAddr>, headers: &HeaderMap) -> Finding;

    /// The namespace of the identity that a stream was opened with; none if there is none of the mesh.
    fn of_stream(&self, peer: &Peer) -> Option<String>;
}

/// The answer, on its way.
pub type Finding = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// Whether a bearer's token proves that it is another replica.
pub(crate) type Admits = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Who may see what.
#[derive(Clone)]
pub struct Access {
    /// Whether there are pages at all (`ENABLE_DEBUG_ON_HTTP`).
    pub pages: bool,
    /// Whether the namespace of who asks counts (`ENABLE_DEBUG_ENDPOINT_AUTH`); if not, any identity will do.
    pub by_namespace: bool,
    /// Namespaces beside the mesh's own that see every page (`DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES`); where a page is of one
    /// proxy, it has to be one of theirs.
    pub allowed: BTreeSet<String>,
    /// The mesh's root namespace; empty if none is said.
    pub root: Arc<dyn Fn() -> String + Send + Sync>,
    /// The namespace of the control plane.
    pub own: String,
    /// Who asks.
    pub who: Arc<dyn Who>,
}

/// Nobody proves anything.
struct Nobody;

impl Who for Nobody {
    fn of_request(&self, _: Option<SocketAddr>, _: &HeaderMap) -> Finding {
        Box::pin(std::future::ready(None))
    }

    fn of_stream(&self, _: &Peer) -> Option<String> {
        None
    }
}

/// What somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    every_page: bool,
    /// The namespace of the proxies; all if none is said.
    proxies: Option<Arc<str>>,
}

impl View {
    /// Everything.
    pub(crate) const ALL: Self = Self { every_page: true, proxies: None };

    /// Whether a page is among it, by its name.
    fn opens(&self, page: &str) -> bool {
        self.every_page || OF_NAMESPACES.contains(&page)
    }

    /// Whether what a proxy is to have is among it.
    pub(crate) fn shows(&self, client: &Client) -> bool {
        self.proxies.as_deref().is_none_or(|wanted| namespace(client) == wanted)
    }
}

impl Access {
    /// For the loopback only.
    pub fn loopback() -> Self {
        Self {
            pages: true,
            by_namespace: true,
            allowed: BTreeSet::new(),
            root: Arc::new(String::new),
            own: SYSTEM.to_owned(),
            who: Arc::new(Nobody),
        }
    }

    /// What an identity of this namespace sees.
    fn view(&self, namespace: &str) -> View {
        if !self.by_namespace || self.is_system(namespace) {
            return View::ALL;
        }
        View { every_page: self.allowed.contains(namespace), proxies: Some(namespace.into()) }
    }

    /// What a stream of `peer` sees of the types of its own that proxies' states have (`istio.io/debug/...`): where namespaces
    /// do not count, everybody sees all; else nobody sees anything without an identity.
    pub(crate) fn of_states(&self, peer: &Peer) -> Option<View> {
        if !self.by_namespace {
            return Some(View::ALL);
        }
        let namespace = self.who.of_stream(peer)?;
        let all = self.is_system(&namespace) || self.allowed.contains(&namespace);
        Some(if all { View::ALL } else { View { every_page: false, proxies: Some(namespace.into()) } })
    }

    /// What a stream of `peer` sees of a page (`istio.io/debug`): an identity is needed always, and every page is for the
    /// control plane's own namespace alone.
    ///
    /// # Errors
    /// There is no identity, or the page is not for its namespace, which is told.
    pub(crate) fn of_page(&self, peer: &Peer, page: &str) -> Result<View, Option<String>> {
        let namespace = self.who.of_stream(peer).ok_or(None)?;
        if namespace == self.own {
            return Ok(View::ALL);
        }
        let view = View { every_page: false, proxies: Some(namespace.as_str().into()) };
        if view.opens(page) { Ok(view) } else { Err(Some(namespace)) }
    }

    fn is_system(&self, namespace: &str) -> bool {
        let root = (self.root)();
        namespace == if root.is_empty() { SYSTEM } else { &root }
    }

    /// Who asks, unless it is the loopback, to which everything is shown.
    fn find(&self, request: &Request) -> Option<Finding> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        let is_near = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        (!is_near).then(|| self.who.of_request(peer, request.headers()))
    }

    /// What whoever is found sees, if the page is among it.
    async fn look(&self, found: Option<Finding>, page: &str) -> Result<View, StatusCode> {
        let Some(found) = found else { return Ok(View::ALL) };
        let view = self.view(&found.await.ok_or(StatusCode::UNAUTHORIZED)?);
        if view.opens(page) { Ok(view) } else { Err(StatusCode::FORBIDDEN) }
    }
}

/// Lets through who may see the page, with its [`View`] among the request's extensions. Others are answered without a body: 401
/// if nobody knows them, 403 if the page is not for them.
pub(crate) async fn authorize(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let page = request.uri().path().trim_start_matches("/debug/").to_owned();
    let found = access.find(&request);
    match access.look(found, &page).await {
        Ok(view) => {
            request.extensions_mut().insert(view);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

/// [`authorize`], and lets through bearers of a token that counts.
pub(crate) async fn authorize_or_bearer(
    State((access, admits)): State<(Access, Admits)>,
    request: Request,
    next: Next,
) -> Response {
    if bearer(&request).is_some_and(|token| admits(token)) {
        return next.run(request).await;
    }
    authorize(State(access), request, next).await
}

/// The token of RFC 6750 2.1.
fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use axum::{Extension, Router, middleware};
    use tower::ServiceExt as _;

    use super::*;

    const FAR: &str = "10.0.0.1:1";

    /// Takes the namespace that a client names.
    struct Trusting;

    impl Who for Trusting {
        fn of_request(&self, _: Option<SocketAddr>, headers: &HeaderMap) -> Finding {
            let namespace = headers.get("namespace").and_then(|name| name.to_str().ok()).map(str::to_owned);
            Box::pin(std::future::ready(namespace))
        }

        fn of_stream(&self, peer: &Peer) -> Option<String> {
            peer.identities.first().cloned()
        }
    }

    fn access() -> Access {
        Access {
            allowed: BTreeSet::from(["monitoring".to_owned()]),
            root: Arc::new(|| "mesh-root".to_owned()),
            own: "planes".to_owned(),
            who: Arc::new(Trusting),
            ..Access::loopback()
        }
    }

    async fn ask(access: &Access, page: &str, from: &str, header: Option<(&str, &str)>) -> (u16, String) {
        let admits: Admits = Arc::new(|token| token == "let-me-in");
        let counts = Router::new()
            .route("/debug/counts", get(|| async { "counts" }))
            .layer(middleware::from_fn_with_state((access.clone(), admits), authorize_or_bearer));
        let shown = get(|Extension(view): Extension<View>| async move {
            view.proxies.unwrap_or_default().to_string()
        });
        let others = Router::new()
            .route("/debug/configz", shown.clone())
            .route("/debug/config_dump", shown)
            .layer(middleware::from_fn_with_state(access.clone(), authorize));
        let mut request = axum::http::Request::get(format!("/debug/{page}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let from: SocketAddr = from.parse().expect("an address");
        let request = request.extension(ConnectInfo(from)).body(Body::empty()).expect("a request");
        let answer = counts.merge(others).oneshot(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1024).await.expect("a body");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn the_loopback_sees_all_and_a_bearer_one_page() {
        let access = Access::loopback();
        for from in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(ask(&access, "counts", from, None).await.0, 200);
            assert_eq!(ask(&access, "configz", from, None).await, (200, String::new()));
        }
        for good in ["Bearer let-me-in", "bearer let-me-in"] {
            let good = Some(("authorization", good));
            assert_eq!(ask(&access, "counts", FAR, good).await.0, 200);
            assert_eq!(ask(&access, "configz", FAR, good).await, (401, String::new()));
        }
        for bad in ["", "let-me-in", "Basic let-me-in", "Bearer let-me-in2"] {
            assert_eq!(ask(&access, "counts", FAR, Some(("authorization", bad))).await.0, 401, "{bad:?}");
        }
        assert_eq!(ask(&access, "counts", FAR, None).await.0, 401);
    }

    #[tokio::test]
    async fn a_namespace_sees_its_own_proxies_and_the_system_everything() {
        let access = access();
        let of = |page: &'static str, namespace: &'static str| {
            let access = access.clone();
            async move { ask(&access, page, FAR, Some(("namespace", namespace))).await }
        };
        for page in ["configz", "config_dump", "counts"] {
            assert_eq!(of(page, "mesh-root").await.0, 200, "{page}");
        }
        assert_eq!(of("config_dump", "mesh-root").await.1, "", "of all proxies");
        // The usual name of the root namespace is one like others where another is said.
        for namespace in ["shop", "istio-system"] {
            assert_eq!(of("config_dump", namespace).await, (200, namespace.to_owned()));
            for page in ["configz", "counts"] {
                assert_eq!(of(page, namespace).await, (403, String::new()), "{page} {namespace}");
            }
        }
        let usual = Access { root: Arc::new(String::new), ..access.clone() };
        assert_eq!(ask(&usual, "configz", FAR, Some(("namespace", "istio-system"))).await.0, 200);
        assert_eq!(of("configz", "monitoring").await.0, 200);
        assert_eq!(of("config_dump", "monitoring").await, (200, "monitoring".to_owned()));
    }

    #[tokio::test]
    async fn any_identity_will_do_where_namespaces_do_not_count() {
        let access = Access { by_namespace: false, ..access() };
        assert_eq!(ask(&access, "configz", FAR, Some(("namespace", "shop"))).await, (200, String::new()));
        assert_eq!(ask(&access, "configz", FAR, None).await.0, 401);
    }

    fn of(namespace: &str) -> View {
        View { every_page: false, proxies: Some(namespace.into()) }
    }

    #[test]
    fn streams_see_what_requests_see_and_need_an_identity_always() {
        let access = access();
        let peer = |namespace: &str| Peer { identities: vec![namespace.to_owned()], ..Peer::default() };
        let nobody = Peer::default();
        assert_eq!(access.of_states(&nobody), None);
        assert_eq!(access.of_states(&peer("shop")), Some(of("shop")));
        assert_eq!(access.of_states(&peer("istio-system")), Some(of("istio-system")));
        for all in ["mesh-root", "monitoring"] {
            assert_eq!(access.of_states(&peer(all)), Some(View::ALL), "{all}");
        }
        assert_eq!(access.of_page(&nobody, "edsz"), Err(None));
        assert_eq!(access.of_page(&peer("shop"), "edsz"), Ok(of("shop")));
        for namespace in ["shop", "monitoring", "mesh-root", "istio-system"] {
            assert_eq!(access.of_page(&peer(namespace), "configz"), Err(Some(namespace.to_owned())));
        }
        assert_eq!(access.of_page(&peer("planes"), "configz"), Ok(View::ALL));

        let open = Access { by_namespace: false, ..access };
        assert_eq!(open.of_states(&nobody), Some(View::ALL));
        assert_eq!(open.of_page(&nobody, "edsz"), Err(None));
        assert_eq!(open.of_page(&peer("shop"), "edsz"), Ok(of("shop")), "as without that");
    }
}

//! Effective modes by scope, age and port.

use std::sync::Arc;

use api::istio::{MatchLabels, MutualTls, MutualTlsMode, PeerAuthentication};
use api::{Kind, ObjectKey, ObjectRef};
use model::mesh::PeerAuthentications;
use model::{Config, Labels, Mesh, Ref};

use super::*;

const ROOT: &str = "istio-system";

fn mtls(mode: MutualTlsMode) -> MutualTls {
    MutualTls { mode }
}

fn policy(
    namespace: &str,
    name: &str,
    creation: i64,
    app: Option<&str>,
    mode: MutualTlsMode,
) -> Config<PeerAuthentication> {
    let key = ObjectKey { kind: Kind::PeerAuthentication, namespace: namespace.into(), name: name.into() };
    let selector = app.map(|app| MatchLabels { match_labels: [("app".to_owned(), app.to_owned())].into() });
    Config {
        source: ObjectRef { key, generation: 1 },
        made: None,
        creation: Some(creation),
        labels: Labels::new(),
        annotations: Labels::new(),
        spec: PeerAuthentication {
            selector,
            mtls: Some(mtls(mode)),
            port_level_mtls: BTreeMap::new(),
            ..Default::default()
        },
    }
}

fn mesh(policies: Vec<Config<PeerAuthentication>>) -> Mesh {
    let policies = policies.into_iter().map(Ref::new).collect();
    Mesh { peer_authentications: Arc::new(PeerAuthentications::new(policies)), ..Mesh::default() }
}

fn labels(app: &str) -> Labels {
    [("app".to_owned(), app.to_owned())].into()
}

#[test]
fn nothing_said_is_permissive() {
    let mesh = mesh(vec![policy("shop", "a", 1, None, MutualTlsMode::Unset)]);
    assert_eq!(mode(&mesh, "shop", &labels("web"), Some(80)), Mode::Permissive);
    assert_eq!(namespace_mode(&mesh, "shop"), Mode::Permissive);
}

#[test]
fn narrower_scopes_win_and_unset_inherits() {
    let mesh = mesh(vec![
        policy(ROOT, "mesh", 1, None, MutualTlsMode::Strict),
        policy("shop", "ns", 1, None, MutualTlsMode::Disable),
        policy("shop", "web", 1, Some("web"), MutualTlsMode::Permissive),
        policy("dock", "ns", 1, None, MutualTlsMode::Unset),
    ]);
    assert_eq!(mode(&mesh, "shop", &labels("web"), None), Mode::Permissive);
    assert_eq!(mode(&mesh, "shop", &labels("api"), None), Mode::Disable);
    assert_eq!(mode(&mesh, "dock", &labels("web"), None), Mode::Strict);
    assert_eq!(mode(&mesh, "else", &labels("web"), None), Mode::Strict);
    assert_eq!(namespace_mode(&mesh, "shop"), Mode::Disable);
}

#[test]
fn a_selector_in_the_root_namespace_never_counts() {
    let mesh = mesh(vec![policy(ROOT, "web", 1, Some("web"), MutualTlsMode::Strict)]);
    assert_eq!(mode(&mesh, "shop", &labels("web"), None), Mode::Permissive);
    assert_eq!(mode(&mesh, ROOT, &labels("web"), None), Mode::Permissive);
}

#[test]
fn the_oldest_of_a_scope_wins_then_the_name() {
    let mesh = mesh(vec![
        policy("shop", "b", 5, None, MutualTlsMode::Strict),
        policy("shop", "a", 7, None, MutualTlsMode::Disable),
        policy("shop", "z", 3, Some("web"), MutualTlsMode::Permissive),
        policy("shop", "y", 3, Some("web"), MutualTlsMode::Disable),
    ]);
    assert_eq!(mode(&mesh, "shop", &labels("api"), None), Mode::Strict);
    assert_eq!(mode(&mesh, "shop", &labels("web"), None), Mode::Disable);
}

#[test]
fn ports_inherit_from_the_workload() {
    let mut web = policy("shop", "web", 1, Some("web"), MutualTlsMode::Strict);
    web.spec.port_level_mtls =
        [(8080, mtls(MutualTlsMode::Disable)), (9090, mtls(MutualTlsMode::Unset))].into();
    let mesh = mesh(vec![web]);
    let all = effective(&mesh, "shop", &labels("web"));
    assert_eq!(all.ports, [(8080, Mode::Disable), (9090, Mode::Strict)].into());
    for port in [8080, 9090, 7070] {
        assert_eq!(all.of_port(port), mode(&mesh, "shop", &labels("web"), Some(port)));
    }
    assert_eq!(all.of_port(7070), Mode::Strict);
    assert_eq!(all.sources.len(), 1);
}

/// One that cannot be read may be for any workload: it comes before what is said of the namespace, and by its age among what is
/// said of workloads.
#[test]
fn a_policy_of_unknown_scope_is_for_each_workload() {
    let unread = |namespace, creation| {
        let mut policy = policy(namespace, "unread", creation, None, MutualTlsMode::Strict);
        policy.spec.unread = Unread::Scope;
        policy
    };
    let of_web = |policies| mode(&mesh(policies), "shop", &labels("web"), Some(80));
    let whole = || policy("shop", "ns", 1, None, MutualTlsMode::Disable);
    let web = || policy("shop", "web", 2, Some("web"), MutualTlsMode::Permissive);
    assert_eq!(of_web(vec![whole(), unread("shop", 3)]), Mode::Strict);
    assert_eq!(of_web(vec![whole(), web(), unread("shop", 1)]), Mode::Strict);
    assert_eq!(of_web(vec![whole(), web(), unread("shop", 3)]), Mode::Permissive);
    assert_eq!(of_web(vec![unread(ROOT, 3)]), Mode::Strict);
    assert_eq!(of_web(vec![unread("bank", 3)]), Mode::Permissive);
    // What inherits from the namespace inherits from it.
    let unset = policy("shop", "web", 1, Some("web"), MutualTlsMode::Unset);
    assert_eq!(of_web(vec![unset, unread("shop", 3)]), Mode::Strict);
}

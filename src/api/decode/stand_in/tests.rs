//! What stands in for policies with each kind of slip.

use serde_json::{Value, json};

use super::super::{AnyObject, DecodeError, decode};
use crate::istio::{AuthorizationAction, AuthorizationPolicy, MutualTlsMode, PeerAuthentication, Unread};

/// The path of the mistake and what stands in for a document.
fn stand_in(kind: &str, metadata: Value, spec: Value) -> (String, Option<AnyObject>) {
    let group = if kind == "VirtualService" { "networking.istio.io" } else { "security.istio.io" };
    let document =
        json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": metadata, "spec": spec});
    match decode(document) {
        Err(DecodeError::Field { path, stand_in, .. }) => (path, stand_in.map(|object| *object)),
        other => panic!("{other:?}"),
    }
}

fn metadata() -> Value {
    json!({"namespace": "shop", "name": "p", "generation": 3, "annotations": {"istio.io/dry-run": "true"}})
}

fn authorization(spec: Value) -> (String, AuthorizationPolicy, bool) {
    match stand_in("AuthorizationPolicy", metadata(), spec) {
        (path, Some(AnyObject::AuthorizationPolicy(policy))) => {
            assert_eq!(policy.meta.generation, 3);
            (path, policy.spec.clone(), policy.meta.annotations.contains_key("istio.io/dry-run"))
        }
        other => panic!("{other:?}"),
    }
}

fn peers(spec: Value) -> (String, PeerAuthentication) {
    match stand_in("PeerAuthentication", metadata(), spec) {
        (path, Some(AnyObject::PeerAuthentication(policy))) => (path, policy.spec.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_authorization_policy_denies_what_it_selects() {
    let selector = json!({"matchLabels": {"app": "web"}});
    let rules = json!([{"to": [{"operation": {"paths": "/admin"}}]}]);
    let (path, policy, _) = authorization(json!({"selector": selector, "rules": rules}));
    assert_eq!(path, "spec.rules[0].to[0].operation.paths");
    assert_eq!((policy.action, policy.unread), (AuthorizationAction::Deny, Unread::Content));
    // A rule that says nothing matches everything.
    assert_eq!(policy.rules, [Default::default()]);
    assert_eq!(policy.selector.unwrap().match_labels["app"], "web");

    let targets = json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "door"}]);
    let (path, policy, _) = authorization(json!({"targetRefs": targets, "action": "REFUSE"}));
    assert_eq!(path, "spec.action");
    assert_eq!((policy.target_refs[0].name.as_str(), policy.unread), ("door", Unread::Content));
}

#[test]
fn an_authorization_policy_of_unknown_scope_denies_all_of_its_namespace() {
    for spec in [
        json!({"selector": {"matchLabels": {"app": ["web"]}}}),
        json!({"selector": "app=web", "action": "ALLOW"}),
        json!({"targetRefs": {"kind": "Gateway", "name": "door"}}),
        json!(["rules"]),
        json!("deny"),
    ] {
        let (_, policy, _) = authorization(spec.clone());
        assert_eq!((policy.action, policy.unread), (AuthorizationAction::Deny, Unread::Scope), "{spec}");
        assert_eq!((policy.selector, policy.target_refs.len()), (None, 0), "{spec}");
    }
}

/// What is only tried out denies nothing for a slip in it, unless it is of a kind that is never tried out.
#[test]
fn a_policy_stays_on_trial_where_it_would_have_been() {
    let rules = json!([{"when": "never"}]);
    assert!(authorization(json!({"rules": rules})).2);
    assert!(authorization(json!({"rules": rules, "action": "DENY"})).2);
    assert!(!authorization(json!({"rules": rules, "action": "CUSTOM"})).2);
    assert!(!authorization(json!({"action": "REFUSE"})).2);
    assert!(!authorization(json!("deny")).2);
}

#[test]
fn a_peer_authentication_takes_mutual_tls_only() {
    let (path, policy) =
        peers(json!({"selector": {"matchLabels": {"app": "web"}}, "mtls": {"mode": "PERMISSIV"}}));
    assert_eq!(path, "spec.mtls.mode");
    assert_eq!((policy.mtls.unwrap().mode, policy.unread), (MutualTlsMode::Strict, Unread::Content));
    assert_eq!(policy.selector.unwrap().match_labels["app"], "web");

    let ports = json!({"80": {"mode": "DISABLE"}, "http": {"mode": "STRICT"}});
    let (_, policy) = peers(json!({"mtls": {"mode": "DISABLE"}, "portLevelMtls": ports}));
    assert_eq!((policy.mtls.unwrap().mode, policy.port_level_mtls.len()), (MutualTlsMode::Strict, 0));

    let (_, policy) = peers(json!({"selector": [], "mtls": {"mode": "DISABLE"}}));
    assert_eq!((policy.mtls.unwrap().mode, policy.unread), (MutualTlsMode::Strict, Unread::Scope));
}

#[test]
fn a_request_authentication_refuses() {
    let spec = json!({"selector": {"matchLabels": {"app": "web"}}, "jwtRules": [{"issuer": ["a"]}]});
    let (path, object) = stand_in("RequestAuthentication", metadata(), spec);
    assert_eq!(path, "spec.jwtRules[0].issuer");
    let object = object.unwrap();
    assert_eq!(object.consequence(), Some("all HTTP requests to the workloads that it is for are refused"));
    let AnyObject::RequestAuthentication(policy) = object else { panic!("another kind") };
    assert_eq!(policy.spec.unread, Unread::Content);
    assert_eq!(policy.spec.selector.as_ref().unwrap().match_labels["app"], "web");
}

/// Wrong metadata takes no policy away either; without a name there is nothing to stand in for.
#[test]
fn a_policy_with_wrong_metadata_stays_under_its_name() {
    let wrong = json!({"namespace": "shop", "name": "p", "creationTimestamp": "yesterday"});
    let (path, object) = stand_in("PeerAuthentication", wrong.clone(), json!({"mtls": {"mode": "STRICT"}}));
    assert_eq!(path, "metadata.creationTimestamp");
    assert_eq!(object.unwrap().key().to_string(), "PeerAuthentication/shop/p");
    let (_, object) = stand_in("AuthorizationPolicy", json!({"name": "p", "labels": [1]}), json!({}));
    assert_eq!(object.unwrap().key().to_string(), "AuthorizationPolicy/default/p");
    assert_eq!(stand_in("AuthorizationPolicy", json!({"name": {}}), json!({})).1, None);
    assert_eq!(stand_in("VirtualService", wrong, json!({})).1, None);
}

/// As in the reference, unknown fields are read over; other kinds leave their metadata.
#[test]
fn nothing_stands_in_for_what_can_be_read() {
    let document = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "p"},
        "spec": {"rulez": 7},
    });
    let decoded = decode(document).unwrap();
    assert_eq!(decoded.object.consequence(), None);
    assert_eq!(decoded.warnings.len(), 1);
    let (_, object) = stand_in("VirtualService", metadata(), json!({"http": 1}));
    assert!(matches!(object, Some(AnyObject::NotServed(..))));
}

//! Which rules a workload has, with which keys, and what becomes of those that cannot be said.

use model::Labels;
use model::mesh::{Features, Jwks, JwksMode, JwksSource};
use store::Options;
use testkit::mesh::tables;

use super::*;

const KEYS: &str = r#"{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}"#;

fn mesh(yaml: &str) -> Mesh {
    with(yaml, Features::default())
}

fn with(yaml: &str, features: Features) -> Mesh {
    let options = Options { features, ..Options::default() };
    let mesh = tables(options, &[yaml]).expect("tables").next_mesh().mesh;
    Mesh::clone(&mesh)
}

/// A RequestAuthentication.
fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn rule(issuer: &str) -> String {
    format!("{{issuer: {issuer}, jwks: '{KEYS}'}}")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn planned(mesh: &Mesh, namespace: &str, of: &[(&str, &str)]) -> Option<Ref<Jwt>> {
    for_workload(mesh, Workload::new(&mesh.settings, namespace, &labels(of)), false)
}

fn issuers(jwt: Option<&Ref<Jwt>>) -> Vec<&str> {
    jwt.iter().flat_map(|jwt| &jwt.providers).map(|p| p.rule.issuer.as_str()).collect()
}

fn requirement(jwt: &Jwt) -> serde_json::Value {
    let built = api::json::to_json(&jwt.build());
    built["rules"][0]["requires"].clone()
}

#[test]
fn the_rules_of_all_policies_are_sorted_by_issuer() {
    let yaml = [
        policy("istio-system", "all", &format!("{{jwtRules: [{}]}}", rule("m"))),
        policy("shop", "own", &format!("{{jwtRules: [{}, {}]}}", rule("z"), rule("a"))),
        policy(
            "shop",
            "web",
            &format!("{{selector: {{matchLabels: {{app: web}}}}, jwtRules: [{}]}}", rule("b")),
        ),
        policy("shop", "empty", "{}"),
    ];
    let mesh = mesh(&yaml.concat());
    assert_eq!(issuers(planned(&mesh, "shop", &[("app", "web")]).as_ref()), ["a", "b", "m", "z"]);
    assert_eq!(issuers(planned(&mesh, "shop", &[]).as_ref()), ["a", "m", "z"]);
    assert_eq!(issuers(planned(&mesh, "bank", &[]).as_ref()), ["m"]);
}

#[test]
fn nothing_is_verified_where_no_policy_has_a_rule() {
    let mesh = mesh(&policy("shop", "empty", "{}"));
    assert_eq!(planned(&mesh, "shop", &[]), None);
}

#[test]
fn targets_are_gateways_of_the_own_namespace() {
    let target = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]";
    let old = "targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: edge}";
    let yaml = [
        policy("shop", "new", &format!("{{{target}, jwtRules: [{}]}}", rule("new"))),
        policy("shop", "old", &format!("{{{old}, jwtRules: [{}]}}", rule("old"))),
        policy("istio-system", "root", &format!("{{{target}, jwtRules: [{}]}}", rule("root"))),
        policy("shop", "plain", &format!("{{jwtRules: [{}]}}", rule("plain"))),
    ];
    let mesh = mesh(&yaml.concat());
    let gateway = |name| [("gateway.networking.k8s.io/gateway-name", name)];
    assert_eq!(issuers(planned(&mesh, "shop", &gateway("edge")).as_ref()), ["new", "old", "plain"]);
    assert_eq!(issuers(planned(&mesh, "shop", &gateway("other")).as_ref()), ["plain"]);
    assert_eq!(issuers(planned(&mesh, "shop", &[]).as_ref()), ["plain"], "a sidecar sees no targets");
    assert_eq!(issuers(planned(&mesh, "bank", &gateway("edge")).as_ref()), [""; 0]);

    let features = Features { selector_gateway_policy: false, ..Features::default() };
    let mesh = with(&yaml.concat(), features);
    assert_eq!(issuers(planned(&mesh, "shop", &gateway("edge")).as_ref()), ["new", "old"]);
}

#[test]
fn what_envoy_would_refuse_refuses_all_requests() {
    for bad in [
        "fromHeaders: [{name: 'a b'}]",
        "fromHeaders: [{name: a, prefix: \"x\\n\"}]",
        "outputPayloadToHeader: 'a b'",
        "outputClaimToHeaders: [{header: 'a b', claim: c}]",
        "outputClaimToHeaders: [{header: a, claim: ''}]",
    ] {
        let spec = format!("{{jwtRules: [{}, {{issuer: b, jwks: '{KEYS}', {bad}}}]}}", rule("a"));
        let mesh = mesh(&policy("shop", "bad", &spec));
        let jwt = planned(&mesh, "shop", &[]).expect("rules");
        assert_eq!(requirement(&jwt), serde_json::json!({"providerName": "refused"}), "{bad}");
        assert!(jwt.problems[0].field.starts_with("spec.jwtRules[1]."), "{:?}", jwt.problems);
    }
}

#[test]
fn keys_that_are_not_there_refuse_tokens_only() {
    for (keys, field) in [
        ("jwks: none", "spec.jwtRules[0].jwks"),
        ("jwks: '{\"keys\": []}'", "spec.jwtRules[0].jwks"),
        ("jwksUri: 'https://a/keys'", "spec.jwtRules[0].jwksUri"),
        ("outputPayloadToHeader: x", "spec.jwtRules[0].issuer"),
    ] {
        let mesh = mesh(&policy("shop", "p", &format!("{{jwtRules: [{{issuer: a, {keys}}}]}}")));
        let jwt = planned(&mesh, "shop", &[]).expect("rules");
        assert_eq!(jwt.providers[0].keys, Keys::None, "{keys}");
        assert_eq!(jwt.problems[0].field, field);
        let text = serde_json::to_string(&api::json::to_json(&jwt.build())).expect("text");
        assert!(text.contains("nobody") && text.contains("allowMissing"), "{text}");
    }
}

#[test]
fn fetched_keys_are_used_and_asked_for() {
    let spec = "{jwtRules: [{issuer: a, jwksUri: 'https://a/keys', timeout: 7s}, {issuer: b}, {issuer: a, jwksUri: 'https://a/keys'}]}";
    let mut tables = tables(Options::default(), &[&policy("shop", "p", spec)]).expect("tables");
    let mesh = tables.next_mesh().mesh;
    let source = |issuer: &str, uri: &str| JwksSource { issuer: issuer.into(), uri: uri.into() };
    let (a, b) = (source("a", "https://a/keys"), source("b", ""));
    let wanted = jwks::wanted(&mesh);
    let seconds: Vec<_> =
        wanted.iter().map(|(source, patience)| (source.clone(), patience.as_secs())).collect();
    assert_eq!(seconds, [(a.clone(), 7), (b.clone(), 5)]);

    let keys: Arc<str> = KEYS.into();
    assert!(tables.take_keys(&a, Some(&keys)).is_some());
    assert!(tables.take_keys(&a, Some(&keys)).is_none(), "the same again");
    let next = tables.next_mesh();
    assert!(next.changes.configuration);
    assert_eq!(*next.mesh.jwks, Jwks::from([(a.clone(), Arc::clone(&keys))]));
    let jwt = planned(&next.mesh, "shop", &[]).expect("rules");
    let used: Vec<&Keys> = jwt.providers.iter().map(|p| &p.keys).collect();
    assert_eq!(used, [&Keys::Set(Arc::clone(&keys)), &Keys::Set(keys), &Keys::None]);
    assert!(tables.take_keys(&a, None).is_some());
    assert!(tables.next_mesh().mesh.jwks.is_empty());
}

#[test]
fn proxies_fetch_keys_where_they_are_to() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: idp, namespace: auth}\n\
                   spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 8080}]}\n";
    let spec = "{jwtRules: [{issuer: a, jwksUri: 'http://idp.auth.svc.cluster.local:8080/keys', jwks: '{}'}, {issuer: b, jwksUri: 'https://out.example/keys'}]}";
    let yaml = format!("{service}{}", policy("shop", "p", spec));
    let of = |jwks_mode| {
        let mesh = with(&yaml, Features { jwks_mode, ..Features::default() });
        let clusters = |jwt: &Jwt| -> Vec<Option<String>> {
            let cluster = |keys: &Keys| match keys {
                Keys::Remote { cluster, .. } => Some(cluster.clone()),
                _ => None,
            };
            jwt.providers.iter().map(|p| cluster(&p.keys)).collect()
        };
        let jwt = planned(&mesh, "shop", &[]).expect("rules");
        (clusters(&jwt), jwks::wanted(&mesh).len(), jwt.problems.len())
    };
    let idp = || Some("outbound|8080||idp.auth.svc.cluster.local".to_owned());
    assert_eq!(
        of(JwksMode::ControlPlane),
        (vec![None, None], 1, 2),
        "inline keys that are none, and none fetched"
    );
    assert_eq!(of(JwksMode::Hybrid), (vec![idp(), None], 1, 1));
    let unknown = Some("outbound|443||out.example".to_owned());
    assert_eq!(of(JwksMode::Proxy), (vec![idp(), unknown], 0, 1));
}

/// A policy that cannot be read lets no request through where it is for, with or without a token.
#[test]
fn a_policy_that_cannot_be_read_refuses_all_requests() {
    let selector = "selector: {matchLabels: {app: web}}";
    let known = mesh(&policy("shop", "p", &format!("{{{selector}, jwtRules: [{{issuer: [a]}}]}}")));
    let jwt = planned(&known, "shop", &[("app", "web")]).expect("a filter");
    assert_eq!(requirement(&jwt), serde_json::json!({"providerName": "refused"}));
    assert_eq!(jwt.sources.len(), 1);
    assert_eq!(planned(&known, "shop", &[]), None);

    let unknown = mesh(&policy("shop", "p", "{selector: {matchLabels: [web]}, jwtRules: []}"));
    assert!(planned(&unknown, "shop", &[]).expect("a filter").refuses);
    assert!(planned(&unknown, "shop", &[(crate::attach::GATEWAY_NAME, "edge")]).expect("a filter").refuses);
    assert_eq!(planned(&unknown, "bank", &[]), None);
}

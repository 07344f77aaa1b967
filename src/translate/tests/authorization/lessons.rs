//! What went wrong elsewhere, each held by a test that names it (`shared/spec/security.md` 9.2). Those that need real
//! connections are in `e2e/tests/authorization/`, those of single matchers in `translate/authz/tests.rs`, those that operators
//! are told of in `store/tests/analyze.rs`.

use model::Proxy;
use model::endpoint::Locality;
use serde_json::json;
use testkit::mesh::mesh;
use testkit::simulator::{Call, ClientTls, Outcome, Request, Resources, simulate};

use super::{Result, SHOP};

/// Whether a call passes the proxy of `kind`, with these labels, under these objects beside the shop.
fn passes(kind: &str, app: &str, objects: &str, call: &Call) -> Result<bool> {
    let mesh = mesh(&[SHOP, objects])?;
    let id = format!("{kind}~10.1.0.1~{app}.shop~shop.svc.cluster.local");
    let proxy = Proxy::parse(&id, &json!({"LABELS": {"app": app}}), Locality::default())?;
    let answer = simulate(&Resources::sent(&mesh, &proxy)?, call)?;
    Ok(match answer.only() {
        Some(Outcome::Forwarded(_)) => true,
        Some(Outcome::Replied(reply)) => reply.status != 403,
        _ => false,
    })
}

fn policy(app: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\n\
         spec: {{selector: {{matchLabels: {{app: {app}}}}}, {spec}}}\n"
    )
}

fn inbound(port: u16) -> Result<Call> {
    Ok(Call::inbound(format!("10.1.0.1:{port}").parse()?, Request::get("web", "/")))
}

fn identified(call: Call, account: &str) -> Call {
    let certificate = Some(vec![format!("spiffe://cluster.local/ns/shop/sa/{account}")]);
    call.over(ClientTls { alpn: vec!["istio".to_owned()], certificate, ..ClientTls::of("door.example") })
}

/// ISTIO-SECURITY-2021-002: a policy's ports are those on which workloads listen, whatever the service's ports are.
#[test]
fn ports_are_those_of_workloads() -> Result<()> {
    let on = |port: &str| {
        policy("web", &format!("action: DENY, rules: [{{to: [{{operation: {{ports: ['{port}']}}}}]}}]"))
    };
    assert!(!passes("sidecar", "web", &on("8080"), &inbound(8080)?)?);
    assert!(passes("sidecar", "web", &on("80"), &inbound(8080)?)?);
    Ok(())
}

const DOOR: &str = "
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: door, namespace: shop}
spec:
  selector: {app: door}
  servers:
  - {port: {number: 8443, name: https, protocol: HTTPS}, hosts: [door.example], tls: {mode: ISTIO_MUTUAL}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: door, namespace: shop}
spec: {hosts: [door.example], gateways: [door], http: [{directResponse: {status: 204}}]}
";

/// Note 25818: a gateway that asks for the mesh's certificates knows who calls as a sidecar does.
#[test]
fn gateways_of_mutual_tls_know_principals() -> Result<()> {
    let objects = format!(
        "{DOOR}{}",
        policy("door", "rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/a]}}]}]")
    );
    let call =
        || -> Result<Call> { Ok(Call::direct("10.1.0.1:8443".parse()?, Request::get("door.example", "/"))) };
    assert!(passes("router", "door", &objects, &identified(call()?, "a"))?);
    assert!(!passes("router", "door", &objects, &identified(call()?, "b"))?);
    Ok(())
}

/// Issue 39148 (trap 45): policies are for what comes in; what goes out is not held against them.
#[test]
fn nothing_that_goes_out_is_denied() -> Result<()> {
    let out = Call::outbound("10.96.0.1:80".parse()?, Request::get("web", "/"));
    let denying = policy("web", "action: DENY, rules: [{}]");
    let pod = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
               metadata: {name: web, namespace: shop, labels: {kubernetes.io/service-name: web}}\n\
               addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.1.0.9]}]\n";
    let objects = format!("{pod}{denying}");
    assert!(passes("sidecar", "web", &objects, &out)?);
    assert!(!passes("sidecar", "web", &objects, &inbound(8080)?)?);
    Ok(())
}

/// CVE-2022-21679: a field that is not known must not make a rule that allows match everything.
#[test]
fn a_source_of_unknown_fields_alone_allows_nobody() -> Result<()> {
    let unknown = policy("web", "rules: [{from: [{source: {newIdentities: [a]}}]}]");
    assert!(!passes("sidecar", "web", &unknown, &identified(inbound(8080)?, "a"))?);
    Ok(())
}

/// ISTIO-SECURITY-2021-001: verifying tokens is not asking for them; a policy asks.
#[test]
fn requests_without_tokens_need_a_policy_that_refuses_them() -> Result<()> {
    let tokens = "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
                  metadata: {name: t, namespace: shop}\nspec: {jwtRules: [{issuer: a, jwksUri: 'https://a.example/keys'}]}\n";
    assert!(passes("sidecar", "web", tokens, &inbound(8080)?)?);
    let asked =
        format!("{tokens}{}", policy("web", "rules: [{from: [{source: {requestPrincipals: ['*']}}]}]"));
    assert!(!passes("sidecar", "web", &asked, &inbound(8080)?)?);
    Ok(())
}

/// CVE-2019-12243: ports of TCP are not left out, by any action.
#[test]
fn connections_of_tcp_are_decided_on() -> Result<()> {
    let call = || -> Result<Call> { Ok(Call::inbound("10.1.0.1:7000".parse()?, b"hello".as_slice())) };
    for spec in [
        "action: DENY, rules: [{}]",
        "rules: [{from: [{source: {principals: ['*/sa/a']}}]}]",
        "rules: [{to: [{operation: {paths: [/]}}]}]",
        "action: CUSTOM, provider: {name: nobody}, rules: [{}]",
    ] {
        assert!(!passes("sidecar", "web", &policy("web", spec), &call()?)?, "{spec}");
    }
    let named = policy("web", "rules: [{from: [{source: {principals: ['*/sa/a']}}]}]");
    assert!(passes("sidecar", "web", &named, &identified(call()?, "a"))?);
    assert!(!passes("sidecar", "web", &named, &identified(call()?, "aa"))?);
    Ok(())
}

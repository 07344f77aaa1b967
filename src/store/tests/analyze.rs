//! What objects make together: told of an object before it is stored, and of all objects of a mesh.

use std::error::Error;

use api::{AnyObject, Problem};
use model::Mesh;
use model::analyze;
use model::mesh::Features;
use store::Options;
use testkit::mesh::{documents, mesh, tables};

type Outcome = Result<(), Box<dyn Error>>;

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 90, targetPort: admin}]}
---
apiVersion: v1
kind: Service
metadata: {name: hidden, namespace: depot, annotations: {networking.istio.io/exportTo: '.'}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: in, namespace: shop}
spec: {selector: {istio: in}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['./*.shop.example', 'west/*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: first, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
";

fn object(kind: &str, name: &str, spec: &str) -> String {
    let group = match kind {
        "PeerAuthentication" | "RequestAuthentication" | "AuthorizationPolicy" => "security",
        _ => "networking",
    };
    format!(
        "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: '2026-02-01T00:00:00Z'}}\nspec: {spec}\n"
    )
}

fn lines(problems: impl IntoIterator<Item = Problem>) -> Vec<String> {
    problems
        .into_iter()
        .inspect(|problem| assert!(!problem.hint.is_empty(), "every finding says what to do: {problem}"))
        .map(|problem| format!("{}: {}", problem.field, problem.message))
        .collect()
}

/// What is told of an object that the mesh does not have, and of the same object when it has.
fn told(mesh_of: &[&str], object: &str) -> Result<[Vec<String>; 2], Box<dyn Error>> {
    let document = documents(object)?.pop().ok_or("a document")?;
    let decoded: AnyObject = api::decode::decode(document)?.object;
    let before: std::sync::Arc<Mesh> = mesh(mesh_of)?;
    let with: Vec<&str> = mesh_of.iter().copied().chain([object]).collect();
    let mut after = analyze::all(&*mesh(&with)?);
    Ok([lines(analyze::analyze(&decoded, &before)), lines(after.remove(&decoded.key()).unwrap_or_default())])
}

/// Holds that an object has just this finding, before it is stored and after.
fn both(object: &str, finding: &str) -> Outcome {
    let [before, after] = told(&[SHOP], object)?;
    assert_eq!(before, [finding], "{object}");
    assert_eq!(after, [finding], "stored: {object}");
    Ok(())
}

fn rule(destination: &str) -> String {
    object(
        "VirtualService",
        "rule",
        &format!("{{hosts: [a.example], http: [{{route: [{{destination: {destination}}}]}}]}}"),
    )
}

#[test]
fn a_destination_that_is_not_there_is_told_with_what_is() -> Outcome {
    let field = "spec.http[0].route[0].destination";
    both(
        &rule("{host: wob}"),
        &format!(
            "{field}.host: no Service or ServiceEntry has host \"wob.shop.svc.cluster.local\"; requests to it fail"
        ),
    )?;
    both(
        &rule("{host: hidden.depot.svc.cluster.local}"),
        &format!(
            "{field}.host: Service/depot/hidden has host \"hidden.depot.svc.cluster.local\", but is not exported to namespace shop; requests to it fail"
        ),
    )?;
    both(
        &rule("{host: web, port: {number: 8080}}"),
        &format!("{field}.port.number: Service/shop/web has no port 8080; requests to it fail"),
    )?;
    both(
        &rule("{host: web, subset: v9}"),
        &format!(
            "{field}.subset: DestinationRule/shop/web, which is in force for web.shop.svc.cluster.local, has no subset \"v9\"; requests to it fail"
        ),
    )?;
    for fine in
        ["{host: web}", "{host: web, port: {number: 90}, subset: v1}", "{host: web.shop.svc.cluster.local}"]
    {
        assert_eq!(told(&[SHOP], &rule(fine))?, [vec![""; 0], vec![""; 0]], "{fine}");
    }
    Ok(())
}

#[test]
fn what_to_write_instead_is_said() -> Outcome {
    let hint = |destination: &str| -> Result<String, Box<dyn Error>> {
        let document = documents(&rule(destination))?.pop().ok_or("a document")?;
        let decoded = api::decode::decode(document)?.object;
        let found = analyze::analyze(&decoded, &*mesh(&[SHOP])?);
        Ok(found.into_iter().map(|problem| problem.hint).collect())
    };
    assert_eq!(
        hint("{host: web.shop}")?,
        "define it, or write the full name: is web.shop.svc.cluster.local meant?"
    );
    assert_eq!(
        hint("{host: web, port: {number: 8080}}")?,
        "8080 is where its workloads listen: write the service's port, 80"
    );
    assert_eq!(hint("{host: web, port: {number: 7}}")?, "its ports are 80 and 90");
    Ok(())
}

#[test]
fn mirrors_and_connections_lead_somewhere_too() -> Outcome {
    let spec = "{hosts: [a.example], http: [{route: [{destination: {host: web}}], mirror: {host: m}, mirrors: [{destination: {host: o}}]}, {redirect: {uri: /}}], tcp: [{route: [{destination: {host: t}}]}], tls: [{match: [{sniHosts: [a.example]}], route: [{destination: {host: s}}]}]}";
    let [before, mut after] = told(&[SHOP], &object("VirtualService", "rule", spec))?;
    after.sort();
    let fields = |lines: Vec<String>| -> Vec<String> {
        lines.iter().map(|line| line.split(": ").next().unwrap_or_default().to_owned()).collect()
    };
    let expected = [
        "spec.http[0].mirror.host",
        "spec.http[0].mirrors[0].destination.host",
        "spec.tcp[0].route[0].destination.host",
        "spec.tls[0].route[0].destination.host",
    ];
    let mut before = fields(before);
    before.sort();
    assert_eq!(before, expected);
    assert_eq!(fields(after), expected);
    Ok(())
}

#[test]
fn a_rule_of_a_delegate_is_told_at_the_delegate() -> Outcome {
    let root = object(
        "VirtualService",
        "root",
        "{hosts: [a.example], http: [{match: [{uri: {prefix: /a}}], delegate: {name: leaf}}]}",
    );
    let leaf = object(
        "VirtualService",
        "leaf",
        "{http: [{match: [{uri: {prefix: /a/b}}], redirect: {uri: /}}, {route: [{destination: {host: wob}}]}]}",
    );
    let [_, of_leaf] = told(&[SHOP, &root], &leaf)?;
    assert_eq!(
        of_leaf,
        [
            "spec.http[1].route[0].destination.host: no Service or ServiceEntry has host \"wob.shop.svc.cluster.local\"; requests to it fail"
        ]
    );
    let [_, of_root] = told(&[SHOP, &leaf], &root)?;
    assert_eq!(of_root, [""; 0]);
    Ok(())
}

#[test]
fn gateways_are_there_and_serve_the_hosts() -> Outcome {
    let bound = |gateway: &str, host: &str| {
        object(
            "VirtualService",
            "rule",
            &format!(
                "{{hosts: [{host}], gateways: [{gateway}], http: [{{route: [{{destination: {{host: web}}}}]}}]}}"
            ),
        )
    };
    both(&bound("out", "a.shop.example"), "spec.gateways[0]: there is no Gateway shop/out")?;
    both(&bound("west/in", "a.shop.example"), "spec.gateways[0]: there is no Gateway west/in")?;
    both(
        &bound("in", "a.example"),
        "spec.hosts[0]: no server of Gateway/shop/in has a host that covers \"a.example\"",
    )?;
    for fine in
        [bound("in", "a.shop.example"), bound("shop/in", "'*.shop.example'"), bound("in, mesh", "a.example")]
    {
        assert_eq!(told(&[SHOP], &fine)?, [vec![""; 0], vec![""; 0]], "{fine}");
    }
    Ok(())
}

#[test]
fn an_older_virtual_service_for_the_host_is_named() -> Outcome {
    let late =
        object("VirtualService", "late", "{hosts: [web], http: [{route: [{destination: {host: web}}]}]}");
    let [before, _] = told(&[SHOP], &late)?;
    assert_eq!(
        before,
        [
            "spec.hosts[0]: sidecars apply the rules of the older VirtualService shop/first to host web.shop.svc.cluster.local, and not these"
        ]
    );
    // For others it may be meant to take the older one's place.
    let [before, _] = told(&[SHOP], &late.replace("{hosts", "{exportTo: [west], hosts"))?;
    assert_eq!(before, [""; 0]);
    // The object itself is no conflict when it is written again.
    let [before, _] = told(
        &[SHOP, &late.replace("late", "other")],
        &late.replace("late", "first").replace("2026-02", "2026-01"),
    )?;
    assert_eq!(before, [""; 0]);
    Ok(())
}

#[test]
fn a_destination_rule_is_for_a_host_that_is_there() -> Outcome {
    let of = |host: &str| {
        object(
            "DestinationRule",
            "rule",
            &format!("{{host: {host}, trafficPolicy: {{tls: {{mode: DISABLE}}}}}}"),
        )
    };
    both(
        &of("wob"),
        "spec.host: no Service or ServiceEntry has host \"wob.shop.svc.cluster.local\"; the rule has no effect",
    )?;
    assert_eq!(told(&[SHOP], &of("'*.example'"))?, [vec![""; 0], vec![""; 0]]);
    Ok(())
}

#[test]
fn of_two_for_the_same_workloads_the_older_one_is_named() -> Outcome {
    for (kind, field, all, some) in [
        (
            "Sidecar",
            "workloadSelector",
            "{egress: [{hosts: ['*/*']}]}",
            "{workloadSelector: {labels: {app: web}}, egress: [{hosts: ['*/*']}]}",
        ),
        (
            "PeerAuthentication",
            "selector",
            "{mtls: {mode: STRICT}}",
            "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}",
        ),
    ] {
        let what = if kind == "Sidecar" { "Sidecar" } else { "policy" };
        for (spec, expected) in [
            (
                all,
                format!(
                    "spec: {kind}/shop/a is older and for {} too: this {what} has no effect",
                    if kind == "Sidecar" { "all workloads of the namespace" } else { "the whole namespace" }
                ),
            ),
            (
                some,
                format!(
                    "spec.{field}: {kind}/shop/a is older and for workloads with these labels too: this {what} has no effect"
                ),
            ),
        ] {
            let older = object(kind, "a", spec).replace("2026-02", "2026-01");
            let [before, after] = told(&[SHOP, &older], &object(kind, "b", spec))?;
            assert_eq!(
                (before.as_slice(), after.as_slice()),
                ([expected.clone()].as_slice(), [expected].as_slice())
            );
            let [before, after] = told(&[SHOP, &object(kind, "b", spec)], &older)?;
            assert_eq!((before.len(), after.len()), (0, 0), "the older one stays in force");
        }
    }
    Ok(())
}

#[test]
fn policies_are_for_the_ports_of_workloads() -> Outcome {
    let selector = "selector: {matchLabels: {app: web}}";
    let peer = |port: u16| {
        object(
            "PeerAuthentication",
            "p",
            &format!("{{{selector}, portLevelMtls: {{{port}: {{mode: STRICT}}}}}}"),
        )
    };
    let told_of = "policies are for the ports of workloads; 80 is a port of Service/shop/web, whose workloads listen on 8080";
    let alone = SHOP.replace(", {name: admin, port: 90, targetPort: admin}", "");
    let [before, after] = told(&[&alone], &peer(80))?;
    let expected = format!("spec.portLevelMtls[80]: {told_of}");
    assert_eq!((before, after), (vec![expected.clone()], vec![expected]));
    assert_eq!(told(&[&alone], &peer(8080))?, [vec![""; 0], vec![""; 0]]);
    // A named port may be any.
    assert_eq!(told(&[SHOP], &peer(80))?, [vec![""; 0], vec![""; 0]]);
    let access = object(
        "AuthorizationPolicy",
        "p",
        &format!("{{{selector}, rules: [{{to: [{{operation: {{ports: ['8080', '80']}}}}]}}]}}"),
    );
    let [before, after] = told(&[&alone], &access)?;
    let expected = format!("spec.rules[0].to[0].operation.ports[1]: {told_of}");
    assert_eq!((before, after), (vec![expected.clone()], vec![expected]));
    let sidecar = object(
        "Sidecar",
        "s",
        "{workloadSelector: {labels: {app: web}}, ingress: [{port: {number: 80, name: http, protocol: HTTP}}]}",
    );
    let [before, after] = told(&[&alone], &sidecar)?;
    let expected =
        "spec.ingress[0].port.number: 80 is a port of Service/shop/web, whose workloads listen on 8080";
    assert_eq!(
        (before.as_slice(), after.as_slice()),
        ([expected.to_owned()].as_slice(), [expected.to_owned()].as_slice())
    );
    Ok(())
}

const VAULT: &str = "
apiVersion: v1
kind: Service
metadata: {name: vault, namespace: shop}
spec: {selector: {app: vault}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 70, targetPort: 7000}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'extensionProviders: [{name: http, envoyExtAuthzHttp: {}}, {name: grpc, envoyExtAuthzGrpc: {}}]'}
";

fn access(app: &str, rest: &str) -> String {
    object("AuthorizationPolicy", "p", &format!("{{selector: {{matchLabels: {{app: {app}}}}}, {rest}}}"))
}

/// Holds that a policy has just this finding beside these objects, before it is stored and after.
fn access_told(beside: &[&str], policy: &str, finding: &[&str]) -> Outcome {
    let all: Vec<&str> = [SHOP, VAULT].iter().chain(beside).copied().collect();
    let [before, after] = told(&all, policy)?;
    assert_eq!(before, finding, "{policy}");
    assert_eq!(after, finding, "stored: {policy}");
    Ok(())
}

/// ISTIO-SECURITY-2021-004: what is said of identities is not said of callers in plain text, who have none.
#[test]
fn identities_are_told_of_where_plain_text_is_taken() -> Outcome {
    let excluded = access("web", "rules: [{from: [{source: {notPrincipals: [cluster.local/ns/a/sa/b]}}]}]");
    let allowed = "spec.rules[0].from[0].source: callers in plain text have no identity: none of them is excluded, all are allowed";
    access_told(&[], &excluded, &[allowed])?;
    let denying = access("web", "action: DENY, rules: [{when: [{key: source.namespace, values: [street]}]}]");
    let denied = "spec.rules[0].when: callers in plain text have no identity: none of them is denied";
    access_told(&[], &denying, &[denied])?;
    let named = "rules: [{from: [{source: {principals: ['*'], notNamespaces: [street]}}]}]";
    access_told(&[], &access("web", named), &[])?;
    let mode = |name: &str, spec: &str| object("PeerAuthentication", name, spec);
    let strict = mode("all", "{mtls: {mode: STRICT}}");
    access_told(&[&strict], &excluded, &[])?;
    access_told(
        &[&mode("web", "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}")],
        &excluded,
        &[],
    )?;
    let loose = mode("web", "{selector: {matchLabels: {app: web}}, portLevelMtls: {8080: {mode: DISABLE}}}");
    access_told(&[&strict, &loose], &excluded, &[allowed])?;
    let other = loose.replace("app: web", "app: other");
    access_told(&[&strict, &other], &excluded, &[])
}

#[test]
fn rules_on_http_are_told_of_where_ports_carry_something_else() -> Outcome {
    let path = "to: [{operation: {paths: [/a]}}]";
    let allowed = "spec.rules: port 7000 of Service/shop/vault carries no HTTP, and each rule looks at HTTP: no connection to it is allowed";
    access_told(&[], &access("vault", &format!("rules: [{{{path}}}]")), &[allowed])?;
    access_told(
        &[],
        &access("vault", &format!("rules: [{{{path}}}, {{to: [{{operation: {{ports: ['7000']}}}}]}}]")),
        &[],
    )?;
    access_told(&[], &access("web", &format!("rules: [{{{path}}}]")), &[])?;
    let denied = "spec.rules[0]: port 7000 of Service/shop/vault carries no HTTP, of which nothing is known there: this rule denies whatever the rest of it matches";
    access_told(&[], &access("vault", &format!("action: DENY, rules: [{{{path}}}]")), &[denied])?;
    let ported = "action: DENY, rules: [{to: [{operation: {paths: [/a], ports: ['8080']}}]}]";
    access_told(&[], &access("vault", ported), &[])
}

/// ISTIO-SECURITY-2021-001: verifying tokens is not asking for them, and asking for them is not verifying them.
#[test]
fn rules_on_tokens_are_told_of_where_none_is_verified() -> Outcome {
    let rules = "rules: [{from: [{source: {requestPrincipals: ['*']}}]}, {when: [{key: 'request.auth.claims[a]', values: [b]}]}]";
    let message =
        "no RequestAuthentication verifies tokens for these workloads: for this rule no request has one";
    let first = format!("spec.rules[0].from[0].source.requestPrincipals: {message}");
    let second = format!("spec.rules[1].when[0].key: {message}");
    access_told(&[], &access("web", rules), &[&first, &second])?;
    let tokens = |app: &str| {
        let spec = format!("{{selector: {{matchLabels: {{app: {app}}}}}, jwtRules: [{{issuer: a}}]}}");
        object("RequestAuthentication", "t", &spec)
    };
    access_told(&[&tokens("web")], &access("web", rules), &[])?;
    access_told(&[&tokens("other")], &access("web", rules), &[&first, &second])
}

#[test]
fn what_can_match_nothing_is_told_of() -> Outcome {
    let rules = "rules: [{to: [{operation: {methods: [GET], notMethods: [GET, PUT]}}]}]";
    let finding = "spec.rules[0].to[0].operation.methods: each of the values is excluded again: nothing matches this rule";
    access_told(&[], &access("web", rules), &[finding])?;
    access_told(
        &[],
        &access("web", "rules: [{to: [{operation: {methods: [GET, POST], notMethods: [GET]}}]}]"),
        &[],
    )
}

#[test]
fn authorizers_that_are_not_there_or_cannot_be_asked_are_told_of() -> Outcome {
    let asking = |name: &str, app: &str| {
        access(
            app,
            &format!(
                "action: CUSTOM, provider: {{name: {name}}}, rules: [{{to: [{{operation: {{paths: [/a]}}}}]}}]"
            ),
        )
    };
    let unknown = "spec.provider.name: the mesh has no external authorizer \"nobody\" among its extensionProviders; whatever the rules match is denied";
    access_told(&[], &asking("nobody", "web"), &[unknown])?;
    access_told(&[], &asking("http", "web"), &[])?;
    let unasked = "spec.provider.name: \"http\" is an authorizer of HTTP, which nobody asks about connections to port 7000 of Service/shop/vault: they pass";
    access_told(&[], &asking("http", "vault"), &[unasked])?;
    access_told(&[], &asking("grpc", "vault"), &[])?;
    let second = asking("http", "web").replace("name: p,", "name: q,");
    let both = "spec.provider.name: AuthorizationPolicy/shop/q names another authorizer for the same workloads, where only one may be asked: both deny what their rules match";
    access_told(&[&second], &asking("grpc", "web"), &[both])
}

#[test]
fn targets_that_no_proxy_stands_for_are_told_of() -> Outcome {
    let policy = |kind: &str| {
        object(
            "AuthorizationPolicy",
            "p",
            &format!("{{targetRefs: [{{kind: {kind}, name: web}}], rules: [{{}}]}}"),
        )
    };
    let finding = "spec.targetRefs[0].kind: waypoints enforce policies for a Service, and they are not served: nothing does";
    access_told(&[], &policy("Service"), &[finding])?;
    access_told(&[], &policy("Gateway"), &[])
}

const EDGE: &str = "
apiVersion: v1
kind: Pod
metadata: {name: gw-1, namespace: edge, labels: {istio: gw}}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Secret
metadata: {name: good, namespace: edge}
stringData: {tls.crt: CHAIN, tls.key: KEY, ca.crt: ROOTS}
---
apiVersion: v1
kind: Secret
metadata: {name: bare, namespace: edge}
stringData: {cert: CHAIN, key: KEY}
---
apiVersion: v1
kind: Secret
metadata: {name: useless, namespace: edge}
stringData: {password: KEY}
---
apiVersion: v1
kind: Secret
metadata: {name: good, namespace: shop}
stringData: {cert: CHAIN, key: KEY}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: roots, namespace: shop}
data: {ca.crt: ROOTS}
";

/// Holds what is told of a Gateway's settings of TLS, before it is stored and after.
fn of_gateway(tls: &str, findings: &[&str]) -> Outcome {
    let server = format!(
        "{{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: [a.example], tls: {{{tls}}}}}"
    );
    let gateway = object("Gateway", "front", &format!("{{selector: {{istio: gw}}, servers: [{server}]}}"));
    let [before, after] = told(&[EDGE], &gateway)?;
    assert_eq!(before, findings, "{tls}");
    assert_eq!(after, findings, "stored: {tls}");
    Ok(())
}

#[test]
fn secrets_that_gateways_name_are_there_and_of_use() -> Outcome {
    let end = "connections fail in the handshake";
    for fine in [
        "mode: SIMPLE, credentialName: good",
        "mode: MUTUAL, credentialName: good",
        "mode: SIMPLE, credentialName: 'kubernetes://edge/good'",
        "mode: SIMPLE, credentialName: 'builtin://'",
        "mode: SIMPLE, credentialName: 'sds://other'",
        "mode: SIMPLE, credentialNames: [good, bare]",
        "mode: MUTUAL, credentialName: bare, caCertCredentialName: 'configmap://shop/roots'",
        "mode: SIMPLE, credentialName: 'kubernetes-gateway://shop/good'",
        "mode: ISTIO_MUTUAL",
    ] {
        of_gateway(fine, &[])?;
    }
    let field = "spec.servers[0].tls";
    of_gateway(
        "mode: SIMPLE, credentialName: gone",
        &[&format!("{field}.credentialName: there is no Secret edge/gone: {end}")],
    )?;
    of_gateway(
        "mode: SIMPLE, credentialNames: [good, useless]",
        &[&format!(
            "{field}.credentialNames[1]: Secret edge/useless has neither cert and key nor tls.crt and tls.key, but password: {end}"
        )],
    )?;
    of_gateway(
        "mode: MUTUAL, credentialName: bare",
        &[&format!(
            "{field}.credentialName: Secret edge/bare has neither cacert nor ca.crt, but cert, key: {end}"
        )],
    )?;
    of_gateway(
        "mode: MUTUAL, credentialName: good, caCertCredentialName: 'configmap://shop/gone'",
        &[&format!(
            "{field}.caCertCredentialName: there is no ConfigMap shop/gone with cacert or ca.crt: {end}"
        )],
    )?;
    of_gateway(
        "mode: SIMPLE, credentialName: 'kubernetes://shop/good'",
        &[&format!(
            "{field}.credentialName: Secret shop/good is of another namespace than the proxies, in edge: it is not sent, {end}"
        )],
    )?;
    of_gateway(
        "mode: SIMPLE, credentialName: 'kubernetes-gateway://edge/good'",
        &[&format!(
            "{field}.credentialName: Secret edge/good is of another namespace than this object, in shop: it is not sent, {end}"
        )],
    )
}

/// What is to be done about the names in an object.
fn cures(kind: &str, spec: &str, pods: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let decoded =
        api::decode::decode(documents(&object(kind, "front", spec))?.pop().ok_or("a document")?)?.object;
    let mesh: std::sync::Arc<Mesh> = mesh(&[&EDGE.replace("namespace: edge, labels", pods)])?;
    Ok(analyze::analyze(&decoded, &mesh).into_iter().map(|problem| problem.hint).collect())
}

#[test]
fn how_a_secret_of_another_namespace_is_to_be_had_is_told_where_it_can_be() -> Outcome {
    let gateway = |name: &str| {
        format!(
            "{{selector: {{istio: gw}}, servers: [{{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: [a.example], \
             tls: {{mode: SIMPLE, credentialName: '{name}'}}}}]}}"
        )
    };
    let (own, elsewhere) = ("namespace: shop, labels", "namespace: edge, labels");
    let copy = "keep a copy of it where it is used";
    let grant = "write a ReferenceGrant in namespace depot with from: [{group: gateway.networking.k8s.io, kind: Gateway, \
                 namespace: shop}], to: [{group: \"\", kind: Secret, name: good}]";
    let (named, bare) = (gateway("kubernetes-gateway://depot/good"), gateway("kubernetes://depot/good"));
    assert_eq!(cures("Gateway", &named, own)?, [format!("{copy}; or {grant}")]);
    let renamed = format!("{copy}; or name it kubernetes-gateway://depot/good here, and {grant}");
    assert_eq!(cures("Gateway", &bare, own)?, [renamed]);
    // Proxies of another namespace than the Gateway's are given nothing by grants.
    assert_eq!(cures("Gateway", &named, elsewhere)?, [copy]);
    assert_eq!(cures("Gateway", &bare, elsewhere)?, [copy]);
    let rule = "{host: '*.example', workloadSelector: {matchLabels: {app: web}}, \
                trafficPolicy: {tls: {mode: SIMPLE, credentialName: 'kubernetes-gateway://depot/good'}}}";
    assert_eq!(cures("DestinationRule", rule, own)?, [copy]);
    Ok(())
}

#[test]
fn secrets_that_destination_rules_name_are_there_where_it_is_known_whose_they_are() -> Outcome {
    let rule = |rest: &str| object("DestinationRule", "calls", &format!("{{host: '*.example', {rest}}}"));
    let end = "connections fail in the handshake";
    let selector = "workloadSelector: {matchLabels: {app: web}}";
    let simple = |name: &str| format!("trafficPolicy: {{tls: {{mode: SIMPLE, credentialName: '{name}'}}}}");
    for (rest, finding) in [
        (
            format!("{selector}, {}", simple("good")),
            format!(
                "spec.trafficPolicy.tls.credentialName: Secret shop/good has neither cacert nor ca.crt, but cert, key: {end}"
            ),
        ),
        (
            format!("{selector}, {}", simple("gone")),
            format!("spec.trafficPolicy.tls.credentialName: there is no Secret shop/gone-cacert: {end}"),
        ),
        (
            simple("configmap://shop/gone"),
            format!(
                "spec.trafficPolicy.tls.credentialName: there is no ConfigMap shop/gone with cacert or ca.crt: {end}"
            ),
        ),
    ] {
        let [before, after] = told(&[EDGE], &rule(&rest))?;
        assert_eq!(before, [finding.as_str()], "{rest}");
        assert_eq!(after, [finding.as_str()], "stored: {rest}");
    }
    for fine in [simple("gone"), simple("configmap://shop/roots")] {
        assert_eq!(told(&[EDGE], &rule(&fine))?, [Vec::<String>::new(), Vec::new()], "{fine}");
    }
    Ok(())
}

#[test]
fn config_maps_that_are_named_are_known_by_name() -> Outcome {
    let gateway = object(
        "Gateway",
        "front",
        "{selector: {istio: gw}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example], tls: {mode: MUTUAL, credentialName: good, caCertCredentialName: 'configmap://shop/roots-cacert'}}]}",
    );
    let rule = object(
        "DestinationRule",
        "calls",
        "{host: '*.example', subsets: [{name: a, trafficPolicy: {tls: {mode: SIMPLE, credentialName: 'configmap://depot/others'}}}]}",
    );
    let named = analyze::config_maps(&*mesh(&[EDGE, &gateway, &rule])?);
    let named: Vec<String> = named.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    assert_eq!(named, ["depot/others", "shop/roots"]);
    Ok(())
}

#[test]
fn policies_that_gateways_pass_over_by_a_flag_are_told_of() -> Outcome {
    let door = "apiVersion: v1\nkind: Pod\nmetadata: {name: door, namespace: shop, labels: {app: door, gateway.networking.k8s.io/gateway-name: front}}\n\
                status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}\n";
    let policy =
        |spec: &str| object("AuthorizationPolicy", "p", &format!("{{{spec} action: DENY, rules: [{{}}]}}"));
    let told = |on: bool, spec: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let features = Features { selector_gateway_policy: on, ..Features::default() };
        let options = Options { features, ..Options::default() };
        let mesh = tables(options, &[SHOP, door, &policy(spec)])?.next_mesh().mesh;
        Ok(lines(analyze::all(&mesh).into_values().flatten()))
    };
    let finding = "spec.selector: it is not enforced at the gateway shop/front, as ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY=false has it";
    let selecting = |app: &str| format!("selector: {{matchLabels: {{app: {app}}}}},");
    assert_eq!(told(false, &selecting("door"))?, [finding]);
    assert_eq!(told(false, "")?, [finding], "a policy for the whole namespace");
    assert_eq!(told(true, &selecting("door"))?, [""; 0]);
    assert_eq!(told(false, &selecting("web"))?, [""; 0]);
    let target = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}],";
    assert_eq!(told(false, target)?, [""; 0]);
    Ok(())
}

//! What a router opens for the Gateways that apply to it, and where requests go.

mod http3;
mod misdirected;

use std::error::Error;
use std::sync::Arc;

use model::mesh::Features;
use model::{Mesh, Proxy};
use serde_json::{Value, json};
use store::Options;
use testkit::compare::Dump;
use testkit::mesh::{dump, mesh, plans, proxy, tables};
use translate::{Key, listeners};

type Outcome = Result<(), Box<dyn Error>>;

/// A router at 10.1.0.1 whose Service has port 80 on 8080.
const ROUTER: &str = "
apiVersion: v1
kind: Service
metadata: {name: gate, namespace: edge}
spec:
  clusterIP: 10.96.0.9
  selector: {app: gate}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: gate-1, namespace: edge, labels: {app: gate}}
spec: {containers: [{name: proxy}]}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 8000}]}
";

fn router(metadata: &Value) -> Result<Proxy, Box<dyn Error>> {
    Ok(proxy("router", "10.1.0.1", "gate-1.edge", metadata)?)
}

/// A Gateway for the router, created so many seconds into the year.
fn gateway(name: &str, age: u8, servers: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: edge, creationTimestamp: \"2026-01-01T00:00:{age:02}Z\"}}
spec:
  selector: {{app: gate}}
  servers:
{servers}
"
    )
}

/// A VirtualService in the namespace `shop`.
fn rule(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec: {{{spec}}}
"
    )
}

fn sent(yaml: &[&str]) -> Result<Dump, Box<dyn Error>> {
    let all: Vec<&str> = std::iter::once(ROUTER).chain(yaml.iter().copied()).collect();
    Ok(dump(&*mesh(&all)?, &router(&json!({}))?))
}

/// What the owners of the objects are told when the router's listeners are planned and built: field and message.
fn told(yaml: &[&str]) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let all: Vec<&str> = std::iter::once(ROUTER).chain(yaml.iter().copied()).collect();
    told_of(&*mesh(&all)?)
}

/// A mesh with the router, under other flags than the default ones.
fn mesh_with(features: Features, yaml: &[&str]) -> Result<Arc<Mesh>, Box<dyn Error>> {
    let all: Vec<&str> = std::iter::once(ROUTER).chain(yaml.iter().copied()).collect();
    Ok(tables(Options { features, ..Options::default() }, &all)?.next_mesh().mesh)
}

/// [`told`] of a mesh that is there already.
fn told_of(mesh: &Mesh) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut told = Vec::new();
    for plan in plans(mesh, &router(&json!({}))?) {
        told.extend(plan.problems.iter().map(|p| (p.field.clone(), p.message.clone())));
        for (_, key) in plan.listeners.iter() {
            if let Key::Listener(key) = key {
                told.extend(listeners::build(key).problems.into_iter().map(|p| (p.field, p.message)));
            }
        }
    }
    Ok(told)
}

fn names(dump: &Dump, kind: &str) -> Vec<String> {
    dump.get(kind).into_iter().flat_map(|d| d.keys().cloned()).collect()
}

fn get(dump: &Dump, kind: &str, name: &str) -> Value {
    dump.get(kind).and_then(|d| d.get(name)).cloned().unwrap_or_default()
}

/// The value at a JSON pointer, or null.
fn part(value: &Value, pointer: &str) -> Value {
    value.pointer(pointer).cloned().unwrap_or_default()
}

fn list(value: &Value, pointer: &str) -> Vec<Value> {
    value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The virtual hosts of a configuration: name and domains.
fn hosts(dump: &Dump, name: &str) -> Vec<(String, Value)> {
    let hosts = list(&get(dump, "rds", name), "/virtualHosts");
    let named = |h: &Value| part(h, "/name").as_str().unwrap_or_default().to_owned();
    hosts.iter().map(|h| (named(h), part(h, "/domains"))).collect()
}

/// The server names of each chain of a listener.
fn server_names(dump: &Dump, name: &str) -> Vec<Value> {
    let chains = list(&get(dump, "lds", name), "/filterChains");
    chains.iter().map(|c| part(c, "/filterChainMatch/serverNames")).collect()
}

#[test]
fn a_server_listens_on_the_target_port_of_the_service_else_on_its_own_number() -> Outcome {
    let servers = "
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 9090, name: http-2, protocol: HTTP}, hosts: ['*']}";
    let dump = sent(&[&gateway("a", 1, servers)])?;
    assert_eq!(names(&dump, "lds"), ["0.0.0.0_8080", "0.0.0.0_9090"]);
    assert_eq!(names(&dump, "rds"), ["http.8080", "http.9090"]);
    assert_eq!(hosts(&dump, "http.8080"), [("blackhole:80".to_owned(), json!(["*"]))]);
    Ok(())
}

#[test]
fn rules_for_one_host_are_joined_and_what_takes_everything_comes_last() -> Outcome {
    let servers = "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example']}";
    let all = "hosts: [a.example], gateways: [edge/g], http: [{route: [{destination: {host: shop}}]}]";
    let some = "hosts: [a.example], gateways: [edge/g], http: [{match: [{uri: {prefix: /b}}], route: [{destination: {host: shop, subset: v2}}]}]";
    let dump = sent(&[&gateway("g", 1, servers), &rule("a", all), &rule("b", some)])?;
    let routes = get(&dump, "rds", "http.8080");
    let of_host = routes["virtualHosts"][0]["routes"].as_array().cloned().unwrap_or_default();
    let clusters: Vec<_> = of_host.iter().map(|r| r["route"]["cluster"].clone()).collect();
    let host = "shop.shop.svc.cluster.local";
    assert_eq!(clusters, [format!("outbound|8000|v2|{host}"), format!("outbound|8000||{host}")]);
    Ok(())
}

#[test]
fn hosts_with_the_same_routes_share_a_virtual_host_named_after_the_most_specific() -> Outcome {
    let servers = "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}";
    let spec = "hosts: ['*.example', a.example, long.example], gateways: [edge/g], http: [{route: [{destination: {host: shop}}]}]";
    let dump = sent(&[&gateway("g", 1, servers), &rule("a", spec)])?;
    let expected = json!(["long.example", "a.example", "*.example"]);
    assert_eq!(hosts(&dump, "http.8080"), [("long.example:80".to_owned(), expected)]);
    Ok(())
}

#[test]
fn a_host_of_a_namespace_lets_only_its_rules_in() -> Outcome {
    let servers = "
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop/a.example, ./b.example]}";
    let spec =
        "hosts: [a.example, b.example], gateways: [edge/g], http: [{route: [{destination: {host: shop}}]}]";
    let dump = sent(&[&gateway("g", 1, servers), &rule("a", spec)])?;
    assert_eq!(hosts(&dump, "http.8080"), [("a.example:80".to_owned(), json!(["a.example"]))]);
    Ok(())
}

#[test]
fn plain_requests_are_redirected_even_for_hosts_without_rules() -> Outcome {
    let servers = "
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [A.example]
    tls: {httpsRedirect: true}";
    let dump = sent(&[&gateway("g", 1, servers)])?;
    let host = &get(&dump, "rds", "http.8080")["virtualHosts"][0];
    assert_eq!(host["requireTls"], "ALL");
    assert_eq!(host["domains"], json!(["a.example"]));
    Ok(())
}

#[test]
fn a_host_that_an_older_tls_server_has_costs_the_younger_server_all_of_its_hosts() -> Outcome {
    let server = |port: &str, hosts: &str| {
        format!(
            "  - {{port: {{number: 443, name: {port}, protocol: HTTPS}}, hosts: [{hosts}], tls: {{mode: SIMPLE, credentialName: c}}}}"
        )
    };
    let old = gateway("old", 1, &server("one", "a.example"));
    let young = gateway("young", 2, &server("two", "b.example, a.example"));
    let dump = sent(&[&young, &old])?;
    assert_eq!(server_names(&dump, "0.0.0.0_443"), [json!(["a.example"])]);
    let told = told(&[&young, &old])?;
    let [(field, message)] = told.as_slice() else { return Err(format!("{told:?}").into()) };
    assert_eq!(field, "spec.servers[0].hosts");
    assert!(message.contains("a.example"), "{message}");
    Ok(())
}

#[test]
fn servers_that_envoy_could_not_open_are_left_out_and_their_owner_told() -> Outcome {
    let servers = "
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 81, name: http-1, protocol: HTTP}, bind: localhost, hosts: ['*']}
  - {port: {number: 0, name: http-2, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}
  - {port: {number: 80, name: http-4, protocol: HTTP}, bind: 0.0.0.0, hosts: ['*']}
  - {port: {number: 80, name: http-5, protocol: HTTP}, bind: 10.1.0.1, hosts: ['*']}";
    let g = gateway("g", 1, servers);
    assert_eq!(names(&sent(&[&g])?, "lds"), ["0.0.0.0_8080", "10.1.0.1_8080"]);
    let fields: Vec<String> = told(&[&g])?.into_iter().map(|(field, _)| field).collect();
    let wrong = ["[1].bind", "[2].port", "[3].port", "[4].bind"];
    assert_eq!(fields, wrong.map(|field| format!("spec.servers{field}")));
    Ok(())
}

#[test]
fn names_that_envoy_cannot_match_are_left_out_of_chains() -> Outcome {
    let servers = "
  - {port: {number: 443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}";
    let spec = "hosts: ['*'], gateways: [edge/g], tls: [
      {match: [{sniHosts: ['*bad.example', a.example]}], route: [{destination: {host: shop}}]},
      {match: [{sniHosts: [b.example, a.example]}], route: [{destination: {host: shop}}]},
      {match: [{sniHosts: ['*.example']}], route: [{destination: {host: shop}}]}]";
    let objects = [gateway("g", 1, servers), rule("a", spec)];
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    let dump = sent(&objects)?;
    // The second match names a host that is taken: as in the reference it goes as a whole.
    assert_eq!(server_names(&dump, "0.0.0.0_443"), [json!(["a.example"]), json!(["*.example"])]);
    assert_eq!(told(&objects)?.len(), 2);
    Ok(())
}

#[test]
fn a_tcp_server_opens_only_with_a_route_and_goes_to_the_only_port_of_its_service() -> Outcome {
    let servers = "
  - {port: {number: 5000, name: tcp, protocol: TCP}, hosts: [a.example]}
  - {port: {number: 5001, name: tcp-1, protocol: TCP}, hosts: [b.example]}";
    let spec = "hosts: [a.example], gateways: [edge/g], tcp: [{match: [{port: 5000}], route: [{destination: {host: shop}}]}]";
    let dump = sent(&[&gateway("g", 1, servers), &rule("a", spec)])?;
    assert_eq!(names(&dump, "lds"), ["0.0.0.0_5000"]);
    let filter = &get(&dump, "lds", "0.0.0.0_5000")["filterChains"][0]["filters"][0]["typedConfig"];
    assert_eq!(filter["cluster"], "outbound|8000||shop.shop.svc.cluster.local");
    Ok(())
}

#[test]
fn clients_may_show_a_certificate_where_it_is_optional() -> Outcome {
    let servers = "
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ['*']
    tls: {mode: OPTIONAL_MUTUAL, credentialName: c, caCertCredentialName: roots, subjectAltNames: [x]}";
    let dump = sent(&[&gateway("g", 1, servers)])?;
    let listener = get(&dump, "lds", "0.0.0.0_443");
    let context = &listener["filterChains"][0]["transportSocket"]["typedConfig"];
    assert_eq!(context["requireClientCertificate"], false);
    let common = &context["commonTlsContext"];
    assert_eq!(common["tlsCertificateSdsSecretConfigs"][0]["name"], "kubernetes://c");
    let combined = &common["combinedValidationContext"];
    assert_eq!(combined["validationContextSdsSecretConfig"]["name"], "kubernetes://roots");
    assert_eq!(combined["defaultValidationContext"]["matchSubjectAltNames"], json!([{"exact": "x"}]));
    Ok(())
}

#[test]
fn a_router_that_an_owner_manages_is_not_opened_from_other_namespaces() -> Outcome {
    let servers = "  - {port: {number: 81, name: http, protocol: HTTP}, hosts: ['*']}";
    let foreign = gateway("foreign", 1, servers).replace("namespace: edge", "namespace: other");
    let managed = gateway("managed", 2, "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}")
        .replace(
            "name: managed,",
            "name: managed, annotations: {internal.istio.io/gateway-service: gate.edge.svc.cluster.local},",
        );
    assert_eq!(names(&sent(&[&foreign])?, "lds"), ["0.0.0.0_81"]);
    assert_eq!(names(&sent(&[&foreign, &managed])?, "lds"), ["0.0.0.0_8080"]);
    Ok(())
}

#[test]
fn what_would_make_envoy_refuse_a_tls_context_is_left_out_and_told() -> Outcome {
    let servers = "
  - port: {number: 443, name: a, protocol: HTTPS}
    hosts: [a.example]
    tls: {mode: SIMPLE, credentialName: c, subjectAltNames: [x], cipherSuites: [AES128-SHA, odd, AES128-SHA]}
  - port: {number: 443, name: b, protocol: HTTPS}
    hosts: [b.example]
    tls: {mode: MUTUAL, credentialName: c, verifyCertificateHash: [odd]}";
    let g = gateway("g", 1, servers);
    let listener = get(&sent(&[&g])?, "lds", "0.0.0.0_443");
    let common =
        |chain: usize| &listener["filterChains"][chain]["transportSocket"]["typedConfig"]["commonTlsContext"];
    assert_eq!(common(0)["validationContext"], Value::Null);
    assert_eq!(common(0)["tlsParams"]["cipherSuites"], json!(["AES128-SHA"]));
    // Nothing has the hash that stands for the wrong one: what was to let few in must not let all in.
    let default = &common(1)["combinedValidationContext"]["defaultValidationContext"];
    assert_eq!(default["verifyCertificateHash"], json!(["0".repeat(64)]));
    let fields: Vec<String> = told(&[&g])?.into_iter().map(|(field, _)| field).collect();
    let wrong = ["[0].tls.cipherSuites", "[0].tls.subjectAltNames", "[1].tls.verifyCertificateHash"];
    assert_eq!(fields, wrong.map(|field| format!("spec.servers{field}")));
    Ok(())
}

#[test]
fn connections_go_nowhere_where_every_weight_is_zero() -> Outcome {
    let servers = "  - {port: {number: 5000, name: tcp, protocol: TCP}, hosts: ['*']}";
    let spec = "hosts: [a.example], gateways: [edge/g], tcp: [{route: [{destination: {host: shop}, weight: 0}, {destination: {host: gate}, weight: 0}]}]";
    let dump = sent(&[&gateway("g", 1, servers), &rule("a", spec)])?;
    let filter = &get(&dump, "lds", "0.0.0.0_5000")["filterChains"][0]["filters"][0]["typedConfig"];
    assert_eq!(filter["cluster"], "BlackHoleCluster");
    Ok(())
}

#[test]
fn mesh_tls_of_other_networks_is_passed_on_by_the_name_of_port_and_subset() -> Outcome {
    let servers = "
  - {port: {number: 15443, name: tls, protocol: TLS}, hosts: ['*.local'], tls: {mode: AUTO_PASSTHROUGH}}";
    let subsets = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: shop}
spec: {host: shop, subsets: [{name: v1, labels: {v: one}}]}";
    let dump = sent(&[&gateway("g", 1, servers), subsets])?;
    let host = "shop.shop.svc.cluster.local";
    let names = server_names(&dump, "0.0.0.0_15443");
    for name in [format!("outbound_.8000_._.{host}"), format!("outbound_.8000_.v1_.{host}")] {
        assert!(names.contains(&json!([name])), "{names:?}");
        assert!(get(&dump, "cds", &name).is_object(), "{name}");
    }
    Ok(())
}

#[test]
fn what_sidecars_forward_of_certificates_is_not_for_gateways_to_forward() -> Outcome {
    let servers = "
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}";
    let manager = |config: Value| -> Result<Value, Box<dyn Error>> {
        let dump =
            dump(&*mesh(&[ROUTER, &gateway("g", 1, servers)])?, &router(&json!({"PROXY_CONFIG": config}))?);
        let chain = chains(&dump, "0.0.0.0_8080").first().cloned().unwrap_or_default();
        Ok(chain["filters"][0]["typedConfig"].clone())
    };
    let headers = json!({"forwardedClientCert": "APPEND_FORWARD", "setCurrentClientCertDetails": {"chain": true, "dns": false}});
    let own = manager(json!({"proxyHeaders": headers}))?;
    assert_eq!(own["forwardClientCertDetails"], "SANITIZE_SET");
    assert_eq!(
        own["setCurrentClientCertDetails"],
        json!({"subject": true, "cert": true, "dns": true, "uri": true})
    );
    let asked =
        json!({"proxyHeaders": headers, "gatewayTopology": {"forwardClientCertDetails": "FORWARD_ONLY"}});
    let asked = manager(asked)?;
    assert_eq!(asked["forwardClientCertDetails"], "FORWARD_ONLY");
    assert_eq!(asked.get("setCurrentClientCertDetails"), None);
    Ok(())
}

#[test]
fn a_server_that_is_left_out_passes_no_mesh_tls_on() -> Outcome {
    let older = "
  - {port: {number: 15443, name: tls, protocol: TLS}, hosts: ['*.local'], tls: {mode: ISTIO_MUTUAL}}";
    let younger = "
  - {port: {number: 15443, name: tls, protocol: TLS}, hosts: ['*.local'], tls: {mode: AUTO_PASSTHROUGH}}";
    let passed = |dump: &Dump| dump["cds"].keys().any(|name| name.starts_with("outbound_."));
    assert!(passed(&sent(&[&gateway("h", 2, younger)])?));
    assert!(!passed(&sent(&[&gateway("g", 1, older), &gateway("h", 2, younger)])?));
    Ok(())
}

/// The chains of a listener, with the routes or the cluster of each, and their names.
fn chains(dump: &Dump, listener: &str) -> Vec<Value> {
    let chains = dump.get("lds").and_then(|d| d.get(listener)).and_then(|l| l.get("filterChains"));
    chains.and_then(Value::as_array).cloned().unwrap_or_default()
}

#[test]
fn plain_http_may_come_after_tls_on_a_port_and_tls_not_after_it() -> Outcome {
    let https = |name: &str| {
        format!(
            "  - {{port: {{number: 443, name: {name}, protocol: HTTPS}}, hosts: [{name}.example], tls: {{mode: SIMPLE, credentialName: c}}}}\n"
        )
    };
    let servers = [
        https("a"),
        "  - {port: {number: 443, name: b, protocol: HTTP}, hosts: [b.example]}\n".to_owned(),
        https("c"),
        "  - {port: {number: 443, name: d, protocol: HTTP}, hosts: [d.example]}\n".to_owned(),
    ];
    let yaml = gateway("g", 0, &servers.concat());
    let dump = sent(&[&yaml])?;
    let names: Vec<Value> = chains(&dump, "0.0.0.0_443")
        .iter()
        .map(|chain| chain.pointer("/filterChainMatch/serverNames").cloned().unwrap_or_default())
        .collect();
    assert_eq!(names, [json!(["a.example"]), Value::Null]);
    let told = told(&[&yaml])?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 == "spec.servers[2].port" && told[0].1.contains("another protocol"), "{told:?}");
    Ok(())
}

#[test]
fn a_passthrough_of_all_names_still_looks_at_the_name() -> Outcome {
    let open = gateway(
        "g",
        0,
        "  - {port: {number: 443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}\n",
    );
    let all = rule(
        "all",
        "hosts: ['*'], gateways: [edge/g], tls: [{match: [{sniHosts: ['*']}], route: [{destination: {host: shop}}]}]",
    );
    let filters = sent(&[&open, &all])?["lds"]["0.0.0.0_443"]["listenerFilters"].clone();
    assert_eq!(filters.pointer("/0/name"), Some(&json!("envoy.filters.listener.tls_inspector")), "{filters}");
    Ok(())
}

#[test]
fn what_a_server_says_of_certificates_counts_as_in_the_reference() -> Outcome {
    let context = |tls: &str| -> Result<Value, Box<dyn Error>> {
        let server = format!(
            "  - {{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: ['*'], tls: {{{tls}}}}}\n"
        );
        let dump = sent(&[&gateway("g", 0, &server)])?;
        let chains = chains(&dump, "0.0.0.0_443");
        let found = chains.first().and_then(|c| c.pointer("/transportSocket/typedConfig/commonTlsContext"));
        Ok(found.cloned().unwrap_or_default())
    };
    let roots = "/combinedValidationContext/validationContextSdsSecretConfig/name";
    let trust = "/combinedValidationContext/defaultValidationContext/trustChainVerification";
    let files = "serverCertificate: /c, privateKey: /k";
    let several = context(
        "mode: MUTUAL, tlsCertificates: [{serverCertificate: /c, privateKey: /k, caCertificates: /r}]",
    )?;
    assert_eq!(several.pointer(roots), Some(&json!("ROOTCA")));
    let untrusted = context(&format!("mode: MUTUAL, {files}, caCertificates: /r, insecureSkipVerify: true"))?;
    assert_eq!(untrusted.pointer(roots), Some(&json!("file-root:/r")));
    assert_eq!(untrusted.pointer(trust), Some(&json!("ACCEPT_UNTRUSTED")));
    let suites = context(&format!(
        "mode: SIMPLE, {files}, cipherSuites: [ALL, -SHA1, PSK-AES128-CBC-SHA, AES128-SHA]"
    ))?;
    assert_eq!(suites.pointer("/tlsParams/cipherSuites"), Some(&json!(["ALL", "-SHA1", "AES128-SHA"])));
    Ok(())
}

#[test]
fn servers_with_tls_share_a_listener_however_they_write_all_addresses() -> Outcome {
    let server = |name: &str, bind: &str| {
        format!(
            "  - {{port: {{number: 443, name: {name}, protocol: HTTPS}}, {bind}hosts: [{name}.example], tls: {{mode: SIMPLE, credentialName: c}}}}\n"
        )
    };
    let servers = [server("a", ""), server("b", "bind: 0.0.0.0, "), server("c", "bind: 10.1.0.1, ")];
    let g = gateway("g", 1, &servers.concat());
    let dump = sent(&[&g])?;
    assert_eq!(server_names(&dump, "0.0.0.0_443"), [json!(["a.example"]), json!(["b.example"])]);
    assert_eq!(server_names(&dump, "10.1.0.1_443"), [json!(["c.example"])]);
    assert_eq!(names(&dump, "rds").len(), 3);
    assert_eq!(told(&[&g])?, []);
    Ok(())
}

#[test]
fn a_credential_is_asked_of_a_server_beside_the_router_where_there_is_one() -> Outcome {
    let server = "  - {port: {number: 443, name: a, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: 'sds://c'}}";
    let g = gateway("g", 1, server);
    for (metadata, name) in [(json!({}), "kubernetes://c"), (json!({"credential": "true"}), "sds://c")] {
        let dump = dump(&*mesh(&[ROUTER, &g])?, &router(&metadata)?);
        let secret =
            "/filterChains/0/transportSocket/typedConfig/commonTlsContext/tlsCertificateSdsSecretConfigs/0";
        assert_eq!(part(&get(&dump, "lds", "0.0.0.0_443"), &format!("{secret}/name")), name);
    }
    Ok(())
}

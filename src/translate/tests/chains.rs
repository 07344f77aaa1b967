//! Whatever Gateways, ServiceEntries and VirtualServices say of one port: Envoy takes what is sent, and who loses is
//! told who wins.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;

use model::{Mesh, Proxy};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;
use testkit::chains::conflicts;
use testkit::mesh::{dump, mesh, plans, proxy};
use translate::{Key, listeners};

type Outcome = Result<(), Box<dyn Error>>;

const NAMES: [&str; 8] = [
    "a.example",
    "A.example",
    "b.example",
    "'*.example'",
    "'*.b.example'",
    "'*'",
    "'*bad.example'",
    "c.test",
];

const SUBNETS: [&str; 5] = ["10.1.0.0/16", "10.1.2.0/16", "10.1.2.3", "10.0.0.0/8", "'2001:db8::/32'"];

fn router() -> Result<Proxy, Box<dyn Error>> {
    let metadata = json!({"LABELS": {"app": "gate"}});
    Ok(proxy("router", "10.1.0.1", "gate-1.edge", &metadata)?)
}

fn sidecar() -> Result<Proxy, Box<dyn Error>> {
    Ok(proxy("sidecar", "10.1.0.2", "web-1.shop", &json!({}))?)
}

/// Every listener of a proxy is one that Envoy takes.
fn accepted(mesh: &Mesh, proxy: &Proxy) -> Result<(), TestCaseError> {
    for (name, listener) in dump(mesh, proxy).remove("lds").unwrap_or_default() {
        let found = conflicts(&listener);
        prop_assert!(found.is_empty(), "{name}: {found:?}");
    }
    Ok(())
}

/// What is told of the listeners of a proxy, once: object, field, message.
fn told(mesh: &Mesh, proxy: &Proxy) -> Vec<String> {
    let mut told = BTreeSet::new();
    for plan in plans(mesh, proxy) {
        let built = plan.listeners.iter().filter_map(|(_, key)| match key {
            Key::Listener(key) => Some(listeners::build(key).problems),
            _ => None,
        });
        let all = plan.problems.iter().cloned().chain(built.flatten());
        told.extend(all.map(|p| format!("{} {}: {}", p.object, p.field, p.message)));
    }
    told.into_iter().collect()
}

fn names() -> impl Strategy<Value = String> {
    subsequence(NAMES.to_vec(), 1..4).prop_map(|names| names.join(", "))
}

fn matches() -> impl Strategy<Value = String> {
    let ports = select(vec!["", "port: 443, ", "port: 444, "]);
    let subnets = subsequence(SUBNETS.to_vec(), 0..3).prop_map(|subnets| subnets.join(", "));
    (ports, subnets, names()).prop_map(|(port, subnets, names)| {
        format!("{{{port}destinationSubnets: [{subnets}], sniHosts: [{names}]}}")
    })
}

/// A VirtualService for some hosts, for the mesh and the Gateways.
fn rule(index: usize) -> impl Strategy<Value = String> {
    let routes = prop::collection::vec(matches(), 1..4);
    let tcp = prop::collection::vec(subsequence(SUBNETS.to_vec(), 0..3), 0..2);
    (names(), routes, tcp).prop_map(move |(hosts, routes, tcp)| {
        let mut yaml = format!(
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: rule-{index}, namespace: shop}}
spec:
  hosts: [{hosts}]
  gateways: [mesh, edge/gate-0, edge/gate-1]
  tls:
"
        );
        for matched in routes {
            let _ = writeln!(yaml, "  - {{match: [{matched}], route: [{{destination: {{host: a.example}}}}]}}");
        }
        yaml.push_str(if tcp.is_empty() { "" } else { "  tcp:\n" });
        for subnets in tcp {
            let subnets = subnets.join(", ");
            let _ = writeln!(
                yaml,
                "  - {{match: [{{destinationSubnets: [{subnets}]}}], route: [{{destination: {{host: c.test}}}}]}}"
            );
        }
        yaml
    })
}

fn server() -> impl Strategy<Value = (String, String)> {
    let kind = select(vec![
        ("HTTPS", "tls: {mode: SIMPLE, credentialName: c}"),
        ("TLS", "tls: {mode: SIMPLE, credentialName: c}"),
        ("TLS", "tls: {mode: PASSTHROUGH}"),
        ("TLS", "tls: {mode: AUTO_PASSTHROUGH}"),
        ("HTTP", "name: plain"),
        ("TCP", "name: bytes"),
    ]);
    let bind = select(vec!["", "bind: 0.0.0.0, ", "bind: 10.1.0.1, "]);
    let within = select(vec!["", "shop/", "./", "*/"]);
    let hosts = subsequence(NAMES.to_vec(), 1..4);
    (kind, bind, within, hosts).prop_map(|((protocol, rest), bind, within, hosts)| {
        let host = |h: &&str| format!("'{within}{}'", h.trim_matches('\''));
        let hosts: Vec<String> = hosts.iter().map(host).collect();
        (protocol.to_owned(), format!("{bind}hosts: [{}], {rest}", hosts.join(", ")))
    })
}

fn gateway(index: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(server(), 1..4).prop_map(move |servers| {
        let mut yaml = format!(
            "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gate-{index}, namespace: edge}}
spec:
  selector: {{app: gate}}
  servers:
"
        );
        for (at, (protocol, rest)) in servers.into_iter().enumerate() {
            let _ =
                writeln!(yaml, "  - {{port: {{number: 443, name: p{at}, protocol: {protocol}}}, {rest}}}");
        }
        yaml
    })
}

fn entry(index: usize) -> impl Strategy<Value = String> {
    let protocol = select(vec!["TLS", "HTTPS", "TCP", "HTTP", ""]);
    let addresses = subsequence(SUBNETS.to_vec(), 0..3).prop_map(|subnets| subnets.join(", "));
    let host = select(vec!["a.example", "b.example", "c.test", "'*.example'", "d.test"]);
    (protocol, addresses, host).prop_map(move |(protocol, addresses, host)| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: entry-{index}, namespace: shop}}
spec:
  hosts: [{host}]
  addresses: [{addresses}]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{{number: 443, name: p, protocol: '{protocol}'}}]
"
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn envoy_takes_the_listeners_of_a_router(
        gateways in (gateway(0), gateway(1)),
        rules in (rule(0), rule(1)),
        entry in entry(0),
    ) {
        let mesh = mesh(&[&gateways.0, &gateways.1, &rules.0, &rules.1, &entry]).expect("a mesh");
        accepted(&mesh, &router().expect("a router"))?;
    }

    #[test]
    fn envoy_takes_the_listeners_of_a_sidecar(
        entries in (entry(0), entry(1), entry(2)),
        rules in (rule(0), rule(1)),
    ) {
        let mesh = mesh(&[&entries.0, &entries.1, &entries.2, &rules.0, &rules.1]).expect("a mesh");
        accepted(&mesh, &sidecar().expect("a sidecar"))?;
    }
}

/// An entry without addresses, whose connections are told by name.
fn by_name(host: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {host}, namespace: shop}}
spec:
  hosts: [{host}]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{{number: 443, name: tls, protocol: TLS}}]
"
    )
}

/// A VirtualService of the mesh and a Gateway, with one TLS route.
fn tls(name: &str, hosts: &str, matched: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{hosts}]
  gateways: [mesh, edge/gate]
  tls: [{{match: [{{{matched}}}], route: [{{destination: {{host: a.example}}}}]}}]
"
    )
}

fn server_names(mesh: &Mesh, proxy: &Proxy, listener: &str) -> Vec<serde_json::Value> {
    let listener = dump(mesh, proxy).remove("lds").and_then(|mut l| l.remove(listener)).unwrap_or_default();
    assert!(conflicts(&listener).is_empty(), "{listener}");
    let chains = listener.get("filterChains").and_then(|c| c.as_array()).cloned().unwrap_or_default();
    let names =
        |c: &serde_json::Value| c.pointer("/filterChainMatch/serverNames").cloned().unwrap_or_default();
    chains.iter().map(names).collect()
}

#[test]
fn a_sidecar_serves_what_is_left_of_a_rule_and_names_both() -> Outcome {
    let entries = [by_name("a.example"), by_name("b.example")];
    let first = tls("first", "a.example", "sniHosts: [a.example, x.example]");
    let second = tls("second", "b.example", "sniHosts: [X.example, b.example, y.example]");
    let mesh = mesh(&[&entries[0], &entries[1], &first, &second])?;
    let names = server_names(&mesh, &sidecar()?, "0.0.0.0_443");
    assert_eq!(names, [json!(["a.example", "x.example"]), json!(["b.example", "y.example"])]);
    let told = told(&mesh, &sidecar()?);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("VirtualService/shop/second spec.tls[0].match[0]: "), "{told:?}");
    assert!(told[0].contains("\"x.example\"") && told[0].contains("VirtualService/shop/first"), "{told:?}");
    Ok(())
}

#[test]
fn the_same_names_for_other_subnets_are_no_conflict_and_parts_of_subnets_are_kept() -> Outcome {
    let entry = by_name("a.example");
    let first = tls("first", "a.example", "sniHosts: [a.example], destinationSubnets: [10.1.0.0/16]");
    let both = "sniHosts: [a.example, b.example], destinationSubnets: [10.1.9.9/16, 10.2.0.0/16]";
    let second = tls("second", "'*.example'", both);
    let mesh = mesh(&[&entry, &first, &second])?;
    let names = server_names(&mesh, &sidecar()?, "0.0.0.0_443");
    assert_eq!(names, [json!(["a.example"]), json!(["b.example"]), json!(["a.example", "b.example"])]);
    assert_eq!(told(&mesh, &sidecar()?).len(), 1);
    Ok(())
}

#[test]
fn rules_of_one_object_may_fall_back_on_each_other() -> Outcome {
    let one =
        tls("one", "a.example", "sniHosts: [a.example], sourceNamespace: shop}, {sniHosts: [a.example]");
    let mesh = mesh(&[&by_name("a.example"), &one])?;
    assert_eq!(server_names(&mesh, &sidecar()?, "0.0.0.0_443"), [json!(["a.example"])]);
    assert_eq!(told(&mesh, &sidecar()?), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_gateway_passes_on_by_the_first_rule_for_a_name_and_names_both() -> Outcome {
    let gate = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {app: gate}
  servers:
  - {port: {number: 443, name: pass, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}
  - {port: {number: 443, name: ends, protocol: HTTPS}, hosts: [A.Example, c.example], tls: {mode: SIMPLE, credentialName: c}}
";
    let rules = [tls("first", "'*'", "sniHosts: [a.EXAMPLE]"), tls("second", "'*'", "sniHosts: [a.example]")];
    let mesh = mesh(&[gate, &by_name("a.example"), &rules[0], &rules[1]])?;
    let names = server_names(&mesh, &router()?, "0.0.0.0_443");
    assert_eq!(names, [json!(["a.example"]), json!(["c.example"])]);
    let told = told(&mesh, &router()?);
    let [server, rule] = told.as_slice() else { return Err(format!("{told:?}").into()) };
    assert!(rule.starts_with("VirtualService/shop/second spec.tls[0].match[0].sniHosts: "), "{rule}");
    assert!(rule.contains("VirtualService/shop/first"), "{rule}");
    assert!(server.starts_with("Gateway/edge/gate spec.servers[1].hosts: "), "{server}");
    assert!(server.contains("VirtualService/shop/first"), "{server}");
    Ok(())
}

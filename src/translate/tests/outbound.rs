//! What a sidecar is sent of the services of others: scope, clusters, endpoints, listeners, and how much of it is shared.

use std::error::Error;

use model::Proxy;
use model::endpoint::Locality;
use serde_json::{Value, json};
use testkit::compare::{Dump, find};
use testkit::mesh::{dump, mesh, plans};
use translate::scope::{self, Difference, Scope};
use translate::{Class, Plan, class};

type Outcome = Result<(), Box<dyn Error>>;

/// Services `web` and `cart` in `shop`, `bank` in `pay`, `shelf` in `stock`.
const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.2, selector: {app: cart}, ports: [{name: http, port: 8080}, {name: tcp, port: 7000}]}
---
apiVersion: v1
kind: Service
metadata: {name: bank, namespace: pay}
spec: {clusterIP: 10.96.0.3, selector: {app: bank}, ports: [{name: tcp, port: 5000}, {name: http, port: 9999}]}
---
apiVersion: v1
kind: Service
metadata: {name: shelf, namespace: stock}
spec: {clusterIP: 10.96.0.4, selector: {app: shelf}, ports: [{name: http, port: 8080}, {name: http-b, port: 8081}]}
";

fn proxy(namespace: &str, metadata: &Value) -> Result<Proxy, Box<dyn Error>> {
    let id = format!("sidecar~10.1.0.1~web-1.{namespace}~{namespace}.svc.cluster.local");
    Ok(Proxy::parse(&id, metadata, Locality::default())?)
}

/// What a sidecar of a namespace gets.
fn sent(yaml: &[&str], namespace: &str) -> Result<Dump, Box<dyn Error>> {
    Ok(dump(&*mesh(yaml)?, &proxy(namespace, &json!({"LABELS": {"app": "web"}}))?))
}

fn names<'a>(dump: &'a Dump, kind: &str, prefix: &str) -> Vec<&'a str> {
    let all = dump.get(kind).into_iter().flat_map(|d| d.keys());
    all.filter_map(|name| name.strip_prefix(prefix)).collect()
}

fn clusters(dump: &Dump) -> Vec<&str> {
    names(dump, "cds", "outbound|")
}

fn resource(dump: &Dump, kind: &str, name: &str) -> Value {
    dump.get(kind).and_then(|d| d.get(name)).cloned().unwrap_or_default()
}

fn egress(listeners: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: own, namespace: shop}}
spec: {{egress: {listeners}}}
"
    )
}

#[test]
fn egress_hosts_let_in_and_refuse() -> Outcome {
    let seen = |hosts: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let dump = sent(&[SERVICES, &egress(&format!("[{{hosts: {hosts}}}]"))], "shop")?;
        Ok(clusters(&dump).into_iter().map(str::to_owned).collect())
    };
    let cart = ["7000||cart.shop.svc.cluster.local", "8080||cart.shop.svc.cluster.local"];
    assert_eq!(seen("['./cart.shop.svc.cluster.local']")?, cart);
    assert_eq!(seen("['shop/*', '~/web.shop.svc.cluster.local']")?, cart);
    assert_eq!(seen("['*/*.shop.svc.cluster.local', '~./web.shop.svc.cluster.local']")?, cart);
    assert_eq!(seen("['*/*', '~pay/*', '~stock/*', '~/web.*', '~/web.shop.svc.cluster.local']")?, cart);
    assert_eq!(seen("['~/*']")?, Vec::<String>::new());
    assert_eq!(seen("['pay/cart.shop.svc.cluster.local']")?, Vec::<String>::new());
    Ok(())
}

#[test]
fn destinations_of_imported_rules_have_clusters_and_nothing_else() -> Outcome {
    let rule = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http:
  - {match: [{sourceNamespace: pay}], route: [{destination: {host: bank.pay.svc.cluster.local}}]}
  - {route: [{destination: {host: shelf.stock.svc.cluster.local, port: {number: 8081}}}]}
";
    let dump = sent(&[SERVICES, rule, &egress("[{hosts: ['./cart.shop.svc.cluster.local']}]")], "shop")?;
    let expected = [
        "7000||cart.shop.svc.cluster.local",
        "8080||cart.shop.svc.cluster.local",
        "8081||shelf.stock.svc.cluster.local",
    ];
    assert_eq!(clusters(&dump), expected);
    assert_eq!(names(&dump, "lds", "0.0.0.0_"), ["8080"]);
    Ok(())
}

#[test]
fn a_port_of_the_listener_narrows_its_services_and_is_its_own() -> Outcome {
    let listeners = "[
      {port: {number: 8080, protocol: HTTP, name: http}, hosts: ['stock/*']},
      {port: {number: 9999, protocol: HTTP, name: own}, bind: 127.0.0.1, captureMode: NONE, hosts: ['pay/*']},
      {port: {number: 3306, protocol: MYSQL, name: none}, hosts: ['*/*']},
      {hosts: ['./*']}]";
    let dump = sent(&[SERVICES, &egress(listeners)], "shop")?;
    let expected = [
        "7000||cart.shop.svc.cluster.local",
        "8080||cart.shop.svc.cluster.local",
        "8080||shelf.stock.svc.cluster.local",
        "8080||web.shop.svc.cluster.local",
        "9999||bank.pay.svc.cluster.local",
    ];
    assert_eq!(clusters(&dump), expected);
    let listeners: Vec<&str> =
        names(&dump, "lds", "").into_iter().filter(|n| !n.starts_with("virtual")).collect();
    assert_eq!(listeners, ["0.0.0.0_8080", "10.96.0.2_7000", "127.0.0.1_9999"]);
    assert_eq!(resource(&dump, "lds", "0.0.0.0_8080")["bindToPort"], json!(false));
    assert_eq!(resource(&dump, "lds", "127.0.0.1_9999")["bindToPort"], Value::Null);
    let hosts = resource(&dump, "rds", "8080");
    assert_eq!(hosts["virtualHosts"][0]["name"], "shelf.stock.svc.cluster.local:8080");
    Ok(())
}

#[test]
fn an_egress_port_of_tcp_is_bound_where_its_services_are() -> Outcome {
    for (protocol, listener) in [
        ("TCP", "10.96.0.3_5000"),
        ("HTTPS", "10.96.0.3_5000"),
        ("HTTP", "0.0.0.0_5000"),
        ("HTTP_PROXY", "0.0.0.0_5000"),
    ] {
        let listeners =
            format!("[{{port: {{number: 5000, protocol: {protocol}, name: x}}, hosts: ['pay/*']}}]");
        let dump = sent(&[SERVICES, &egress(&listeners)], "shop")?;
        let found: Vec<&str> =
            names(&dump, "lds", "").into_iter().filter(|n| !n.starts_with("virtual")).collect();
        assert_eq!(found, [listener], "{protocol}");
        assert_eq!(find(&resource(&dump, "lds", listener), "allowAbsoluteUrl"), None, "{protocol}");
    }
    Ok(())
}

/// A ServiceEntry with one host.
fn entry(namespace: &str, name: &str, host: &str, ports: &str, rest: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hosts: ['{host}'], ports: {ports}, {rest}}}
"
    )
}

const HTTP: &str = "[{number: 80, name: http, protocol: HTTP}]";
const OTHER: &str = "[{number: 80, name: http, protocol: HTTP}, {number: 81, name: http-b, protocol: HTTP}]";

#[test]
fn of_services_with_one_host_the_clients_own_namespace_wins() -> Outcome {
    let of_shop = entry("shop", "a", "dup.example", HTTP, "resolution: DNS");
    let of_zoo = entry("zoo", "b", "dup.example", OTHER, "resolution: DNS");
    let yaml = [of_shop.as_str(), of_zoo.as_str()];
    assert_eq!(clusters(&sent(&yaml, "shop")?), ["80||dup.example"]);
    assert_eq!(clusters(&sent(&yaml, "zoo")?), ["80||dup.example", "81||dup.example"]);
    assert_eq!(clusters(&sent(&yaml, "pay")?), ["80||dup.example"], "the first of those that are seen");
    Ok(())
}

#[test]
fn services_of_one_host_and_namespace_are_one_if_they_agree() -> Outcome {
    let first = entry("shop", "a", "two.example", HTTP, "resolution: DNS");
    let second = entry("shop", "b", "two.example", OTHER, "resolution: DNS");
    let dump = sent(&[&first, &second], "shop")?;
    assert_eq!(clusters(&dump), ["80||two.example", "81||two.example"]);
    let more = entry("shop", "cart-more", "cart.shop.svc.cluster.local", OTHER, "resolution: STATIC");
    let dump = sent(&[SERVICES, &more], "shop")?;
    assert!(!clusters(&dump).contains(&"81||cart.shop.svc.cluster.local"), "the Service's ports count");
    Ok(())
}

#[test]
fn endpoints_of_entries_are_named_after_them_and_have_no_health() -> Outcome {
    let listed = entry(
        "shop",
        "ext",
        "ext.example",
        HTTP,
        "resolution: STATIC, endpoints: [{address: 1.1.1.1}, {address: 1.1.1.2}]",
    );
    let itself = entry("shop", "dns", "dns.example", HTTP, "resolution: DNS");
    let dump = sent(&[&listed, &itself], "shop")?;
    let endpoints = &resource(&dump, "eds", "outbound|80||ext.example")["endpoints"][0]["lbEndpoints"];
    let workload = |endpoint: &Value| endpoint["metadata"]["filterMetadata"]["istio"]["workload"].clone();
    assert_eq!(workload(&endpoints[0]), "ext-0;shop;ext-0;;Kubernetes");
    assert_eq!(workload(&endpoints[1]), "ext-1;shop;ext-1;;Kubernetes");
    assert_eq!(endpoints[0]["healthStatus"], Value::Null);
    let cluster = resource(&dump, "cds", "outbound|80||dns.example");
    let endpoint = &cluster["loadAssignment"]["endpoints"][0]["lbEndpoints"][0];
    assert_eq!(workload(endpoint), "dns;shop;dns;;Kubernetes");
    Ok(())
}

#[test]
fn a_rule_without_use_leaves_no_trace_in_the_cluster() -> Outcome {
    let rule = |host: &str, spec: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host}, namespace: shop}}
spec: {{host: {host}, {spec}}}
"
        )
    };
    let credential = rule("web", "trafficPolicy: {tls: {mode: SIMPLE, credentialName: ca}}");
    let passthrough = rule(
        "cart",
        "trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}},
  subsets: [{name: rnd, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]",
    );
    let dump = sent(&[SERVICES, &credential, &passthrough], "shop")?;
    let web = resource(&dump, "cds", "outbound|8080||web.shop.svc.cluster.local");
    assert_eq!(web["typedExtensionProtocolOptions"], Value::Null, "no server name for plain text");
    let subset = resource(&dump, "cds", "outbound|8080|rnd|cart.shop.svc.cluster.local");
    assert_eq!(subset["type"], "ORIGINAL_DST", "a subset cannot take it back");
    assert_eq!(subset["lbPolicy"], "CLUSTER_PROVIDED");
    Ok(())
}

#[test]
fn namespaces_that_are_not_discovered_are_not_there() -> Outcome {
    let settings = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    discoverySelectors: [{matchLabels: {mesh: 'on'}}]
    serviceEntryVisibility: {defaultVisibility: NAMESPACE, applyToSidecars: true}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {mesh: 'on'}}
---
apiVersion: v1
kind: Namespace
metadata: {name: pay, labels: {mesh: 'on'}}
";
    let own = entry("shop", "own", "own.example", HTTP, "resolution: DNS");
    let other = entry("pay", "other", "other.example", HTTP, "resolution: DNS");
    let dump = sent(&[SERVICES, settings, &own, &other], "shop")?;
    assert!(clusters(&dump).contains(&"5000||bank.pay.svc.cluster.local"));
    assert!(!clusters(&dump).iter().any(|name| name.contains("stock")));
    assert!(clusters(&dump).contains(&"80||own.example"));
    assert!(!clusters(&dump).contains(&"80||other.example"));
    Ok(())
}

#[test]
fn clients_that_see_the_same_share_every_key() -> Outcome {
    let mesh = mesh(&[SERVICES])?;
    let first = plans(&mesh, &proxy("pay", &json!({"LABELS": {"app": "a"}, "MESH_ID": "one"}))?);
    let second = plans(&mesh, &proxy("stock", &json!({"LABELS": {"app": "b"}, "WORKLOAD_NAME": "w"}))?);
    // The last layer is one workload's own.
    let shared = first.len().saturating_sub(1);
    let count = |of: fn(&Plan) -> usize| first.iter().take(shared).map(|p| of(p)).sum::<usize>();
    assert_eq!(count(|p| p.endpoints.len()), 7, "one assignment for each port, in one layer");
    assert!(count(|p| p.clusters.len()) > 7 && count(|p| p.listeners.len()) > 0);
    for (a, b) in first.iter().zip(&second).take(shared) {
        assert_eq!(a.clusters, b.clusters);
        assert_eq!(a.endpoints, b.endpoints);
        assert_eq!(a.listeners, b.listeners);
    }
    Ok(())
}

#[test]
fn rules_for_http_touch_routes_alone() -> Outcome {
    let scope = |rule: &str| -> Result<Scope, Box<dyn Error>> {
        let mesh = mesh(&[SERVICES, rule])?;
        let classes = class::classes(&mesh, &proxy("shop", &json!({}))?);
        let Some(Class::Shared(view)) = classes.first() else { return Err("no class".into()) };
        Ok(scope::plan(&mesh, view))
    };
    let rule = |routes: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: cart, namespace: shop}}
spec: {{hosts: [cart], {routes}}}
"
        )
    };
    let before = scope(&rule("http: [{timeout: 1s, route: [{destination: {host: cart}}]}]"))?;
    let http = scope(&rule("http: [{timeout: 2s, route: [{destination: {host: cart}}]}]"))?;
    assert_eq!(http.difference(&before), Difference { routes: true, ..Difference::default() });
    let tcp = scope(&rule("tcp: [{route: [{destination: {host: cart}}]}]"))?;
    assert_eq!(
        tcp.difference(&before),
        Difference { listeners: true, routes: true, ..Difference::default() }
    );
    let narrow = scope(&egress("[{hosts: ['./*']}]"))?;
    let all = Difference { clusters: true, endpoints: true, listeners: true, names: true, routes: true };
    assert_eq!(narrow.difference(&before), all);
    assert_eq!(before.difference(&before), Difference::default());
    Ok(())
}

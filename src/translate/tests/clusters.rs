//! What proxies of several clusters are sent: addresses of their own cluster, endpoints of all, their own inbound side.

use std::error::Error;

use api::decode::{decode, items};
use model::endpoint::Locality;
use model::{Mesh, Proxy};
use serde_json::{Value, json};
use store::{Options, Tables};
use testkit::compare::Dump;
use testkit::mesh::{documents, dump};

type Outcome = Result<(), Box<dyn Error>>;

/// `cart`, and `quiet` of the system, with a pod of each; `raw` on TCP.
fn objects(vip: &str, pod: &str, target: u16) -> String {
    let system = vip.replace("10.96.", "10.97.");
    let raw = vip.replace("10.96.", "10.98.");
    let of = |name: &str, namespace: &str, vip: &str, port: &str| {
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: {vip}, selector: {{app: cart}}, ports: [{{name: {port}, port: 80, targetPort: {target}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-a, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: {port}, port: {target}}}]
endpoints:
- {{addresses: [{pod}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: cart-0, namespace: shop}}}}
---"
        )
    };
    let pod = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: cart-0, namespace: shop, labels: {{app: cart, security.istio.io/tlsMode: istio}}}}
spec: {{containers: [{{name: app}}]}}
status: {{phase: Running, podIP: {pod}, podIPs: [{{ip: {pod}}}], conditions: [{{type: Ready, status: 'True'}}]}}
"
    );
    [
        of("cart", "shop", vip, "http"),
        of("quiet", "kube-system", &system, "http"),
        of("raw", "shop", &raw, "tcp"),
        pod,
    ]
    .concat()
}

fn mesh(more: &[(&str, &str)]) -> Result<std::sync::Arc<Mesh>, Box<dyn Error>> {
    let mut tables = Tables::new(Options::default());
    let (home, east) = (objects("10.96.0.7", "10.1.0.1", 8080), objects("10.96.1.1", "10.2.0.1", 9090));
    let all = [("Kubernetes", home.as_str()), ("east", east.as_str())];
    for (cluster, yaml) in all.iter().chain(more) {
        for item in documents(yaml)?.into_iter().flat_map(items) {
            let object = decode(item)?.object;
            tables.apply_in(&(*cluster).into(), &object.key(), Some(&object));
        }
    }
    Ok(tables.next_mesh().mesh)
}

fn sent(mesh: &Mesh, cluster: &str, metadata: &Value) -> Result<Dump, Box<dyn Error>> {
    let address = if cluster == "east" { "10.2.0.1" } else { "10.1.0.1" };
    let id = format!("sidecar~{address}~cart-0.shop~shop.svc.cluster.local");
    let mut all = json!({"CLUSTER_ID": cluster});
    if let (Some(all), Some(metadata)) = (all.as_object_mut(), metadata.as_object()) {
        all.extend(metadata.clone());
    }
    Ok(dump(mesh, &Proxy::parse(&id, &all, Locality::default())?))
}

fn texts(value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    match value {
        Value::Object(map) => {
            found.extend(map.get(at).and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|v| found.extend(texts(v, at)));
        }
        Value::Array(list) => list.iter().for_each(|v| found.extend(texts(v, at))),
        _ => {}
    }
    found
}

fn assigned(dump: &Dump, name: &str) -> Vec<String> {
    dump.get("eds").and_then(|d| d.get(name)).map(|a| texts(a, "address")).unwrap_or_default()
}

const CART: &str = "outbound|80||cart.shop.svc.cluster.local";
const QUIET: &str = "outbound|80||quiet.kube-system.svc.cluster.local";

#[test]
fn a_client_knows_services_by_the_addresses_of_its_cluster() -> Outcome {
    let mesh = mesh(&[])?;
    for (cluster, vip, other) in [
        ("Kubernetes", "10.96.0.7", "10.96.1.1"),
        ("", "10.96.0.7", "10.96.1.1"),
        ("east", "10.96.1.1", "10.96.0.7"),
    ] {
        let dump = sent(&mesh, cluster, &json!({}))?;
        let hosts = dump["rds"]["80"]["virtualHosts"].as_array().cloned().unwrap_or_default();
        let cart = hosts.iter().find(|h| h["name"] == "cart.shop.svc.cluster.local:80").expect("a host");
        let domains = cart["domains"].as_array().cloned().unwrap_or_default();
        assert!(domains.contains(&json!(vip)) && !domains.contains(&json!(other)), "{cluster}: {domains:?}");
        let listeners: Vec<&String> = dump["lds"].keys().filter(|n| n.starts_with("10.98.")).collect();
        assert_eq!(listeners, [&format!("{}_80", vip.replace("10.96.", "10.98."))], "{cluster}");
    }
    Ok(())
}

#[test]
fn endpoints_are_of_all_clusters_but_for_services_that_stay_in_theirs() -> Outcome {
    let settings = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: 'serviceSettings: [{settings: {clusterLocal: true}, hosts: [cart.shop.svc.cluster.local]}]'
";
    let (plain, local) = (mesh(&[])?, mesh(&[("Kubernetes", settings)])?);
    for (cluster, own) in [("Kubernetes", "10.1.0.1"), ("east", "10.2.0.1")] {
        let dump = sent(&plain, cluster, &json!({}))?;
        assert_eq!(assigned(&dump, CART), ["10.1.0.1", "10.2.0.1"]);
        assert_eq!(assigned(&dump, QUIET), [own]);
        assert_eq!(assigned(&sent(&local, cluster, &json!({}))?, CART), [own]);
    }
    Ok(())
}

#[test]
fn a_workload_serves_what_its_own_cluster_says() -> Outcome {
    let mesh = mesh(&[])?;
    let inbound = |cluster: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let dump = sent(&mesh, cluster, &json!({}))?;
        Ok(dump["cds"].keys().filter(|n| n.starts_with("inbound|")).cloned().collect())
    };
    // `cart` and `raw` have one target port: one inbound cluster for each number.
    assert_eq!(
        (inbound("Kubernetes")?, inbound("east")?),
        (vec!["inbound|8080||".into()], vec!["inbound|9090||".into()])
    );
    assert_eq!(inbound("south")?, Vec::<String>::new(), "nothing is known of that cluster");
    Ok(())
}

#[test]
fn gateways_of_a_network_are_those_that_its_own_cluster_names() -> Outcome {
    let system = |network: &str, address: &str| {
        format!(
            "
apiVersion: v1
kind: Namespace
metadata: {{name: istio-system, labels: {{topology.istio.io/network: {network}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: passage, namespace: istio-system, labels: {{topology.istio.io/network: {network}}}}}
spec: {{type: LoadBalancer, clusterIP: 10.99.0.1, ports: [{{name: tls, port: 15443}}]}}
status: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}
"
        )
    };
    let (one, two) = (system("one", "192.0.2.1"), system("two", "192.0.2.2"));
    let mesh = mesh(&[("Kubernetes", &one), ("east", &two)])?;
    for (cluster, network, expected) in
        [("Kubernetes", "one", ["10.1.0.1", "192.0.2.2"]), ("east", "two", ["10.2.0.1", "192.0.2.1"])]
    {
        let mut found = assigned(&sent(&mesh, cluster, &json!({"NETWORK": network}))?, CART);
        found.sort();
        assert_eq!(found, expected, "{cluster}");
    }
    Ok(())
}

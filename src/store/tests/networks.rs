//! Gateways of networks: at load balancers, at nodes, by name; and which network an address is of.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use model::mesh::{Features, NetworkGateway};
use store::{Options, Tables};
use testkit::mesh::{documents, tables};

type Outcome = Result<(), Box<dyn Error>>;

const AT_NODES: &str = "
apiVersion: v1
kind: Service
metadata:
  name: eastwest
  namespace: istio-system
  labels: {topology.istio.io/network: far}
  annotations: {traffic.istio.io/nodeSelector: '{\"edge\": \"yes\"}'}
spec:
  type: NodePort
  clusterIP: 10.96.0.9
  externalIPs: [192.0.2.99]
  ports: [{name: tls, port: 15443, nodePort: 31443}, {name: other, port: 80, nodePort: 31080}]
";

const BY_NAME: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  meshNetworks: '{networks: {far: {endpoints: [{fromRegistry: other}], gateways: [{address: gw.example, port: 15443}, {address: 192.0.2.1, port: 15443}]}}}'
";

fn node(name: &str, edge: &str, address: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Node
metadata: {{name: {name}, labels: {{edge: '{edge}'}}}}
status: {{addresses: [{{type: InternalIP, address: 10.0.0.1}}, {{type: ExternalIP, address: {address}}}]}}
"
    )
}

fn lines(gateways: &[NetworkGateway]) -> Vec<String> {
    gateways.iter().map(|g| format!("{} {}:{} {}", g.network, g.address, g.port, g.cluster)).collect()
}

fn apply(tables: &mut Tables, yaml: &str) -> Outcome {
    for document in documents(yaml)? {
        let object = api::decode::decode(document)?.object;
        tables.apply(&object.key(), Some(&object));
    }
    Ok(())
}

#[test]
fn a_service_of_node_ports_is_reached_at_the_nodes_that_it_selects() -> Outcome {
    let nodes = [node("a", "yes", "203.0.113.1"), node("b", "no", "203.0.113.2")];
    let mut tables = tables(Options::default(), &[AT_NODES, &nodes[0], &nodes[1]])?;
    let mesh = tables.next_mesh().mesh;
    assert_eq!(lines(&mesh.network_gateways.resolved), ["far 203.0.113.1:31443 Kubernetes"]);
    apply(&mut tables, &node("b", "yes", "203.0.113.2"))?;
    let next = tables.next_mesh();
    assert!(next.changes.configuration);
    let both = ["far 203.0.113.1:31443 Kubernetes", "far 203.0.113.2:31443 Kubernetes"];
    assert_eq!(lines(&next.mesh.network_gateways.resolved), both);
    let balanced = AT_NODES.replace("type: NodePort", "type: LoadBalancer");
    apply(&mut tables, &balanced)?;
    let mesh = tables.next_mesh().mesh;
    assert_eq!(lines(&mesh.network_gateways.resolved), ["far 192.0.2.99:15443 Kubernetes"]);
    Ok(())
}

#[test]
fn a_gateway_known_by_name_is_reached_at_the_addresses_that_are_found() -> Outcome {
    let mut tables = tables(Options::default(), &[BY_NAME])?;
    let mesh = tables.next_mesh().mesh;
    let hosts: Vec<String> = mesh.network_gateways.hosts().map(ToString::to_string).collect();
    assert_eq!(hosts, ["gw.example"]);
    assert_eq!(lines(&mesh.network_gateways.resolved), ["far 192.0.2.1:15443 "]);
    let name: Arc<str> = Arc::from("gw.example");
    let found: Vec<IpAddr> = vec!["198.51.100.7".parse()?, "2001:db8::7".parse()?];
    assert!(tables.resolve(&name, &found).is_some());
    assert!(tables.resolve(&name, &found).is_none(), "the same again");
    let next = tables.next_mesh();
    assert!(next.changes.configuration);
    let all = ["far 192.0.2.1:15443 ", "far 198.51.100.7:15443 ", "far 2001:db8::7:15443 "];
    assert_eq!(lines(&next.mesh.network_gateways.resolved), all);
    assert_eq!(next.mesh.network_gateways.written.len(), 2);
    tables.resolve(&name, &[]);
    assert_eq!(tables.next_mesh().mesh.network_gateways.resolved.len(), 1);
    Ok(())
}

#[test]
fn names_stay_unknown_where_the_flag_says_so() -> Outcome {
    let features = Features { resolve_hostname_gateways: false, ..Features::default() };
    let mut tables = tables(Options { features, ..Options::default() }, &[BY_NAME])?;
    tables.resolve(&Arc::from("gw.example"), &["198.51.100.7".parse()?]);
    assert_eq!(tables.next_mesh().mesh.network_gateways.resolved.len(), 1);
    Ok(())
}

#[test]
fn of_ranges_that_overlap_the_widest_names_the_network() -> Outcome {
    let networks = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  meshNetworks: '{networks: {narrow: {endpoints: [{fromCidr: 10.1.0.0/16}]}, wide: {endpoints: [{fromCidr: 10.0.0.0/8}]}}}'
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: app}]}
status: {phase: Running, podIP: 10.1.0.5, podIPs: [{ip: 10.1.0.5}]}
";
    let mesh = tables(Options::default(), &[networks])?.next_mesh().mesh;
    let pod = mesh.pod("", "shop", "web").ok_or("no pod")?;
    assert_eq!(&*pod.workload.network, "wide");
    Ok(())
}

//! Several clusters: Services of one name are one, endpoints are of all, and what a cluster said goes with it.

use std::error::Error;
use std::sync::Arc;

use api::decode::{decode, items};
use model::endpoint::{Address, Endpoint};
use model::service::Service;
use model::{Mesh, Ref};
use store::{Options, Tables};
use testkit::mesh::documents;

type Outcome = Result<(), Box<dyn Error>>;

const HOME: &str = "Kubernetes";

/// `cart` with one pod.
fn cart(vip: &str, pod: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: cart, namespace: shop, labels: {{from: '{vip}'}}}}
spec: {{clusterIP: {vip}, selector: {{app: cart}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Node
metadata: {{name: rack, labels: {{topology.kubernetes.io/region: 'r-{vip}'}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: cart-0, namespace: shop, labels: {{app: cart}}}}
spec: {{nodeName: rack, containers: [{{name: app}}]}}
status: {{phase: Running, podIP: {pod}, podIPs: [{{ip: {pod}}}], conditions: [{{type: Ready, status: 'True'}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: cart-a, namespace: shop, labels: {{kubernetes.io/service-name: cart}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints:
- {{addresses: [{pod}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: cart-0, namespace: shop}}}}
"
    )
}

fn apply(tables: &mut Tables, cluster: &str, yaml: &str) -> Outcome {
    for item in documents(yaml)?.into_iter().flat_map(items) {
        let object = decode(item)?.object;
        tables.apply_in(&cluster.into(), &object.key(), Some(&object));
    }
    Ok(())
}

fn forget(tables: &mut Tables, cluster: &str) {
    let known: Vec<_> = tables.known_in(cluster).collect();
    for key in known {
        tables.apply_in(&cluster.into(), &key, None);
    }
}

fn service<'a>(mesh: &'a Mesh, host: &str) -> &'a Ref<Service> {
    let [service] = mesh.services.of_host(host) else { panic!("not one {host}") };
    service
}

/// The endpoints of a host of `shop`: address, cluster, network and region of each.
fn endpoints(mesh: &Mesh, host: &str) -> Vec<[String; 4]> {
    let said = |e: &Endpoint| {
        let Address::Ip(address) = &e.address else { panic!("not an address: {:?}", e.address) };
        let workload = &e.workload;
        [&**address, &workload.cluster, &workload.network, &workload.locality.region].map(str::to_owned)
    };
    let found = mesh.endpoints.by_service.get(&(Arc::from(host), "shop".into()));
    found.into_iter().flat_map(|e| e.endpoints.iter().map(said)).collect()
}

const CART: &str = "cart.shop.svc.cluster.local";

fn of<'a>(pod: &'a str, cluster: &'a str, network: &'a str, vip: &str) -> [String; 4] {
    [pod.to_owned(), cluster.to_owned(), network.to_owned(), format!("r-{vip}")]
}

fn network(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: istio-system, labels: {{topology.istio.io/network: {name}}}}}\n"
    )
}

fn vm(address: &str, app: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm, namespace: shop}}
spec: {{address: {address}, labels: {{app: {app}}}}}
"
    )
}

const ENTRY: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: all, namespace: shop}
spec:
  hosts: [all.example]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: vm}}
";

#[test]
fn services_of_one_name_are_one_with_addresses_of_each_cluster() -> Outcome {
    let mut tables = Tables::new(Options::default());
    apply(&mut tables, "west", &cart("10.96.2.2", "10.3.0.1"))?;
    apply(&mut tables, "east", &cart("10.96.1.1", "10.2.0.1"))?;
    let mesh = tables.next_mesh().mesh;
    let merged = service(&mesh, CART);
    assert!(merged.remote_only);
    let address = |cluster: &str| merged.addresses_in(cluster).iter().map(|a| &**a).collect::<Vec<_>>();
    assert_eq!(
        [HOME, "east", "west"].map(address),
        [["10.96.1.1"], ["10.96.1.1"], ["10.96.2.2"]],
        "clients that have none take that of the first"
    );
    assert_eq!(
        endpoints(&mesh, CART),
        [of("10.2.0.1", "east", "", "10.96.1.1"), of("10.3.0.1", "west", "", "10.96.2.2")]
    );

    apply(&mut tables, HOME, &cart("10.96.0.7", "10.1.0.1"))?;
    let mesh = tables.next_mesh().mesh;
    let merged = service(&mesh, CART);
    assert!(!merged.remote_only);
    assert_eq!(merged.labels["from"], "10.96.0.7", "the home cluster comes first");
    let address = |cluster: &str| merged.addresses_in(cluster).iter().map(|a| &**a).collect::<Vec<_>>();
    assert_eq!(
        [HOME, "", "east", "west"].map(address),
        [["10.96.0.7"], ["10.96.0.7"], ["10.96.1.1"], ["10.96.2.2"]]
    );
    assert_eq!(endpoints(&mesh, CART).len(), 3);
    let pod = |cluster: &str| mesh.pod(cluster, "shop", "cart-0").map(|pod| pod.addresses[0].to_string());
    assert_eq!(
        ["", HOME, "east", "west", "south"].map(pod),
        [Some("10.1.0.1"), Some("10.1.0.1"), Some("10.2.0.1"), Some("10.3.0.1"), None]
            .map(|a| a.map(str::to_owned))
    );
    Ok(())
}

#[test]
fn what_a_cluster_said_goes_with_it() -> Outcome {
    let said =
        |mesh: &Mesh| format!("{:#?}", (&mesh.services, &mesh.endpoints, &mesh.workloads, &mesh.remotes));
    let mut tables = Tables::new(Options::default());
    apply(&mut tables, HOME, &cart("10.96.0.7", "10.1.0.1"))?;
    let alone = said(&tables.next_mesh().mesh);
    for whole in [false, true] {
        apply(&mut tables, "east", &cart("10.96.1.1", "10.2.0.1"))?;
        assert_ne!(said(&tables.next_mesh().mesh), alone);
        forget(&mut tables, "east");
        if whole {
            // Endpoints that go first must not take the rest along unseen.
            tables.next_endpoints();
        }
        assert_eq!(said(&tables.next_mesh().mesh), alone);
        assert_eq!(tables.known_in("east").count(), 0);
    }
    Ok(())
}

#[test]
fn a_pod_concerns_the_endpoints_of_its_cluster_alone() -> Outcome {
    let mut tables = Tables::new(Options::default());
    apply(&mut tables, HOME, &cart("10.96.0.7", "10.1.0.1"))?;
    apply(&mut tables, "east", &cart("10.96.1.1", "10.2.0.1"))?;
    let before = tables.next_mesh().mesh;
    let moved = cart("10.96.1.1", "10.2.0.9");
    let documents: Vec<&str> = moved.split("---").collect();
    apply(&mut tables, "east", &format!("{}---{}", documents[2], documents[3]))?;
    let next = tables.next_endpoints();
    assert_eq!(
        endpoints(&next.mesh, CART),
        [of("10.1.0.1", HOME, "", "10.96.0.7"), of("10.2.0.9", "east", "", "10.96.1.1")]
    );
    assert!(!next.changes.configuration && Arc::ptr_eq(&before.services, &next.mesh.services));
    assert!(Arc::ptr_eq(&before.workloads, &next.mesh.workloads));
    assert_eq!(next.changes.workloads.len(), 1);
    Ok(())
}

#[test]
fn each_cluster_lies_in_the_network_of_its_own_system_namespace() -> Outcome {
    let mut tables = Tables::new(Options::default());
    for (cluster, vip, pod) in [(HOME, "10.96.0.7", "10.1.0.1"), ("east", "10.96.1.1", "10.2.0.1")] {
        apply(&mut tables, cluster, &cart(vip, pod))?;
    }
    apply(&mut tables, HOME, ENTRY)?;
    apply(&mut tables, "east", &vm("10.2.0.8", "vm"))?;
    apply(&mut tables, HOME, &network("one"))?;
    tables.next_mesh();
    apply(&mut tables, "east", &network("two"))?;
    let mesh = tables.next_mesh().mesh;
    // What leads to a workload entry is its field alone.
    assert_eq!(endpoints(&mesh, "all.example"), [["10.2.0.8", "east", "", ""].map(str::to_owned)]);
    assert_eq!(
        endpoints(&mesh, CART),
        [of("10.1.0.1", HOME, "one", "10.96.0.7"), of("10.2.0.1", "east", "two", "10.96.1.1")]
    );
    Ok(())
}

#[test]
fn selectors_of_the_mesh_look_at_the_namespaces_of_each_cluster() -> Outcome {
    let mut tables = Tables::new(Options::default());
    let config = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'discoverySelectors: [{matchLabels: {mesh: part}}]'}
";
    let shop = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {mesh: part}}\n";
    apply(&mut tables, HOME, config)?;
    apply(&mut tables, HOME, &cart("10.96.0.7", "10.1.0.1"))?;
    apply(&mut tables, HOME, shop)?;
    apply(&mut tables, "east", &cart("10.96.1.1", "10.2.0.1"))?;
    assert_eq!(endpoints(&tables.next_mesh().mesh, CART), [of("10.1.0.1", HOME, "", "10.96.0.7")]);
    apply(&mut tables, "east", shop)?;
    assert_eq!(endpoints(&tables.next_mesh().mesh, CART).len(), 2);
    forget(&mut tables, HOME);
    apply(&mut tables, HOME, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")?;
    assert_eq!(endpoints(&tables.next_mesh().mesh, CART), [of("10.2.0.1", "east", "", "10.96.1.1")]);
    Ok(())
}

#[test]
fn entries_and_pods_of_all_clusters_are_selected_by_service_entries_of_the_home_cluster() -> Outcome {
    let mut tables = Tables::new(Options::default());
    let entry = &ENTRY.replace("app: vm", "app: cart");
    apply(&mut tables, HOME, entry)?;
    apply(&mut tables, HOME, &cart("10.96.0.7", "10.1.0.1"))?;
    apply(&mut tables, "east", &cart("10.96.1.1", "10.2.0.1"))?;
    apply(&mut tables, "east", entry)?;
    tables.next_mesh();
    apply(&mut tables, "east", &vm("10.2.0.8", "cart"))?;
    let mesh = tables.next_endpoints().mesh;
    let found = |host: &str| endpoints(&mesh, host).into_iter().map(|[a, ..]| a).collect::<Vec<_>>();
    assert_eq!(found("all.example"), ["10.1.0.1", "10.2.0.1", "10.2.0.8"]);
    assert_eq!(found(CART), ["10.1.0.1", "10.2.0.1", "10.2.0.8"], "its own cluster's Service selects it");
    assert_eq!(mesh.services.of_host("all.example").len(), 1, "configuration is the home cluster's alone");
    Ok(())
}

//! What a workload's proxy takes for it: ports, chains, inspectors, clusters.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use model::Proxy;
use model::endpoint::Locality;
use model::mesh::Features;
use serde_json::{Value, json};
use store::Options;
use testkit::compare::{Dump, at};
use testkit::mesh::{dump, mesh, planned, tables};
use translate::{Key, listeners};

type Outcome = Result<(), Box<dyn Error>>;

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: ns}
spec:
  clusterIP: 10.96.0.9
  selector: {app: shop}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: tcp, port: 90, targetPort: raw}
  - {name: http-again, port: 81, targetPort: 8080}
  - {name: tcp-lost, port: 91, targetPort: nowhere}
---
apiVersion: v1
kind: Pod
metadata: {name: shop-1, namespace: ns, labels: {app: shop}}
spec: {containers: [{name: app, ports: [{name: raw, containerPort: 9000}]}]}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], conditions: [{type: Ready, status: 'True'}]}
";

/// What `<pod>.ns` at 10.1.0.1 gets.
fn sent(yaml: &[&str], pod: &str, metadata: &Value) -> Result<Dump, Box<dyn Error>> {
    let mesh = mesh(yaml)?;
    let id = format!("sidecar~10.1.0.1~{pod}.ns~ns.svc.cluster.local");
    let proxy = Proxy::parse(&id, metadata, Locality::default())?;
    Ok(dump(&mesh, &proxy))
}

fn listener(dump: &Dump, name: &str) -> Value {
    dump.get("lds").and_then(|l| l.get(name)).cloned().unwrap_or_default()
}

/// How often each chain name comes.
fn chains(listener: &Value) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for chain in listener["filterChains"].as_array().into_iter().flatten() {
        let name = chain["name"].as_str().unwrap_or_default().to_owned();
        *names.entry(name).or_default() += 1;
    }
    names
}

fn inbound_clusters(dump: &Dump) -> Vec<&str> {
    let clusters = dump.get("cds").into_iter().flat_map(|c| c.keys());
    clusters.map(String::as_str).filter(|n| n.starts_with("inbound|")).collect()
}

#[test]
fn every_target_port_is_taken_once() -> Outcome {
    let dump = sent(&[SHOP], "shop-1", &json!({"NAMESPACE": "ns"}))?;
    assert_eq!(inbound_clusters(&dump), ["inbound|8080||", "inbound|9000||"]);
    let found = chains(&listener(&dump, "virtualInbound"));
    let expected = [
        ("0.0.0.0_8080", 2),
        ("0.0.0.0_9000", 3),
        ("virtualInbound", 3),
        ("virtualInbound-blackhole", 1),
        ("virtualInbound-catchall-http", 2),
    ];
    assert_eq!(found, expected.map(|(name, count)| (name.to_owned(), count)).into());
    Ok(())
}

#[test]
fn a_pod_that_is_not_known_yet_is_told_by_its_metadata() -> Outcome {
    let ports = r#"[{"name": "raw", "containerPort": 9001}]"#;
    let metadata = json!({"NAMESPACE": "ns", "LABELS": {"app": "shop"}, "POD_PORTS": ports});
    let dump = sent(&[SHOP], "shop-2", &metadata)?;
    assert_eq!(inbound_clusters(&dump), ["inbound|8080||", "inbound|9001||"]);
    Ok(())
}

#[test]
fn another_clusters_proxy_serves_nothing_here() -> Outcome {
    let dump = sent(&[SHOP], "shop-1", &json!({"NAMESPACE": "ns", "CLUSTER_ID": "elsewhere"}))?;
    assert!(inbound_clusters(&dump).is_empty());
    Ok(())
}

#[test]
fn a_workload_entry_of_the_proxys_address_names_its_ports() -> Outcome {
    let entry = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: ns}
spec: {address: 10.1.0.1, labels: {app: shop}, ports: {http: 8088, raw: 9009}}
";
    let dump = sent(&[SHOP, entry], "vm", &json!({"NAMESPACE": "ns"}))?;
    // The port without a name in the entry keeps the Service's number.
    assert_eq!(inbound_clusters(&dump), ["inbound|8080||", "inbound|8088||", "inbound|9009||"]);
    Ok(())
}

const DISABLED: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: shop, namespace: ns}
spec:
  selector: {matchLabels: {app: shop}}
  mtls: {mode: DISABLE}
  portLevelMtls: {8080: {mode: STRICT}, 7000: {mode: STRICT}, 7001: {mode: DISABLE}}
";

#[test]
fn tls_is_looked_for_only_where_a_chain_asks() -> Outcome {
    let dump = sent(&[SHOP, DISABLED], "shop-1", &json!({"NAMESPACE": "ns"}))?;
    let listener = listener(&dump, "virtualInbound");
    let port = |p: u16| json!({"destinationPortRange": {"start": p, "end": p + 1}});
    let only = json!({"notMatch": {"orMatch": {"rules": [port(7000), port(8080)]}}});
    assert_eq!(listener["listenerFilters"][1]["name"], "envoy.filters.listener.tls_inspector");
    assert_eq!(listener["listenerFilters"][1]["filterDisabled"], only);
    let off = json!({"orMatch": {"rules": [port(7000), port(8080), port(9000), port(15006)]}});
    assert_eq!(listener["listenerFilters"][2]["filterDisabled"], off);
    // A port that the policy names has chains of its own, also where it takes what the workload takes.
    let passthrough: Vec<_> = listener["filterChains"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|c| c["name"].as_str().is_some_and(|n| n.starts_with("virtualInbound")))
        .filter_map(|c| c["filterChainMatch"]["destinationPort"].as_u64())
        .collect();
    assert_eq!(passthrough, [15006, 7000, 7000, 7001, 7001]);
    Ok(())
}

const INGRESS: &str = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: shop, namespace: ns}
spec:
  inboundConnectionPool: {tcp: {maxConnections: 7}}
  ingress:
  - {port: {number: 8080, protocol: HTTP, name: http}, defaultEndpoint: '127.0.0.1:3000'}
  - {port: {number: 9443, protocol: TCP, name: tcp}, defaultEndpoint: '0.0.0.0:4000', captureMode: NONE,
     bind: 127.0.0.1, connectionPool: {tcp: {maxConnections: 9}}}
  - {port: {number: 9444, protocol: TCP, name: odd}, defaultEndpoint: 'somewhere:x'}
";

#[test]
fn a_sidecar_names_the_ports_instead_of_the_services() -> Outcome {
    let dump = sent(&[SHOP, INGRESS], "shop-1", &json!({"NAMESPACE": "ns"}))?;
    assert_eq!(inbound_clusters(&dump), ["inbound|8080||", "inbound|9443||", "inbound|9444||"]);
    let cluster = |name: &str| dump["cds"][name].clone();
    let address = |name: &str| {
        let endpoint = &cluster(name)["loadAssignment"]["endpoints"][0]["lbEndpoints"][0]["endpoint"];
        endpoint["address"]["socketAddress"].clone()
    };
    let limit = |name: &str| cluster(name)["circuitBreakers"]["thresholds"][0]["maxConnections"].clone();
    assert_eq!(address("inbound|8080||"), json!({"address": "127.0.0.1", "portValue": 3000}));
    assert!(cluster("inbound|8080||").get("upstreamBindConfig").is_none(), "nothing redirects loopback");
    assert_eq!(address("inbound|9443||"), json!({"address": "10.1.0.1", "portValue": 4000}));
    assert_eq!((limit("inbound|8080||"), limit("inbound|9443||")), (json!(7), json!(9)));
    assert_eq!(cluster("inbound|9444||")["type"], "ORIGINAL_DST");
    let found = chains(&listener(&dump, "virtualInbound"));
    assert!(found.contains_key("10.1.0.1_8080") && !found.contains_key("127.0.0.1_9443"));
    let bound = listener(&dump, "127.0.0.1_9443");
    assert_eq!(chains(&bound), [("127.0.0.1_9443".to_owned(), 3)].into());
    Ok(())
}

#[test]
fn without_redirection_only_what_a_sidecar_lists_is_taken() -> Outcome {
    let metadata = json!({"NAMESPACE": "ns", "INTERCEPTION_MODE": "NONE"});
    let plain = sent(&[SHOP], "shop-1", &metadata)?;
    assert!(inbound_clusters(&plain).is_empty());
    assert_eq!(listener(&plain, "virtualInbound"), Value::Null);
    let listed = sent(&[SHOP, INGRESS], "shop-1", &metadata)?;
    assert_eq!(inbound_clusters(&listed).len(), 3);
    assert_eq!(chains(&listener(&listed, "10.1.0.1_8080")).get("10.1.0.1_8080"), Some(&2));
    Ok(())
}

const IN_VAIN: &str = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own, namespace: ns}
spec:
  ingress:
  - {port: {number: 8080, protocol: HTTP, name: http}, defaultEndpoint: '127.0.0.1:3000'}
  - {port: {number: 8080, protocol: HTTP, name: again}, defaultEndpoint: '127.0.0.1:3001'}
  - {port: {number: 70000, protocol: HTTP, name: far}, defaultEndpoint: '127.0.0.1:3002'}
  - {port: {number: 81, protocol: TCP, name: low}, defaultEndpoint: '127.0.0.1:3003', captureMode: NONE}
  egress:
  - {hosts: ['*/*'], port: {number: 15001, protocol: HTTP, name: own}}
  - {hosts: ['*/*']}
";
const OWN_PORT: &str = "
apiVersion: v1
kind: Service
metadata: {name: loop, namespace: ns}
spec: {clusterIP: 10.96.0.8, ports: [{name: http, port: 15001}]}
";

#[test]
fn what_cannot_be_opened_is_told_at_its_object() -> Outcome {
    let mesh = mesh(&[SHOP, IN_VAIN, OWN_PORT])?;
    let id = "sidecar~10.1.0.1~shop-1.ns~ns.svc.cluster.local";
    let metadata = json!({"NAMESPACE": "ns", "UNPRIVILEGED_POD": "true"});
    let proxy = Proxy::parse(id, &metadata, Locality::default())?;
    let mut told: Vec<String> = Vec::new();
    for plan in testkit::mesh::plans(&mesh, &proxy) {
        told.extend(plan.problems.iter().map(|p| format!("{} {}: {}", p.object, p.field, p.message)));
    }
    told.sort();
    assert_eq!(
        told,
        [
            "Service/ns/loop spec.ports: port 15001 is one that sidecars listen on themselves; they open no outbound \
             listener for it",
            "Sidecar/ns/own spec.egress[0].port: the proxy may not bind port 15001; the egress listener is left out",
            "Sidecar/ns/own spec.ingress[1].port: port 8080 is taken by an ingress listener before it; the ingress \
             listener is left out",
            "Sidecar/ns/own spec.ingress[2].port: 70000 is no port number; the ingress listener is left out",
            "Sidecar/ns/own spec.ingress[3].port: the proxy may not bind port 81; the ingress listener is left out",
        ]
    );
    Ok(())
}

const SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-a, namespace: ns, labels: {kubernetes.io/service-name: shop}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: shop-1}}]
";
const MANUAL: &str = "
apiVersion: v1
kind: Service
metadata: {name: manual, namespace: ns}
spec: {clusterIP: 10.96.0.8, ports: [{name: http, port: 80}]}
";
const MANUAL_SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: manual-a, namespace: ns, labels: {kubernetes.io/service-name: manual}}
addressType: IPv4
ports: [{name: http, port: 7777}]
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}]
";

/// Whether the own plan of `<pod>.ns` is made again when `later` comes on top of the Services.
fn planned_again(pod: &str, later: &str) -> Result<bool, Box<dyn Error>> {
    let mut tables = tables(Options::default(), &[SHOP, MANUAL])?;
    let before = tables.next_mesh().mesh;
    let id = format!("sidecar~10.1.0.1~{pod}.ns~ns.svc.cluster.local");
    let proxy = Proxy::parse(&id, &json!({"NAMESPACE": "ns"}), Locality::default())?;
    let own = translate::class::classes(&before, &proxy).pop().ok_or("a proxy has classes")?;
    let plan = translate::plan::plan(&before, &own, None, false, None);
    for document in testkit::mesh::documents(later)? {
        let object = api::decode::decode(document)?.object;
        tables.apply(&object.key(), Some(&object));
    }
    let next = tables.next_mesh();
    let after = translate::plan::plan(&next.mesh, &own, Some((&plan, &next.changes)), false, None);
    Ok(!Arc::ptr_eq(&plan, &after))
}

#[test]
fn endpoints_concern_only_those_who_are_known_by_them() -> Outcome {
    assert!(!planned_again("shop-1", SLICE)?, "the pod is selected by its labels");
    assert!(planned_again("shop-1", MANUAL_SLICE)?, "the service knows its workloads by address");
    Ok(())
}

#[test]
fn workloads_of_one_service_share_what_they_take() -> Outcome {
    let second = SHOP.split("---").last().ok_or("a pod")?.replace("shop-1", "shop-2");
    let second = second.replace("10.1.0.1", "10.1.0.2");
    let mesh = mesh(&[SHOP, &second])?;
    let plan = |pod: &str, ip: &str| -> Result<_, Box<dyn Error>> {
        let id = format!("sidecar~{ip}~{pod}.ns~ns.svc.cluster.local");
        let proxy = Proxy::parse(&id, &json!({"NAMESPACE": "ns"}), Locality::default())?;
        let own = translate::class::classes(&mesh, &proxy).pop().ok_or("a proxy has classes")?;
        Ok(translate::plan::plan(&mesh, &own, None, false, None))
    };
    let (first, second) = (plan("shop-1", "10.1.0.1")?, plan("shop-2", "10.1.0.2")?);
    assert_eq!(first.listeners.len(), 1);
    assert_eq!(first.listeners, second.listeners);
    assert_eq!(first.clusters, second.clusters);
    Ok(())
}

#[test]
fn the_endpoint_of_an_ingress_listener_is_of_the_family_that_it_names() -> Outcome {
    let reached = |ips: &str, endpoint: &str| -> Result<String, Box<dyn Error>> {
        let sidecar = format!(
            "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: own, namespace: shop}}
spec: {{ingress: [{{port: {{number: 9000, name: tcp, protocol: TCP}}, defaultEndpoint: '{endpoint}'}}], egress: [{{hosts: ['./*']}}]}}
"
        );
        let first = ips.split(',').next().unwrap_or_default();
        let id = format!("sidecar~{first}~web-1.shop~shop.svc.cluster.local");
        let proxy = Proxy::parse(&id, &json!({"INSTANCE_IPS": ips}), Locality::default())?;
        let dump = dump(&*mesh(&[&sidecar])?, &proxy);
        let path = "/loadAssignment/endpoints/0/lbEndpoints/0/endpoint/address/socketAddress/address";
        let found = dump.get("cds").and_then(|d| d.get("inbound|9000||")).and_then(|c| c.pointer(path));
        Ok(found.and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    let both = "10.1.0.9,fd00::9";
    assert_eq!(reached(both, "0.0.0.0:80")?, "10.1.0.9");
    assert_eq!(reached(both, "[::]:80")?, "fd00::9");
    assert_eq!(reached(both, "[::1]:80")?, "::1");
    assert_eq!(reached("10.1.0.9", "[::]:80")?, "::1");
    assert_eq!(reached("10.1.0.9", "127.0.0.1:80")?, "127.0.0.1");
    Ok(())
}

#[test]
fn a_port_of_a_service_outside_of_the_mesh_names_no_services() -> Outcome {
    let entry = |location: &str| {
        format!(
            "{{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {{name: out, namespace: ns}}, spec: \
             {{hosts: [out.example], ports: [{{name: http, number: 70, protocol: HTTP}}], resolution: STATIC, \
             location: {location}, workloadSelector: {{labels: {{app: shop}}}}}}}}"
        )
    };
    for (location, named) in [("MESH_EXTERNAL", Value::Null), ("MESH_INTERNAL", json!("out.example"))] {
        let dump = sent(&[SHOP, &entry(location)], "shop-1", &json!({"LABELS": {"app": "shop"}}))?;
        let services = at(&dump, "cds", "inbound|70||", "/metadata/filterMetadata/istio/services/0/host");
        assert_eq!(services, named, "{location}");
    }
    Ok(())
}

#[test]
fn statistics_call_a_port_of_a_sidecar_after_the_sidecar() -> Outcome {
    let pattern = "{apiVersion: v1, kind: ConfigMap, metadata: {name: istio, namespace: istio-system}, data: {mesh: \
                   '{inboundClusterStatName: \"%SERVICE_NAME%_%SERVICE_PORT%\"}'}}";
    let dump = sent(&[SHOP, INGRESS, pattern], "shop-1", &json!({"NAMESPACE": "ns"}))?;
    let name = at(&dump, "cds", "inbound|9443||", "/altStatName");
    assert_eq!(name, json!("shop.ns_9443;"));
    Ok(())
}

#[test]
fn where_the_proxy_listens_itself_nothing_is_taken_for_the_workload() -> Outcome {
    let service =
        SHOP.replace("targetPort: 8080", "targetPort: 15021").replace("targetPort: raw", "targetPort: 15006");
    let own = json!({"ENVOY_STATUS_PORT": 15021});
    for (metadata, taken) in [(own, vec![]), (json!({}), vec!["0.0.0.0_15021"])] {
        let dump = sent(&[&service], "shop-1", &metadata)?;
        let chains = chains(&listener(&dump, "virtualInbound"));
        let names: Vec<_> = chains.keys().filter(|name| name.starts_with("0.0.0.0_")).collect();
        assert_eq!(names, taken, "{metadata}");
        assert_eq!(inbound_clusters(&dump), ["inbound|15006||", "inbound|15021||"], "as in the reference");
    }
    Ok(())
}

/// TLS that a Sidecar asks for and that does not end is told of: without the flag, and where mesh mTLS is on.
#[test]
fn tls_that_does_not_end_at_an_ingress_listener_is_told_of() -> Outcome {
    const SIDECAR: &str = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own, namespace: ns}
spec:
  ingress:
  - port: {number: 8443, name: https, protocol: HTTPS}
    defaultEndpoint: 127.0.0.1:8080
    tls: {mode: SIMPLE, serverCertificate: a, privateKey: b}
";
    let told = |on: bool, mode: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let policy = format!(
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p, namespace: ns}}\n\
             spec: {{mtls: {{mode: {mode}}}}}\n"
        );
        let features = Features { tls_on_sidecar_ingress: on, ..Features::default() };
        let options = Options { features, ..Options::default() };
        let mesh = tables(options, &[SHOP, SIDECAR, &policy])?.next_mesh().mesh;
        let id = "sidecar~10.1.0.1~shop-1.ns~ns.svc.cluster.local";
        let proxy = Proxy::parse(id, &json!({}), Locality::default())?;
        let planned = planned(&mesh, &proxy);
        let Some(Key::Listener(key)) = planned.get(&("lds", Arc::from("virtualInbound"))) else {
            return Err("no inbound listener".into());
        };
        let problems = listeners::build(key).problems;
        Ok(problems.into_iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect())
    };
    let off = "spec.ingress[0].tls: TLS does not end at ingress listeners; what comes goes to the workload as it is";
    let mesh_tls = "spec.ingress[0].tls: the port takes the mesh's mTLS, so no other TLS ends there";
    assert_eq!(told(false, "DISABLE")?, [off]);
    assert_eq!(told(true, "PERMISSIVE")?, [mesh_tls]);
    assert_eq!(told(true, "STRICT")?, [mesh_tls]);
    assert_eq!(told(true, "DISABLE")?, [""; 0]);
    Ok(())
}

//! What ServiceEntries and WorkloadEntries make of clusters, endpoints and listeners of the clients of others.

use std::error::Error;

use model::Proxy;
use model::endpoint::Locality;
use model::mesh::Features;
use serde_json::{Value, json};
use store::Options;
use testkit::compare::{Dump, at};
use testkit::mesh::{dump, mesh, tables};

type Outcome = Result<(), Box<dyn Error>>;

fn entry(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec: {spec}
---"
    )
}

fn sent(yaml: &str) -> Result<Dump, Box<dyn Error>> {
    sent_to("10.1.0.9", &json!({}), yaml)
}

/// What a sidecar without a service gets.
fn sent_to(ip: &str, metadata: &Value, yaml: &str) -> Result<Dump, Box<dyn Error>> {
    let id = format!("sidecar~{ip}~client-1.shop~shop.svc.cluster.local");
    let locality = Locality { region: "r1".into(), zone: "z1".into(), subzone: String::new() };
    Ok(dump(&*mesh(&[yaml])?, &Proxy::parse(&id, metadata, locality)?))
}

fn names<'a>(dump: &'a Dump, kind: &str, prefix: &str) -> Vec<&'a str> {
    let all = dump.get(kind).into_iter().flat_map(|d| d.keys());
    all.filter(|name| name.starts_with(prefix)).map(String::as_str).collect()
}

/// The values under a key, in order.
fn all<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(map) => {
            map.get(key).into_iter().chain(map.values().flat_map(|v| all(v, key))).collect()
        }
        Value::Array(list) => list.iter().flat_map(|v| all(v, key)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn what_kubernetes_has_is_the_service_though_an_entry_is_older() -> Outcome {
    let old = entry(
        "old",
        "{hosts: [web.shop.svc.cluster.local], resolution: DNS, ports: [{number: 80, name: http}, {number: 99, name: tcp}]}",
    );
    let yaml = format!(
        "{}
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop, creationTimestamp: '2026-02-01T00:00:00Z'}}
spec: {{clusterIP: 10.96.0.1, ports: [{{name: http, port: 80}}]}}
",
        old.replace("namespace: shop}", "namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}")
    );
    let dump = sent(&yaml)?;
    assert_eq!(names(&dump, "cds", "outbound|"), ["outbound|80||web.shop.svc.cluster.local"]);
    assert_eq!(at(&dump, "cds", "outbound|80||web.shop.svc.cluster.local", "/type"), "EDS");
    Ok(())
}

#[test]
fn entries_of_a_host_are_one_service_whatever_their_addresses() -> Outcome {
    let of = |name: &str, address: &str, port: u16| {
        let spec = "{hosts: [m.example], addresses: [ADDRESS], resolution: STATIC, ports: [{number: PORT, name: tcp, protocol: TCP}], endpoints: [{address: 192.0.2.1}]}";
        entry(name, &spec.replace("ADDRESS", address).replace("PORT", &port.to_string()))
    };
    let dump = sent(&[of("a", "10.99.0.1", 80), of("b", "10.99.0.2", 90)].concat())?;
    assert_eq!(names(&dump, "cds", "outbound|"), ["outbound|80||m.example", "outbound|90||m.example"]);
    assert_eq!(names(&dump, "lds", "10.99."), ["10.99.0.1_80", "10.99.0.2_90"]);
    Ok(())
}

#[test]
fn a_proxy_of_both_families_listens_on_both_addresses() -> Outcome {
    let yaml = [
        entry("named", "{hosts: [m.example], resolution: DNS, ports: [{number: 90, name: tcp, protocol: TCP}]}"),
        entry("taken", "{hosts: [auto.example], resolution: DNS, ports: [{number: 91, name: tcp, protocol: TCP}]}\nstatus: {addresses: [{host: auto.example, value: 240.240.0.1}, {host: auto.example, value: '2001:2::1'}]}"),
        "
apiVersion: v1
kind: Service
metadata: {name: raw, namespace: shop}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1'], ports: [{name: tcp, port: 92}]}
"
        .to_owned(),
    ]
    .concat();
    let both = json!({"INSTANCE_IPS": "10.1.0.9,fd00::9", "DNS_CAPTURE": "true"});
    for (dual_stack, allotted, of_service) in
        [(true, json!("2001:2::1"), json!("fd00::1")), (false, Value::Null, Value::Null)]
    {
        let features = Features { dual_stack, ..Features::default() };
        let mesh = tables(Options { features, ..Options::default() }, &[&yaml])?.next_mesh().mesh;
        let id = "sidecar~10.1.0.9~a.shop~shop.svc.cluster.local";
        let dump = dump(&mesh, &Proxy::parse(id, &both, Locality::default())?);
        let extra =
            |name: &str| at(&dump, "lds", name, "/additionalAddresses/0/address/socketAddress/address");
        let found = (extra("0.0.0.0_90"), extra("240.240.0.1_91"), extra("10.96.0.1_92"));
        assert_eq!(found, (json!("::"), allotted, of_service), "{dual_stack}");
    }
    let one = sent_to("10.1.0.9", &json!({"DNS_CAPTURE": "true"}), &yaml)?;
    assert!(
        names(&one, "lds", "").iter().all(|name| at(&one, "lds", name, "/additionalAddresses").is_null())
    );
    Ok(())
}

#[test]
fn allotted_addresses_are_for_entries_that_may_have_them() -> Outcome {
    let of = |resolution: &str, label: &str, address: &str| -> Result<bool, Box<dyn Error>> {
        let spec = "{hosts: [m.example], resolution: RESOLUTION, ports: [{number: 90, name: tcp, protocol: TCP}]}\nstatus: {addresses: [{host: m.example, value: ADDRESS}]}";
        let yaml = entry("m", &spec.replace("RESOLUTION", resolution).replace("ADDRESS", address));
        let yaml = yaml.replace(
            "namespace: shop}",
            &format!("namespace: shop, labels: {{networking.istio.io/enable-autoallocate-ip: '{label}'}}}}"),
        );
        Ok(!names(&sent_to("10.1.0.9", &json!({"DNS_CAPTURE": "true"}), &yaml)?, "lds", "240.240.0.1_90")
            .is_empty())
    };
    assert!(of("DNS", "true", "240.240.0.1")?);
    assert!(!of("DNS", "False", "240.240.0.1")?);
    assert!(!of("NONE", "true", "240.240.0.1")?);
    assert!(!of("DNS", "true", "240.240.0.1_90")?);
    Ok(())
}

#[test]
fn an_entry_without_any_address_that_is_one_is_no_service() -> Outcome {
    let dump = sent(&entry(
        "m",
        "{hosts: [m.example], addresses: [nowhere], resolution: DNS, ports: [{number: 90, name: tcp, protocol: TCP}]}",
    ))?;
    assert!(names(&dump, "cds", "outbound|").is_empty() && names(&dump, "lds", "0.0.0.0_90").is_empty());
    Ok(())
}

#[test]
fn a_listener_with_a_port_takes_of_destinations_that_port_alone() -> Outcome {
    let yaml = "
apiVersion: v1
kind: Service
metadata: {name: one, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: two, namespace: pay}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}, {name: http-b, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: three, namespace: pay}
spec: {clusterIP: 10.96.0.3, ports: [{name: http, port: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: shop}
spec:
  hosts: [one]
  http:
  - match: [{uri: {prefix: /three}}]
    route: [{destination: {host: three.pay.svc.cluster.local, port: {number: 8080}}}]
  - route: [{destination: {host: two.pay.svc.cluster.local, port: {number: 8080}}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own, namespace: shop}
spec: {egress: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['./*']}]}
";
    let dump = sent(yaml)?;
    assert_eq!(
        names(&dump, "cds", "outbound|"),
        ["outbound|80||one.shop.svc.cluster.local", "outbound|80||two.pay.svc.cluster.local"]
    );
    Ok(())
}

#[test]
fn an_endpoint_is_where_its_labels_say_if_nothing_else_does() -> Outcome {
    let localities = |endpoint: &str| -> Result<Value, Box<dyn Error>> {
        let spec = format!(
            "{{hosts: [m.example], resolution: STATIC, ports: [{{number: 80, name: http, protocol: HTTP}}], endpoints: [{endpoint}]}}"
        );
        Ok(at(&sent(&entry("m", &spec))?, "eds", "outbound|80||m.example", "/endpoints/0/locality"))
    };
    assert_eq!(
        localities("{address: 192.0.2.1, labels: {istio-locality: r1.z2}}")?,
        json!({"region": "r1", "zone": "z2"})
    );
    assert_eq!(localities("{address: 192.0.2.1, locality: r1.z2}")?, json!({"region": "r1.z2"}));
    Ok(())
}

#[test]
fn a_workload_is_called_after_its_group_or_its_label() -> Outcome {
    let workload = |metadata: &str| -> Result<Value, Box<dyn Error>> {
        let yaml = format!(
            "{}
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-1, namespace: shop, {metadata}}}
spec: {{address: 192.0.2.1, labels: {{app: vm}}}}
",
            entry(
                "m",
                "{hosts: [m.example], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {app: vm}}}"
            )
        );
        let path = "/endpoints/0/lbEndpoints/0/metadata/filterMetadata/istio/workload";
        Ok(at(&sent(&yaml)?, "eds", "outbound|80||m.example", path))
    };
    let name = |metadata: &str| -> Result<String, Box<dyn Error>> {
        Ok(workload(metadata)?.as_str().unwrap_or_default().split(';').next().unwrap_or_default().to_owned())
    };
    assert_eq!(name("labels: {}")?, "vm-1");
    assert_eq!(name("labels: {service.istio.io/workload-name: vm}")?, "vm");
    assert_eq!(name("annotations: {istio.io/autoRegistrationGroup: group}")?, "group");
    // What is checked and does not say that it is healthy gets nothing.
    assert_eq!(name("annotations: {proxy.istio.io/health-checks-enabled: 'TRUE'}")?, "");
    Ok(())
}

#[test]
fn only_the_field_leads_to_an_endpoint_through_the_gateway_of_another_network() -> Outcome {
    let reached = |endpoint: &str| -> Result<Value, Box<dyn Error>> {
        let spec = format!(
            "{{hosts: [m.example], resolution: STATIC, location: MESH_INTERNAL, ports: [{{number: 80, name: http, protocol: HTTP}}], endpoints: [{endpoint}]}}"
        );
        let settings = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {meshNetworks: 'networks: {n2: {endpoints: [{fromCidr: 198.51.100.0/24}], gateways: [{address: 203.0.113.1, port: 15443}]}}'}
";
        let dump = sent_to("10.1.0.9", &json!({"NETWORK": "n1"}), &[&entry("m", &spec), settings].concat())?;
        let path = "/endpoints/0/lbEndpoints/0/endpoint/address/socketAddress/address";
        Ok(at(&dump, "eds", "outbound|80||m.example", path))
    };
    let account = "serviceAccount: a";
    assert_eq!(reached(&format!("{{address: 192.0.2.1, network: n2, {account}}}"))?, "203.0.113.1");
    assert_eq!(
        reached(&format!("{{address: 192.0.2.1, labels: {{topology.istio.io/network: n2}}, {account}}}"))?,
        "192.0.2.1"
    );
    assert_eq!(reached(&format!("{{address: 198.51.100.1, {account}}}"))?, "198.51.100.1");
    Ok(())
}

#[test]
fn names_are_resolved_once_for_each_address_and_one_in_turn_only_once() -> Outcome {
    let of = |name: &str, resolution: &str| {
        entry(
            name,
            &format!(
                "{{hosts: [m.example], addresses: [10.99.0.1, 10.99.0.2], resolution: {resolution}, ports: [{{number: 80, name: tcp, protocol: TCP}}], endpoints: [{{address: a.example}}, {{address: b.example}}]}}"
            ),
        )
    };
    let resolved = |yaml: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let dump = sent(yaml)?;
        let endpoints = at(&dump, "cds", "outbound|80||m.example", "/loadAssignment");
        Ok(all(&endpoints, "socketAddress")
            .iter()
            .filter_map(|s| s["address"].as_str())
            .map(str::to_owned)
            .collect())
    };
    assert_eq!(resolved(&of("m", "DNS"))?, ["a.example", "b.example", "a.example", "b.example"]);
    assert_eq!(
        resolved(&[of("one", "DNS_ROUND_ROBIN"), of("two", "DNS_ROUND_ROBIN")].concat())?,
        ["a.example"]
    );
    Ok(())
}

#[test]
fn a_port_that_an_entry_gives_as_0_is_that_of_the_service() -> Outcome {
    let port = |given: u16| -> Result<Value, Box<dyn Error>> {
        let yaml = format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: vm, namespace: shop}}
spec: {{clusterIP: 10.96.0.1, selector: {{app: vm}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-1, namespace: shop}}
spec: {{address: 192.0.2.1, labels: {{app: vm}}, ports: {{http: {given}}}}}
"
        );
        let path = "/endpoints/0/lbEndpoints/0/endpoint/address/socketAddress/portValue";
        Ok(at(&sent(&yaml)?, "eds", "outbound|80||vm.shop.svc.cluster.local", path))
    };
    assert_eq!((port(0)?, port(9090)?), (json!(8080), json!(9090)));
    Ok(())
}

#[test]
fn an_http_proxy_takes_its_port_whole() -> Outcome {
    let dump = sent(&entry(
        "m",
        "{hosts: [m.example], resolution: DNS, ports: [{number: 3128, name: proxy, protocol: HTTP_PROXY}]}",
    ))?;
    let chains = at(&dump, "lds", "0.0.0.0_3128", "/filterChains").as_array().cloned().unwrap_or_default();
    assert_eq!(chains.len(), 1, "{chains:?}");
    assert!(
        all(&json!(chains), "applicationProtocols").is_empty()
            && all(&json!(chains), "transportProtocol").is_empty()
    );
    Ok(())
}

#[test]
fn an_entry_prefers_what_its_namespace_prefers() -> Outcome {
    let spec = "{hosts: [m.example], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 192.0.2.1, locality: r1/z1}, {address: 192.0.2.2, locality: r2/z1}]}";
    let weighs = |word: &str| -> Result<bool, Box<dyn Error>> {
        let namespace = format!(
            "\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, annotations: {{networking.istio.io/traffic-distribution: {word}}}}}\n"
        );
        let dump = sent(&[entry("m", spec), namespace].concat())?;
        Ok(!at(&dump, "cds", "outbound|80||m.example", "/commonLbConfig/localityWeightedLbConfig").is_null())
    };
    assert!(weighs("PreferClose")? && !weighs("Any")?);
    Ok(())
}

#[test]
fn what_is_near_is_told_by_where_the_proxy_says_it_is() -> Outcome {
    let near = "{hosts: [m.example], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 192.0.2.1}, {address: 192.0.2.2, locality: r1/z1}, {address: 192.0.2.3, locality: r1/z2}]}";
    let namespace = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {networking.istio.io/traffic-distribution: PreferClose}}
";
    let dump = sent(&[&entry("m", near), namespace].concat())?;
    let endpoints = at(&dump, "eds", "outbound|80||m.example", "/endpoints");
    let priorities: Vec<(&Value, u64)> = endpoints
        .as_array()
        .ok_or("no endpoints")?
        .iter()
        .map(|group| (&group["locality"]["zone"], group["priority"].as_u64().unwrap_or_default()))
        .collect();
    assert_eq!(priorities, [(&Value::Null, 2), (&json!("z1"), 0), (&json!("z2"), 1)]);
    Ok(())
}

//! Flags of the control plane, and settings of the mesh, that change what is sent.

use std::error::Error;
use std::sync::Arc;

use model::mesh::Features;
use serde_json::{Value, json};
use store::Options;
use testkit::compare::{Dump, at, find};
use testkit::mesh::{WEB, dump, proxy, tables};

type Outcome = Result<(), Box<dyn Error>>;

const OBJECTS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: '{outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}}'
  meshNetworks: '{networks: {a: {endpoints: [{fromCidr: 10.9.0.0/16}, {fromCidr: 10.8.0.0/16}]}}}'
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http: [{route: [{destination: {host: web}}], mirror: {host: web}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example, b.example]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: shop}
spec: {hosts: [a.example, b.example], gateways: [edge], http: [{route: [{destination: {host: web}}]}]}
";

/// The mesh's defaults for proxies, beside the objects.
fn with_defaults([kind, ip, pod]: Id, defaults: &str) -> Result<Dump, Box<dyn Error>> {
    let map = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: istio, namespace: istio-system}}, data: {{mesh: \
         '{{defaultConfig: {defaults}}}'}}}}"
    );
    let mesh = tables(Options::default(), &[WEB, OBJECTS, &map])?.next_mesh().mesh;
    let labels = json!({"LABELS": {"istio": "ingressgateway"}});
    Ok(dump(&mesh, &proxy(kind, ip, pod, &labels)?))
}

/// Kind, address and pod.
type Id = [&'static str; 3];
const SIDECAR: Id = ["sidecar", "10.1.0.1", "client-1.shop"];
const ROUTER: Id = ["router", "10.1.0.2", "edge-1.shop"];

fn sent([kind, ip, pod]: Id, features: Features) -> Result<Dump, Box<dyn Error>> {
    let options = Options { features, ..Options::default() };
    let mesh: Arc<_> = tables(options, &[WEB, OBJECTS])?.next_mesh().mesh;
    let labels = json!({"LABELS": {"istio": "ingressgateway"}});
    Ok(dump(&mesh, &proxy(kind, ip, pod, &labels)?))
}

/// What is under a key of a resource without a flag, and with it.
fn before_and_after(
    kind: &str,
    name: &str,
    key: &str,
    flag: impl Fn(&mut Features),
) -> Result<[Value; 2], Box<dyn Error>> {
    let mut features = Features::default();
    let before = sent(SIDECAR, features.clone())?;
    flag(&mut features);
    let after = sent(SIDECAR, features)?;
    Ok([before, after].map(|dump| find(&at(&dump, kind, name, ""), key).cloned().unwrap_or_default()))
}

#[test]
fn the_number_of_unknown_hosts_that_are_kept_can_be_set() -> Outcome {
    let hosts =
        before_and_after("cds", "AllowAnyDynamicDNSCluster", "maxHosts", |f| f.dynamic_dns_max_hosts = 9)?;
    assert_eq!(hosts, [json!(1024), json!(9)]);
    Ok(())
}

#[test]
fn copies_of_requests_may_be_marked_by_their_host() -> Outcome {
    let flag = |f: &mut Features| f.disable_shadow_host_suffix = false;
    let kept = before_and_after("rds", "80", "disableShadowHostSuffixAppend", flag)?;
    assert_eq!(kept, [json!(true), Value::Null]);
    Ok(())
}

#[test]
fn statistics_may_tell_what_is_left_of_limits() -> Outcome {
    for name in ["outbound|80||web.shop.svc.cluster.local", "PassthroughCluster", "InboundPassthroughCluster"]
    {
        let flag = |f: &mut Features| f.disable_track_remaining = false;
        let tracked = before_and_after("cds", name, "trackRemaining", flag)?;
        assert_eq!(tracked, [Value::Null, json!(true)], "{name}");
    }
    Ok(())
}

#[test]
fn address_ranges_of_networks_may_count_as_internal() -> Outcome {
    let flag = |f: &mut Features| f.internal_networks = true;
    let ranges = before_and_after("lds", "0.0.0.0_80", "internalAddressConfig", flag)?;
    let range = |address: &str| json!({"addressPrefix": address, "prefixLen": 16});
    assert_eq!(ranges, [Value::Null, json!({"cidrRanges": [range("10.8.0.0"), range("10.9.0.0")]})]);
    Ok(())
}

#[test]
fn hosts_of_gateways_may_be_kept_apart() -> Outcome {
    let hosts = |features| -> Result<usize, Box<dyn Error>> {
        let found = at(&sent(ROUTER, features)?, "rds", "http.80", "/virtualHosts");
        Ok(found.as_array().map_or(0, Vec::len))
    };
    assert_eq!(hosts(Features::default())?, 1);
    assert_eq!(hosts(Features { route_collapse: false, ..Features::default() })?, 2);
    Ok(())
}

#[test]
fn the_buffer_of_listeners_can_be_set_for_gateways() -> Outcome {
    let defaults = "{connectionSettings: {listenerPerConnectionBufferLimitBytes: 4096}}";
    for (id, limit) in [(ROUTER, json!(4096)), (SIDECAR, Value::Null)] {
        let dump = with_defaults(id, defaults)?;
        assert_eq!(at(&dump, "lds", "0.0.0.0_80", "/perConnectionBufferLimitBytes"), limit, "{id:?}");
    }
    Ok(())
}

/// A headless Service with a port of each kind, its two pods, and a Service with an address on the TCP port.
const HEADLESS: &str = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  clusterIP: None
  ports: [{name: tcp, port: 9000}, {name: tls, port: 9443}, {name: any, port: 9999}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: tcp, port: 9000}, {name: tls, port: 9443}, {name: any, port: 9999}]
endpoints:
- {addresses: [10.1.0.8], conditions: {ready: true}}
- {addresses: [10.1.0.9], conditions: {ready: true}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 9000}]}
";

#[test]
fn endpoints_of_headless_services_may_be_chains_of_one_listener() -> Outcome {
    let sent = |headless_filter_chains| -> Result<Dump, Box<dyn Error>> {
        let features = Features { headless_filter_chains, ..Features::default() };
        let mesh = tables(Options { features, ..Options::default() }, &[HEADLESS])?.next_mesh().mesh;
        let [kind, ip, pod] = SIDECAR;
        Ok(dump(&mesh, &proxy(kind, ip, pod, &json!({}))?))
    };
    let (apart, together) = (sent(false)?, sent(true)?);
    // Chains of the listener on all addresses that are told by address: the address, and the names in the SNI.
    let chains = |dump: &Dump, port: u16| -> Vec<(Value, Value)> {
        let chains = at(dump, "lds", &format!("0.0.0.0_{port}"), "/filterChains");
        let matches = chains.as_array().into_iter().flatten().filter_map(|c| c.get("filterChainMatch"));
        let told = matches.filter_map(|m| Some((m.get("prefixRanges")?.clone(), m["serverNames"].clone())));
        told.collect()
    };
    let range = |address: &str| (json!([{"addressPrefix": address, "prefixLen": 32}]), Value::Null);
    for port in [9000, 9443] {
        assert_eq!(chains(&apart, port), []);
        assert_eq!(chains(&together, port), [range("10.1.0.8"), range("10.1.0.9")], "{port}");
        let own = format!("10.1.0.8_{port}");
        assert_ne!(at(&apart, "lds", &own, ""), Value::Null);
        assert_eq!(at(&together, "lds", &own, ""), Value::Null);
    }
    let http = at(&together, "lds", "0.0.0.0_9000", "/filterChains").to_string();
    assert!(
        http.contains("http/1.1"),
        "requests to the other service of the port are still told apart: {http}"
    );
    let undeclared = "10.1.0.8_9999";
    assert_eq!(at(&apart, "lds", undeclared, ""), at(&together, "lds", undeclared, ""));
    assert_ne!(at(&together, "lds", undeclared, ""), Value::Null);
    Ok(())
}

#[test]
fn the_cache_of_unknown_hosts_is_the_same_wherever_it_is_named() -> Outcome {
    let features = Features { dynamic_dns_max_hosts: 9, dual_stack: true, ..Features::default() };
    let mesh = tables(Options { features, ..Options::default() }, &[WEB, OBJECTS])?.next_mesh().mesh;
    let caches = |metadata: Value| -> Result<Vec<Value>, Box<dyn Error>> {
        let [kind, ip, pod] = SIDECAR;
        let dump = dump(&mesh, &proxy(kind, ip, pod, &metadata)?);
        let of = |kind: &str, name: &str| find(&at(&dump, kind, name, ""), "dnsCacheConfig").cloned();
        let places =
            [("cds", "AllowAnyDynamicDNSCluster"), ("lds", "virtualOutbound"), ("lds", "0.0.0.0_80")];
        Ok(places.iter().map(|(kind, name)| of(kind, name).unwrap_or_default()).collect())
    };
    let server = |cache: &Value| find(cache, "socketAddress").cloned().unwrap_or_default();
    let told = |address: &str| json!({"DNS_CAPTURE": "true", "DNS_PROXY_ADDR": address});
    let agent = json!({"address": "127.0.0.1", "portValue": 15053});
    for (metadata, want) in [
        (json!({"INSTANCE_IPS": "10.1.0.1,2001:db8::1"}), Value::Null),
        (json!({"DNS_PROXY_ADDR": "127.0.0.1:53"}), Value::Null),
        (json!({"DNS_CAPTURE": "true"}), agent.clone()),
        (told("nonsense"), agent),
        (told("localhost:53"), json!({"address": "127.0.0.1", "portValue": 53})),
        (told("[::1]:54"), json!({"address": "::1", "portValue": 54})),
    ] {
        let found = caches(metadata.clone())?;
        assert!(
            found.iter().all(|cache| *cache == found[0] && cache["maxHosts"] == 9),
            "{metadata} {found:?}"
        );
        assert_eq!(server(&found[0]), want, "{metadata}");
    }
    Ok(())
}

/// Pods of two ReplicaSets and of another workload behind two Services, in two regions.
const SELF: &str = "
apiVersion: v1
kind: Service
metadata: {name: young, namespace: shop, creationTimestamp: 2024-01-02T00:00:00Z}
spec: {clusterIP: 10.96.0.2, selector: {app: web}, ports: [{name: http, port: 81, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: shop, creationTimestamp: 2024-01-01T00:00:00Z}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: old, namespace: shop}
spec:
  host: old
  trafficPolicy:
    outlierDetection: {}
    loadBalancer: {localityLbSetting: {failoverPriority: [app]}}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z1}}
---
apiVersion: v1
kind: Node
metadata: {name: n2, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z2}}
---
apiVersion: v1
kind: Node
metadata: {name: n3, labels: {topology.kubernetes.io/region: r2, topology.kubernetes.io/zone: z1}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: old, namespace: shop, labels: {kubernetes.io/service-name: old}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: web-a-1, namespace: shop}}
- {addresses: [10.1.0.2], conditions: {ready: true}, targetRef: {kind: Pod, name: web-a-2, namespace: shop}}
- {addresses: [10.1.0.3], conditions: {ready: true}, targetRef: {kind: Pod, name: web-b-1, namespace: shop}}
- {addresses: [10.1.0.4], conditions: {ready: true}, targetRef: {kind: Pod, name: web-a-3, namespace: shop}}
- {addresses: [10.1.0.5], conditions: {ready: true}, targetRef: {kind: Pod, name: other, namespace: shop}}
";

fn pod_of_self(name: &str, set: &str, ip: &str, node: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: web, \
         service.istio.io/workload-name: {}, pod-template-hash: {set}}}}}\n\
         spec: {{nodeName: {node}, containers: [{{name: app}}]}}\n\
         status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: 'True'}}]}}\n",
        if name == "other" { "other" } else { "web" }
    )
}

#[test]
fn a_proxy_may_ask_where_its_own_workload_is() -> Outcome {
    let pods = [
        pod_of_self("web-a-1", "a", "10.1.0.1", "n1"),
        pod_of_self("web-a-2", "a", "10.1.0.2", "n2"),
        pod_of_self("web-b-1", "b", "10.1.0.3", "n1"),
        pod_of_self("web-a-3", "a", "10.1.0.4", "n3"),
        pod_of_self("other", "a", "10.1.0.5", "n1"),
    ];
    let streams: Vec<&str> = std::iter::once(SELF).chain(pods.iter().map(String::as_str)).collect();
    let mesh = tables(Options::default(), &streams)?.next_mesh().mesh;
    let asked = |kind: &str, metadata: Value| -> Result<Dump, Box<dyn Error>> {
        Ok(dump(&mesh, &proxy(kind, "10.1.0.1", "web-a-1.shop", &metadata)?))
    };
    for kind in ["sidecar", "router"] {
        let own = asked(kind, json!({"ENABLE_SELF_DISCOVERY": "true", "WORKLOAD_NAME": "web"}))?;
        let found = at(&own, "eds", "local_cluster", "");
        assert_eq!(found["clusterName"], "local_cluster");
        let groups = found["endpoints"].as_array().ok_or("no endpoints")?;
        let places: Vec<_> = groups
            .iter()
            .map(|g| {
                let address = &g["lbEndpoints"][0]["endpoint"]["address"]["socketAddress"]["address"];
                (&g["locality"]["zone"], address, &g["priority"], g["lbEndpoints"].as_array().map(Vec::len))
            })
            .collect();
        let none = Value::Null;
        let [z1, z2, first, second] = ["z1", "z2", "10.1.0.1", "10.1.0.2"].map(|text| json!(text));
        assert_eq!(places, [(&z1, &first, &none, Some(1)), (&z2, &second, &none, Some(1))], "{kind}");
    }
    let silent = asked("sidecar", json!({"WORKLOAD_NAME": "web"}))?;
    assert_eq!(at(&silent, "eds", "local_cluster", ""), Value::Null);
    Ok(())
}

#[test]
fn a_server_of_secrets_beside_the_proxy_has_a_cluster() -> Outcome {
    let mesh = tables(Options::default(), &[WEB])?.next_mesh().mesh;
    for [kind, ip, pod] in [SIDECAR, ROUTER] {
        let cluster = |metadata: Value| -> Result<Value, Box<dyn Error>> {
            Ok(at(&dump(&mesh, &proxy(kind, ip, pod, &metadata)?), "cds", "sds-external", ""))
        };
        let found = cluster(json!({"credential": "true"}))?;
        let path = find(&found, "path").ok_or("no socket")?;
        assert_eq!(path, "./var/run/secrets/credential-uds/socket");
        assert!(find(&found, "http2ProtocolOptions").is_some(), "secrets come by gRPC: {found}");
        assert_eq!(cluster(json!({"file-credential": "true"}))?, Value::Null);
    }
    Ok(())
}

#[test]
fn headers_of_requests_to_unknown_hosts_are_as_those_of_others() -> Outcome {
    let set = "{proxyHeaders: {preserveHttp1HeaderCase: true, xForwardedHost: {enabled: true}}}";
    for (defaults, wanted) in [(set, true), ("{}", false)] {
        let dump = with_defaults(SIDECAR, defaults)?;
        for name in ["PassthroughCluster", "InboundPassthroughCluster"] {
            let kept = find(&at(&dump, "cds", name, ""), "headerKeyFormat").is_some();
            assert_eq!(kept, wanted, "{name} {defaults}");
        }
        let hosts = at(&dump, "rds", "80", "/virtualHosts");
        let last = hosts.as_array().and_then(|hosts| hosts.last()).ok_or("no virtual host")?;
        assert_eq!(find(last, "appendXForwardedHost").is_some(), wanted, "{last}");
    }
    Ok(())
}

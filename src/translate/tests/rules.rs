//! What DestinationRules and VirtualServices make of clusters, routes and TCP proxies where settings of several levels meet.

use std::error::Error;

use model::Proxy;
use model::endpoint::Locality;
use serde_json::{Value, json};
use testkit::compare::{Dump, at, find};
use testkit::mesh::{dump, mesh};

type Outcome = Result<(), Box<dyn Error>>;

/// `web` with HTTP on 80 and HTTP/2 on 81, `raw` with TCP on 90; a pod of `web` with a sidecar.
const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: web}
  ports: [{name: http, port: 80}, {name: grpc, port: 81}]
---
apiVersion: v1
kind: Service
metadata: {name: raw, namespace: shop}
spec: {clusterIP: 10.96.0.2, selector: {app: raw}, ports: [{name: tcp, port: 90}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, security.istio.io/tlsMode: istio}}
spec: {containers: [{name: app}]}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-a, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80}, {name: grpc, port: 81}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: web-1, namespace: shop}}
";

const HTTP: &str = "outbound|80||web.shop.svc.cluster.local";
const GRPC: &str = "outbound|81||web.shop.svc.cluster.local";
const RAW: &str = "outbound|90||raw.shop.svc.cluster.local";
const OPTIONS: &str = "/typedExtensionProtocolOptions/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

fn rule(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: shop}}
spec: {spec}
"
    )
}

fn routes(spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: shop}}
spec: {spec}
"
    )
}

/// What the pod of `web` gets, with more objects beside the services.
fn sent(more: &[&str]) -> Result<Dump, Box<dyn Error>> {
    sent_to("web-1.shop~shop", more)
}

/// What a sidecar gets that is called so.
fn sent_to(called: &str, more: &[&str]) -> Result<Dump, Box<dyn Error>> {
    let streams: Vec<&str> = std::iter::once(SERVICES).chain(more.iter().copied()).collect();
    let id = format!("sidecar~10.1.0.1~{called}.svc.cluster.local");
    let metadata = json!({"LABELS": {"app": "web"}});
    let locality = Locality { region: "r1".into(), zone: "z1".into(), subzone: String::new() };
    Ok(dump(&*mesh(&streams)?, &Proxy::parse(&id, &metadata, locality)?))
}

fn cluster(spec: &str, name: &str, path: &str) -> Result<Value, Box<dyn Error>> {
    Ok(at(&sent(&[&rule("web", spec)])?, "cds", name, path))
}

#[test]
fn options_of_http2_make_the_common_options_too() -> Outcome {
    let spec = "{host: web, trafficPolicy: {connectionPool: {http: {maxConcurrentStreams: 7}}}}";
    let common = format!("{OPTIONS}/commonHttpProtocolOptions");
    assert_eq!(cluster(spec, HTTP, &common)?, json!({}));
    assert_eq!(cluster(spec, GRPC, &common)?, json!({}));
    assert_eq!(cluster("{host: web}", GRPC, &common)?, Value::Null);
    let inbound = cluster(spec, "inbound|80||", &common)?;
    assert_eq!(inbound, json!({}));
    Ok(())
}

#[test]
fn a_workload_takes_no_rule_of_a_service_that_its_sidecar_hides() -> Outcome {
    let limits = rule("web", "{host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}}}");
    let sidecar = |host: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: own, namespace: shop}}
spec: {{egress: [{{hosts: ['{host}']}}]}}
"
        )
    };
    let limit = |host: &str| -> Result<Value, Box<dyn Error>> {
        let dump = sent(&[&limits, &sidecar(host)])?;
        Ok(at(&dump, "cds", "inbound|80||", "/circuitBreakers/thresholds/0/maxConnections"))
    };
    assert_eq!(limit("./*")?, json!(5));
    assert_ne!(limit("pay/*")?, json!(5));
    Ok(())
}

#[test]
fn the_lowest_version_of_tls_is_one_for_servers() -> Outcome {
    let settings = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'tlsDefaults: {minProtocolVersion: TLSV1_3, ecdhCurves: [P-256]}'}
";
    let simple = rule("web", "{host: web, trafficPolicy: {tls: {mode: SIMPLE}}}");
    let dump = sent(&[settings, &simple])?;
    let parameters = at(&dump, "cds", HTTP, "/transportSocket/typedConfig/commonTlsContext/tlsParams");
    assert_eq!(parameters["tlsMinimumProtocolVersion"], "TLSv1_2");
    assert_eq!(parameters["ecdhCurves"], json!(["P-256"]));
    Ok(())
}

#[test]
fn a_hash_stays_in_force_where_a_port_balances_without_one() -> Outcome {
    let hashed = rule(
        "web",
        "
  host: web
  trafficPolicy:
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
    portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}]
",
    );
    let dump = sent(&[&hashed])?;
    let policy = find(&dump["rds"]["80"], "hashPolicy").cloned().unwrap_or_default();
    assert_eq!(policy.pointer("/0/header/headerName"), Some(&json!("x-user")), "{policy}");
    Ok(())
}

#[test]
fn a_hash_by_nothing_sticks_all_the_same() -> Outcome {
    let route = routes("{hosts: [web], http: [{route: [{destination: {host: web}}]}]}");
    let ring =
        rule("web", "{host: web, trafficPolicy: {loadBalancer: {consistentHash: {minimumRingSize: 9}}}}");
    let predicates = |more: &[&str]| -> Result<bool, Box<dyn Error>> {
        Ok(find(&sent(more)?["rds"]["80"], "retryHostPredicate").is_some())
    };
    assert!(predicates(&[&route])?);
    assert!(!predicates(&[&route, &ring])?);
    Ok(())
}

#[test]
fn a_weighted_destination_sets_its_authority_over_that_of_the_route() -> Outcome {
    let route = routes(
        "
  hosts: [web]
  http:
  - rewrite: {authority: route.example}
    route:
    - {destination: {host: web}, weight: 1, headers: {request: {set: {':authority': own.example}}}}
    - {destination: {host: web}, weight: 1}
",
    );
    let dump = sent(&[&route])?;
    let clusters = find(&dump["rds"]["80"], "weightedClusters").cloned().unwrap_or_default();
    assert_eq!(clusters.pointer("/clusters/0/hostRewriteLiteral"), Some(&json!("own.example")), "{clusters}");
    Ok(())
}

#[test]
fn a_port_of_a_subset_stands_for_all_of_the_subset() -> Outcome {
    let spec = "
  host: web
  trafficPolicy: {tls: {mode: DISABLE}}
  subsets:
  - name: v1
    trafficPolicy:
      proxyProtocol: {version: V2}
      portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]
";
    let socket = |port: &str| {
        cluster(spec, &format!("outbound|{port}|v1|web.shop.svc.cluster.local"), "/transportSocket/name")
    };
    assert_eq!(socket("80")?, Value::Null);
    assert_eq!(socket("81")?, "envoy.transport_sockets.upstream_proxy_protocol");
    Ok(())
}

#[test]
fn connections_of_tcp_end_after_the_time_that_the_rule_gives() -> Outcome {
    let spec = "{host: raw, trafficPolicy: {connectionPool: {tcp: {maxConnectionDuration: 90s}}}}";
    let dump = sent(&[&rule("raw", spec)])?;
    let listener = &dump["lds"]["10.96.0.2_90"];
    assert_eq!(find(listener, "maxDownstreamConnectionDuration"), Some(&json!("90s")), "{listener}");
    Ok(())
}

#[test]
fn a_subset_has_its_own_tunnel_or_none() -> Outcome {
    let tunnel = "tunnel: {protocol: CONNECT, targetHost: '2001:db8::1', targetPort: 443}";
    let spec =
        format!("{{host: raw, trafficPolicy: {{{tunnel}}}, subsets: [{{name: v1, labels: {{v: '1'}}}}]}}");
    let through = |subset: &str| -> Result<Option<Value>, Box<dyn Error>> {
        let route = format!("{{hosts: [raw], tcp: [{{route: [{{destination: {{host: raw{subset}}}}}]}}]}}");
        let dump = sent(&[&rule("raw", &spec), &routes(&route)])?;
        Ok(find(&dump["lds"]["10.96.0.2_90"], "tunnelingConfig").and_then(|t| t.get("hostname")).cloned())
    };
    assert_eq!(through("")?, Some(json!("[2001:db8::1]:443")));
    assert_eq!(through(", subset: v1")?, None);
    Ok(())
}

#[test]
fn what_passes_through_has_mesh_mtls_unless_the_whole_policy_sends_it_to_plain_endpoints() -> Outcome {
    let socket = |spec: &str, name: &str| cluster(spec, name, "/transportSocket/name");
    // `raw` has no endpoints, so none that takes mesh mTLS.
    let whole = "{host: raw, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}, subsets: [{name: v1}]}";
    assert_eq!(socket(whole, RAW)?, Value::Null);
    assert_eq!(socket(whole, "outbound|90|v1|raw.shop.svc.cluster.local")?, "envoy.transport_sockets.tls");
    let of_port = "
  host: raw
  trafficPolicy: {portLevelSettings: [{port: {number: 90}, loadBalancer: {simple: PASSTHROUGH}}]}
";
    assert_eq!(socket(of_port, RAW)?, "envoy.transport_sockets.tls");
    Ok(())
}

#[test]
fn a_rule_for_more_namespaces_joins_that_for_fewer() -> Outcome {
    let of = |name: &str, subset: &str, export: &str| {
        rule(name, &format!("{{host: web, exportTo: {export}, subsets: [{{name: {subset}}}]}}"))
    };
    let (first, second) = (of("a", "s1", "[shop]"), of("b", "s2", "[shop, pay]"));
    let subsets = |called: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let dump = sent_to(called, &[&first, &second])?;
        let names = dump["cds"].keys().filter_map(|name| name.strip_prefix("outbound|80|"));
        let of_subset = names.filter_map(|name| name.split_once('|')).map(|(subset, _)| subset.to_owned());
        Ok(of_subset.filter(|subset| !subset.is_empty()).collect())
    };
    assert_eq!(subsets("web-1.shop~shop")?, ["s1", "s2"]);
    assert_eq!(subsets("till-1.pay~pay")?, ["s2"]);
    Ok(())
}

/// An entry with endpoints in two regions.
const REGIONS: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: shop}
spec:
  hosts: [far.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1, locality: r1/z1}, {address: 192.0.2.2, locality: r2.x/z1}]
";

#[test]
fn zones_are_preferred_unless_the_setting_in_force_is_off() -> Outcome {
    let ejects = "outlierDetection: {consecutive5xxErrors: 3}";
    let far = |policy: &str, mesh: &str| -> Result<(Vec<Value>, bool), Box<dyn Error>> {
        let settings = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata: {{mesh: '{mesh}'}}\n"
        );
        let dump = sent(&[
            REGIONS,
            &settings,
            &rule("far", &format!("{{host: far.example, trafficPolicy: {{{policy}}}}}")),
        ])?;
        let name = "outbound|80||far.example";
        let groups = at(&dump, "eds", name, "/endpoints").as_array().cloned().unwrap_or_default();
        let priorities =
            groups.iter().map(|g| g.get("priority").cloned().unwrap_or_else(|| json!(0))).collect();
        let zones = at(&dump, "cds", name, "/commonLbConfig/zoneAwareLbConfig");
        Ok((priorities, zones.get("routingEnabled").is_some()))
    };
    let on = "loadBalancer: {zoneAwareLbSetting: {enabled: true}}";
    let off = format!("loadBalancer: {{zoneAwareLbSetting: {{enabled: false}}}}, {ejects}");
    assert_eq!(far(on, "{}")?, (vec![json!(0), json!(1)], false));
    assert_eq!(far(&off, "{}")?, (vec![json!(0), json!(0)], true));
    let both = "{localityLbSetting: {enabled: true}, zoneAwareLbSetting: {enabled: false}}";
    assert_eq!(far(ejects, both)?, (vec![json!(0), json!(0)], true));
    // What ejects by the mesh's default alone prefers nobody.
    let by_default = "defaultTrafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}";
    assert_eq!(far("", by_default)?, (vec![json!(0), json!(0)], false));
    Ok(())
}

#[test]
fn a_rule_for_tls_checks_the_identities_of_an_entrys_endpoints() -> Outcome {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: shop}
spec:
  hosts: [far.example]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: STATIC
  subjectAltNames: [far.example]
  endpoints: [{address: 192.0.2.1, serviceAccount: far}]
";
    let dump = sent(&[entry, &rule("far", "{host: far.example, trafficPolicy: {tls: {mode: SIMPLE}}}")])?;
    let names = find(&dump["cds"]["outbound|443||far.example"], "matchSubjectAltNames").cloned();
    assert_eq!(
        names,
        Some(json!([{"exact": "far.example"}, {"exact": "spiffe://cluster.local/ns/shop/sa/far"}]))
    );
    Ok(())
}

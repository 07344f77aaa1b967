//! Flags of the control plane, and settings of the mesh, that change what is sent.

use std::error::Error;
use std::sync::Arc;

use model::Proxy;
use model::endpoint::Locality;
use model::mesh::Features;
use serde_json::{Value, json};
use store::Options;
use testkit::compare::{Dump, at, find};
use testkit::mesh::{dump, tables};

type Outcome = Result<(), Box<dyn Error>>;

const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
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
fn with_defaults(id: &str, defaults: &str) -> Result<Dump, Box<dyn Error>> {
    let map = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: istio, namespace: istio-system}}, data: {{mesh: \
         '{{defaultConfig: {defaults}}}'}}}}"
    );
    let mesh = tables(Options::default(), &[OBJECTS, &map])?.next_mesh().mesh;
    let labels = json!({"LABELS": {"istio": "ingressgateway"}});
    Ok(dump(&mesh, &Proxy::parse(id, &labels, Locality::default())?))
}

const SIDECAR: &str = "sidecar~10.1.0.1~client-1.shop~shop.svc.cluster.local";
const ROUTER: &str = "router~10.1.0.2~edge-1.shop~shop.svc.cluster.local";

fn sent(id: &str, features: Features) -> Result<Dump, Box<dyn Error>> {
    let options = Options { features, ..Options::default() };
    let mesh: Arc<_> = tables(options, &[OBJECTS])?.next_mesh().mesh;
    let labels = json!({"LABELS": {"istio": "ingressgateway"}});
    Ok(dump(&mesh, &Proxy::parse(id, &labels, Locality::default())?))
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
        assert_eq!(at(&dump, "lds", "0.0.0.0_80", "/perConnectionBufferLimitBytes"), limit, "{id}");
    }
    Ok(())
}

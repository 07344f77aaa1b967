//! Where routes and clusters lead: to the services that ExternalNames name, to hosts that are found by the request.

use std::error::Error;

use model::Proxy;
use model::endpoint::Locality;
use serde_json::{Value, json};
use testkit::compare::{Dump, at, find};
use testkit::mesh::{dump, mesh};

type Outcome = Result<(), Box<dyn Error>>;

/// `web` with HTTP on 80 and TCP on 90; `old` leads to it by way of `older`, `away` out of the mesh; a host that is
/// found by the request.
const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}, {name: tcp, port: 90}]}
---
apiVersion: v1
kind: Service
metadata: {name: older, namespace: shop}
spec: {type: ExternalName, externalName: web.shop.svc.cluster.local, ports: [{name: http, port: 80}, {name: tcp, port: 90}]}
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: shop}
spec: {type: ExternalName, externalName: older.shop.svc.cluster.local, ports: [{name: http, port: 80}, {name: tcp, port: 90}]}
---
apiVersion: v1
kind: Service
metadata: {name: away, namespace: shop}
spec: {type: ExternalName, externalName: away.example.com, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: shop}
spec:
  hosts: ['*.cdn.example']
  ports: [{name: http, number: 80, protocol: HTTP}]
  resolution: DYNAMIC_DNS
  subjectAltNames: [spiffe://other/ns/a/sa/b]
";

const WILD: &str = "outbound|80||*.cdn.example";

fn sent(id: &str, more: &[&str]) -> Result<Dump, Box<dyn Error>> {
    let streams: Vec<&str> = std::iter::once(SERVICES).chain(more.iter().copied()).collect();
    let labels = json!({"LABELS": {"istio": "ingressgateway"}});
    Ok(dump(&*mesh(&streams)?, &Proxy::parse(id, &labels, Locality::default())?))
}

fn sidecar(more: &[&str]) -> Result<Dump, Box<dyn Error>> {
    sent("sidecar~10.1.0.1~client-1.shop~shop.svc.cluster.local", more)
}

fn text(value: &Value) -> String {
    value.to_string()
}

fn routes_to(to: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [web.shop.svc.cluster.local]
  http: [{{route: [{{destination: {{host: {to}}}}}], mirrors: [{{destination: {{host: {to}, port: {{number: 80}}}}}}]}}]
  tcp: [{{route: [{{destination: {{host: {to}, port: {{number: 90}}}}}}]}}]
"
    )
}

#[test]
fn destinations_lead_to_what_an_external_name_leads_to() -> Outcome {
    for (to, host) in [
        ("older", "web.shop.svc.cluster.local"),
        ("old", "web.shop.svc.cluster.local"),
        ("away", "away.example.com"),
        ("nobody", "nobody.shop.svc.cluster.local"),
    ] {
        let sent = sidecar(&[&routes_to(to)])?;
        let hosts = at(&sent, "rds", "80", "/virtualHosts");
        let route = find(&hosts, "requestMirrorPolicies").map(text).unwrap_or_default();
        assert!(route.contains(&format!("\"outbound|80||{host}\"")), "{to}: {route}");
        assert!(text(&hosts).contains(&format!("\"cluster\":\"outbound|80||{host}\"")), "{to}");
        let listener = at(&sent, "lds", "10.96.0.1_90", "/filterChains");
        assert!(text(&listener).contains(&format!("\"outbound|90||{host}\"")), "{to}: {listener}");
    }
    Ok(())
}

#[test]
fn gateways_lead_to_what_an_external_name_leads_to() -> Outcome {
    let gateway = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 90, name: tcp, protocol: TCP}, hosts: ['*']}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: shop}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{route: [{destination: {host: away}}]}]
  tcp: [{match: [{port: 90}], route: [{destination: {host: old, port: {number: 90}}}]}]
";
    let sent = sent("router~10.1.0.2~edge-1.shop~shop.svc.cluster.local", &[gateway])?;
    let routes = text(&at(&sent, "rds", "http.80", "/virtualHosts"));
    assert!(routes.contains("\"cluster\":\"outbound|80||away.example.com\""), "{routes}");
    let listener = text(&at(&sent, "lds", "0.0.0.0_90", "/filterChains"));
    assert!(listener.contains("\"cluster\":\"outbound|90||web.shop.svc.cluster.local\""), "{listener}");
    Ok(())
}

/// The cluster of the host that is found by the request, under a rule.
fn wild(policy: &str) -> Result<Value, Box<dyn Error>> {
    let rule = format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: wild, namespace: shop}}
spec: {{host: '*.cdn.example', trafficPolicy: {policy}}}
"
    );
    Ok(at(&sidecar(&[&rule])?, "cds", WILD, ""))
}

#[test]
fn a_host_found_by_the_request_is_checked_by_its_name() -> Outcome {
    let names = "spiffe://other/ns/a/sa/b";
    for (tls, sni, validated, insecure) in [
        ("{mode: SIMPLE}", true, true, false),
        ("{mode: SIMPLE, subjectAltNames: [a.cdn.example]}", true, true, false),
        ("{mode: SIMPLE, sni: a.cdn.example}", false, true, true),
        ("{mode: SIMPLE, insecureSkipVerify: true}", true, false, true),
        ("{mode: SIMPLE, sni: a.cdn.example, insecureSkipVerify: true}", false, false, true),
        ("{mode: ISTIO_MUTUAL}", true, true, false),
    ] {
        let cluster = wild(&format!("{{tls: {tls}}}"))?;
        let flag = |key: &str| find(&cluster, key).is_some_and(|v| *v == json!(true));
        assert_eq!(flag("autoSni"), sni, "{tls}: {cluster}");
        assert_eq!(flag("autoSanValidation"), validated, "{tls}: {cluster}");
        assert_eq!(flag("allowInsecureClusterOptions"), insecure, "{tls}: {cluster}");
        let socket = text(&cluster["transportSocket"]);
        assert!(socket.contains("UpstreamTlsContext") && !socket.contains(names), "{tls}: {socket}");
        assert!(!socket.contains("outbound_."), "{tls}: {socket}");
    }
    Ok(())
}

#[test]
fn plain_connections_to_hosts_found_by_the_request_are_as_before() -> Outcome {
    let cluster = wild("{tls: {mode: DISABLE}}")?;
    assert_eq!(find(&cluster, "autoSni"), None, "{cluster}");
    assert_eq!(find(&cluster, "allowInsecureClusterOptions"), None, "{cluster}");
    Ok(())
}

#[test]
fn connections_to_hosts_found_by_the_request_may_begin_with_the_proxy_protocol() -> Outcome {
    let cluster = wild("{tls: {mode: SIMPLE}, proxyProtocol: {version: V2}}")?;
    let socket = &cluster["transportSocket"];
    assert_eq!(socket["name"], "envoy.transport_sockets.upstream_proxy_protocol");
    assert!(text(socket).contains("UpstreamTlsContext"), "{socket}");
    Ok(())
}

#[test]
fn unknown_hosts_are_checked_by_their_names_under_the_mesh_policy() -> Outcome {
    for (tls, insecure, context) in [
        ("{mode: SIMPLE}", false, "file-root:system"),
        ("{mode: SIMPLE, insecureSkipVerify: true}", true, "UpstreamTlsContext"),
        ("{mode: ISTIO_MUTUAL}", false, "ROOTCA"),
    ] {
        let mesh = format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: istio, namespace: istio-system}}, data: {{mesh: \
             '{{outboundTrafficPolicy: {{mode: ALLOW_ANY_DYNAMIC_DNS, tls: {tls}}}}}'}}}}"
        );
        let sent = sidecar(&[&mesh])?;
        let clusters = sent.get("cds").ok_or("no clusters")?;
        let (_, cluster) = clusters
            .iter()
            .find(|(name, _)| name.contains("DynamicDNS"))
            .ok_or("no cluster of unknown hosts")?;
        let told = find(cluster, "allowInsecureClusterOptions").is_some_and(|v| *v == json!(true));
        assert_eq!(told, insecure, "{tls}: {cluster}");
        assert!(text(&cluster["transportSocket"]).contains(context), "{tls}: {cluster}");
    }
    Ok(())
}

//! What is easily got wrong about mesh mTLS (`shared/spec/security.md` 10, traps 27 to 33); how modes follow from policies is
//! held beside `translate/authn`, what ports take by the simulator's `peer-authentication-modes`.

use std::error::Error;

use model::Mesh;
use serde_json::{Value, json};
use testkit::compare::Dump;
use testkit::mesh::{dump, mesh, proxy};

type Outcome = Result<(), Box<dyn Error>>;

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: any, port: 81, targetPort: 8081}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: web, containers: [{name: app}]}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: shop, labels: {app: web}}
spec: {serviceAccountName: old, containers: [{name: app}]}
status: {phase: Running, podIP: 10.1.0.2, podIPs: [{ip: 10.1.0.2}], conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-a, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}, {name: any, port: 8081, protocol: TCP}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: web-1, namespace: shop}}
- {addresses: [10.1.0.2], conditions: {ready: true}, targetRef: {kind: Pod, name: web-2, namespace: shop}}
";

const CLUSTER: &str = "outbound|80||web.shop.svc.cluster.local";

fn sent(mesh: &Mesh, kind: &str, ip: &str, pod: &str, app: &str) -> Result<Dump, Box<dyn Error>> {
    Ok(dump(mesh, &proxy(kind, ip, pod, &json!({"LABELS": {"app": app}}))?))
}

fn of_client(more: &str) -> Result<Dump, Box<dyn Error>> {
    sent(&*mesh(&[SHOP, more])?, "sidecar", "10.1.9.9", "client.shop", "client")
}

/// The `tlsMode` of each endpoint of a cluster, in the order of addresses.
fn modes(dump: &Dump) -> Vec<(String, Option<String>)> {
    let assignment = dump.get("eds").and_then(|eds| eds.get(CLUSTER));
    let localities = assignment.and_then(|a| a.get("endpoints")?.as_array().cloned()).unwrap_or_default();
    let endpoints = localities.iter().filter_map(|l| l.get("lbEndpoints")?.as_array().cloned()).flatten();
    let mut modes: Vec<_> = endpoints
        .map(|endpoint| {
            let text = |pointer: &str| endpoint.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let address = text("/endpoint/address/socketAddress/address").unwrap_or_default();
            (address, text("/metadata/filterMetadata/envoy.transport_socket_match/tlsMode"))
        })
        .collect();
    modes.sort();
    modes
}

fn mode(address: &str, mode: Option<&str>) -> (String, Option<String>) {
    (address.to_owned(), mode.map(str::to_owned))
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}"
    )
}

/// All values under a name, wherever they stand.
fn all<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, member)| {
            if key == name {
                found.push(member);
            }
            all(member, name, found);
        }),
        Value::Array(elements) => elements.iter().for_each(|element| all(element, name, found)),
        _ => {}
    }
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    all(value, name, &mut found);
    found.into_iter().map(Value::to_string).collect()
}

/// Trap 27.
#[test]
fn servers_choose_by_names_of_the_mesh_and_agree_on_none_of_them() -> Outcome {
    let dump = sent(&*mesh(&[SHOP])?, "sidecar", "10.1.0.1", "web-1.shop", "web")?;
    let listener = &dump["lds"]["virtualInbound"];
    let matched = texts(listener, "applicationProtocols").concat();
    let offered = texts(listener, "alpnProtocols").concat();
    assert!(matched.contains("istio-http/1.1") && matched.contains("istio-h2"), "{matched}");
    assert!(!offered.contains("istio-http") && !offered.contains("istio-h2"), "{offered}");
    assert!(offered.contains("h2"), "{offered}");
    Ok(())
}

/// Trap 30.
#[test]
fn what_single_workloads_and_ports_take_is_told_by_endpoints_and_not_by_the_cluster() -> Outcome {
    let plain = of_client("")?;
    assert_eq!(modes(&plain), [mode("10.1.0.1", Some("istio")), mode("10.1.0.2", None)]);
    for spec in [
        "{selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}}",
        "{selector: {matchLabels: {app: web}}, portLevelMtls: {8080: {mode: DISABLE}}}",
    ] {
        let dump = of_client(&policy(spec))?;
        assert_eq!(modes(&dump), [mode("10.1.0.1", None), mode("10.1.0.2", None)], "{spec}");
        assert_eq!(dump["cds"][CLUSTER], plain["cds"][CLUSTER], "{spec}");
    }
    // That of the namespace is the cluster's affair.
    let off = of_client(&policy("{mtls: {mode: DISABLE}}"))?;
    assert_eq!(off["cds"][CLUSTER].get("transportSocketMatches"), None);
    Ok(())
}

/// Trap 31.
#[test]
fn a_rule_with_a_mode_outranks_what_endpoints_say_of_themselves() -> Outcome {
    let rule = |mode: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: shop}}\n\
             spec: {{host: web, trafficPolicy: {{tls: {{mode: {mode}}}}}}}"
        )
    };
    // Whatever policies say; what has no sidecar has no mode that could be passed on.
    let labelled = [mode("10.1.0.1", Some("istio")), mode("10.1.0.2", None)];
    let off = policy("{selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}}");
    for more in [rule("ISTIO_MUTUAL"), format!("{}\n---\n{off}", rule("ISTIO_MUTUAL"))] {
        assert_eq!(modes(&of_client(&more)?), labelled, "{more}");
    }
    let neither = [mode("10.1.0.1", None), mode("10.1.0.2", None)];
    assert_eq!(modes(&of_client(&rule("DISABLE"))?), neither);
    assert_eq!(modes(&of_client(&rule("SIMPLE"))?), neither);
    Ok(())
}

/// Trap 32.
#[test]
fn clients_look_for_the_accounts_of_all_endpoints_and_for_none_where_there_are_none() -> Outcome {
    let names = |dump: &Dump| texts(&dump["cds"][CLUSTER], "matchSubjectAltNames").concat();
    let found = names(&of_client("")?);
    assert!(found.contains("/ns/shop/sa/web") && found.contains("/ns/shop/sa/old"), "{found}");
    let empty = SHOP.split("apiVersion: discovery").next().unwrap_or_default().trim_end_matches(['-', '\n']);
    let dump = sent(&*mesh(&[empty])?, "sidecar", "10.1.9.9", "client.shop", "client")?;
    assert_eq!(names(&dump), "");
    Ok(())
}

/// Trap 33.
#[test]
fn gateways_that_end_mesh_mtls_look_for_the_names_that_are_listed_and_no_others() -> Outcome {
    let gateway = |names: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: edge}}\n\
             spec: {{selector: {{app: gw}}, servers: [{{port: {{number: 443, name: tls, protocol: HTTPS}}, hosts: ['*'], \
             tls: {{mode: ISTIO_MUTUAL{names}}}}}]}}"
        )
    };
    let sans = |names: &str| -> Result<String, Box<dyn Error>> {
        let mesh = mesh(&[SHOP, &gateway(names)])?;
        let dump = sent(&mesh, "router", "10.1.8.8", "gw-1.edge", "gw")?;
        let listener = &dump["lds"]["0.0.0.0_443"];
        assert_eq!(texts(listener, "requireClientCertificate"), ["true"]);
        Ok(texts(listener, "matchSubjectAltNames").concat())
    };
    assert_eq!(sans("")?, "");
    assert!(sans(", subjectAltNames: [spiffe://a/b]")?.contains("spiffe://a/b"));
    Ok(())
}

#[test]
fn files_that_the_proxy_names_stand_for_its_certificate_and_the_roots_of_its_clients() -> Outcome {
    let names = |metadata: Value| -> Result<Vec<String>, Box<dyn Error>> {
        let view = proxy("sidecar", "10.1.0.1", "web-1.shop", &metadata)?;
        let dump = dump(&*mesh(&[SHOP])?, &view);
        let listener = &dump["lds"]["virtualInbound"];
        let mut found = Vec::new();
        for secret in ["tlsCertificateSdsSecretConfigs", "validationContextSdsSecretConfig"] {
            found.extend(texts(listener, secret));
        }
        Ok(found)
    };
    let labels = json!({"app": "web"});
    let own = names(json!({"LABELS": labels}))?;
    assert!(!own.is_empty());
    assert!(own.iter().all(|s| s.contains("\"default\"") || s.contains("\"ROOTCA\"")), "{own:?}");
    let files = json!({"LABELS": labels, "TLS_SERVER_CERT_CHAIN": "/s/c", "TLS_SERVER_KEY": "/s/k", "TLS_SERVER_ROOT_CERT": "/s/r"});
    let files = names(files)?;
    assert_eq!(files.len(), own.len());
    assert!(
        files.iter().all(|s| s.contains("\"file-cert:/s/c~/s/k\"") || s.contains("\"file-root:/s/r\"")),
        "{files:?}"
    );
    Ok(())
}

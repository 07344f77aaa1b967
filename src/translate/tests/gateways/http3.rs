//! HTTP/3: which servers are opened for it, what their listeners look like, how clients learn of it.

use std::error::Error;

use model::mesh::Features;
use serde_json::{Value, json};
use testkit::compare::Dump;
use testkit::mesh::dump;

use super::{Outcome, gateway, get, list, mesh_with, names, part, router, rule, told_of};

/// A Service of the router whose port 443 is open for TCP and UDP.
const OPEN: &str = "
apiVersion: v1
kind: Service
metadata: {name: gate-quic, namespace: edge}
spec:
  clusterIP: 10.96.0.8
  selector: {app: gate}
  ports:
  - {name: https, port: 443, targetPort: 8443}
  - {name: http3, port: 443, targetPort: 8443, protocol: UDP}
";

fn quic() -> Features {
    Features { quic_listeners: true, ..Features::default() }
}

fn sent(features: Features, yaml: &[&str]) -> Result<Dump, Box<dyn Error>> {
    Ok(dump(&*mesh_with(features, yaml)?, &router(&json!({}))?))
}

fn told(yaml: &[&str]) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    told_of(&*mesh_with(quic(), yaml)?)
}

/// An HTTPS server of port 443.
fn server(name: &str, rest: &str) -> String {
    format!("  - {{port: {{number: 443, name: {name}, protocol: HTTPS}}, hosts: [{name}.example], {rest}}}\n")
}

fn simple(name: &str) -> String {
    server(name, "tls: {mode: SIMPLE, credentialName: c}")
}

/// A rule of each kind of action for `a.example`.
fn rules() -> String {
    rule(
        "a",
        "hosts: [a.example], gateways: [edge/g], http: [
          {match: [{uri: {prefix: /r}}], redirect: {uri: /}},
          {headers: {response: {set: {x-from: rule}}}, route: [{destination: {host: shop}}]}]",
    )
}

fn chains(dump: &Dump, listener: &str) -> Vec<Value> {
    list(&get(dump, "lds", listener), "/filterChains")
}

#[test]
fn a_server_that_ends_tls_is_mirrored_where_a_service_lets_udp_in() -> Outcome {
    let g = gateway("g", 1, &format!("{}{}", simple("a"), simple("b")));
    let dump = sent(quic(), &[OPEN, &g, &rules()])?;
    assert_eq!(names(&dump, "lds"), ["0.0.0.0_8443", "udp_0.0.0.0_8443"]);
    let listener = get(&dump, "lds", "udp_0.0.0.0_8443");
    let address = json!({"address": "0.0.0.0", "portValue": 8443, "protocol": "UDP"});
    assert_eq!(part(&listener, "/address/socketAddress"), address);
    let options = json!({"quicOptions": {}, "downstreamSocketConfig": {}});
    assert_eq!(part(&listener, "/udpListenerConfig"), options);
    assert_eq!(part(&listener, "/listenerFilters"), Value::Null);
    let (mirrored, first) = (chains(&dump, "udp_0.0.0.0_8443"), &chains(&dump, "0.0.0.0_8443")[0]);
    assert_eq!(mirrored.len(), 2);
    let chain = &mirrored[0];
    assert_eq!(part(chain, "/filterChainMatch"), json!({"serverNames": ["a.example"]}));
    let context = part(chain, "/transportSocket/typedConfig/downstreamTlsContext");
    assert_eq!(part(chain, "/transportSocket/name"), "envoy.transport_sockets.quic");
    assert_eq!(part(&context, "/commonTlsContext/alpnProtocols"), json!(["h3"]));
    assert_eq!(part(&context, "/requireClientCertificate"), false);
    let manager = part(chain, "/filters/0/typedConfig");
    assert_eq!(
        (part(&manager, "/codecType"), part(&manager, "/http3ProtocolOptions")),
        (json!("HTTP3"), json!({}))
    );
    let routes = "/filters/0/typedConfig/rds/routeConfigName";
    assert_eq!(
        (part(chain, routes), part(first, routes)),
        (json!("https.443.a.g.edge"), json!("https.443.a.g.edge"))
    );
    assert!(told(&[OPEN, &g, &rules()])?.is_empty());
    Ok(())
}

#[test]
fn answers_tell_of_http3_on_the_port_that_clients_know() -> Outcome {
    let g = gateway("g", 1, &simple("a"));
    let dump = sent(quic(), &[OPEN, &g, &rules()])?;
    let routes = list(&get(&dump, "rds", "https.443.a.g.edge"), "/virtualHosts/0/routes");
    let alt_svc = json!({"header": {"key": "alt-svc", "value": "h3=\":443\"; ma=86400"}});
    let headers: Vec<_> = routes.iter().map(|r| list(r, "/responseHeadersToAdd")).collect();
    assert_eq!(headers.len(), 2);
    assert_eq!(headers[0], std::slice::from_ref(&alt_svc));
    assert_eq!((headers[1].len(), &headers[1][1]), (2, &alt_svc), "after those of the rule");
    Ok(())
}

#[test]
fn nothing_is_opened_without_the_flag_or_a_udp_port() -> Outcome {
    let g = gateway("g", 1, &simple("a"));
    let closed = OPEN.replace("name: http3, port: 443", "name: http3, port: 444");
    for (features, service) in [(Features::default(), OPEN), (quic(), closed.as_str())] {
        let dump = sent(features, &[service, &g, &rules()])?;
        assert_eq!(names(&dump, "lds"), ["0.0.0.0_8443"]);
        let routes = get(&dump, "rds", "https.443.a.g.edge").to_string();
        assert!(!routes.contains("alt-svc"), "{routes}");
    }
    Ok(())
}

#[test]
fn what_http3_cannot_keep_safe_or_reach_is_not_opened_for_it_and_told() -> Outcome {
    let servers = [
        server("a", "tls: {mode: MUTUAL, credentialName: c}"),
        server("b", "tls: {mode: OPTIONAL_MUTUAL, credentialName: c}"),
        server("c", "tls: {mode: PASSTHROUGH}"),
    ];
    let g = gateway("g", 1, &servers.concat());
    let dump = sent(quic(), &[OPEN, &g])?;
    let mirrored = chains(&dump, "udp_0.0.0.0_8443");
    let matches: Vec<_> = mirrored.iter().map(|c| part(c, "/filterChainMatch/serverNames")).collect();
    assert_eq!(matches, [json!(["b.example"])]);
    let told_of_mode = told(&[OPEN, &g])?;
    assert_eq!(told_of_mode.len(), 1, "{told_of_mode:?}");
    assert_eq!(told_of_mode[0].0, "spec.servers[0].tls.mode");
    let elsewhere = OPEN.replace("targetPort: 8443, protocol: UDP", "targetPort: 9443, protocol: UDP");
    let simple = gateway("g", 1, &simple("a"));
    assert_eq!(names(&sent(quic(), &[&elsewhere, &simple])?, "lds"), ["0.0.0.0_8443"]);
    let told_of_port = told(&[&elsewhere, &simple])?;
    assert_eq!(told_of_port.len(), 1, "{told_of_port:?}");
    assert!(told_of_port[0].1.contains("9443 and not to 8443"), "{told_of_port:?}");
    Ok(())
}

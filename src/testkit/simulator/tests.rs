//! Tests of the simulator with resources written by hand; those with whole meshes are in `testkit/tests/calls`.

use std::net::SocketAddr;

use api::json::from_json_as;
use envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use serde_json::{Value, json};

use super::*;
use crate::compare::Dump;

/// A TCP proxy to a cluster of one address that is called as its port.
fn tcp(cluster: &str) -> Value {
    json!([{"name": "tcp", "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "statPrefix": "x", "cluster": cluster,
    }}])
}

fn endpoint(address: &str, health: &str) -> Value {
    let (host, port) = address.rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    json!({"healthStatus": health, "endpoint": {"address": {"socketAddress": {"address": host, "portValue": port}}}})
}

/// Resources of a listener at 10.0.0.1:80, and clusters `a` to `d` of 192.0.2.1:1 to 192.0.2.4:1.
fn listening(listener: &Value) -> Resources {
    let mut dump = Dump::new();
    let mut full = json!({
        "name": "l",
        "address": {"socketAddress": {"address": "10.0.0.1", "portValue": 80}},
        "listenerFilters": [
            {"name": "tls", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}},
            {"name": "http", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}},
        ],
    });
    full.as_object_mut().unwrap().extend(listener.as_object().unwrap().clone());
    dump.entry("lds".to_owned()).or_default().insert("l".to_owned(), full);
    for (index, name) in ["a", "b", "c", "d"].iter().enumerate() {
        let address = format!("192.0.2.{}:1", index + 1);
        let cluster = json!({"name": name, "type": "STATIC", "loadAssignment": {
            "clusterName": name, "endpoints": [{"lbEndpoints": [endpoint(&address, "HEALTHY")]}],
        }});
        dump.entry("cds".to_owned()).or_default().insert((*name).to_owned(), cluster);
    }
    Resources::of_dump(&dump).unwrap()
}

fn call() -> Call {
    Call::direct("10.0.0.1:80".parse::<SocketAddr>().unwrap(), b"hello".as_slice())
}

/// The cluster that a call goes to, or why it is closed.
fn goes(resources: &Resources, call: &Call) -> String {
    match simulate(resources, call).unwrap().only() {
        Some(Outcome::Forwarded(forwarded)) => forwarded.cluster.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_most_specific_chain_is_chosen_without_a_way_back() {
    let chain =
        |name: &str, matched: Value| json!({"name": name, "filterChainMatch": matched, "filters": tcp(name)});
    let resources = listening(&json!({
        "filterChains": [
            chain("a", json!({"serverNames": ["x.example.com"], "applicationProtocols": ["istio"]})),
            chain("b", json!({"serverNames": ["*.example.com"]})),
            chain("c", json!({"transportProtocol": "tls"})),
            chain("d", json!({"applicationProtocols": ["http/1.1"]})),
        ],
    }));
    let tls = |sni: &str, alpn: &[&str]| {
        let alpn = alpn.iter().map(|p| (*p).to_owned()).collect();
        call().over(ClientTls { alpn, ..ClientTls::of(sni) })
    };
    assert_eq!(goes(&resources, &tls("x.example.com", &["h2", "istio"])), "a");
    assert_eq!(goes(&resources, &tls("y.example.com", &["istio"])), "b");
    assert_eq!(goes(&resources, &tls("example.com", &[])), "c");
    // The name is known, so the wider name is not looked at any more.
    assert!(goes(&resources, &tls("x.example.com", &["h2"])).contains("no filter chain"));
    let http = Call { says: Request::get("a", "/").into(), ..call() };
    assert_eq!(goes(&resources, &http), "d");
    assert!(goes(&resources, &call()).contains("no filter chain"));
}

#[test]
fn ranges_and_default_chains() {
    let chain = |name: &str, range: &str| {
        let (prefix, length) = range.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        let matched = json!({"prefixRanges": [{"addressPrefix": prefix, "prefixLen": length}]});
        json!({"name": name, "filterChainMatch": matched, "filters": tcp(name)})
    };
    let listener = json!({"filterChains": [chain("a", "10.0.0.0/8"), chain("b", "10.0.0.0/24")], "defaultFilterChain": {"filters": tcp("d")}});
    assert_eq!(goes(&listening(&listener), &call()), "b");
    let listener =
        json!({"filterChains": [chain("a", "11.0.0.0/8")], "defaultFilterChain": {"filters": tcp("d")}});
    assert_eq!(goes(&listening(&listener), &call()), "d");
}

#[test]
fn what_is_not_known_is_an_error_with_its_place() {
    let wrong = |listener: Value| format!("{:#}", simulate(&listening(&listener), &call()).unwrap_err());
    let filter = json!([{"name": "echo", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}]);
    let text = wrong(json!({"filterChains": [{"name": "one", "filters": filter}]}));
    assert!(
        text.contains("listener l") && text.contains("\"one\"") && text.contains("echo.v3.Echo"),
        "{text}"
    );
    let text = wrong(
        json!({"filterChains": [{"filterChainMatch": {"sourceType": "EXTERNAL"}, "filters": tcp("a")}]}),
    );
    assert!(text.contains("source_type"), "{text}");
    let mut weighted = tcp("a");
    weighted[0]["typedConfig"]["metadataMatch"] = json!({});
    let text = wrong(json!({"filterChains": [{"filters": weighted}]}));
    assert!(text.contains("metadata_match"), "{text}");
}

/// The shares of addresses, with these localities and options.
fn shares(endpoints: Value, options: Value) -> String {
    let mut resources = listening(&json!({"filterChains": [{"filters": tcp("a")}]}));
    let assignment = json!({"clusterName": "a", "endpoints": endpoints});
    let cluster =
        json!({"name": "a", "type": "STATIC", "loadAssignment": assignment, "commonLbConfig": options});
    resources.clusters.insert("a".to_owned(), from_json_as(&cluster, false).unwrap());
    simulate(&resources, &call()).unwrap().to_string()
}

#[test]
fn priorities_share_by_health() {
    let locality =
        |priority: u32, endpoints: &[Value]| json!({"priority": priority, "lbEndpoints": endpoints});
    let good = |address: &str| endpoint(address, "HEALTHY");
    let bad = |address: &str| endpoint(address, "UNHEALTHY");
    // 1 of 2 healthy makes 70 %, the rest goes to the next priority.
    let both =
        json!([locality(0, &[good("1.1.1.1:1"), bad("1.1.1.2:1")]), locality(1, &[good("2.2.2.2:1")])]);
    assert_eq!(shares(both, json!({})), "l: a at 70% 1.1.1.1:1 plaintext, 30% 2.2.2.2:1 plaintext");
    let none = json!([locality(0, &[bad("1.1.1.1:1")])]);
    let calm = json!({"healthyPanicThreshold": {"value": 0}});
    assert_eq!(shares(none.clone(), calm), "l: closed, a has no healthy endpoint");
    // Below the threshold all are used.
    assert_eq!(shares(none, json!({})), "l: a at 1.1.1.1:1 plaintext");
}

#[test]
fn localities_share_by_weight() {
    let locality = |weight: u32, address: &str| json!({"loadBalancingWeight": weight, "lbEndpoints": [endpoint(address, "HEALTHY")]});
    let all = json!([locality(3, "1.1.1.1:1"), locality(1, "2.2.2.2:1")]);
    let weighted = json!({"localityWeightedLbConfig": {}});
    assert_eq!(shares(all.clone(), weighted), "l: a at 75% 1.1.1.1:1 plaintext, 25% 2.2.2.2:1 plaintext");
    assert_eq!(shares(all, json!({})), "l: a at 50% 1.1.1.1:1 plaintext, 50% 2.2.2.2:1 plaintext");
}

#[test]
fn virtual_hosts_are_found_by_the_most_specific_domain() {
    let host = |name: &str, domain: &str| VirtualHost {
        name: name.to_owned(),
        domains: vec![domain.to_owned()],
        ..VirtualHost::default()
    };
    let configuration = RouteConfiguration {
        virtual_hosts: vec![
            host("any", "*"),
            host("prefix", "a.*"),
            host("suffix", "*.example.com"),
            host("longer", "*.b.example.com"),
            host("whole", "a.b.example.com"),
            host("port", "p.example.com:8080"),
        ],
        ..RouteConfiguration::default()
    };
    let found = |configuration: &RouteConfiguration, authority: &str| {
        http::virtual_host::choose(configuration, authority).unwrap().name.clone()
    };
    for (authority, name) in [
        ("A.b.example.com", "whole"),
        ("c.b.example.com", "longer"),
        ("a.example.com", "suffix"),
        ("a.other.com", "prefix"),
        ("p.example.com:8080", "port"),
        ("a.b.example.com:80", "prefix"),
        ("other", "any"),
    ] {
        assert_eq!(found(&configuration, authority), name, "{authority}");
    }
    let configuration = RouteConfiguration { ignore_port_in_host_matching: true, ..configuration };
    assert_eq!(found(&configuration, "a.b.example.com:80"), "whole");
    assert_eq!(found(&configuration, "[::1]:80"), "any");
}

/// As Envoy 1.40.0 answers, for routes and for RBAC.
#[test]
fn a_header_that_is_sent_twice_fits_by_each_of_its_values() {
    let fits = |asked: &Value, values: &[&str]| {
        let mut asked = asked.clone();
        asked["name"] = json!("x-role");
        let request = values.iter().fold(Request::get("a", "/"), |request, v| request.header("x-role", v));
        http::header(&from_json_as(&asked, false).unwrap(), &request).unwrap()
    };
    let text = |kind: &str, text: &str| json!({"stringMatch": {kind: text}});
    let not = |mut asked: Value| {
        asked["invertMatch"] = json!(true);
        asked
    };
    let or_empty = |mut asked: Value| {
        asked["treatMissingHeaderAsEmpty"] = json!(true);
        asked
    };
    let admin = text("exact", "admin");
    // Of ["user", "admin"], ["user,admin"], and of nothing.
    for (asked, wanted) in [
        (admin.clone(), [true, false, false]),
        (not(admin.clone()), [false, true, false]),
        (not(or_empty(admin)), [false, true, true]),
        (text("exact", "user,admin"), [false, true, false]),
        (text("prefix", "user"), [true, true, false]),
        (text("suffix", "admin"), [true, true, false]),
        (text("contains", ","), [false, true, false]),
        (json!({"stringMatch": {"safeRegex": {"regex": "adm.*"}}}), [true, false, false]),
        (or_empty(text("exact", "")), [false, false, true]),
        (json!({"presentMatch": true}), [true, true, false]),
        (json!({"presentMatch": false}), [false, false, true]),
    ] {
        let given = [&["user", "admin"][..], &["user,admin"], &[]].map(|values| fits(&asked, values));
        assert_eq!(given, wanted, "{asked}");
    }
}

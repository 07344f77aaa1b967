//! Tests of the layers of a traffic policy.

use api::istio::{ClientTlsMode, DestinationRule};
use api::mesh_config::{DefaultTrafficPolicy, MeshConfig};

use super::*;

fn rule(json: serde_json::Value) -> DestinationRule {
    serde_json::from_value(json).expect("a rule")
}

fn mode(policy: Policy<'_>) -> Option<ClientTlsMode> {
    policy.tls.map(|t| t.mode)
}

#[test]
fn a_ports_policy_takes_the_place_of_the_rules_whole() {
    let rule = rule(serde_json::json!({"host": "a", "trafficPolicy": {
        "tls": {"mode": "SIMPLE"},
        "proxyProtocol": {"version": "V2"},
        "connectionPool": {"tcp": {"maxConnections": 7}},
        "portLevelSettings": [{"port": {"number": 80}, "outlierDetection": {}}]
    }}));
    let mesh = MeshConfig::default();
    let of_port = Policy::of(Some(&rule), 80, "", &mesh);
    assert!(of_port.outlier_detection.is_some());
    assert!(of_port.tls.is_none() && of_port.connection_pool.is_none() && of_port.proxy_protocol.is_none());
    let other = Policy::of(Some(&rule), 81, "", &mesh);
    assert_eq!(mode(other), Some(ClientTlsMode::Simple));
    assert!(other.connection_pool.is_some() && other.proxy_protocol.is_some());
}

#[test]
fn a_subset_overlays_field_by_field_and_its_port_replaces() {
    let rule = rule(serde_json::json!({"host": "a",
    "trafficPolicy": {"tls": {"mode": "SIMPLE"}, "connectionPool": {"tcp": {"maxConnections": 7}}},
    "subsets": [
        {"name": "v1", "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
        {"name": "v2", "trafficPolicy": {
            "tls": {"mode": "DISABLE"},
            "portLevelSettings": [{"port": {"number": 80}, "outlierDetection": {}}]}}
    ]}));
    let mesh = MeshConfig::default();
    let v1 = Policy::of(Some(&rule), 80, "v1", &mesh);
    assert_eq!(mode(v1), Some(ClientTlsMode::Disable));
    assert!(v1.connection_pool.is_some());
    let v2 = Policy::of(Some(&rule), 80, "v2", &mesh);
    assert!(v2.tls.is_none() && v2.connection_pool.is_none() && v2.outlier_detection.is_some());
}

#[test]
fn the_mesh_fills_what_the_rule_leaves_out() {
    let rule = rule(serde_json::json!({"host": "a", "trafficPolicy": {"connectionPool": {"http": {}}}}));
    let pool = ConnectionPoolSettings { tcp: Some(Default::default()), ..Default::default() };
    let default =
        DefaultTrafficPolicy { connection_pool: Some(pool), outlier_detection: Some(Default::default()) };
    let mesh = MeshConfig { default_traffic_policy: Some(default), ..MeshConfig::default() };
    let policy = Policy::of(Some(&rule), 80, "", &mesh);
    assert!(
        policy.connection_pool.is_some_and(|p| p.tcp.is_none()),
        "the rule's pool replaces the mesh's whole"
    );
    assert!(policy.outlier_detection.is_some());
}

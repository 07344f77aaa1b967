//! How layers of mesh configuration merge.

use serde_json::json;

use super::*;
use crate::mesh_config::{AuthenticationPolicy, OutboundMode, TracingServiceName};
use crate::scalar::Duration;

fn mesh(document: Value) -> MeshConfig {
    let (mesh, warnings) = MeshConfig::from_document(document).unwrap();
    assert_eq!(warnings, []);
    mesh
}

#[test]
fn an_empty_document_changes_nothing() {
    assert_eq!(mesh(Value::Null), MeshConfig::default());
    assert_eq!(mesh(json!({})), MeshConfig::default());
    assert_eq!(mesh(json!({"trustDomain": null})), MeshConfig::default());
}

#[test]
fn the_defaults_survive_being_written_and_read() {
    let written = serde_json::to_value(MeshConfig::default()).unwrap();
    assert_eq!(mesh(written), MeshConfig::default());
}

#[test]
fn plain_fields_replace_and_messages_replace_as_a_whole() {
    let merged = mesh(json!({
        "trustDomain": "example.org",
        "connect_timeout": "100ms",
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        "localityLbSetting": {},
    }));
    assert_eq!(merged.trust_domain, "example.org");
    assert_eq!(merged.connect_timeout, Some(Duration::from_millis(100)));
    assert_eq!(merged.outbound_traffic_policy.mode, OutboundMode::RegistryOnly);
    assert_eq!(merged.locality_lb_setting.unwrap().enabled, None);
    assert_eq!(merged.proxy_listen_port, 15001);
}

#[test]
fn default_config_merges_by_field_and_metadata_by_key() {
    let shared = mesh(json!({"defaultConfig": {
        "concurrency": 3,
        "proxyMetadata": {"A": "shared", "B": "shared"},
        "tracing": {"sampling": 10, "zipkin": {"address": "zipkin:9411"}},
    }}));
    let (own, _) = shared
        .apply(json!({"defaultConfig": {
            "drainDuration": "10s",
            "proxyMetadata": {"B": "own"},
            "tracing": {"datadog": {"address": "datadog:8126"}},
        }}))
        .unwrap();
    let proxies = own.default_config;
    assert_eq!(proxies.concurrency, Some(3));
    assert_eq!(proxies.drain_duration, Some(Duration::from_secs(10)));
    assert_eq!(proxies.status_port, 15020);
    assert_eq!(proxies.proxy_metadata.get("A").unwrap(), "shared");
    assert_eq!(proxies.proxy_metadata.get("B").unwrap(), "own");
    let tracing = proxies.tracing.unwrap();
    assert_eq!(tracing.sampling.get(), 10.0);
    assert_eq!(tracing.zipkin, None);
    assert_eq!(tracing.datadog.unwrap().address, "datadog:8126");
}

#[test]
fn the_two_names_of_a_proxys_service_exclude_each_other() {
    let merged = mesh(json!({"defaultConfig": {"tracingServiceName": "CANONICAL_NAME_ONLY"}})).default_config;
    assert_eq!(merged.service_cluster, None);
    assert_eq!(merged.tracing_service_name, Some(TracingServiceName::CanonicalNameOnly));
    let (back, _) = merged.apply(json!({"serviceCluster": "shop"})).unwrap();
    assert_eq!(back.service_cluster.as_deref(), Some("shop"));
    assert_eq!(back.tracing_service_name, None);
}

#[test]
fn providers_merge_by_name_and_aliases_are_united() {
    let shared = mesh(json!({
        "extensionProviders": [
            {"name": "envoy", "envoyFileAccessLog": {"path": "/tmp/log"}},
            {"name": "traces", "zipkin": {"service": "zipkin.obs.svc.cluster.local", "port": 9411}},
        ],
        "trustDomainAliases": ["b", "a"],
        "defaultProviders": {"tracing": ["traces"]},
    }));
    let (own, _) = shared
        .apply(json!({"trustDomainAliases": ["c", "a"], "defaultProviders": {"metrics": ["prometheus"]}}))
        .unwrap();
    let names: Vec<&str> = own.extension_providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["prometheus", "stackdriver", "envoy", "traces"]);
    assert_eq!(
        own.extension_providers.get(2).unwrap().envoy_file_access_log.as_ref().unwrap().path,
        "/tmp/log"
    );
    assert_eq!(own.trust_domain_aliases, ["a", "b", "c"]);
    assert_eq!(own.default_providers.tracing, ["traces"]);
    assert_eq!(own.default_providers.metrics, ["prometheus"]);
}

#[test]
fn numbers_of_enums_with_gaps_are_known() {
    let merged = mesh(json!({
        "outboundTrafficPolicy": {"mode": 3},
        "defaultConfig": {"controlPlaneAuthPolicy": 1000},
    }));
    assert_eq!(merged.outbound_traffic_policy.mode, OutboundMode::AllowAnyDynamicDns);
    assert_eq!(merged.default_config.control_plane_auth_policy, AuthenticationPolicy::Inherit);
    let error = MeshConfig::from_document(json!({"outboundTrafficPolicy": {"mode": 2}})).unwrap_err();
    assert!(error.to_string().contains("outboundTrafficPolicy.mode: 2 is none of"), "{error}");
}

#[test]
fn unknown_fields_are_warnings_and_wrong_values_errors_with_their_place() {
    let (_, warnings) =
        MeshConfig::from_document(json!({"trustDomian": "x", "defaultConfig": {"tracing": {"zipkn": {}}}}))
            .unwrap();
    let paths: Vec<&str> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(paths, ["defaultConfig.tracing.zipkn", "trustDomian"]);
    let error = MeshConfig::from_document(json!({"connectTimeout": "soon"})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "mesh configuration: connectTimeout: `soon` is not a duration: write a number with a unit, such as 1.5s, \
         100ms or 1h30m"
    );
    assert_eq!(
        MeshConfig::from_document(json!([])).unwrap_err().to_string(),
        "mesh configuration must be a mapping of fields to values"
    );
}

#[test]
fn networks_are_read() {
    let (networks, warnings) = MeshNetworks::from_document(json!({"networks": {"east": {
        "endpoints": [{"fromRegistry": "c1"}, {"fromCidr": "10.0.0.0/8"}],
        "gateways": [{"address": "1.2.3.4", "port": 15443, "locality": "r/z"}],
    }}}))
    .unwrap();
    assert_eq!(warnings, []);
    let east = networks.networks.get("east").unwrap();
    assert_eq!(east.endpoints.first().unwrap().from_registry.as_deref(), Some("c1"));
    assert_eq!(east.gateways.first().unwrap().port, 15443);
}

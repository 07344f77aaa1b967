//! The JSON door against Go's conventions and against every recorded resource.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration as StdDuration;
use std::{fs, iter};

use envoy::config::cluster::v3::Cluster;
use envoy::config::core::v3::Metadata;
use envoy::config::listener::v3::{Filter, FilterChain, Listener, filter::ConfigType};
use envoy::config::route::v3::RouteConfiguration;
use envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use envoy::google::protobuf::{Any, BoolValue, Duration, Struct, UInt64Value, Value as StructValue};
use envoy::{Message as _, Name as _, pack_any};
use serde_json::{Value, json};

use super::*;

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

fn listener() -> Listener {
    let manager = HttpConnectionManager {
        stat_prefix: "in".into(),
        stream_idle_timeout: Some(Duration::from_millis(250)),
        use_remote_address: Some(BoolValue::from(false)),
        normalize_path: Some(true.into()),
        route_specifier: Some(RouteSpecifier::RouteConfig(RouteConfiguration::default())),
        ..HttpConnectionManager::default()
    };
    Listener {
        name: "virtual".into(),
        filter_chains: vec![FilterChain {
            filters: vec![Filter {
                name: "hcm".into(),
                config_type: Some(ConfigType::TypedConfig(pack_any(&manager))),
            }],
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

fn refused(full_name: &str, json: &Value) -> String {
    from_json(full_name, json, false).unwrap_err().to_string()
}

#[test]
fn pool_has_every_message() {
    assert!(pool().all_messages().len() > 1500);
    for name in [
        Listener::full_name(),
        envoy::xds::r#type::v3::TypedStruct::full_name(),
        envoy::udpa::r#type::v1::TypedStruct::full_name(),
        envoy::istio::networking::nds::v1::NameTable::full_name(),
        envoy::istio::v1::auth::IstioCertificateRequest::full_name(),
    ] {
        assert!(is_known(&name), "{name}");
    }
}

#[test]
fn listener_with_nested_manager_goes_there_and_back() {
    let json = to_json(&listener());
    assert_eq!(
        json,
        json!({
            "name": "virtual",
            "filterChains": [{"filters": [{"name": "hcm", "typedConfig": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "statPrefix": "in",
                "streamIdleTimeout": "0.250s",
                "useRemoteAddress": false,
                "normalizePath": true,
                "routeConfig": {},
            }}]}],
        })
    );
    assert_eq!(from_json_as::<Listener>(&json, false).unwrap(), listener());
}

#[test]
fn wide_integers_are_strings_and_floats_are_short() {
    let json = json!({
        "value": [
            {"@type": "type.googleapis.com/google.protobuf.UInt64Value", "value": "18446744073709551615"},
            {"@type": "type.googleapis.com/google.protobuf.FloatValue", "value": 0.1},
            {"@type": "type.googleapis.com/google.protobuf.DoubleValue", "value": 100},
            {"@type": "type.googleapis.com/google.protobuf.DoubleValue", "value": "Infinity"},
            {"@type": "type.googleapis.com/google.protobuf.Timestamp", "value": "2026-01-02T03:04:05.600Z"},
            {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}},
            {"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "+/8="},
            {"@type": "type.googleapis.com/google.protobuf.ListValue", "value": [null, true, 1.5, {"a": []}]},
        ],
    });
    for any in json.get("value").unwrap().as_array().unwrap() {
        let wrapped = json!({"name": "x", "typedConfig": any});
        let filter: Filter = from_json_as(&wrapped, false).unwrap();
        assert_eq!(to_json(&filter), wrapped);
    }
    let max = UInt64Value { value: u64::MAX };
    assert_eq!(to_json(&max), json!("18446744073709551615"));
}

#[test]
fn durations_have_0_3_6_or_9_digits() {
    for (nanos, text) in [(0, "3s"), (500_000_000, "3.500s"), (1_000, "3.000001s"), (1, "3.000000001s")] {
        let duration = Duration::from(StdDuration::new(3, nanos));
        assert_eq!(to_json(&duration), json!(text));
        assert_eq!(from_json_as::<Duration>(&json!(text), false).unwrap(), duration);
    }
    assert_eq!(to_json(&Duration::from_millis(-1500)), json!("-1.500s"));
    assert_eq!(from_json_as::<Duration>(&json!("-0.5s"), false).unwrap(), Duration::from_millis(-500));
    for bad in ["", "s", "1", "1.s.2s", "+1s", "1.0000000001s", "999999999999s", "1e3s"] {
        assert!(from_json(&Duration::full_name(), &json!(bad), false).is_err(), "{bad:?}");
    }
}

#[test]
fn unknown_any_is_printed_as_base64() {
    let unknown = Any { type_url: "type.googleapis.com/no.such.Type".into(), value: vec![1, 2, 3].into() };
    let broken = Any { type_url: format!("type.googleapis.com/{CLUSTER}"), value: vec![0xff].into() };
    for any in [unknown, broken] {
        let url = any.type_url.clone();
        let value = if any.value.len() == 3 { "AQID" } else { "/w==" };
        assert_eq!(any_to_json(&any), json!({"@type": url, "value": value}));
        let filter = Filter { name: String::new(), config_type: Some(ConfigType::TypedConfig(any)) };
        assert_eq!(to_json(&filter), json!({"typedConfig": {"@type": url, "value": value}}));
    }
    assert_eq!(any_to_json(&Any::default()), json!({}));
}

#[test]
fn unknown_any_is_refused_with_its_place() {
    let json = json!({"filterChains": [{"filters": [{"typedConfig": {"@type": "type.googleapis.com/no.such.Type"}}]}]});
    let error = from_json(&Listener::full_name(), &json, true).unwrap_err();
    assert_eq!(
        error,
        JsonError::UnknownType {
            path: "envoy.config.listener.v3.Listener.filterChains[0].filters[0].typedConfig".into(),
            name: "no.such.Type".into(),
        }
    );
}

#[test]
fn any_needs_a_type_url() {
    let filter = Filter::full_name();
    assert!(refused(&filter, &json!({"typedConfig": {"a": 1}})).contains("needs a field \"@type\""));
    assert!(
        refused(&filter, &json!({"typedConfig": {"@type": CLUSTER}}))
            .contains("write \"type.googleapis.com/envoy")
    );
    assert!(
        refused(&filter, &json!({"typedConfig": 5})).contains("wanted an object with \"@type\", found 5")
    );
}

#[test]
fn unknown_names_are_refused_or_passed_over() {
    let json = json!({"name": "a", "nonsense": 1, "type": "NO_SUCH"});
    assert!(refused(CLUSTER, &json!({"nonsense": 1})).contains("Cluster has no field \"nonsense\""));
    assert!(refused(CLUSTER, &json!({"type": "NO_SUCH"})).contains("it has STATIC, STRICT_DNS"));
    let cluster: Cluster = from_json_as(&json, true).unwrap();
    let wanted = Cluster { name: "a".into(), ..Cluster::default() };
    assert_eq!(cluster, wanted);
    assert!(matches!(from_json("no.Such", &json, true), Err(JsonError::UnknownType { .. })));
}

#[test]
fn wrong_types_are_refused_with_their_place() {
    for (json, message) in [
        (json!({"name": 5}), "Cluster.name: wanted a string, found 5"),
        (json!({"connectTimeout": 5}), "Cluster.connectTimeout: wanted a duration"),
        (json!({"perConnectionBufferLimitBytes": -1}), "out of range"),
        (json!({"perConnectionBufferLimitBytes": 1.5}), "wanted a whole number"),
        (json!({"loadAssignment": {"endpoints": {}}}), ".endpoints: wanted a list, found an object"),
        (json!({"loadAssignment": {"endpoints": [null]}}), "endpoints[0]: wanted an object"),
        (json!({"metadata": {"filterMetadata": {"a": 1}}}), "filterMetadata[\"a\"]: wanted an object"),
        (json!({"type": "EDS", "clusterType": {}}), "exclude each other"),
        (json!({"connectTimeout": "1s", "connect_timeout": "1s"}), "are the same field"),
    ] {
        let error = refused(CLUSTER, &json);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn both_spellings_and_loose_numbers_are_taken() {
    let json = json!({
        "connect_timeout": "1s",
        "perConnectionBufferLimitBytes": "1e3",
        "type": 3,
        "altStatName": null,
        "dnsRefreshRate": null,
    });
    let cluster: Cluster = from_json_as(&json, false).unwrap();
    assert_eq!(
        to_json(&cluster),
        json!({"connectTimeout": "1s", "perConnectionBufferLimitBytes": 1000, "type": "EDS"})
    );
}

#[test]
fn bytes_do_not_depend_on_chance() {
    let fields: serde_json::Map<_, _> =
        (0..20).map(|i| (format!("key-{i}"), json!({"a": i, "b": [i]}))).collect();
    let json = json!({"filterMetadata": {"x": fields, "y": fields}});
    let typed = from_json_as::<Metadata>(&json, false).unwrap().encode_to_vec();
    let encodings: BTreeSet<_> =
        iter::repeat_with(|| from_json(&Metadata::full_name(), &json, false).unwrap()).take(50).collect();
    assert_eq!(encodings.into_iter().collect::<Vec<_>>(), [typed]);
}

#[test]
fn deep_nesting_is_refused() {
    let mut deep = json!({"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}});
    let mut value = json!(1);
    for _ in 0..200 {
        deep = json!({"@type": "type.googleapis.com/google.protobuf.Any", "value": deep});
        value = json!([value]);
    }
    assert!(refused("google.protobuf.Any", &deep).contains("nested more than"));
    assert!(refused("google.protobuf.Value", &value).contains("nested more than"));
}

#[test]
fn deep_messages_are_printed_in_part() {
    let mut any = pack_any(&Struct::default());
    for _ in 0..200 {
        any = pack_any(&any);
    }
    let mut depth = 0;
    let mut json = &any_to_json(&any);
    while let Some(inner) = json.get("value") {
        json = inner;
        depth += 1;
    }
    assert!(depth > 50 && json.is_string(), "{depth}: {json}");
}

#[test]
fn typed_structs_are_not_unpacked() {
    let value = Struct::from([("a", StructValue::from(1))]);
    let any = pack_any(&envoy::xds::r#type::v3::TypedStruct {
        type_url: "type.googleapis.com/stats.PluginConfig".into(),
        value: Some(value),
    });
    assert_eq!(
        any_to_json(&any),
        json!({
            "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
            "typeUrl": "type.googleapis.com/stats.PluginConfig",
            "value": {"a": 1},
        })
    );
}

/// Every resource that the reference sends in the recorded cases, printed again, is the same JSON.
#[test]
fn structs_are_printed_the_same_without_descriptors() {
    let json = json!({
        "LABELS": {"app": "web", "version": "v1"}, "INSTANCE_IPS": "10.0.0.7", "list": [1, 0.5, true, null, "x", []], "none": {},
        "wide": 1e300, "negative": -3,
    });
    let Value::Object(object) = &json else { panic!("no object") };
    let metadata = to_struct(object).unwrap();
    assert_eq!(struct_json(&metadata), to_json(&metadata));
    assert_eq!(struct_json(&metadata)["list"], json["list"]);
    let not_finite = Struct { fields: [("n".to_owned(), StructValue::from(f64::NAN))].into() };
    assert_eq!(struct_json(&not_finite), to_json(&not_finite));
}

#[test]
fn recorded_resources_go_there_and_back() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/conformance/cases");
    let mut seen = BTreeSet::new();
    for case in folders(&cases).iter().flat_map(|area| folders(area)) {
        for file in folders(&case.join("expected")) {
            let dump: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            for (kind, resources) in dump.as_object().unwrap() {
                for (name, resource) in resources.as_object().unwrap() {
                    if seen.insert((kind.clone(), resource.to_string())) {
                        round_trip(kind, name, resource, &file);
                    }
                }
            }
        }
    }
    assert!(seen.len() > 1000, "only {} resources under {}", seen.len(), cases.display());
}

fn folders(at: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(at)
        .into_iter()
        .flatten()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir() || p.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    paths
}

fn round_trip(kind: &str, name: &str, resource: &Value, file: &Path) {
    let message = match kind {
        "cds" => CLUSTER,
        "eds" => "envoy.config.endpoint.v3.ClusterLoadAssignment",
        "lds" => "envoy.config.listener.v3.Listener",
        "rds" => "envoy.config.route.v3.RouteConfiguration",
        "ecds" => "envoy.config.core.v3.TypedExtensionConfig",
        _ => panic!("{kind} in {}", file.display()),
    };
    let bytes =
        from_json(message, resource, false).unwrap_or_else(|e| panic!("{} {name}: {e}", file.display()));
    let back = to_json_bytes(message, &bytes).unwrap();
    assert_eq!(&back, resource, "{} {name}", file.display());
}

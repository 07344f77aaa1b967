//! What the rest relies on: stable bytes, no hash maps, short spellings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::config::route::v3::Route;
use crate::extensions::filters::http::{fault::v3::HttpFault, router::v3::Router};
use crate::google::protobuf::{Any, Duration, StringValue, Struct, Value};
use crate::{AnyError, Message, Name, pack_any, type_url, unpack_any};

#[test]
fn equal_routes_have_equal_bytes() {
    let build = |turn: usize| {
        let mut names: Vec<_> = (0..8).map(|i| format!("filter-{i}")).collect();
        names.rotate_left(turn % 8);
        Route {
            typed_per_filter_config: names
                .into_iter()
                .map(|n| (n, pack_any(&HttpFault::default())))
                .collect(),
            ..Route::default()
        }
    };
    let encodings: BTreeSet<_> = (0..50).map(|turn| build(turn).encode_to_vec()).collect();
    assert_eq!(encodings.len(), 1);
}

#[test]
fn generated_code_has_no_hash_map() {
    let mut files = 0;
    for entry in fs::read_dir(env!("OUT_DIR")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("HashMap"), "{} has a HashMap", path.display());
        }
    }
    assert!(files > 300, "only {files} generated files");
}

#[test]
fn any_goes_there_and_back() {
    let packed = pack_any(&StringValue::from("x"));
    assert_eq!(packed.type_url, "type.googleapis.com/google.protobuf.StringValue");
    assert_eq!(packed.type_name(), "google.protobuf.StringValue");
    assert_eq!(unpack_any::<StringValue>(&packed).unwrap().value, "x");
}

#[test]
fn any_of_another_type_is_refused() {
    let error = unpack_any::<Router>(&pack_any(&StringValue::from("x"))).unwrap_err();
    assert!(error.to_string().contains("wanted a message envoy.extensions.filters.http.router.v3.Router"));
}

#[test]
fn malformed_any_is_refused() {
    let any = Any { type_url: type_url::<StringValue>(), value: vec![0xff].into() };
    assert!(
        matches!(unpack_any::<StringValue>(&any), Err(AnyError::Decode { name, .. }) if name == StringValue::full_name())
    );
}

#[test]
fn durations_convert() {
    assert_eq!(Duration::from_millis(2500), Duration { seconds: 2, nanos: 500_000_000 });
    assert_eq!(Duration::from_millis(-1500), Duration { seconds: -1, nanos: -500_000_000 });
    let std = std::time::Duration::from_millis(250);
    assert_eq!(Duration::from(std).to_std(), Some(std));
    assert_eq!(Duration::from_secs(-1).to_std(), None);
    assert_eq!(Duration::from(std::time::Duration::MAX).seconds, i64::MAX);
}

#[test]
fn structs_are_short_to_write() {
    let inner = Struct::from([("host", "a.example"), ("name", "a")]);
    let outer = Struct::from([("services", Value::from(vec![inner.clone()])), ("port", 80.into())]);
    assert_eq!(
        outer.fields,
        BTreeMap::from([
            ("port".to_owned(), Value::from(80.0)),
            ("services".to_owned(), Value::from(vec![Value::from(inner)])),
        ])
    );
}

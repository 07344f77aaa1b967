//! The judge judged.

use serde_json::json;

use super::*;

fn dump(kind: &str, name: &str, resource: Value) -> Dump {
    Dump::from([(kind.to_owned(), BTreeMap::from([(name.to_owned(), resource)]))])
}

fn same(a: &Value, b: &Value) -> bool {
    normal(a, Keys::Given) == normal(b, Keys::Given)
}

#[test]
fn order_counts_where_envoy_sees_it() {
    assert!(same(
        &json!({"virtualHosts": [{"domains": ["a", "b"]}, {"domains": ["c"]}]}),
        &json!({"virtualHosts": [{"domains": ["c"]}, {"domains": ["b", "a"]}]}),
    ));
    assert!(!same(&json!({"routes": ["a", "b"]}), &json!({"routes": ["b", "a"]})));
}

#[test]
fn some_lists_are_unordered_only_within_a_field() {
    let at = |outer: &str, items: Value| json!({outer: {"applicationProtocols": items}});
    let (ab, ba) = (json!(["a", "b"]), json!(["b", "a"]));
    assert!(same(&at("filterChainMatch", ab.clone()), &at("filterChainMatch", ba.clone())));
    assert!(!same(&at("tls", ab), &at("tls", ba)));
    let rules = |a: i32, b: i32| json!({"andRules": {"rules": [{"x": a}, {"x": b}]}});
    assert!(same(&rules(1, 2), &rules(2, 1)));
}

#[test]
fn chance_is_dropped_and_empty_is_not_absent() {
    assert!(same(&json!({"a": 1, "lastUpdated": "now"}), &json!({"a": 1})));
    assert!(!same(&json!({"a": {}}), &json!({})));
    assert!(!same(&json!({"a": 0}), &json!({})));
    assert!(same(&json!({"a": 100.0}), &json!({"a": 100})));
}

#[test]
fn keys_compare_as_json_unless_fetched() {
    let keys = |text: &str| json!({"localJwks": {"inlineString": text}});
    let (a, b) = (keys(r#"{"keys": [], "x": 1}"#), keys(r#"{"x":1,"keys":[]}"#));
    assert!(same(&a, &b));
    assert!(!same(&a, &keys("{}")));
    assert!(!same(&keys("not json"), &keys("neither")));
    assert_eq!(normal(&a, Keys::Fetched), normal(&keys("{}"), Keys::Fetched));
}

#[test]
fn differences_name_path_and_both_values() {
    let want = json!({"a": {"b": [1, 2, 3]}, "c": 1, "d": {"e": 1}});
    let got = json!({"a": {"b": [1, 5]}, "d": [], "f": null});
    let found: Vec<_> =
        differences(&want, &got, "cds").into_iter().map(|d| (d.path, d.want, d.got)).collect();
    let row = |path: &str, want, got| (path.to_owned(), want, got);
    assert_eq!(
        found,
        [
            row("cds.a.b[#]", Some(json!(3)), Some(json!(2))),
            row("cds.a.b[]", Some(json!(2)), Some(json!(5))),
            row("cds.c", Some(json!(1)), None),
            row("cds.d", Some(json!({"e": 1})), Some(json!([]))),
            row("cds.f", None, Some(json!(null))),
        ]
    );
}

#[test]
fn leaves_count_empty_containers_once() {
    assert_eq!(leaves(&json!({"a": [1, 2], "b": {}, "c": null})), 4);
}

#[test]
fn missing_and_extra_resources_count_the_same() {
    let mut tally = Tally::default();
    let found = tally.proxy(&dump("cds", "a", json!({})), &dump("cds", "b", json!({})), None, Keys::Given);
    let [kind, a, b] = ["cds", "a", "b"].map(str::to_owned);
    assert_eq!(
        found,
        [Mismatch::Missing { kind: kind.clone(), name: a }, Mismatch::NotExpected { kind, name: b }]
    );
    assert_eq!(tally.resources, Share { equal: 0, total: 2 });
    assert_eq!(tally.telling, tally.resources);
    assert_eq!(tally.most_frequent(9), [("cds: missing", 1), ("cds: not expected", 1)]);
}

#[test]
fn telling_resources_are_those_that_the_case_changes() {
    let mut want = dump("rds", "80", json!({"routes": [1]}));
    want.get_mut("rds").unwrap().insert("81".into(), json!({"routes": [2]}));
    let mut plain = dump("rds", "80", json!({"routes": []}));
    plain.get_mut("rds").unwrap().insert("81".into(), json!({"routes": [2]}));
    let mut tally = Tally::default();
    let found = tally.proxy(&want, &plain, Some(&plain), Keys::Given);
    assert_eq!(found.len(), 1);
    assert_eq!(tally.resources, Share { equal: 1, total: 2 });
    assert_eq!(tally.telling, Share { equal: 0, total: 1 });
    assert_eq!(tally.kinds.get("rds"), Some(&tally.resources));
    assert_eq!(tally.most_frequent(9), [("rds.routes[#]", 1)]);
    assert!(found.first().unwrap().to_string().contains("expected 1\n  got      0"));
}

#[test]
fn a_resource_that_nobody_expects_tells() {
    let plain = Dump::new();
    let mut tally = Tally::default();
    tally.proxy(&Dump::new(), &dump("lds", "x", json!({})), Some(&plain), Keys::Given);
    assert_eq!(tally.telling, Share { equal: 0, total: 1 });
}

#[test]
fn figures_print_as_the_judge_prints_them() {
    let mut tally = Tally::default();
    let one = dump("cds", "a", json!({}));
    assert!(tally.proxy(&one, &one, None, Keys::Given).is_empty());
    tally.case(true);
    tally.case(false);
    assert_eq!(tally.to_string(), "resources 1/1 = 100.0 %; telling 1/1 = 100.0 %; cases 1/2 = 50.0 %");
}

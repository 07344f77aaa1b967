//! Rules in pairs: the first covers the second, or does not.

use api::{Kind, ObjectKey};

use super::*;

/// What is told of rules with these matches, in the flow form of YAML.
fn told(matches: &[&str]) -> Vec<String> {
    let rules: Vec<HttpRoute> = matches
        .iter()
        .map(|text| HttpRoute {
            r#match: serde_saphyr::from_str(text).expect("matches"),
            ..HttpRoute::default()
        })
        .collect();
    let key = ObjectKey { kind: Kind::VirtualService, namespace: "shop".into(), name: "web".into() };
    let mut check = Check::new(key);
    shadowed(&mut check, &rules);
    check.done().into_iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}

#[test]
fn a_match_behind_one_that_covers_it_is_told() {
    for (first, second) in [
        ("[{uri: {prefix: /a}}]", "[{uri: {prefix: /a/b}}]"),
        ("[{uri: {prefix: /a}}]", "[{uri: {exact: /a}, headers: {x: {exact: b}}}]"),
        ("[{uri: {exact: /a}}]", "[{uri: {exact: /a}}]"),
        ("[{headers: {x: {}}}]", "[{headers: {x: {exact: b}, y: {}}}]"),
        ("[{method: {exact: GET}}]", "[{uri: {exact: /a}, method: {exact: GET}}]"),
        ("[{uri: {regex: 'a|b'}}]", "[{uri: {regex: 'a|b'}, port: 80}]"),
        ("[{uri: {prefix: /a}, ignoreUriCase: true}]", "[{uri: {prefix: /a}}]"),
        ("[{sourceLabels: {app: web}}]", "[{sourceLabels: {app: web, version: v1}}]"),
        ("[{gateways: [in, mesh]}]", "[{gateways: [in]}]"),
        ("[{queryParams: {q: {prefix: a}}}]", "[{queryParams: {q: {exact: ab}}}]"),
        ("[{withoutHeaders: {x: {}}}]", "[{withoutHeaders: {x: {}, y: {}}}]"),
    ] {
        let found = told(&[first, second]);
        assert_eq!(
            found,
            ["spec.http[1].match[0]: http[0].match[0] before it takes all such requests"],
            "{first} {second}"
        );
    }
}

#[test]
fn a_match_that_something_gets_past_is_not_told() {
    for (first, second) in [
        ("[{uri: {prefix: /a/b}}]", "[{uri: {prefix: /a}}]"),
        ("[{uri: {exact: /a}}]", "[{uri: {prefix: /a}}]"),
        ("[{uri: {prefix: /a}, headers: {x: {exact: b}}}]", "[{uri: {prefix: /a}}]"),
        ("[{headers: {x: {exact: b}}}]", "[{headers: {x: {}}}]"),
        ("[{uri: {prefix: /a}}]", "[{uri: {prefix: /A}, ignoreUriCase: true}]"),
        ("[{uri: {regex: 'a.*'}}]", "[{uri: {exact: ab}}]"),
        ("[{port: 80}]", "[{port: 81}]"),
        ("[{gateways: [in]}]", "[{uri: {prefix: /}}]"),
        ("[{sourceNamespace: a}]", "[{sourceNamespace: b}]"),
        ("[{withoutHeaders: {x: {}}}]", "[{uri: {exact: /a}}]"),
    ] {
        assert_eq!(told(&[first, second]), [""; 0], "{first} {second}");
    }
}

#[test]
fn of_alternatives_only_the_covered_one_is_told() {
    let found = told(&["[{port: 80}, {uri: {prefix: /a}}]", "[{uri: {exact: /b}}, {uri: {exact: /a/b}}]"]);
    assert_eq!(found, ["spec.http[1].match[1]: http[0].match[1] before it takes all such requests"]);
}

#[test]
fn what_stands_behind_a_rule_for_everything_is_told_once() {
    let found = told(&["[{port: 80}]", "[{uri: {prefix: /}}]", "[{port: 80}]"]);
    assert_eq!(found, ["spec.http[2]: http[1] before it takes every request"]);
}

#[test]
fn alternatives_of_one_rule_may_cover_each_other() {
    assert_eq!(told(&["[{uri: {prefix: /a}}, {uri: {prefix: /a/b}}]"]), [""; 0]);
}

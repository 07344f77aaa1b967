//! Tests of merging and of who sees what.

use api::{Kind, ObjectKey};
use model::Labels;
use model::mesh::{Client, MergedRule};

use super::*;

fn rule(namespace: &str, name: &str, creation: i64, spec: serde_json::Value) -> Ref<Config<DestinationRule>> {
    let key = ObjectKey { kind: Kind::DestinationRule, namespace: namespace.into(), name: name.into() };
    Ref::new(Config {
        source: api::ObjectRef { key, generation: 1 },
        made: None,
        creation: Some(creation),
        labels: Labels::new(),
        annotations: Labels::new(),
        spec: serde_json::from_value(spec).expect("a rule"),
    })
}

/// The section of all rules, and what is wrong with them.
fn build(rules: &[Ref<Config<DestinationRule>>]) -> (DestinationRules, Vec<Problem>) {
    build_with(rules, &Settings::default())
}

fn build_with(
    rules: &[Ref<Config<DestinationRule>>],
    settings: &Settings,
) -> (DestinationRules, Vec<Problem>) {
    let ids: Vec<Id> = rules.iter().map(|r| (r.namespace().clone(), r.name().clone())).collect();
    let mut section = DestinationRules::default();
    let objects = ids.iter().zip(rules.iter().map(Some));
    let problems = Known::default().update(&mut section, objects, settings);
    (section, problems.into_values().flatten().collect())
}

fn section(rules: &[Ref<Config<DestinationRule>>]) -> DestinationRules {
    build(rules).0
}

fn found<'a>(section: &'a DestinationRules, client: &str, labels: &Labels) -> Option<&'a Ref<MergedRule>> {
    let client = Client { namespace: client, labels };
    section.lookup(client, "a.shop.svc.cluster.local", "shop", "istio-system")
}

fn names(rule: Option<&Ref<MergedRule>>) -> Vec<String> {
    rule.into_iter().flat_map(|r| &r.from).map(|f| f.key.name.to_string()).collect()
}

#[test]
fn rules_of_one_host_become_one_and_the_oldest_policy_wins() {
    let subset = |name: &str| serde_json::json!({"name": name});
    let rules = [
        rule(
            "shop",
            "late",
            3,
            serde_json::json!({"host": "a", "subsets": [subset("v1"), subset("v2")],
            "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}),
        ),
        rule("shop", "early", 1, serde_json::json!({"host": "a", "subsets": [subset("v1")]})),
        rule(
            "shop",
            "middle",
            2,
            serde_json::json!({"host": "a.shop.svc.cluster.local",
            "trafficPolicy": {"tls": {"mode": "DISABLE"}}}),
        ),
    ];
    let (section, problems) = build(&rules);
    let merged = found(&section, "web", &Labels::new());
    assert_eq!(names(merged), ["early", "middle", "late"]);
    let spec = &merged.expect("a rule").rule.spec;
    assert_eq!(spec.subsets.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["v1", "v2"]);
    let mode = spec.traffic_policy.as_ref().and_then(|p| p.tls.as_ref()).map(|t| t.mode);
    assert_eq!(mode, Some(api::istio::ClientTlsMode::Disable));
    assert_eq!(problems.len(), 1, "one word about the repeated subset");
}

#[test]
fn rules_of_different_export_stay_apart() {
    let rules = [
        rule("shop", "open", 1, serde_json::json!({"host": "a"})),
        rule("shop", "own", 2, serde_json::json!({"host": "a", "exportTo": ["."]})),
    ];
    let section = section(&rules);
    assert_eq!(names(found(&section, "shop", &Labels::new())), ["own"]);
    assert_eq!(names(found(&section, "web", &Labels::new())), ["open"]);
}

#[test]
fn a_selector_limits_a_rule_to_clients_of_its_namespace() {
    let rules = [
        rule(
            "shop",
            "chosen",
            2,
            serde_json::json!({"host": "a",
            "workloadSelector": {"matchLabels": {"app": "web"}}}),
        ),
        rule("shop", "general", 1, serde_json::json!({"host": "a"})),
    ];
    let section = section(&rules);
    let web = Labels::from([("app".to_owned(), "web".to_owned())]);
    assert_eq!(names(found(&section, "shop", &web)), ["chosen"]);
    assert_eq!(names(found(&section, "shop", &Labels::new())), ["general"]);
    assert_eq!(names(found(&section, "web", &web)), ["general"]);
}

#[test]
fn the_first_level_with_a_match_ends_the_search() {
    let rules = [
        rule("web", "wide", 2, serde_json::json!({"host": "*.svc.cluster.local"})),
        rule("shop", "exact", 1, serde_json::json!({"host": "a"})),
        rule("istio-system", "root", 1, serde_json::json!({"host": "*.cluster.local"})),
    ];
    let section_of_root = section(&rules[2..]);
    let section = section(&rules);
    let labels = Labels::new();
    assert_eq!(names(found(&section, "web", &labels)), ["wide"]);
    assert_eq!(names(found(&section, "other", &labels)), ["exact"]);
    assert_eq!(names(found(&section_of_root, "other", &labels)), ["root"]);
}

#[test]
fn a_rule_exported_to_nobody_or_without_host_applies_to_nothing() {
    let rules = [
        rule("shop", "hidden", 1, serde_json::json!({"host": "a", "exportTo": ["~"]})),
        rule("shop", "hostless", 1, serde_json::json!({})),
    ];
    let (section, problems) = build(&rules);
    assert_eq!(section.all().count(), 0);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].field, "spec.host");
}

/// The clients among three namespaces that a rule without `exportTo` of a namespace applies to.
fn applied(owner: &str, default: &[&str]) -> Vec<&'static str> {
    let mut settings = Settings::default();
    let mut mesh = (*settings.mesh).clone();
    mesh.default_destination_rule_export_to = default.iter().map(|word| (*word).to_owned()).collect();
    settings.mesh = Ref::new(mesh);
    let host = serde_json::json!({"host": "a.shop.svc.cluster.local"});
    let (section, _) = build_with(&[rule(owner, "r", 1, host)], &settings);
    let clients = ["shop", "web", "istio-system"];
    clients.into_iter().filter(|client| found(&section, client, &Labels::new()).is_some()).collect()
}

#[test]
fn of_a_default_only_the_word_for_the_own_namespace_counts() {
    let all = ["shop", "web", "istio-system"];
    assert_eq!(applied("shop", &["*"]), all);
    assert_eq!(applied("shop", &["."]), ["shop"]);
    assert_eq!(applied("shop", &[".", "*"]), ["shop"], "the narrower word wins");
    assert_eq!(applied("shop", &[".", "web"]), ["shop"]);
    assert_eq!(applied("shop", &["web"]), all, "names of namespaces do not count");
    assert_eq!(applied("shop", &["~"]), all);
    assert_eq!(applied("istio-system", &[".", "*"]), ["istio-system"]);
}

#[test]
fn beside_other_namespaces_the_own_one_is_only_looked_at_first() {
    let seen = |owner: &str, export_to: serde_json::Value| {
        let spec = serde_json::json!({"host": "a.shop.svc.cluster.local", "exportTo": export_to});
        let section = section(&[rule(owner, "r", 1, spec)]);
        let clients = ["shop", "web", "istio-system"];
        let sees = |client: &&str| found(&section, client, &Labels::new()).is_some();
        clients.into_iter().filter(sees).collect::<Vec<_>>()
    };
    assert_eq!(seen("shop", serde_json::json!([".", "web"])), ["shop", "web"]);
    assert_eq!(seen("istio-system", serde_json::json!([".", "web"])), ["web"]);
    assert_eq!(seen("istio-system", serde_json::json!(["istio-system", "web"])), ["web", "istio-system"]);
}

//! Tests of authorization: matchers by wildcard and protocol, and that what cannot be said makes policies stricter.

use api::istio::{AuthorizationAction, AuthorizationPolicy};
use api::{Kind, ObjectKey, ObjectRef};
use envoy::config::rbac::v3::{Policy, Principal, principal::Identifier};
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use model::Config;

use super::attribute::Attribute;
use super::operation::What;
use super::rule::{Carries, Translator};
use super::source::Who;
use super::*;

/// A policy from the JSON of its spec.
fn policy(spec: serde_json::Value) -> Config<AuthorizationPolicy> {
    let key = ObjectKey { kind: Kind::AuthorizationPolicy, namespace: "shop".into(), name: "p".into() };
    Config {
        source: ObjectRef { key, generation: 1 },
        made: None,
        creation: None,
        labels: Default::default(),
        annotations: Default::default(),
        spec: serde_json::from_value(spec).unwrap(),
    }
}

/// The rules of a policy that are left, and the fields of its problems.
fn rules(action: &str, rules: serde_json::Value, carries: Carries) -> (Vec<(usize, Policy)>, Vec<String>) {
    let policy = policy(serde_json::json!({"action": action, "rules": rules}));
    let trust_domains = ["cluster.local".to_owned(), "old-td".to_owned()];
    let mut translator =
        Translator { policy: &policy, carries, trust_domains: &trust_domains, problems: Vec::new() };
    let all = policy.spec.rules.iter().enumerate();
    let left = all.filter_map(|(n, rule)| Some((n, translator.rule(n, rule)?))).collect();
    (left, translator.problems.into_iter().map(|p| p.field).collect())
}

fn identity(who: &Who, value: &str) -> MatchPattern {
    let Principal { identifier: Some(Identifier::Authenticated(name)) } = who.matcher(value).unwrap() else {
        panic!("not an identity");
    };
    name.principal_name.unwrap().match_pattern.unwrap()
}

fn regex(pattern: MatchPattern) -> String {
    let MatchPattern::SafeRegex(regex) = pattern else { panic!("no regular expression: {pattern:?}") };
    regex.regex
}

#[test]
fn ends_of_principals_are_regular_expressions_of_the_whole_name() {
    // CVE-2020-16844: a suffix never matched on TCP.
    assert_eq!(regex(identity(&Who::Principal, "*/sa/a.b")), r"spiffe://.*/sa/a\.b");
    assert_eq!(regex(identity(&Who::Principal, "*")), ".+");
    assert_eq!(identity(&Who::Principal, "td/ns/*"), MatchPattern::Prefix("spiffe://td/ns/".to_owned()));
    assert_eq!(
        identity(&Who::Principal, "td/ns/a/sa/b"),
        MatchPattern::Exact("spiffe://td/ns/a/sa/b".to_owned())
    );
}

#[test]
fn what_users_write_is_quoted_in_regular_expressions() {
    // CVE-2026-39350: a dot of a name stood for any character.
    let account = Who::ServiceAccount { namespace: "s.n".to_owned() };
    assert_eq!(regex(identity(&account, "a.b")), r"spiffe://.+/ns/s\.n/(.+/|)sa/a\.b(/.+)?");
    assert_eq!(regex(identity(&Who::Namespace, "a.*-b*")), r".*/ns/a\..*-b.*/.*");
    assert_eq!(regex(identity(&Who::TrustDomain, "a.*.b")), r"spiffe://a\.[^/]*\.b/.*");
    assert_eq!(identity(&Who::TrustDomain, "*"), MatchPattern::Prefix("spiffe://".to_owned()));
    assert_eq!(identity(&Who::TrustDomain, "a.b"), MatchPattern::Prefix("spiffe://a.b/".to_owned()));
    assert!(Who::TrustDomain.matcher("a*b*").is_err());
    for wrong in ["a/b/c", "a*", "", "/a", "a/"] {
        assert!(account.matcher(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn hosts_match_in_any_case_and_paths_without_queries() {
    // CVE-2021-39155, CVE-2020-8595.
    let host = format!("{:?}", What::Host.matcher("*.shop").unwrap());
    assert!(host.contains("ignore_case: true") && host.contains(":authority"), "{host}");
    let method = format!("{:?}", What::Method.matcher("GET").unwrap());
    assert!(method.contains("ignore_case: false") && method.contains(":method"), "{method}");
    let path = format!("{:?}", What::Path.matcher("/a").unwrap());
    assert!(path.contains("UrlPath") && !path.contains(":path"), "{path}");
}

#[test]
fn templates_that_envoy_refuses_are_refused_here() {
    for right in ["/{*}", "/a/{*}/b", "/a/{**}", "/{*}/{**}/", "/{**}/end"] {
        assert!(What::Path.matcher(right).is_ok(), "{right}");
    }
    for wrong in ["a/{*}", "/a{*}", "/{**}/{*}", "/a//{*}", "/{*}=", "/{x}/{*}", "/{*}.js"] {
        assert!(What::Path.matcher(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn ports_are_digits() {
    assert!(What::Port.matcher("8080").is_ok());
    for wrong in ["+80", "65536", "http", ""] {
        assert!(What::Port.matcher(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_rule_that_allows_is_left_out_whole_and_one_that_denies_is_widened() {
    let wrong = serde_json::json!([
        {"to": [{"operation": {"ports": ["80", "http"], "methods": ["GET"]}}]},
        {"when": [{"key": "request.unknown", "values": ["a"]}]},
        {"from": [{"source": {"ipBlocks": ["10.0.0.0/64"]}}]},
        {"from": [{"source": {}}]},
        {"when": [{"key": "source.ip"}]},
        {"when": [{"key": "request.auth.claims[]", "values": ["a"]}]},
        {"when": [{"key": "request.headers[]", "values": ["a"]}]},
    ]);
    let (allowed, problems) = rules("ALLOW", wrong.clone(), Carries::Http);
    assert_eq!((allowed.len(), problems.len()), (0, 7), "{problems:?}");
    assert_eq!(problems[0], "spec.rules[0].to[0].operation.ports[1]");
    assert_eq!(problems[1], "spec.rules[1].when[0].key");
    for action in ["DENY", "AUDIT", "CUSTOM"] {
        let (left, problems) = rules(action, wrong.clone(), Carries::Http);
        assert_eq!((left.len(), problems.len()), (7, 7));
        let first = format!("{:?}", left[0].1);
        assert!(first.contains("GET") && !first.contains("DestinationPort"), "{first}");
        for (_, rule) in &left[1..] {
            let text = format!("{rule:?}");
            assert!(!text.contains("Authenticated") && text.contains("Any(true)"), "{text}");
        }
    }
}

#[test]
fn a_wrong_value_that_is_excluded_excludes_nothing_more() {
    let rule = serde_json::json!([{"from": [{"source": {"notIpBlocks": ["10.0.0.0/8", "x"]}}]}]);
    let (left, _) = rules("DENY", rule, Carries::Http);
    let text = format!("{:?}", left[0].1);
    assert!(text.contains("NotId") && text.contains("10.0.0.0"), "{text}");
}

#[test]
fn on_bytes_fields_of_http_are_not_known() {
    // CVE-2019-12243: every action has rules for connections that carry no HTTP.
    let mixed = serde_json::json!([
        {"to": [{"operation": {"ports": ["80"], "paths": ["/a"]}}]},
        {"to": [{"operation": {"notHosts": ["a"]}}]},
        {"when": [{"key": "request.headers[x]", "values": ["a"]}]},
        {"from": [{"source": {"requestPrincipals": ["*"]}}]},
        {"from": [{"source": {"principals": ["*"]}}]},
    ]);
    let (allowed, problems) = rules("ALLOW", mixed.clone(), Carries::Bytes);
    assert_eq!(allowed.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [4]);
    assert!(problems.is_empty());
    for action in ["DENY", "AUDIT", "CUSTOM"] {
        let (left, _) = rules(action, mixed.clone(), Carries::Bytes);
        assert_eq!(left.len(), 5);
        let first = format!("{:?}", left[0].1);
        assert!(first.contains("DestinationPort(80)") && !first.contains("/a"), "{first}");
    }
}

#[test]
fn identities_of_the_mesh_stand_for_all_its_trust_domains() {
    let spelt = |value: &str, known: &[&str]| {
        let known: Vec<String> = known.iter().map(|td| (*td).to_owned()).collect();
        aliases::of_principals(&[value.to_owned()], &known)
    };
    let both = ["new/ns/a/sa/b", "old/ns/a/sa/b"];
    assert_eq!(spelt("new/ns/a/sa/b", &["new", "old"]), both);
    assert_eq!(spelt("cluster.local/ns/a/sa/b", &["new", "old"]), both);
    assert_eq!(spelt("other/ns/a/sa/b", &["new", "old"]), ["other/ns/a/sa/b"]);
    assert_eq!(spelt("*/ns/a/sa/b", &["new", "old"]), ["*/ns/a/sa/b"]);
    assert_eq!(spelt("*-td/ns/a/sa/b", &["new-td", "old-td"]), ["*-td/ns/a/sa/b"]);
    assert_eq!(spelt("new/sa/b", &["new", "old"]), ["new/sa/b"]);
    let domains = |values: &[&str]| {
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        aliases::of_trust_domains(&values, &["new".to_owned(), "old".to_owned()])
    };
    assert_eq!(domains(&["old", "x"]), ["new", "old", "x"]);
    assert_eq!(domains(&["cluster.local"]), ["cluster.local"]);
}

#[test]
fn claims_are_paths() {
    let path = |text: &str| claims::path(text).ok();
    let names = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    assert_eq!(path("[a][b]"), names(&["a", "b"]));
    assert_eq!(path("[https://a/[b]]"), names(&["https://a/[b]"]));
    for wrong in ["", "a", "[]", "[a][]", "[a"] {
        assert_eq!(path(wrong), None, "{wrong}");
    }
}

#[test]
fn token_identities_are_parted_at_the_last_slash() {
    let said = |value: &str| {
        let text = format!("{:?}", claims::principal_of(value));
        let (issuer, subject) = text.split_once("\"sub\"").unwrap();
        let found = |part: &str| {
            ["Exact", "Prefix", "Suffix", "SafeRegex"]
                .iter()
                .find(|k| part.contains(**k))
                .unwrap()
                .to_string()
        };
        (found(issuer), found(subject))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(said("https://id.example/x"), pair("Exact", "Exact"));
    assert_eq!(said("issuer"), pair("Exact", "Exact"));
    assert_eq!(said("*"), pair("SafeRegex", "SafeRegex"));
    assert_eq!(said("*s"), pair("SafeRegex", "Suffix"));
    assert_eq!(said("p*"), pair("Prefix", "SafeRegex"));
    assert_eq!(said("iss/*"), pair("Exact", "SafeRegex"));
    assert_eq!(said("iss/p*"), pair("Exact", "Prefix"));
    assert_eq!(said("*/sub"), pair("SafeRegex", "Exact"));
    assert_eq!(said("*x/sub"), pair("Suffix", "Exact"));
}

/// Filters of policies without a mesh around them.
fn filters(policies: Vec<Config<AuthorizationPolicy>>, authorizers: Vec<Authorizer>) -> Filters {
    let policies = policies.into_iter().map(Ref::new).collect();
    Policies { policies, authorizers, trust_domains: vec!["cluster.local".to_owned()] }.filters()
}

#[test]
fn policies_that_are_tried_out_enforce_nothing() {
    let mut tried = policy(serde_json::json!({"rules": [{}]}));
    tried.annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
    let made = filters(vec![tried.clone()], Vec::new());
    assert_eq!((made.http.rules.len(), made.tcp.len(), made.problems.len()), (1, 1, 0));
    let config = |filters: &Filters| {
        use envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
        let Some(ConfigType::TypedConfig(any)) = filters.http.rules[0].config_type.clone() else {
            panic!("no configuration")
        };
        envoy::extensions::filters::http::rbac::v3::Rbac::decode(&*any.value).unwrap()
    };
    use envoy::Message;
    assert!(config(&made).rules.is_none() && config(&made).shadow_rules.is_some());
    // What says neither is enforced.
    tried.annotations.insert("istio.io/dry-run".to_owned(), "yes".to_owned());
    let made = filters(vec![tried], Vec::new());
    assert!(config(&made).rules.is_some() && config(&made).shadow_rules.is_none());
    assert_eq!(made.problems.len(), 1);
}

#[test]
fn an_authorizer_that_cannot_be_asked_denies() {
    let custom = policy(serde_json::json!({
        "action": "CUSTOM", "provider": {"name": "gone"}, "rules": [{"to": [{"operation": {"ports": ["80"]}}]}],
    }));
    let gone = Authorizer { name: "gone".to_owned(), asked: Err("it is gone".to_owned()) };
    let made = filters(vec![custom], vec![gone]);
    assert_eq!((made.http.authorizers.len(), made.tcp.len()), (1, 1));
    let filter = format!("{:?}", made.tcp[0]);
    assert!(filter.contains("envoy.filters.network.rbac"), "{filter}");
    assert_eq!(made.problems.len(), 1);
    assert_eq!(made.problems[0].field, "spec.provider.name");
}

#[test]
fn providers_whose_values_envoy_refuses_cannot_be_asked() {
    let http = |provider: serde_json::Value| {
        let protocol = Protocol::Http(Box::new(serde_json::from_value(provider).unwrap()));
        ext_authz::Asking::of(&Asked { host: "a.b".into(), protocol }).is_ok()
    };
    assert!(http(serde_json::json!({"port": 80})));
    for wrong in [
        serde_json::json!({"port": 0}),
        serde_json::json!({"port": 80, "statusOnError": "42"}),
        serde_json::json!({"port": 80, "statusOnError": "0"}),
        serde_json::json!({"port": 80, "pathPrefix": "x"}),
        serde_json::json!({"port": 80, "headersToUpstreamOnAllow": ["*"]}),
        serde_json::json!({"port": 80, "includeRequestBodyInCheck": {}}),
        serde_json::json!({"port": 80, "includeAdditionalHeadersInCheck": {"a": "b\r\nc: d"}}),
    ] {
        assert!(!http(wrong.clone()), "{wrong}");
    }
}

#[test]
fn the_name_of_an_authorizer_may_begin_that_of_another() {
    let named = |name: &str| {
        let protocol =
            Protocol::Grpc(Box::new(serde_json::from_value(serde_json::json!({"port": 80})).unwrap()));
        Authorizer { name: name.to_owned(), asked: Ok(Asked { host: "a.b".into(), protocol }) }
    };
    let of = |name: &str| {
        policy(serde_json::json!({"action": "CUSTOM", "provider": {"name": name}, "rules": [{}]}))
    };
    let made = filters(vec![of("a"), of("a-b")], vec![named("a"), named("a-b")]);
    let text = format!("{:?}", made.tcp[1]);
    assert!(text.contains("istio-ext-authz-a-ns["), "{text}");
    assert!(!format!("{:?}", made.tcp[3]).contains("istio-ext-authz-a-b-ns["));
    assert_eq!(of("a").spec.action, AuthorizationAction::Custom);
}

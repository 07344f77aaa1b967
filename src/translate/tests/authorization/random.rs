//! AuthorizationPolicies at random: what the call simulator makes of the filters that are sent is what a direct reading of
//! the policies says.

use std::net::IpAddr;

use model::Proxy;
use model::endpoint::Locality;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};
use store::Options;
use testkit::mesh::tables;
use testkit::simulator::{Authorizer, Call, ClientTls, Outcome, Request, Resources, simulate};

use super::reading::{self, Asking, Peer, Verdict};
use super::{Result, SHOP};

/// Lists of a source with values that often meet those of requests.
const SOURCE: &[(&str, &[&str])] = &[
    (
        "principals",
        &[
            "cluster.local/ns/shop/sa/a",
            "cluster.local/ns/bank/*",
            "*/sa/b",
            "*",
            "*/sa/a.b",
            "other/ns/shop/sa/a",
        ],
    ),
    ("namespaces", &["shop", "ba*", "*k", "s*p", "other", "*", "sh.p"]),
    ("trustDomains", &["cluster.local", "oth*", "*er", "*", "o*r"]),
    ("ipBlocks", &["192.0.2.1", "192.0.2.0/24", "10.0.0.0/8", "0.0.0.0/0"]),
    ("remoteIpBlocks", &["192.0.2.1", "192.0.2.0/30", "203.0.113.0/24"]),
];
/// The same of what CUSTOM may look at.
const SOURCE_OF_CUSTOM: &[(&str, &[&str])] = &[("ipBlocks", &["192.0.2.1", "10.0.0.0/8"])];
const OPERATION: &[(&str, &[&str])] = &[
    ("hosts", &["web", "WEB", "web.*", "*.example", "*", "web:80"]),
    ("methods", &["GET", "P*", "*T", "*", "get"]),
    ("paths", &["/a", "/a*", "*/b", "*", "/a/{*}", "/{**}", "/a/{*}/b", "/A"]),
    ("ports", &["8080", "7000", "80"]),
];
const CONDITIONS: &[(&str, &[&str])] = &[
    ("request.headers[x-a]", &["1", "1*", "*2", "*"]),
    ("destination.port", &["8080", "7000"]),
    ("destination.ip", &["10.1.0.1", "10.2.0.0/16"]),
    ("source.ip", &["192.0.2.0/24", "10.0.0.1"]),
    ("connection.sni", &["sni.example", "*.example", "*"]),
];
const CONDITIONS_ON_IDENTITIES: &[(&str, &[&str])] = &[
    ("source.namespace", &["shop", "b*"]),
    ("source.principal", &["*/sa/a", "cluster.local/ns/shop/sa/b"]),
    ("source.trustDomain", &["cluster.local", "o*"]),
];

fn not(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("not{}{rest}", first.to_uppercase())
}

/// Some members of some lists and of their opposites.
fn lists(of: &'static [(&'static str, &'static [&'static str])]) -> impl Strategy<Value = Value> {
    let list = |(name, values): (&'static str, &'static [&'static str])| {
        (subsequence(values.to_vec(), 1..=2), any::<bool>()).prop_map(move |(values, positive)| {
            (if positive { name.to_owned() } else { not(name) }, json!(values))
        })
    };
    subsequence(of.to_vec(), 1..=of.len().min(2))
        .prop_flat_map(move |chosen| chosen.into_iter().map(list).collect::<Vec<_>>())
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

fn conditions(of: Vec<(&'static str, &'static [&'static str])>) -> impl Strategy<Value = Vec<Value>> {
    let condition = select(of).prop_flat_map(|(key, values)| {
        (subsequence(values.to_vec(), 1..=2), any::<bool>()).prop_map(move |(values, positive)| {
                json!({"key": key, (if positive { "values" } else { "notValues" }): values})
            })
    });
    prop::collection::vec(condition, 0..=1)
}

fn rule(custom: bool) -> impl Strategy<Value = Value> {
    let source = lists(if custom { SOURCE_OF_CUSTOM } else { SOURCE });
    let known = CONDITIONS.iter().chain(if custom { &[] } else { CONDITIONS_ON_IDENTITIES });
    let from = prop::collection::vec(source.prop_map(|source| json!({"source": source})), 0..=2);
    let to = prop::collection::vec(lists(OPERATION).prop_map(|o| json!({"operation": o})), 0..=2);
    (from, to, conditions(known.copied().collect())).prop_map(|(from, to, when)| {
        let mut rule = Map::new();
        for (name, members) in [("from", from), ("to", to), ("when", when)] {
            if !members.is_empty() {
                rule.insert(name.to_owned(), members.into());
            }
        }
        rule.into()
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let action = select(vec!["ALLOW", "ALLOW", "DENY", "CUSTOM", "AUDIT"]);
    action.prop_flat_map(|action| {
        let least = usize::from(matches!(action, "DENY" | "CUSTOM"));
        (prop::collection::vec(rule(action == "CUSTOM"), least..=2), any::<[bool; 3]>()).prop_map(
            move |(rules, tried)| {
                let mut policy = json!({"spec": {"action": action, "rules": rules}});
                if action == "CUSTOM" {
                    policy["spec"]["provider"] = json!({"name": "guard"});
                } else if action != "AUDIT" && tried == [true; 3] {
                    policy["metadata"] = json!({"annotations": {"istio.io/dry-run": "true"}});
                }
                policy
            },
        )
    })
}

fn asking() -> impl Strategy<Value = Asking> {
    let identity = select(vec![
        None,
        Some("cluster.local/ns/shop/sa/a"),
        Some("cluster.local/ns/bank/sa/b"),
        Some("other/ns/shop/sa/a"),
        Some("cluster.local/ns/shop/sa/axb"),
    ]);
    let connection =
        (identity, select(vec!["192.0.2.1", "192.0.2.9", "10.0.0.1"]), select(vec!["", "sni.example"]));
    let request = (
        any::<bool>(),
        select(vec!["GET", "POST", "PUT"]),
        select(vec!["web", "Web", "web.shop", "a.example", "web:80"]),
        select(vec!["/", "/a", "/a/b", "/a/b/b", "/ab", "/b?/a", "/a?x=1"]),
        select(vec![None, Some("1"), Some("12"), Some("")]),
        select(vec![None, Some("203.0.113.7"), Some("203.0.113.7, 192.0.2.2")]),
    );
    let authorizer = select(vec![Authorizer::Allows, Authorizer::Denies(403), Authorizer::Away]);
    (connection, request, authorizer).prop_map(
        |((identity, source, sni), (http, method, host, path, header, forwarded), authorizer)| Asking {
            peer: Peer {
                identity: identity.map(str::to_owned),
                address: source.parse::<IpAddr>().expect("an address"),
                // Without TLS there is no server name.
                sni: if identity.is_some() { sni } else { "" }.to_owned(),
            },
            request: http.then(|| {
                let request = Request { method: method.to_owned(), ..Request::get(host, path) };
                let headers = [("x-a", header), ("x-forwarded-for", forwarded)];
                let said = headers.into_iter().filter_map(|(name, value)| Some((name, value?)));
                said.fold(request, |request, (name, value)| request.header(name, value))
            }),
            authorizer,
        },
    )
}

/// The filters of the workload under some policies.
fn sent(policies: &[Value]) -> Result<Resources> {
    let mut streams = vec![SHOP.to_owned()];
    for (number, policy) in policies.iter().enumerate() {
        let mut document = policy.clone();
        document["apiVersion"] = json!("security.istio.io/v1");
        document["kind"] = json!("AuthorizationPolicy");
        document["metadata"]["name"] = json!(format!("p{number}"));
        document["metadata"]["namespace"] = json!("shop");
        streams.push(document.to_string());
    }
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    let mesh = tables(Options::default(), &streams)?.next_mesh().mesh;
    let id = "sidecar~10.1.0.1~web.shop~shop.svc.cluster.local";
    let proxy = Proxy::parse(id, &json!({"LABELS": {"app": "web"}}), Locality::default())?;
    Ok(Resources::sent(&mesh, &proxy)?)
}

/// What the simulator makes of it.
fn simulated(resources: &Resources, asking: &Asking) -> Result<Verdict> {
    let to = if asking.request.is_some() { "10.1.0.1:8080" } else { "10.1.0.1:7000" };
    let mut call = match &asking.request {
        Some(request) => Call::inbound(to.parse()?, request.clone()),
        None => Call::inbound(to.parse()?, b"hello".as_slice()),
    };
    call.authorizer = asking.authorizer;
    call = call.from(asking.peer.address);
    if let Some(identity) = &asking.peer.identity {
        call = call.over(ClientTls {
            sni: Some(asking.peer.sni.clone()).filter(|sni| !sni.is_empty()),
            alpn: vec!["istio".to_owned()],
            certificate: Some(vec![format!("spiffe://{identity}")]),
        });
    }
    let answer = simulate(resources, &call)?;
    match answer.only().ok_or("shares decide")? {
        Outcome::Forwarded(_) => Ok(Verdict::Passes),
        Outcome::Replied(reply) if reply.status == 403 => Ok(Verdict::Refused),
        Outcome::Closed(why) if why.starts_with("refused by ") => Ok(Verdict::Refused),
        other => Err(format!("{other:?}").into()),
    }
}

proptest! {
    // The same cases in every run; the variables PROPTEST_CASES and PROPTEST_RNG_SEED ask for more and for others.
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// ALLOW, DENY and CUSTOM with their precedence; on ports of TCP too, where nothing is known of HTTP.
    #[test]
    fn what_is_sent_decides_as_the_policies_read(
        policies in prop::collection::vec(policy(), 0..4),
        askings in prop::collection::vec(asking(), 1..12),
    ) {
        let resources = sent(&policies).expect("resources");
        for asking in askings {
            let wanted = reading::verdict(&policies, &asking);
            let given = simulated(&resources, &asking).expect("an answer");
            prop_assert_eq!(given, wanted, "{:?} under {:#}", asking, json!(policies));
        }
    }
}

/// The askings that are drawn meet the policies that are drawn: each verdict is there, by each action.
#[test]
fn chance_draws_what_matters() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let config = ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..2_000 {
        let policy = policy().new_tree(&mut runner).expect("a policy").current();
        let asking = asking().new_tree(&mut runner).expect("an asking").current();
        let action = policy["spec"]["action"].as_str().expect("an action").to_owned();
        let carries = if asking.request.is_some() { "HTTP" } else { "TCP" };
        let verdict = reading::verdict(std::slice::from_ref(&policy), &asking);
        *seen.entry((action, carries, verdict)).or_insert(0) += 1;
    }
    for action in ["ALLOW", "DENY", "CUSTOM"] {
        for carries in ["HTTP", "TCP"] {
            for verdict in [Verdict::Passes, Verdict::Refused] {
                let times = seen.get(&(action.to_owned(), carries, verdict)).copied().unwrap_or(0);
                assert!(times > 15, "{action} {carries} {verdict:?}: {times} of 2000, {seen:?}");
            }
        }
    }
}

//! Names, visibility, delegates.

use api::istio::{Delegate, HttpMatchRequest, HttpRoute, HttpRouteDestination, StringMatch, VirtualService};
use api::{Kind, ObjectKey, ObjectRef, Problem};
use model::mesh::{RulePlace, Settings, VirtualServices};
use model::{Config, Ref};

use super::Known;
use crate::tables::Id;

/// A section and what is wrong with its objects.
struct Built {
    section: VirtualServices,
    problems: Vec<Problem>,
}

fn build(objects: &[Ref<Config<VirtualService>>]) -> Built {
    build_with(objects, &Settings::default())
}

fn build_with(objects: &[Ref<Config<VirtualService>>], settings: &Settings) -> Built {
    let ids: Vec<Id> = objects.iter().map(|o| (o.namespace().clone(), o.name().clone())).collect();
    let difference = Known::default().update(ids.iter().zip(objects.iter().map(Some)), settings);
    assert_eq!(difference.gone, []);
    let problems = difference.problems.into_iter().flat_map(|(_, problems)| problems).collect();
    Built { section: VirtualServices::new(difference.came), problems }
}

fn object(namespace: &str, name: &str, spec: VirtualService) -> Ref<Config<VirtualService>> {
    let key = ObjectKey { kind: Kind::VirtualService, namespace: namespace.into(), name: name.into() };
    Ref::new(Config {
        source: ObjectRef { key, generation: 1 },
        made: None,
        creation: None,
        labels: Default::default(),
        annotations: Default::default(),
        spec,
    })
}

fn to(host: &str) -> HttpRouteDestination {
    let mut route = HttpRouteDestination::default();
    route.destination.host = host.to_owned();
    route
}

fn prefix(path: &str) -> HttpMatchRequest {
    let uri = StringMatch { prefix: Some(path.to_owned()), ..StringMatch::default() };
    HttpMatchRequest { uri: Some(uri), ..HttpMatchRequest::default() }
}

fn regex(path: &str) -> HttpMatchRequest {
    let uri = StringMatch { regex: Some(path.to_owned()), ..StringMatch::default() };
    HttpMatchRequest { uri: Some(uri), ..HttpMatchRequest::default() }
}

fn root(delegate: &str, namespace: &str) -> VirtualService {
    let delegated = HttpRoute {
        name: "shop".to_owned(),
        r#match: vec![prefix("/shop")],
        delegate: Some(Delegate { name: delegate.to_owned(), namespace: namespace.to_owned() }),
        timeout: Some(api::Duration::from_secs(3)),
        ..HttpRoute::default()
    };
    let rest = HttpRoute { route: vec![to("web")], ..HttpRoute::default() };
    VirtualService { hosts: vec!["web".to_owned()], http: vec![delegated, rest], ..VirtualService::default() }
}

fn delegate(matches: Vec<HttpMatchRequest>) -> VirtualService {
    let rule = HttpRoute {
        name: "cart".to_owned(),
        r#match: matches,
        route: vec![to("cart")],
        ..HttpRoute::default()
    };
    VirtualService { http: vec![rule], ..VirtualService::default() }
}

#[test]
fn a_delegates_rule_is_narrowed_and_inherits() {
    let objects = [
        object("edge", "root", root("parts", "shop")),
        object("shop", "parts", delegate(vec![prefix("/shop/cart"), prefix("/shop/c")])),
    ];
    let built = build(&objects);
    let [entry] = built.section.all() else { panic!("a delegate never stands for itself") };
    let [first, rest] = entry.config.spec.http.as_slice() else { panic!("two rules") };
    assert_eq!(first.name, "shop-cart");
    assert_eq!(first.timeout, Some(api::Duration::from_secs(3)));
    assert_eq!(first.r#match, vec![prefix("/shop/cart"), prefix("/shop/c")]);
    let hosts: Vec<_> =
        [first, rest].iter().flat_map(|r| &r.route).map(|r| r.destination.host.clone()).collect();
    assert_eq!(hosts, ["cart.shop.svc.cluster.local", "web.edge.svc.cluster.local"]);
    assert_eq!(entry.origin(0), (&objects[1].source, RulePlace::Rule(0)));
    assert_eq!(entry.origin(1), (&objects[0].source, RulePlace::Rule(1)));
    assert_eq!(entry.sources().count(), 2);
    assert_eq!(built.problems, []);
}

#[test]
fn a_delegates_rule_that_leaves_the_roots_match_is_left_out_whole() {
    let objects = [
        object("edge", "root", root("parts", "shop")),
        object("shop", "parts", delegate(vec![prefix("/shop/cart"), regex("/shop/.*")])),
    ];
    let built = build(&objects);
    assert_eq!(built.section.all()[0].config.spec.http.len(), 1);
    assert_eq!(built.problems[0].field, "spec.http[0].match");
}

#[test]
fn a_delegate_that_is_not_there_or_not_shown_takes_its_rule_only() {
    let hidden = VirtualService { export_to: vec![".".to_owned()], ..delegate(Vec::new()) };
    for delegates in [Vec::new(), vec![object("shop", "parts", hidden)]] {
        let mut objects = vec![object("edge", "root", root("parts", "shop"))];
        objects.extend(delegates);
        let built = build(&objects);
        assert_eq!(built.section.all()[0].config.spec.http.len(), 1);
        assert_eq!(built.problems[0].field, "spec.http[0].delegate");
    }
}

#[test]
fn a_clients_own_private_rules_come_before_public_ones() {
    let web = || VirtualService { hosts: vec!["web.edge".to_owned()], ..VirtualService::default() };
    let public = object("edge", "a", web());
    let private = object("shop", "b", VirtualService { export_to: vec![".".to_owned()], ..web() });
    let named = object("edge", "c", VirtualService { export_to: vec!["shop".to_owned()], ..web() });
    let built = build(&[public, private, named]);
    let names = |namespace: &str| -> Vec<String> {
        built.section.visible_to(namespace, None).iter().map(|v| v.config.name().to_string()).collect()
    };
    assert_eq!(names("shop"), ["b", "c", "a"]);
    assert_eq!(names("edge"), ["a"]);
}

#[test]
fn the_owner_of_rules_that_nobody_applies_is_told() {
    let web = || VirtualService {
        hosts: vec!["web".to_owned()],
        http: vec![HttpRoute { route: vec![to("web")], ..HttpRoute::default() }],
        ..VirtualService::default()
    };
    let gateway = VirtualService { gateways: vec!["edge".to_owned()], ..web() };
    let private = VirtualService { export_to: vec![".".to_owned()], ..web() };
    let objects = [
        object("shop", "a", web()),
        object("shop", "b", web()),
        object("shop", "c", gateway),
        object("shop", "d", private),
    ];
    let built = build(&objects);
    let told: Vec<_> = built.problems.iter().map(|p| (&*p.object.name, p.field.as_str())).collect();
    assert_eq!(told, [("b", "spec.hosts[0]")]);
    assert!(built.problems[0].message.contains("shop/a"));
}

#[test]
fn a_default_of_several_words_counts_for_rules_and_delegates() {
    let seen = |default: &[&str]| {
        let mut settings = Settings::default();
        let mut mesh = (*settings.mesh).clone();
        mesh.default_virtual_service_export_to = default.iter().map(|word| (*word).to_owned()).collect();
        settings.mesh = Ref::new(mesh);
        let objects =
            [object("shop", "root", root("parts", "shop")), object("shop", "parts", delegate(Vec::new()))];
        let built = build_with(&objects, &settings);
        let rules = built.section.all()[0].config.spec.http.len();
        let to = |client: &str| !built.section.visible_to(client, None).is_empty();
        (rules, to("shop"), to("edge"))
    };
    assert_eq!(seen(&[".", "*"]), (2, true, true));
    assert_eq!(seen(&["."]), (2, true, false));
    assert_eq!(seen(&[".", "~"]), (2, false, false), "a delegate is shown to those that are named");
    assert_eq!(seen(&["~"]), (1, false, false));
}

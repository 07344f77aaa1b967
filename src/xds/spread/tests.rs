//! Counts over proxies that share layers, are behind, and refuse.

use api::Kind;
use bytes::Bytes;

use super::*;
use crate::kind::ResourceType::{Cluster, Route};

fn object(name: &str, generation: i64) -> ObjectRef {
    let key = ObjectKey { kind: Kind::VirtualService, namespace: "shop".into(), name: name.into() };
    ObjectRef { key, generation }
}

/// A resource that is made of these objects.
fn resource(kind: ResourceType, name: &str, sources: &[ObjectRef]) -> Arc<Encoded> {
    let mut resource = Encoded::whole(kind, name, Bytes::from(name.to_owned()));
    resource.sources = sources.into();
    Arc::new(resource)
}

fn layer(kind: ResourceType, entries: &[(&str, &[ObjectRef])], hidden: &[&str]) -> Arc<Layer> {
    let entries = entries.iter().map(|(name, sources)| resource(kind, name, sources));
    Arc::new(Layer::new(kind, entries, hidden.iter().map(|name| Arc::from(*name))))
}

fn proxy(name: &str, layers: &[Arc<Layer>], standing: Standing) -> Connected {
    let kinds = [Cluster, Route];
    let sets = kinds.map(|kind| {
        let of_kind = layers.iter().filter(|layer| layer.kind() == kind).cloned();
        Set::new(kind, of_kind, Default::default())
    });
    let standings = vec![(Cluster, standing), (Route, Standing::default())];
    Connected { name: name.to_owned(), sets: ProxySets::from_sets(sets, 1), standings }
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn counted(proxies: &[Connected]) -> BTreeMap<String, (usize, usize, usize)> {
    let spreads = spread(proxies, |_| true);
    spreads.into_iter().map(|(key, s)| (key.name.to_string(), (s.needed, s.accepted, s.refused))).collect()
}

/// Two layers that all share, and one of each proxy's own.
fn shared_layers() -> [Arc<Layer>; 3] {
    [
        layer(Cluster, &[("a", &[object("a", 1)]), ("b", &[object("b", 1), object("c", 3)])], &[]),
        layer(Route, &[("80", &[object("a", 2)])], &[]),
        layer(Cluster, &[("b", &[object("d", 1)])], &[]),
    ]
}

fn own(name: &str) -> Arc<Layer> {
    layer(Cluster, &[("own", &[object(name, 1), object("a", 1)])], &[])
}

/// The layers of a proxy: of clusters three, of routes one that is taken for its own.
fn layers(name: &str) -> Vec<Arc<Layer>> {
    shared_layers().into_iter().chain([own(name)]).collect()
}

#[test]
fn an_object_counts_once_for_a_proxy_however_much_is_made_of_it() {
    let shared = shared_layers();
    let of = |name: &str| {
        let layers: Vec<_> = shared.iter().cloned().chain([own(name)]).collect();
        proxy(name, &layers, Standing::default())
    };
    let found = counted(&[of("x"), of("y")]);
    let expected = [("a", (2, 2, 0)), ("d", (2, 2, 0)), ("x", (1, 1, 0)), ("y", (1, 1, 0))];
    assert_eq!(
        found,
        expected.map(|(name, counts)| (name.to_owned(), counts)).into(),
        "b and c are overlaid"
    );
    assert_eq!(spread(&[of("x")], |_| true).values().map(|s| s.generation).max(), Some(2), "the latest");
}

#[test]
fn what_a_proxy_is_behind_with_is_not_accepted() {
    let behind = Standing { behind: names(&["own", "own", "gone"]), ..Standing::default() };
    let nothing = Standing { nothing: true, ..Standing::default() };
    let found = counted(&[proxy("x", &layers("x"), behind), proxy("y", &layers("y"), nothing)]);
    assert_eq!(found.get("a"), Some(&(2, 0, 0)));
    assert_eq!(found.get("d"), Some(&(2, 1, 0)));
    assert_eq!((found.get("x"), found.get("y")), (Some(&(1, 0, 0)), Some(&(1, 0, 0))));
}

#[test]
fn a_refusal_is_told_at_the_objects_that_it_may_be_about() {
    let refusing = |among: &[&str]| Standing {
        refused: Some((names(among), "no such thing".to_owned())),
        ..Standing::default()
    };
    let proxies = [
        proxy("y", &layers("y"), refusing(&["b"])),
        proxy("x", &layers("x"), refusing(&["b", "own"])),
        proxy("z", &layers("z"), Standing::default()),
    ];
    let spreads = spread(&proxies, |_| true);
    let of = |name: &str| spreads.get(&object(name, 0).key).cloned().unwrap_or_default();
    assert_eq!((of("d").needed, of("d").accepted, of("d").refused), (3, 1, 2));
    assert_eq!((of("x").needed, of("x").accepted, of("x").refused), (1, 0, 1));
    assert_eq!((of("a").accepted, of("a").refused), (2, 1));
    let refusal = of("d").refusal.expect("a refusal");
    assert_eq!(
        (refusal.proxy.as_str(), refusal.among),
        ("x", 2),
        "the first proxy by name, in whatever order"
    );
    assert_eq!(of("z").refusal, None);
}

#[test]
fn only_what_is_asked_for_is_counted() {
    let proxies = [proxy("x", &layers("x"), Standing::default())];
    let found = spread(&proxies, |source| &*source.key.name == "d");
    assert_eq!(found.into_keys().map(|key| key.name.to_string()).collect::<Vec<_>>(), ["d"]);
}

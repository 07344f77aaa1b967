//! Applying objects one by one, in whatever order, with meshes made in between, ends in the mesh that a store makes
//! which gets the same objects at once.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use api::{AnyObject, ObjectKey};
use model::{Mesh, Ref};
use serde_json::json;
use store::{Options, Tables};
use testkit::forms::{Change, Dice, Forms};
use testkit::large::{self, Size};

type Outcome = Result<(), Box<dyn Error>>;

/// All that a mesh says, section by section.
fn said(mesh: &Mesh) -> [String; 12] {
    [
        format!("{:#?}", mesh.settings),
        format!("{:#?}", mesh.services),
        format!("{:#?}", mesh.endpoints),
        format!("{:#?}", mesh.workloads),
        format!("{:#?}", mesh.remotes),
        format!("{:#?}", mesh.virtual_services),
        format!("{:#?}", mesh.destination_rules),
        format!("{:#?}", mesh.sidecars),
        format!("{:#?}", mesh.gateways),
        format!("{:#?}", mesh.peer_authentications),
        format!("{:#?}", mesh.authorization_policies),
        format!("{:#?}", mesh.interest),
    ]
}

fn first_difference(left: &str, right: &str) -> String {
    let lines = left.lines().zip(right.lines()).enumerate().find(|(_, (a, b))| a != b);
    lines.map_or_else(|| "one is longer".to_owned(), |(at, (a, b))| format!("line {at}: {a} | {b}"))
}

#[test]
fn one_by_one_ends_as_all_at_once() -> Outcome {
    grow(&["Kubernetes"], 150, 100)
}

/// The same when each change is one of any of three clusters.
#[test]
fn one_by_one_ends_as_all_at_once_in_several_clusters() -> Outcome {
    grow(&["Kubernetes", "east", "west"], 150, 200)
}

fn grow(clusters: &[&str], seeds: u64, changes: usize) -> Outcome {
    let objects = Forms::of(include_str!("objects.yaml"))?;
    let clusters: Vec<Arc<str>> = clusters.iter().map(|name| Arc::from(*name)).collect();
    for seed in 1..=seeds {
        let mut dice = Dice::new(seed);
        let mut tables = Tables::new(Options::default());
        let mut known: BTreeMap<(&Arc<str>, &ObjectKey), &AnyObject> = BTreeMap::new();
        let mut history = Vec::new();
        for _ in 0..changes {
            let Some(Change { key, form, object }) = objects.change(&mut dice) else { continue };
            let Some(cluster) = clusters.get(dice.roll(clusters.len())) else { continue };
            match object {
                Some(object) => known.insert((cluster, key), object),
                None => known.remove(&(cluster, key)),
            };
            tables.apply_in(cluster, key, object);
            history.push(format!("{cluster}: {key} form {form}"));
            match dice.roll(4) {
                0 => {
                    tables.next_mesh();
                    history.push("mesh".to_owned());
                }
                1 => {
                    tables.next_endpoints();
                    history.push("endpoints".to_owned());
                }
                _ => {}
            }
        }
        let grown = tables.next_mesh().mesh;
        let mut fresh = Tables::new(Options::default());
        for ((cluster, key), object) in &known {
            fresh.apply_in(cluster, key, Some(object));
        }
        let made = fresh.next_mesh().mesh;
        for (grown, made) in said(&grown).iter().zip(&said(&made)) {
            let found = first_difference(grown, made);
            assert!(grown == made, "seed {seed}: {found}\nafter {history:#?}");
        }
        assert_eq!(tables.problems(), fresh.problems(), "seed {seed} after {history:#?}");
    }
    Ok(())
}

/// What of two lists of one mesh and the next is another allocation.
fn differing<T: std::hash::Hash>(before: &[Ref<T>], after: &[Ref<T>]) -> usize {
    assert_eq!(before.len(), after.len());
    before.iter().zip(after).filter(|(a, b)| !a.ptr_eq(b)).count()
}

/// What an object does not concern is not made again when it changes, but stays where it is.
#[test]
fn a_change_makes_again_what_it_concerns() -> Outcome {
    let size = Size { namespaces: 3, services: 4, pods: 1 };
    let mut tables = Tables::new(Options::default());
    for (key, object) in large::objects(size)? {
        tables.apply(&key, Some(&object));
    }
    let first = tables.next_mesh().mesh;
    let mut change = |value| -> Result<Arc<Mesh>, Box<dyn Error>> {
        let (key, object) = large::object(value)?;
        tables.apply(&key, Some(&object));
        Ok(tables.next_mesh().mesh)
    };
    let routed = change(large::virtual_service(1, 2, "other"))?;
    assert_eq!(differing(first.virtual_services.all(), routed.virtual_services.all()), 1);
    assert!(Arc::ptr_eq(&first.services, &routed.services));
    let mut value = large::destination_rule(1, 2);
    value["spec"]["subsets"] = json!([]);
    let ruled = change(value)?;
    let rules = |mesh: &Mesh| mesh.destination_rules.all().cloned().collect::<Vec<_>>();
    assert_eq!(differing(&rules(&routed), &rules(&ruled)), 2, "once for the namespace, once for the others");
    let mut value = large::service(size, 1, 2);
    value["spec"]["ports"][0]["port"] = json!(8081);
    let served = change(value)?;
    assert_eq!(differing(ruled.services.all(), served.services.all()), 1);
    let lists = |mesh: &Mesh, n| mesh.services.of_namespace(&large::namespace(n)).cloned();
    assert!(lists(&ruled, 0).zip(lists(&served, 0)).is_some_and(|(a, b)| a.ptr_eq(&b)));
    assert_eq!(served.services.contested().len(), 0);
    Ok(())
}

/// What a delegate says reaches those that name it, and nobody else.
#[test]
fn a_delegate_concerns_those_that_name_it() -> Outcome {
    let service = |name: &str, spec| {
        large::object(json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
    };
    let root = |delegate: &str| json!({"hosts": ["front"], "http": [{"delegate": {"name": delegate}}]});
    let leaf = |to: &str| json!({"http": [{"route": [{"destination": {"host": to}}]}]});
    let mut tables = Tables::new(Options::default());
    let mut apply = |name: &str, spec| -> Result<Vec<String>, Box<dyn Error>> {
        let (key, object) = service(name, spec)?;
        tables.apply(&key, Some(&object));
        let mesh = tables.next_mesh().mesh;
        let front = mesh.virtual_services.all().iter().find(|v| &**v.config.name() == "root");
        let http = front.into_iter().flat_map(|v| &v.config.spec.http);
        let mut said: Vec<_> = http.flat_map(|r| &r.route).map(|r| r.destination.host.clone()).collect();
        said.extend(tables.problems().values().flatten().map(|p| p.field.clone()));
        Ok(said)
    };
    let short = |host: &str| format!("{host}.shop.svc.cluster.local");
    assert_eq!(apply("root", root("one"))?, ["spec.http[0].delegate"]);
    assert_eq!(apply("one", leaf("a"))?, [short("a")]);
    assert_eq!(apply("two", leaf("b"))?, [short("a")]);
    assert_eq!(apply("one", leaf("c"))?, [short("c")]);
    assert_eq!(apply("root", root("two"))?, [short("b")]);
    assert_eq!(apply("one", leaf("d"))?, [short("b")]);
    assert_eq!(apply("two", leaf("e"))?, [short("e")]);
    let mut hosted = leaf("f");
    hosted["hosts"] = json!(["two"]);
    assert_eq!(apply("two", hosted)?, ["spec.http[0].delegate"]);
    Ok(())
}

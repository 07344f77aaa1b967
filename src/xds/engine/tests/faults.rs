//! Panics: what stays, what stands in, what is counted and told.

use std::sync::Arc;

use super::fake::source;
use super::*;
use crate::failure::Stage;
use crate::generate::Code;
use crate::kind::ResourceType::{Cluster, Listener, Route, Secret};

fn failures(world: &World, stage: Stage) -> u64 {
    world.engine.counters().failures[stage as usize]
}

#[test]
fn a_resource_whose_build_panics_keeps_its_last_good_form() {
    let mut world = World::new();
    world.put("all", Cluster, "a", &own("good"));
    world.put("all", Cluster, "b", &own("1"));
    let (id, _) = world.connect("p", &["all"]);
    world.put("all", Cluster, "a", &own("panic"));
    world.put("all", Cluster, "b", &own("2"));
    assert_eq!(ids(&world.update()), [id]);
    assert_eq!((world.body(id, Cluster, "a"), world.body(id, Cluster, "b")), ("good".into(), "2".into()));
    assert_eq!(failures(&world, Stage::Build), 1);
    let failure = world.engine.failures().into_iter().next().unwrap().clone();
    assert_eq!(failure.to_string(), "internal error while translating CDS a: the build of a");
    assert_eq!(failure.sources, [source("a")]);
    let problems = world.engine.problems();
    assert_eq!(problems.iter().map(|problem| &problem.object).collect::<Vec<_>>(), [&source("a").key]);
    let sets = world.engine.sets(id).unwrap();
    assert_eq!(sets.failures().count(), 1);
    // The panic is not repeated, neither here nor for another class with the same key.
    world.put("all", Cluster, "b", &own("3"));
    world.update();
    world.put("more", Cluster, "a", &own("panic"));
    let (other, _) = world.connect("p2", &["more"]);
    assert_eq!(failures(&world, Stage::Build), 1);
    // A class without a last good form has a substitute: stand-ins are not shared.
    assert_eq!(world.body(other, Cluster, "a"), "substitute");
    world.put("all", Cluster, "a", &own("repaired"));
    world.put("more", Cluster, "a", &own("repaired"));
    assert_eq!(world.update().len(), 2);
    assert_eq!(world.body(id, Cluster, "a"), "repaired");
    assert!(world.engine.failures().is_empty() && world.engine.problems().is_empty());
}

#[test]
fn without_a_substitute_the_resource_is_missing_and_comes_when_it_can() {
    let mut world = World::new();
    world.put("all", Secret, "s", &own("panic"));
    world.put("all", Secret, "t", &own("1"));
    let (id, sets) = world.connect("p", &["all"]);
    assert_eq!(sets.get(Secret).len(), 1);
    assert_eq!(world.engine.failures().len(), 1);
    world.put("all", Secret, "t", &own("2"));
    world.update();
    assert_eq!(failures(&world, Stage::Build), 1, "it did not panic again");
    world.put("all", Secret, "s", &own("fine"));
    world.update();
    assert_eq!((world.body(id, Secret, "s"), world.body(id, Secret, "t")), ("fine".into(), "2".into()));
    assert!(world.engine.failures().is_empty());
}

#[test]
fn a_part_whose_build_panics_holds_up_no_other_part() {
    let mut world = World::new();
    world.put("all", Route, "80", &parts(&["u=1", "v=1", "optional=1"]));
    let (id, _) = world.connect("p", &["all"]);
    world.put("all", Route, "80", &parts(&["u=2", "v=panic", "w=panic", "optional-new=panic"]));
    assert_eq!(ids(&world.update()), [id]);
    // v keeps its last good form, w has none and gets the substitute, the last may be left out.
    assert_eq!(world.body(id, Route, "80"), "head 2 1 500");
    assert_eq!(failures(&world, Stage::BuildPart), 3);
    assert_eq!(world.engine.failures().len(), 2, "those that something stands in for are known");
    assert!(world.engine.problems().iter().any(|problem| problem.object == source("v").key));
    world.put("all", Route, "80", &parts(&["u=3", "v=panic", "w=3"]));
    world.update();
    assert_eq!(world.body(id, Route, "80"), "head 3 1 3");
    assert_eq!(failures(&world, Stage::BuildPart), 3);
    // What stands in here is not what stands in elsewhere.
    world.put("more", Route, "80", &parts(&["u=3", "v=panic", "w=3"]));
    let (other, _) = world.connect("p2", &["more"]);
    assert_eq!(world.body(other, Route, "80"), "head 3 500 3");
    assert_eq!(world.body(id, Route, "80"), "head 3 1 3");
    world.put("all", Route, "80", &parts(&["u=3", "v=4", "w=3"]));
    world.update();
    assert_eq!(world.body(id, Route, "80"), "head 3 4 3");
}

#[test]
fn a_class_whose_plan_panics_keeps_its_plan_and_starts_anew_later() {
    let mut world = World::new();
    world.put("all", Cluster, "a", &own("1"));
    let (id, _) = world.connect("p", &["all"]);
    world.mesh.classes.get_mut("all").unwrap().panic = true;
    world.put("all", Cluster, "a", &own("2"));
    assert!(world.update().is_empty());
    assert_eq!(world.body(id, Cluster, "a"), "1");
    assert_eq!((failures(&world, Stage::Plan), world.engine.failures().len()), (1, 1));
    // The change is not named again, and yet it is not lost.
    world.mesh.classes.get_mut("all").unwrap().panic = false;
    assert_eq!(ids(&world.update()), [id]);
    assert_eq!(world.body(id, Cluster, "a"), "2");
    assert!(world.engine.failures().is_empty());
}

#[test]
fn a_proxy_without_a_plan_is_refused_and_leaves_nothing_behind() {
    let mut world = World::new();
    world.put("bad", Cluster, "a", &own("1"));
    world.put("good", Cluster, "a", &own("1"));
    world.mesh.classes.get_mut("bad").unwrap().panic = true;
    world.describe("p", &["good", "bad"], &[]);
    world.describe("q", &["panic"], &[]);
    world.update();
    let refused = world.engine.connect(Arc::new("p".to_owned())).err().unwrap();
    assert_eq!(refused.code, Code::Internal);
    assert!(refused.message.contains("the plan of bad"), "{refused}");
    let refused = world.engine.connect(Arc::new("q".to_owned())).err().unwrap();
    assert!(refused.message.contains("no such class"), "{refused}");
    assert_eq!((failures(&world, Stage::Plan), failures(&world, Stage::Classify)), (1, 1));
    assert_eq!((world.engine.plans().count(), world.engine.proxies().count()), (0, 0));
}

#[test]
fn a_proxy_that_cannot_be_classified_stays_what_it_was_and_is_tried_again() {
    let mut world = World::new();
    world.put("a", Listener, "l", &own("a"));
    world.put("b", Listener, "l", &own("b"));
    let (id, _) = world.connect("p", &["a"]);
    world.describe("p", &["panic"], &[]);
    assert!(world.update().is_empty());
    assert_eq!(failures(&world, Stage::Classify), 1);
    assert_eq!(world.engine.failures().len(), 1);
    world.describe("p", &["b"], &[]);
    world.changes.proxies.clear();
    assert_eq!(ids(&world.update()), [id]);
    assert_eq!(world.body(id, Listener, "l"), "b");
    assert!(world.engine.failures().is_empty());
    // Moving to a class whose plan panics leaves it where it is.
    world.put("c", Listener, "l", &own("c"));
    world.mesh.classes.get_mut("c").unwrap().panic = true;
    world.describe("p", &["c"], &[]);
    assert!(world.update().is_empty());
    assert_eq!(world.body(id, Listener, "l"), "b");
    assert_eq!(world.engine.plans().count(), 1);
}

#[test]
fn what_a_plan_leaves_out_is_told_while_the_class_is_in_use() {
    let mut world = World::new();
    world.put("all", Cluster, "a", &own("1"));
    world.leave_out("all", "b");
    let (id, _) = world.connect("p", &["all"]);
    let objects: Vec<_> = world.engine.problems().into_iter().map(|problem| problem.object).collect();
    assert_eq!(objects, [source("b").key]);
    world.engine.disconnect(id);
    assert!(world.engine.problems().is_empty());
}

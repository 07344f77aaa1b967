//! Updates: who is told what, what is built, and that following equals starting anew.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::generate::{ContentHash, Generate};
use crate::kind::ResourceType::{Cluster, Endpoints, Listener, Route};

#[test]
fn only_proxies_whose_sets_changed_are_told() {
    let mut world = World::new();
    world.put("all", Cluster, "a", &own("1"));
    world.put("one", Listener, "l", &own("1"));
    let (first, before) = world.connect("p1", &["all", "one"]);
    let (second, _) = world.connect("p2", &["all"]);
    world.put("one", Listener, "l", &own("2"));
    let updates = world.update();
    assert_eq!(ids(&updates), [first]);
    let after = &updates[0].1;
    assert_eq!(text_of(after.get(Listener), "l"), "2");
    assert!(Arc::ptr_eq(after.get(Cluster), before.get(Cluster)), "an untouched set stays what it is");
    assert_eq!(after.generation(), world.engine.generation());
    world.put("all", Cluster, "a", &own("2"));
    assert_eq!(ids(&world.update()), [first, second]);
    assert!(world.update().is_empty());
    assert!(world.engine.sets(ProxyId(77)).is_none());
}

/// The class below is planned first, in the same mesh; if that fails its earlier plan is not taken.
#[test]
fn classes_are_planned_upon_the_class_below() {
    let mut world = World::new();
    world.put("low", Cluster, "a", &own("1"));
    world.put("high^low", Cluster, "b", &own("1"));
    let upper = |world: &World| {
        let (_, plan) = world.engine.plans().find(|(class, _)| *class == "high^low").unwrap();
        let list = world.fake.layer(plan, Cluster).entries;
        list.iter().map(|(name, key)| (name.to_string(), key.content_hash())).collect::<Vec<_>>()
    };
    let (id, _) = world.connect("p", &["low", "high^low"]);
    let first = upper(&world);
    assert_eq!(first.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    world.put("low", Cluster, "a", &own("2"));
    world.update();
    assert_ne!(upper(&world), first);
    assert_eq!(world.body(id, Cluster, "a"), "2");
    let later = world.connect("q", &["low", "high^low"]);
    assert_eq!(later.1.get(Cluster).len(), 2, "a class that is there already");
    world.mesh.classes.get_mut("low").unwrap().panic = true;
    world.changes.classes.insert("low".to_owned());
    world.put("high^low", Cluster, "b", &own("2"));
    world.update();
    assert_eq!(upper(&world).len(), 1, "no plan of another mesh");
    assert_eq!(world.body(id, Cluster, "b"), "2");
}

#[test]
fn equal_bytes_are_no_news_but_the_new_sources_are_known() {
    let mut world = World::new();
    world.put("all", Cluster, "a", &own("1"));
    let (id, before) = world.connect("p", &["all"]);
    world.put("all", Cluster, "a", &vec![Text::Own("1".to_owned()), Text::Note(1)]);
    assert!(world.update().is_empty());
    let now = world.engine.sets(id).unwrap().clone();
    assert!(now.get(Cluster).is_same(before.get(Cluster)));
    assert!(!Arc::ptr_eq(now.get(Cluster).get("a").unwrap(), before.get(Cluster).get("a").unwrap()));
    // The next change is still one shared difference from what the stream has.
    world.put("all", Cluster, "b", &own("1"));
    let updates = world.update();
    let diff = updates[0].1.get(Cluster).diff(before.get(Cluster));
    assert_eq!(diff.changed.len(), 1);
}

#[test]
fn streams_of_a_class_share_one_difference() {
    let mut world = World::new();
    world.put("all", Cluster, "a", &own("1"));
    world.put("all", Cluster, "b", &own("1"));
    let (_, before) = world.connect("p1", &["all"]);
    let (_, other) = world.connect("p2", &["all"]);
    world.put("all", Cluster, "a", &own("2"));
    world.remove("all", Cluster, "b");
    let updates = world.update();
    let diffs = [
        updates[0].1.get(Cluster).diff(before.get(Cluster)),
        updates[1].1.get(Cluster).diff(other.get(Cluster)),
    ];
    assert!(Arc::ptr_eq(&diffs[0], &diffs[1]));
    assert_eq!((diffs[0].changed.len(), &*diffs[0].removed[0]), (1, "b"));
}

#[test]
fn classes_with_equal_names_share_the_list() {
    let mut world = World::new();
    for class in ["a", "b"] {
        world.put(class, Cluster, "x", &own(class));
        world.put(class, Cluster, "y", &own("same"));
    }
    let (_, a) = world.connect("p1", &["a"]);
    let (_, b) = world.connect("p2", &["b"]);
    let names = |sets: &ProxySets| sets.get(Cluster).layers()[0].names().clone();
    assert!(Arc::ptr_eq(&names(&a), &names(&b)));
    assert!(Arc::ptr_eq(a.get(Cluster).get("y").unwrap(), b.get(Cluster).get("y").unwrap()));
    world.put("a", Cluster, "x", &own("other"));
    let updates = world.update();
    assert!(Arc::ptr_eq(&names(&updates[0].1), &names(&b)));
}

#[test]
fn a_changed_part_is_the_only_thing_built() {
    let mut world = World::new();
    let mut hosts: Vec<String> = (0..50).map(|at| format!("v{at:02}=text")).collect();
    let recipe = |hosts: &[String]| parts(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
    for class in ["a", "b", "c"] {
        world.put(class, Route, "80", &recipe(&hosts));
        world.put(class, Listener, "l", &own(class));
    }
    let (id, _) = world.connect("p1", &["a"]);
    world.connect("p2", &["b"]);
    world.connect("p3", &["c"]);
    let before = world.engine.counters();
    assert_eq!((before.builds, before.part_builds), (4, 50));
    hosts[20] = "v20=new".to_owned();
    hosts.remove(3);
    hosts.insert(30, "v30a=more".to_owned());
    for class in ["a", "b", "c"] {
        world.put(class, Route, "80", &recipe(&hosts));
    }
    assert_eq!(world.update().len(), 3);
    let after = world.engine.counters();
    assert_eq!((after.builds - before.builds, after.part_builds - before.part_builds), (1, 2));
    let expected: Vec<_> = hosts.iter().map(|host| host.split_once('=').unwrap().1).collect();
    assert_eq!(world.body(id, Route, "80"), format!("head {}", expected.join(" ")));
}

#[test]
fn a_resource_knows_the_objects_of_its_parts() {
    let mut world = World::new();
    world.put("all", Route, "80", &parts(&["a=1", "b=strange"]));
    let (_, sets) = world.connect("p", &["all"]);
    let entry = sets.get(Route).get("80").unwrap();
    let names: Vec<_> = entry.sources().map(|source| &*source.key.name).collect();
    assert_eq!(names, ["80", "a", "b"]);
    assert_eq!(entry.problems().count(), 1);
    assert_eq!(sets.problems().count(), 1);
    assert_eq!(world.engine.problems().len(), 1);
}

#[test]
fn a_slot_changes_only_for_its_proxy_and_only_what_uses_it() {
    let mut world = World::new();
    world.put("all", Listener, "plain", &own("x"));
    world.put("all", Listener, "slotted", &vec![Text::Own("is".to_owned()), Text::Slot(0)]);
    world.put("all", Listener, "parts", &parts(&["v=$0", "w=plain"]));
    world.describe("p1", &["all"], &["one"]);
    world.describe("p2", &["all"], &["two"]);
    world.update();
    let connect = |world: &mut World, name: &str| world.engine.connect(Arc::new(name.to_owned())).unwrap();
    let (first, before) = connect(&mut world, "p1");
    let (second, _) = connect(&mut world, "p2");
    assert_eq!(world.body(first, Listener, "slotted"), "is one");
    assert_eq!(world.body(second, Listener, "slotted"), "is two");
    assert_eq!(world.engine.counters().builds, 3);
    world.describe("p1", &["all"], &["a longer value"]);
    let updates = world.update();
    assert_eq!(ids(&updates), [first]);
    let diff = updates[0].1.get(Listener).diff(before.get(Listener));
    let changed: Vec<_> = diff.changed.iter().map(|entry| &**entry.name()).collect();
    assert_eq!(changed, ["parts", "slotted"]);
    assert_eq!(world.body(first, Listener, "slotted"), "is a longer value");
    assert_eq!(world.body(first, Listener, "parts"), "head a longer value plain");
}

#[test]
fn caches_hold_nothing_that_no_set_holds() {
    let mut world = World::new();
    world.put("a", Route, "80", &parts(&["v=1", "w=1"]));
    world.put("b", Cluster, "c", &own("1"));
    let (first, sets) = world.connect("p1", &["a"]);
    let (second, _) = world.connect("p2", &["b"]);
    world.engine.sweep();
    let full = world.engine.cache_len();
    world.engine.disconnect(first);
    world.engine.sweep();
    assert_eq!(world.engine.cache_len(), full, "a stream still holds its sets");
    drop(sets);
    world.engine.sweep();
    assert!(world.engine.cache_len() < full);
    world.engine.disconnect(second);
    world.engine.sweep();
    // The list of no names is all that remains, and only while an empty layer is alive.
    assert_eq!(world.engine.cache_len(), 0);
    assert_eq!(world.engine.plans().count(), 0);
    assert_eq!(world.engine.proxies().count(), 0);
}

#[test]
fn a_hold_ends_at_its_deadline() {
    let mut world = World::new();
    world.put("all", Route, "80", &own("good"));
    let (id, _) = world.connect("p", &["all"]);
    world.now = Duration::from_secs(10);
    world.put("all", Route, "80", &vec![Text::Dangling]);
    world.put("all", Route, "81", &vec![Text::Dangling]);
    assert_eq!(ids(&world.update()), [id]);
    assert_eq!(world.body(id, Route, "80"), "good", "held");
    assert_eq!(world.body(id, Route, "81"), "dangling", "there is no last form");
    assert_eq!(world.engine.deadline(), Some(Duration::from_secs(11)));
    // Another change does not prolong it.
    world.now += Duration::from_millis(900);
    world.put("all", Cluster, "c", &own("1"));
    world.update();
    assert_eq!(world.engine.deadline(), Some(Duration::from_secs(11)));
    assert!(world.engine.release(Duration::from_millis(10_999)).is_empty());
    assert_eq!(ids(&world.engine.release(Duration::from_secs(11))), [id]);
    assert_eq!(world.body(id, Route, "80"), "dangling");
    assert_eq!(world.engine.deadline(), None);
}

#[test]
fn what_comes_in_time_ends_the_hold() {
    let mut world = World::new();
    world.put("all", Route, "80", &own("good"));
    let (id, _) = world.connect("p", &["all"]);
    world.put("all", Route, "80", &vec![Text::Dangling]);
    assert!(world.update().is_empty());
    world.put("all", Route, "80", &own("better"));
    assert_eq!(ids(&world.update()), [id]);
    assert_eq!(world.body(id, Route, "80"), "better");
    assert_eq!(world.engine.deadline(), None);
}

#[test]
fn an_update_after_the_deadline_holds_nothing() {
    let mut world = World::new();
    world.put("all", Route, "80", &own("good"));
    let (id, _) = world.connect("p", &["all"]);
    world.put("all", Route, "80", &vec![Text::Dangling]);
    world.update();
    world.now += HOLD;
    world.put("all", Cluster, "c", &own("1"));
    world.update();
    assert_eq!(world.body(id, Route, "80"), "dangling");
    assert_eq!(world.engine.deadline(), None);
}

#[derive(Clone, Debug)]
enum Event {
    Put(u8, ResourceType, u8, Recipe),
    Remove(u8, ResourceType, u8),
    Hide(u8, u8, bool),
    Move(u8, Vec<u8>, u8),
    Connect(u8),
    Disconnect(u8),
    Sweep,
}

fn kind() -> impl Strategy<Value = ResourceType> {
    prop_oneof![Just(Cluster), Just(Endpoints), Just(Route)]
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let text = prop_oneof![
        3 => "[ab]".prop_map(Text::Own),
        3 => ("[uvwxyz]", "[ab]|\\$[01]").prop_map(|(name, text)| Text::Part(name, text)),
        1 => (0..2_u16).prop_map(Text::Slot),
        1 => (0..2_u32).prop_map(Text::Note),
    ];
    prop::collection::vec(text, 0..6)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3_u8, kind(), 0..5_u8, recipe()).prop_map(|(c, k, n, r)| Event::Put(c, k, n, r)),
        2 => (0..3_u8, kind(), 0..5_u8).prop_map(|(c, k, n)| Event::Remove(c, k, n)),
        1 => (0..3_u8, 0..5_u8, any::<bool>()).prop_map(|(c, n, on)| Event::Hide(c, n, on)),
        2 => (0..4_u8, prop::collection::vec(0..3_u8, 0..3), 0..3_u8).prop_map(|(p, c, s)| Event::Move(p, c, s)),
        2 => (0..4_u8).prop_map(Event::Connect),
        1 => (0..4_u8).prop_map(Event::Disconnect),
        1 => Just(Event::Sweep),
    ]
}

/// A client that applies the differences that it is sent.
struct Client {
    id: ProxyId,
    sets: ProxySets,
    has: Content,
}

impl Client {
    fn take(&mut self, sets: ProxySets) {
        for kind in ResourceType::ALL {
            let (new, old) = (sets.get(kind), self.sets.get(kind));
            let diff = new.diff(old);
            for entry in &diff.changed {
                let form = (new.version(entry), entry.body(new.slots()));
                self.has.insert((kind, entry.name().clone()), form);
            }
            for name in &diff.removed {
                self.has.remove(&(kind, name.clone())).unwrap();
            }
        }
        self.sets = sets;
    }
}

impl World {
    fn apply(&mut self, event: &Event, clients: &mut BTreeMap<String, Client>) {
        match event {
            Event::Put(class, kind, name, recipe) => {
                self.put(&class.to_string(), *kind, &name.to_string(), recipe);
            }
            Event::Remove(class, kind, name) => self.remove(&class.to_string(), *kind, &name.to_string()),
            Event::Hide(class, name, on) => {
                let hidden = &mut self.mesh.classes.entry(class.to_string()).or_default().hidden;
                let key = (Cluster, name.to_string());
                if *on {
                    hidden.insert(key)
                } else {
                    hidden.remove(&key)
                };
                self.changes.classes.insert(class.to_string());
            }
            Event::Move(proxy, classes, slot) => {
                let classes: Vec<_> = classes.iter().map(u8::to_string).collect();
                let classes: Vec<_> = classes.iter().map(String::as_str).collect();
                self.describe(&proxy.to_string(), &classes, &[&slot.to_string(), "fixed"]);
            }
            Event::Connect(proxy) => {
                let name = proxy.to_string();
                if self.mesh.proxies.contains_key(&name) && !clients.contains_key(&name) {
                    let (id, sets) = self.engine.connect(Arc::new(name.clone())).unwrap();
                    clients.insert(name, Client { id, has: content(&sets), sets });
                }
            }
            Event::Disconnect(proxy) => {
                if let Some(client) = clients.remove(&proxy.to_string()) {
                    self.engine.disconnect(client.id);
                }
            }
            Event::Sweep => self.engine.sweep(),
        }
        for (id, sets) in self.update() {
            clients.values_mut().find(|client| client.id == id).unwrap().take(sets);
        }
    }
}

proptest! {
    #[test]
    fn events_one_by_one_equal_a_start_from_scratch(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        let mut clients = BTreeMap::new();
        for event in &events {
            world.apply(event, &mut clients);
        }
        let mut anew = world.afresh();
        for (name, client) in &clients {
            let (_, sets) = anew.engine.connect(Arc::new(name.clone())).unwrap();
            prop_assert_eq!(&client.has, &content(&sets), "what {} was sent", name);
            prop_assert_eq!(content(world.engine.sets(client.id).unwrap()), content(&sets));
        }
    }

    #[test]
    fn every_distinct_key_is_built_once(
        entries in prop::collection::vec((0..20_u8, kind(), 0..5_u8, recipe()), 1..80),
        proxies in prop::collection::vec(prop::collection::btree_set(0..20_u8, 1..4), 1..20),
        together in any::<bool>(),
    ) {
        let mut world = World::new();
        for (class, kind, name, recipe) in &entries {
            world.put(&class.to_string(), *kind, &name.to_string(), recipe);
        }
        let mut names = Vec::new();
        for (at, classes) in proxies.iter().enumerate() {
            let classes: Vec<_> = classes.iter().map(u8::to_string).collect();
            let classes: Vec<_> = classes.iter().map(String::as_str).collect();
            world.describe(&format!("p{at}"), &classes, &[&at.to_string()]);
            names.push(Arc::new(format!("p{at}")));
        }
        world.update();
        let results = match together {
            true => world.engine.connect_all(names),
            false => names.into_iter().map(|name| world.engine.connect(name)).collect(),
        };
        prop_assert!(results.iter().all(Result::is_ok));
        let used: std::collections::BTreeSet<_> = proxies.iter().flatten().map(u8::to_string).collect();
        let defs = || world.mesh.classes.iter().filter(|(class, _)| used.contains(*class)).map(|(_, def)| def);
        let keys: std::collections::BTreeSet<_> = defs().flat_map(|def| &def.entries).collect();
        let recipes = keys.iter().flat_map(|(_, recipe)| *recipe);
        let parts: std::collections::BTreeSet<_> =
            recipes.filter(|text| matches!(text, Text::Part(..))).collect();
        let (built, built_parts) = (world.fake.built.lock().unwrap(), world.fake.built_parts.lock().unwrap());
        prop_assert!(built.values().chain(built_parts.values()).all(|times| *times == 1));
        prop_assert_eq!((built.len(), built_parts.len()), (keys.len(), parts.len()));
        let counters = world.engine.counters();
        prop_assert_eq!((counters.builds, counters.part_builds), (keys.len() as u64, parts.len() as u64));
        prop_assert_eq!(counters.plans, used.len() as u64);
    }
}

//! The engine over a mesh that is written down in the test.

mod fake;
mod faults;
mod follow;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Engine, ProxyId, ProxySets, Updates};
use crate::kind::ResourceType;
use crate::set::Set;
use crate::version::Version;
use fake::{Changes, Fake, Mesh, Recipe, Text};

const HOLD: Duration = Duration::from_secs(1);

/// An engine with the mesh that it follows.
struct World {
    engine: Engine<Fake>,
    fake: Arc<Fake>,
    mesh: Mesh,
    changes: Changes,
    now: Duration,
}

impl World {
    fn new() -> Self {
        let fake = Arc::new(Fake::default());
        let engine = Engine::new(fake.clone(), Arc::new(Mesh::default()), HOLD);
        Self { engine, fake, mesh: Mesh::default(), changes: Changes::default(), now: Duration::ZERO }
    }

    /// An engine that starts with the mesh that this one arrived at.
    fn afresh(&self) -> Self {
        let fake = Arc::new(Fake::default());
        let engine = Engine::new(fake.clone(), Arc::new(self.mesh.clone()), HOLD);
        Self { engine, fake, mesh: self.mesh.clone(), changes: Changes::default(), now: self.now }
    }

    fn put(&mut self, class: &str, kind: ResourceType, name: &str, recipe: &Recipe) {
        let def = self.mesh.classes.entry(class.to_owned()).or_default();
        def.entries.insert((kind, name.to_owned()), recipe.clone());
        self.changes.classes.insert(class.to_owned());
    }

    fn leave_out(&mut self, class: &str, name: &str) {
        self.mesh.classes.entry(class.to_owned()).or_default().left_out.push(name.to_owned());
        self.changes.classes.insert(class.to_owned());
    }

    fn remove(&mut self, class: &str, kind: ResourceType, name: &str) {
        let def = self.mesh.classes.entry(class.to_owned()).or_default();
        def.entries.remove(&(kind, name.to_owned()));
        self.changes.classes.insert(class.to_owned());
    }

    /// Says what a proxy is, without a word to the engine.
    fn describe(&mut self, proxy: &str, classes: &[&str], slots: &[&str]) {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        self.mesh.proxies.insert(proxy.to_owned(), (owned(classes), owned(slots)));
        self.changes.proxies.insert(proxy.to_owned());
    }

    fn update(&mut self) -> Updates {
        let changes = std::mem::take(&mut self.changes);
        self.engine.update(Arc::new(self.mesh.clone()), &changes, self.now)
    }

    /// Describes and connects a proxy.
    fn connect(&mut self, proxy: &str, classes: &[&str]) -> (ProxyId, ProxySets) {
        self.describe(proxy, classes, &[]);
        self.update();
        self.engine.connect(Arc::new(proxy.to_owned())).unwrap()
    }

    fn body(&self, id: ProxyId, kind: ResourceType, name: &str) -> String {
        text_of(self.engine.sets(id).unwrap().get(kind), name)
    }
}

/// The texts of a resource, joined; empty if there is none.
fn text_of(set: &Set, name: &str) -> String {
    let Some(entry) = set.get(name) else { return String::new() };
    let body = entry.body(set.slots());
    let mut texts = Vec::new();
    let mut rest = &body[..];
    while let [0x0a, len, tail @ ..] = rest {
        let (text, tail) = tail.split_at(usize::from(*len));
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        rest = tail;
    }
    assert!(rest.is_empty(), "not a message: {body:?}");
    texts.join(" ")
}

/// Everything a client of these sets has.
type Content = BTreeMap<(ResourceType, Arc<str>), (Version, Vec<u8>)>;

fn content(sets: &ProxySets) -> Content {
    let mut all = Content::new();
    for kind in ResourceType::ALL {
        let set = sets.get(kind);
        for entry in set.iter() {
            all.insert((kind, entry.name().clone()), (set.version(entry), entry.body(set.slots())));
        }
    }
    all
}

fn own(text: &str) -> Recipe {
    vec![Text::Own(text.to_owned())]
}

/// A resource of a head and parts, each written `name=text`.
fn parts(list: &[&str]) -> Recipe {
    let part = |text: &&str| {
        let (name, text) = text.split_once('=').unwrap();
        Text::Part(name.to_owned(), text.to_owned())
    };
    std::iter::once(Text::Own("head".to_owned())).chain(list.iter().map(part)).collect()
}

fn ids(updates: &Updates) -> Vec<ProxyId> {
    updates.iter().map(|(id, _)| *id).collect()
}

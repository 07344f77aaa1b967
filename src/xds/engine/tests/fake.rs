//! A mesh small enough to be written down in a test, and how it is said in resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use api::{Kind, ObjectKey, ObjectRef, Problem, Severity};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::generate::{
    Built, BuiltPart, ContentHash, Fragment, Generate, LayerPlan, NodeInfo, Peer, Refusal,
};
use crate::kind::ResourceType;
use crate::slot::{Slots, placeholder};

/// A piece of a resource as a test writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Text {
    /// Bytes of the resource's own. `panic` panics when it is built.
    Own(String),
    /// A part: its name and its text. `panic` as text panics when it is built, `$1` is a slot.
    Part(String, String),
    /// The proxy's slot of this index.
    Slot(u16),
    /// Changes the key, but not the bytes.
    Note(u32),
    /// A form that refers to something that does not exist: held if the last form did not.
    Dangling,
}

pub(super) type Recipe = Vec<Text>;

#[derive(Clone, Debug, Default)]
pub(super) struct ClassDef {
    pub(super) entries: BTreeMap<(ResourceType, String), Recipe>,
    pub(super) hidden: BTreeSet<(ResourceType, String)>,
    pub(super) panic: bool,
    /// Objects of which something is left out.
    pub(super) left_out: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Mesh {
    pub(super) classes: BTreeMap<String, ClassDef>,
    /// Classes and slot values of each proxy. A class `panic` panics when the proxy is classified.
    pub(super) proxies: BTreeMap<String, (Vec<String>, Vec<String>)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) classes: BTreeSet<String>,
    pub(super) proxies: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    kind: ResourceType,
    name: String,
    recipe: Recipe,
}

#[derive(Clone, Debug)]
pub(super) struct Part(String, String);

impl ContentHash for Key {
    fn content_hash(&self) -> u128 {
        xxh3_128(format!("{self:?}").as_bytes())
    }
}

impl ContentHash for Part {
    fn content_hash(&self) -> u128 {
        xxh3_128(format!("{self:?}").as_bytes())
    }
}

#[derive(Default)]
pub(super) struct Plan {
    lists: [Vec<(Arc<str>, Key)>; ResourceType::COUNT],
    hidden: [Vec<Arc<str>>; ResourceType::COUNT],
    held: bool,
    problems: Vec<Problem>,
}

/// Counts how often each key is built.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) built: Mutex<BTreeMap<u128, usize>>,
    pub(super) built_parts: Mutex<BTreeMap<u128, usize>>,
}

/// The object that a text is said to come from.
pub(super) fn source(name: &str) -> ObjectRef {
    let key = ObjectKey { kind: Kind::VirtualService, namespace: "shop".into(), name: name.into() };
    ObjectRef { key, generation: 1 }
}

/// The problem of the object that a text is said to come from.
fn strange(name: &str) -> Problem {
    Problem {
        severity: Severity::Warning,
        object: source(name).key,
        field: String::new(),
        message: "strange".to_owned(),
        hint: String::new(),
    }
}

/// What is encoded for a text.
pub(super) fn field(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x0a, u8::try_from(text.len()).unwrap()];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn plan_entry(kind: ResourceType, name: &str, recipe: &Recipe, last: Option<&Plan>) -> (Key, bool) {
    let fresh = Key { kind, name: name.to_owned(), recipe: recipe.clone() };
    let dangling = |recipe: &Recipe| recipe.contains(&Text::Dangling);
    let last = last.and_then(|last| last.lists[kind.index()].iter().find(|(known, _)| **known == *name));
    match last {
        Some((_, last)) if dangling(recipe) && !dangling(&last.recipe) => (last.clone(), true),
        _ => (fresh, false),
    }
}

impl Generate for Fake {
    type Mesh = Mesh;
    type Changes = Changes;
    type Proxy = String;
    type Class = String;
    type Plan = Plan;
    type Key = Key;
    type Part = Part;

    fn proxy(&self, node: &NodeInfo, _peer: &Peer) -> Result<String, Refusal> {
        Ok(node.id.clone())
    }

    fn slots(&self, mesh: &Mesh, proxy: &String) -> Slots {
        Slots::new(mesh.proxies[proxy].1.iter().map(String::as_str))
    }

    fn classes(&self, mesh: &Mesh, proxy: &String) -> Vec<String> {
        let classes = mesh.proxies[proxy].0.clone();
        assert!(!classes.iter().any(|class| class == "panic"), "no such class");
        classes
    }

    fn reclassify(&self, changes: &Changes, proxy: &String) -> bool {
        changes.proxies.contains(proxy)
    }

    /// `upper^lower` has what `lower` has as well.
    fn below(&self, class: &String) -> Option<String> {
        Some(class.split_once('^')?.1.to_owned())
    }

    fn plan(
        &self,
        mesh: &Mesh,
        class: &String,
        previous: Option<(&Arc<Plan>, &Changes)>,
        hold: bool,
        below: Option<&Arc<Plan>>,
    ) -> Arc<Plan> {
        if let Some((plan, changes)) = previous
            && below.is_none()
            && !changes.classes.contains(class)
            && (hold || !plan.held)
        {
            return plan.clone();
        }
        let def = mesh.classes.get(class).cloned().unwrap_or_default();
        assert!(!def.panic, "the plan of {class}");
        let last = previous.map(|(plan, _)| &**plan).filter(|_| hold);
        let mut plan = Plan::default();
        for ((kind, name), recipe) in &def.entries {
            let (key, held) = plan_entry(*kind, name, recipe, last);
            plan.held |= held;
            plan.lists[kind.index()].push((name.as_str().into(), key));
        }
        plan.problems.extend(def.left_out.iter().map(|name| strange(name)));
        for (list, below) in plan.lists.iter_mut().zip(below.iter().flat_map(|below| &below.lists)) {
            list.extend(below.iter().cloned());
            list.sort_by(|(a, _), (b, _)| a.cmp(b));
            list.dedup_by(|(b, _), (a, _)| a == b);
        }
        for (kind, name) in &def.hidden {
            plan.hidden[kind.index()].push(name.as_str().into());
        }
        Arc::new(plan)
    }

    fn holding(&self, plan: &Plan) -> bool {
        plan.held
    }

    fn problems<'p>(&self, plan: &'p Plan) -> &'p [Problem] {
        &plan.problems
    }

    fn layer<'p>(&self, plan: &'p Plan, kind: ResourceType) -> LayerPlan<'p, Key> {
        LayerPlan { entries: &plan.lists[kind.index()], hidden: &plan.hidden[kind.index()] }
    }

    fn build(&self, key: &Key) -> Built<Part> {
        *self.built.lock().unwrap().entry(key.content_hash()).or_default() += 1;
        let own = |text: &str| Some(Fragment::Bytes(field(text).into()));
        let fragment = |text: &Text| match text {
            Text::Own(text) if text == "panic" => panic!("the build of {}", key.name),
            Text::Own(text) => own(text),
            Text::Part(name, text) => Some(Fragment::Part(Part(name.clone(), text.clone()))),
            Text::Slot(index) => own(&placeholder(*index)),
            Text::Note(_) => None,
            Text::Dangling => own("dangling"),
        };
        Built {
            fragments: key.recipe.iter().filter_map(fragment).collect(),
            slotted: key.recipe.iter().any(|text| matches!(text, Text::Slot(_))),
            sources: self.sources(key),
            problems: Vec::new(),
        }
    }

    fn build_part(&self, part: &Part) -> BuiltPart {
        *self.built_parts.lock().unwrap().entry(part.content_hash()).or_default() += 1;
        assert_ne!(part.1, "panic", "the build of a part");
        let text = part
            .1
            .strip_prefix('$')
            .map_or_else(|| part.1.clone(), |slot| placeholder(slot.parse().unwrap()));
        let problems = if part.1 == "strange" { vec![strange(&part.0)] } else { Vec::new() };
        BuiltPart {
            bytes: field(&text).into(),
            slotted: part.1.starts_with('$'),
            sources: self.part_sources(part),
            problems,
        }
    }

    fn sources(&self, key: &Key) -> Vec<ObjectRef> {
        vec![source(&key.name)]
    }

    fn part_sources(&self, part: &Part) -> Vec<ObjectRef> {
        vec![source(&part.0)]
    }

    fn part_name(&self, part: &Part) -> Arc<str> {
        part.0.as_str().into()
    }

    fn absent(&self, _proxy: &String, _kind: ResourceType, _name: &str) -> Option<Bytes> {
        None
    }

    fn default_substitute(&self, key: &Key) -> Option<Bytes> {
        (key.kind != ResourceType::Secret).then(|| field("substitute").into())
    }

    fn part_substitute(&self, part: &Part) -> Option<Bytes> {
        (!part.0.starts_with("optional")).then(|| field("500").into())
    }
}

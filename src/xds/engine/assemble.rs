//! From plans to layers: the lists are put together from what their predecessors, the cache and new builds have.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rayon::prelude::*;

use super::Counters;
use super::classes::Layers;
use super::make::{Outcome, Task, make};
use super::resource::{Identity, keep_last};
use crate::cache::{Cache, HashIndex};
use crate::encoded::Encoded;
use crate::generate::{ContentHash, Generate, LayerPlan};
use crate::kind::ResourceType;
use crate::set::{Draft, Layer, NameTable, compare_names};

/// A plan that is to become layers.
pub(super) struct Job<'a, G: Generate> {
    pub(super) plan: &'a Arc<G::Plan>,
    /// The class's last plan and its layers.
    pub(super) before: Option<(&'a G::Plan, &'a Layers)>,
}

/// A layer that is being made.
enum Step<'a, K> {
    /// Nothing of this type was touched.
    Keep(Arc<Layer>),
    Make(List<'a, K>),
}

struct List<'a, K> {
    kind: ResourceType,
    plan: LayerPlan<'a, K>,
    before: Option<&'a Arc<Layer>>,
    /// Whether the names are those of `before`.
    same_names: bool,
    /// In the order of the plan's entries; those that are missing are to be filled in.
    found: Vec<Option<Arc<Encoded>>>,
    missing: Vec<Missing>,
}

struct Missing {
    /// Position in the plan's entries.
    at: usize,
    /// Position of the last form in the layer before.
    last: Option<usize>,
}

impl<'a, K: ContentHash> List<'a, K> {
    fn identity(&self, missing: &Missing) -> Option<(Identity<'a>, &'a K)> {
        let (name, key) = self.plan.entries.get(missing.at)?;
        Some((Identity { kind: self.kind, name, key: key.content_hash() }, key))
    }

    fn last(&self, missing: &Missing) -> Option<&'a Arc<Encoded>> {
        self.before?.entries().get(missing.last?)
    }
}

/// The layers of each job.
pub(super) fn assemble<G: Generate>(
    generate: &G,
    cache: &mut Cache,
    counters: &mut Counters,
    jobs: &[Job<'_, G>],
) -> Vec<Layers> {
    let read = &*cache;
    let steps: Vec<Vec<Step<'_, G::Key>>> = jobs
        .par_iter()
        .map(|job| ResourceType::ALL.iter().map(|kind| scan(generate, read, job, *kind)).collect())
        .collect();
    let outcomes = make(generate, cache, counters, &wanted(&steps));
    let names = &cache.names;
    steps
        .into_par_iter()
        .map(|steps| {
            let mut steps = steps.into_iter();
            ResourceType::ALL.map(|kind| match steps.next() {
                Some(Step::Keep(layer)) => layer,
                Some(Step::Make(list)) => Arc::new(finish(generate, names, list, &outcomes)),
                None => Arc::new(Layer::empty(kind)),
            })
        })
        .collect()
}

/// What of one type is there already.
fn scan<'a, G: Generate>(
    generate: &G,
    cache: &Cache,
    job: &Job<'a, G>,
    kind: ResourceType,
) -> Step<'a, G::Key> {
    let plan = generate.layer(job.plan, kind);
    let before = job.before.and_then(|(_, layers)| layers.get(kind.index()));
    if let (Some((old, _)), Some(layer)) = (job.before, before) {
        let old = generate.layer(old, kind);
        // Both plans are alive, so equal addresses are the same lists. A layer that lacks something tries again.
        if std::ptr::eq(plan.entries, old.entries)
            && same_list(plan.hidden, old.hidden)
            && layer.len() == plan.entries.len()
        {
            return Step::Keep(layer.clone());
        }
    }
    Step::Make(look_up(cache, kind, plan, before))
}

fn same_list(a: &[Arc<str>], b: &[Arc<str>]) -> bool {
    std::ptr::eq(a, b) || a == b
}

/// Walks a plan's entries beside the entries of the layer before.
fn look_up<'a, K: ContentHash>(
    cache: &Cache,
    kind: ResourceType,
    plan: LayerPlan<'a, K>,
    before: Option<&'a Arc<Layer>>,
) -> List<'a, K> {
    let olds = before.map_or::<&[_], _>(&[], |layer| layer.entries());
    let mut same_names = before.is_some();
    let mut found = Vec::with_capacity(plan.entries.len());
    let mut missing = Vec::new();
    let mut next = 0;
    for (at, (name, key)) in plan.entries.iter().enumerate() {
        while olds.get(next).is_some_and(|old| compare_names(old.name(), name).is_lt()) {
            same_names = false;
            next += 1;
        }
        let old = olds.get(next).filter(|old| compare_names(old.name(), name).is_eq());
        let last = old.map(|_| next);
        match old {
            Some(_) => next += 1,
            None => same_names = false,
        }
        let hash = key.content_hash();
        let entry = old.filter(|old| old.key == hash).cloned().or_else(|| cache.encoded.get(hash));
        if entry.is_none() {
            missing.push(Missing { at, last });
        }
        found.push(entry);
    }
    same_names &= next == olds.len();
    List { kind, plan, before, same_names, found, missing }
}

/// The distinct keys that are missing, in the order of the jobs.
fn wanted<'a, K: ContentHash>(steps: &[Vec<Step<'a, K>>]) -> Vec<Task<'a, K>> {
    let mut seen: HashIndex<()> = HashIndex::default();
    let mut tasks = Vec::new();
    for step in steps.iter().flatten() {
        let Step::Make(list) = step else { continue };
        for missing in &list.missing {
            let Some((id, key)) = list.identity(missing) else { continue };
            if let Entry::Vacant(vacant) = seen.entry(id.key) {
                vacant.insert(());
                tasks.push(Task { id, key, earlier: list.last(missing) });
            }
        }
    }
    tasks
}

/// Fills in what was built, and makes the layer.
fn finish<G: Generate>(
    generate: &G,
    table: &NameTable,
    mut list: List<'_, G::Key>,
    outcomes: &HashIndex<Outcome<G::Part>>,
) -> Layer {
    let mut lost = Vec::new();
    for missing in std::mem::take(&mut list.missing) {
        let Some((id, key)) = list.identity(&missing) else { continue };
        let last = list.last(&missing).map(|last| &**last);
        let entry = match outcomes.get(&id.key) {
            Some(Outcome::Good(encoded)) => Some(encoded.clone()),
            Some(Outcome::Partial(sketch)) => Some(Arc::new(sketch.encode(id, last, generate))),
            Some(Outcome::Failed(failure)) => {
                let kept = keep_last(generate, id, key, last, failure).map(Arc::new);
                if kept.is_none() {
                    lost.push(failure.clone());
                }
                kept
            }
            None => None,
        };
        if let Some(place) = list.found.get_mut(missing.at) {
            *place = entry;
        }
    }
    let count = list.found.len();
    let entries: Box<[_]> = list.found.into_iter().flatten().collect();
    let names = match list.before {
        Some(before) if list.same_names && entries.len() == count => before.names().clone(),
        _ => table.share(entries.iter().map(|entry| entry.name().clone()).collect()),
    };
    let hidden = match list.before {
        Some(before) if **before.hidden() == *list.plan.hidden => before.hidden().clone(),
        _ => list.plan.hidden.into(),
    };
    let draft = Draft { names, entries, hidden, lost: lost.into() };
    match list.before {
        Some(before) => Layer::successor(before, draft),
        None => Layer::first(list.kind, draft),
    }
}

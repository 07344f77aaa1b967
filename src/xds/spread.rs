//! How far each object has come: how many connected proxies need something made of it, have it, or refuse it.

mod merge;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use api::{ObjectKey, ObjectRef};

use crate::encoded::Encoded;
use crate::engine::ProxySets;
use crate::kind::ResourceType;
use crate::protocol::Standing;
use crate::set::{Layer, Set};

pub use merge::merge;

/// How far one object has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The latest generation of the object that anything is made of.
    pub generation: i64,
    /// Connected proxies that are to have something made of it.
    pub needed: usize,
    /// Those of them that have accepted all of it.
    pub accepted: usize,
    /// Those of them that have refused some of it.
    pub refused: usize,
    /// One of the refusals, the same for as long as that proxy refuses.
    pub refusal: Option<Refusal>,
}

/// What a proxy said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The proxy, `<pod>.<namespace>` for those of the mesh.
    pub proxy: String,
    /// The type of what it refused.
    pub kind: ResourceType,
    /// How many resources the words may be about; 1 if they name one.
    pub among: usize,
    /// Envoy's words.
    pub words: String,
}

/// A connected proxy: what it is to have, and where it stands.
pub struct Connected {
    /// Its name, `<pod>.<namespace>` for those of the mesh.
    pub name: String,
    /// What it is to have.
    pub sets: ProxySets,
    /// Where it stands with each type that it asks for.
    pub standings: Vec<(ResourceType, Standing)>,
}

/// How far objects have come, of those that `counts` wants to know of.
///
/// What proxies share is looked at once, so this costs what the distinct sets hold and not what the proxies hold together.
pub fn spread(proxies: &[Connected], counts: impl Fn(&ObjectRef) -> bool) -> BTreeMap<ObjectKey, Spread> {
    let mut objects = Objects { counts, known: HashMap::new(), spreads: Vec::new(), seen: HashMap::new() };
    let mut groups: HashMap<Group, Vec<&Connected>> = HashMap::new();
    for proxy in proxies {
        groups.entry(Group::of(proxy)).or_default().push(proxy);
    }
    for members in groups.into_values() {
        objects.count_group(&members);
    }
    objects.finish()
}

/// Proxies whose sets are made of the same layers but for the topmost, which is often a proxy's own.
#[derive(PartialEq, Eq, Hash)]
struct Group(Vec<*const Layer>);

impl Group {
    fn of(proxy: &Connected) -> Self {
        let layers = proxy.standings.iter().flat_map(|(kind, _)| shared(proxy.sets.get(*kind)));
        Self(layers.map(Arc::as_ptr).collect())
    }
}

/// The layers of a set that other proxies have too.
fn shared(set: &Set) -> &[Arc<Layer>] {
    set.layers().split_last().map_or(&[], |(_, lower)| lower)
}

/// The layer that may be a proxy's own.
fn own(set: &Set) -> Option<&Arc<Layer>> {
    set.layers().last()
}

/// An object's number in one count.
type Number = usize;

struct Objects<C> {
    counts: C,
    known: HashMap<ObjectKey, Number>,
    spreads: Vec<(ObjectKey, Spread)>,
    /// The objects of resources that were looked at.
    seen: HashMap<*const Encoded, Box<[Number]>>,
}

impl<C: Fn(&ObjectRef) -> bool> Objects<C> {
    fn count_group(&mut self, members: &[&Connected]) {
        let Some(first) = members.first() else { return };
        let mut common: HashSet<Number> = HashSet::new();
        for (kind, _) in &first.standings {
            let lower = Set::new(*kind, shared(first.sets.get(*kind)).iter().cloned(), Default::default());
            lower.iter().for_each(|resource| common.extend(self.of(resource)));
        }
        self.add(&common, members.len(), |spread| &mut spread.needed);
        self.add(&common, members.len(), |spread| &mut spread.accepted);
        for proxy in members {
            let mut needed: HashSet<Number> = HashSet::new();
            for layer in proxy.standings.iter().filter_map(|(kind, _)| own(proxy.sets.get(*kind))) {
                layer.entries().iter().for_each(|resource| needed.extend(self.of(resource)));
            }
            needed.retain(|number| !common.contains(number));
            self.add(&needed, 1, |spread| &mut spread.needed);
            self.add(&needed, 1, |spread| &mut spread.accepted);
            self.count_missing(proxy);
        }
    }

    /// Takes back what the proxy was counted for and has not accepted.
    fn count_missing(&mut self, proxy: &Connected) {
        let (mut missing, mut refused): (HashSet<Number>, HashSet<Number>) = Default::default();
        for (kind, standing) in &proxy.standings {
            let set = proxy.sets.get(*kind);
            if standing.nothing {
                set.iter().for_each(|resource| missing.extend(self.of(resource)));
            }
            for resource in standing.behind.iter().filter_map(|name| set.get(name)) {
                missing.extend(self.of(resource));
            }
            let Some((names, words)) = &standing.refused else { continue };
            let refusal =
                Refusal { proxy: proxy.name.clone(), kind: *kind, among: names.len(), words: words.clone() };
            for resource in names.iter().filter_map(|name| set.get(name)) {
                for number in self.of(resource).to_vec() {
                    refused.insert(number);
                    if let Some((_, spread)) = self.spreads.get_mut(number)
                        && spread.refusal.as_ref().is_none_or(|known| refusal < *known)
                    {
                        spread.refusal = Some(refusal.clone());
                    }
                }
            }
        }
        missing.extend(&refused);
        for number in missing {
            if let Some((_, spread)) = self.spreads.get_mut(number) {
                spread.accepted = spread.accepted.saturating_sub(1);
            }
        }
        self.add(&refused, 1, |spread| &mut spread.refused);
    }

    fn add(&mut self, objects: &HashSet<Number>, proxies: usize, of: impl Fn(&mut Spread) -> &mut usize) {
        for number in objects {
            if let Some((_, spread)) = self.spreads.get_mut(*number) {
                *of(spread) += proxies;
            }
        }
    }

    /// The objects that a resource is made of.
    fn of(&mut self, resource: &Arc<Encoded>) -> &[Number] {
        let (known, spreads, counts) = (&mut self.known, &mut self.spreads, &self.counts);
        self.seen.entry(Arc::as_ptr(resource)).or_insert_with(|| {
            let sources = resource.sources().filter(|source| counts(source));
            let mut numbers: Vec<Number> = sources
                .map(|source| {
                    let number = known.get(&source.key).copied().unwrap_or_else(|| {
                        known.insert(source.key.clone(), spreads.len());
                        spreads.push((source.key.clone(), Spread::default()));
                        spreads.len() - 1
                    });
                    if let Some((_, spread)) = spreads.get_mut(number) {
                        spread.generation = spread.generation.max(source.generation);
                    }
                    number
                })
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers.into()
        })
    }

    fn finish(self) -> BTreeMap<ObjectKey, Spread> {
        self.spreads.into_iter().filter(|(_, spread)| spread.needed > 0).collect()
    }
}

#[cfg(test)]
mod tests;

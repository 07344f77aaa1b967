//! The live proxies and their classes: from a snapshot of the mesh to what each proxy is to have.
//!
//! Pure: the time comes in, nothing goes out but return values. Work over many classes is spread over the threads of
//! the rayon pool that the caller runs in.

mod assemble;
mod classes;
mod make;
mod plans;
mod proxy_sets;
mod resource;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::Problem;
use rayon::prelude::*;

use crate::cache::Cache;
use crate::failure::{Failure, Stage, catch};
use crate::generate::{Code, Generate, Refusal};
use crate::slot::Slots;
use assemble::{Job, assemble};
use classes::{ClassId, Classes};
use plans::{Below, Planned};
pub use proxy_sets::ProxySets;
pub use update::Updates;

/// A connected proxy. Never given twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyId(u64);

/// What the engine has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Plans made or looked over.
    pub plans: u64,
    /// Resources built.
    pub builds: u64,
    /// Parts built.
    pub part_builds: u64,
    /// Panics caught, by [`Stage`] in the order of [`Stage::ALL`].
    pub failures: [u64; Stage::ALL.len()],
}

/// Who is connected, which classes they are of, and what each class has.
pub struct Engine<G: Generate> {
    generate: Arc<G>,
    mesh: Arc<G::Mesh>,
    generation: u64,
    /// For how long dangling references may be held; zero: not at all.
    hold_for: Duration,
    classes: Classes<G>,
    proxies: BTreeMap<ProxyId, Live<G>>,
    connected: u64,
    cache: Cache,
    counters: Counters,
}

/// A connected proxy.
struct Live<G: Generate> {
    proxy: Arc<G::Proxy>,
    classes: Box<[ClassId]>,
    slots: Slots,
    sets: ProxySets,
    /// Why its classes are those of an earlier mesh.
    failure: Option<Arc<Failure>>,
}

/// What [`Generate`] says of a proxy.
struct Traits<G: Generate> {
    classes: Vec<G::Class>,
    slots: Slots,
}

impl<G: Generate> Engine<G> {
    /// An engine without proxies. `hold_for`: for how long what would name something that does not exist yet may keep
    /// its last form (design 3.10).
    pub fn new(generate: Arc<G>, mesh: Arc<G::Mesh>, hold_for: Duration) -> Self {
        Self {
            generate,
            mesh,
            generation: 0,
            hold_for,
            classes: Classes::default(),
            proxies: BTreeMap::new(),
            connected: 0,
            cache: Cache::default(),
            counters: Counters::default(),
        }
    }

    /// Registers a proxy and returns what it is to have.
    ///
    /// Refused with `Internal` if its classes or plans cannot be made: a client that is sent nothing keeps what it has.
    pub fn connect(&mut self, proxy: Arc<G::Proxy>) -> Result<(ProxyId, ProxySets), Refusal> {
        let none = || Refusal { code: Code::Internal, message: "the proxy was not registered".to_owned() };
        self.connect_all(vec![proxy]).pop().unwrap_or_else(|| Err(none()))
    }

    /// [`Engine::connect`] for many proxies, in order; what they share is made once, and in parallel.
    pub fn connect_all(&mut self, proxies: Vec<Arc<G::Proxy>>) -> Vec<Result<(ProxyId, ProxySets), Refusal>> {
        let traits: Vec<_> = proxies.par_iter().map(|proxy| self.traits(proxy)).collect();
        let failed = self.add_classes(traits.iter().flatten());
        let mut results = Vec::with_capacity(proxies.len());
        for (proxy, traits) in proxies.into_iter().zip(traits) {
            if let Err(failure) = &traits {
                self.count(failure);
            }
            let registered = traits.and_then(|traits| self.register(proxy, traits, &failed));
            let refusal =
                |failure: Arc<Failure>| Refusal { code: Code::Internal, message: failure.to_string() };
            results.push(registered.map_err(refusal));
        }
        self.retire();
        results
    }

    /// Forgets a proxy, and the classes that nobody else is of.
    pub fn disconnect(&mut self, id: ProxyId) {
        if let Some(live) = self.proxies.remove(&id) {
            self.classes.release(&live.classes);
            self.retire();
        }
    }

    /// The proxies that are connected.
    pub fn proxies(&self) -> impl Iterator<Item = (ProxyId, &Arc<G::Proxy>, &ProxySets)> {
        self.proxies.iter().map(|(id, live)| (*id, &live.proxy, &live.sets))
    }

    /// What a proxy is to have now.
    pub fn sets(&self, id: ProxyId) -> Option<&ProxySets> {
        self.proxies.get(&id).map(|live| &live.sets)
    }

    /// The classes in use with their plans, in class order.
    pub fn plans(&self) -> impl Iterator<Item = (&G::Class, &Arc<G::Plan>)> {
        self.classes.iter().map(|(_, state)| (&state.class, &state.plan))
    }

    /// The snapshot that the sets are made from.
    pub fn mesh(&self) -> &Arc<G::Mesh> {
        &self.mesh
    }

    /// Counts the snapshots, from 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What has been done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many entries the caches remember; some may be dead and not yet swept.
    pub fn cache_len(&self) -> usize {
        self.cache.len()
    }

    /// Forgets cache entries that no set holds. Happens by itself when it is worth the work.
    pub fn sweep(&mut self) {
        self.cache.sweep();
    }

    /// The panics because of which something is missing or not in its current form.
    pub fn failures(&self) -> BTreeSet<&Failure> {
        let of_classes = self.classes.iter().flat_map(|(_, state)| {
            state.failure.iter().chain(state.layers.iter().flat_map(|layer| layer.failures()))
        });
        let of_proxies = self.proxies.values().filter_map(|live| live.failure.as_ref());
        of_classes.chain(of_proxies).map(|failure| &**failure).collect()
    }

    /// Everything wrong with what is served: what plans and builds found, and what panicked.
    pub fn problems(&self) -> BTreeSet<Problem> {
        let planned = self.plans().flat_map(|(_, plan)| self.generate.problems(plan));
        let layers = self.classes.iter().flat_map(|(_, state)| &state.layers);
        let found = planned.chain(layers.flat_map(|layer| layer.problems())).cloned();
        found.chain(self.failures().into_iter().flat_map(Failure::problems)).collect()
    }

    fn traits(&self, proxy: &G::Proxy) -> Result<Traits<G>, Arc<Failure>> {
        let generate = &*self.generate;
        let classify = || Traits {
            classes: generate.classes(&self.mesh, proxy),
            slots: generate.slots(&self.mesh, proxy),
        };
        catch(classify).map_err(|message| Arc::new(Failure::unnamed(Stage::Classify, message)))
    }

    /// Plans and assembles the classes of these that are not known; returns those that panicked.
    fn add_classes<'a>(
        &mut self,
        traits: impl Iterator<Item = &'a Traits<G>>,
    ) -> BTreeMap<G::Class, Arc<Failure>> {
        let wanted: BTreeSet<&G::Class> = traits.flat_map(|traits| &traits.classes).collect();
        let new: Vec<&G::Class> =
            wanted.into_iter().filter(|class| self.classes.find(class).is_none()).collect();
        let first = |class: &&G::Class, below: Below<'_, G>| self.plan_first(class, below);
        let plans = self.plan_in_order(new, |class| class, first, |plan| plan);
        self.counters.plans += plans.len() as u64;
        let made = plans.iter().filter_map(|(_, plan)| plan.as_ref().ok());
        let jobs = made.map(|plan| Job { plan, before: None }).collect::<Vec<_>>();
        let layers = assemble(&*self.generate, &mut self.cache, &mut self.counters, &jobs);
        let mut layers = layers.into_iter();
        let mut failed = BTreeMap::new();
        for (class, plan) in plans {
            match plan {
                Err(failure) => {
                    self.count(&failure);
                    failed.insert(class.clone(), failure);
                }
                Ok(plan) => {
                    if let Some(layers) = layers.next() {
                        self.classes.insert(class.clone(), Planned::new(plan), layers);
                    }
                }
            }
        }
        failed
    }

    fn register(
        &mut self,
        proxy: Arc<G::Proxy>,
        traits: Traits<G>,
        failed: &BTreeMap<G::Class, Arc<Failure>>,
    ) -> Result<(ProxyId, ProxySets), Arc<Failure>> {
        let classes = self.find_classes(&traits.classes, failed)?;
        self.classes.hold(&classes);
        let sets = ProxySets::new(&self.classes, &classes, &traits.slots, self.generation);
        let id = ProxyId(self.connected);
        self.connected += 1;
        let live = Live { proxy, classes, slots: traits.slots, sets: sets.clone(), failure: None };
        self.proxies.insert(id, live);
        Ok((id, sets))
    }

    fn find_classes(
        &self,
        classes: &[G::Class],
        failed: &BTreeMap<G::Class, Arc<Failure>>,
    ) -> Result<Box<[ClassId]>, Arc<Failure>> {
        let find = |class| {
            let unknown = || Arc::new(Failure::unnamed(Stage::Plan, "the class has no plan".to_owned()));
            self.classes.find(class).ok_or_else(|| failed.get(class).cloned().unwrap_or_else(unknown))
        };
        classes.iter().map(find).collect()
    }

    /// Drops what nobody uses.
    fn retire(&mut self) {
        self.cache.moved(self.classes.drop_unused());
        self.cache.sweep_if_due();
    }

    fn count(&mut self, failure: &Failure) {
        self.counters.count(failure.stage);
    }
}

impl Counters {
    fn count(&mut self, stage: Stage) {
        if let Some(count) = self.failures.get_mut(stage as usize) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests;

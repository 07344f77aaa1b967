//! VirtualServices as clients see them: full host names, gateways by namespace, delegates merged in.
//!
//! What is made of each is kept, so that a change costs what it changes: the object itself, those that name it as a
//! delegate, and those that claim the same hosts.
//!
//! Source: Istio `pilot/pkg/model/virtualservice.go`; `shared/spec/xds.md` 5.7, 6.

mod conflicts;
mod delegates;
mod matches;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::istio::VirtualService;
use api::{Kind, ObjectKey, Problem};
use model::mesh::{Settings, VirtualServiceEntry};
use model::visibility::ExportTo;
use model::{Config, Ref};

use crate::tables::Id;
use conflicts::Claims;

/// What each VirtualService says.
#[derive(Debug, Default)]
pub(crate) struct Known {
    resolved: BTreeMap<Id, Resolved>,
    /// Those that name a delegate, be it there or not, by the delegate.
    naming: BTreeMap<Id, BTreeSet<Id>>,
    made: BTreeMap<Id, Made>,
    claims: Claims,
}

/// A VirtualService by itself: full names, and who sees it.
#[derive(Debug)]
struct Resolved {
    config: Ref<Config<VirtualService>>,
    export_to: ExportTo,
}

/// A VirtualService with its delegates, and what is wrong with it alone.
#[derive(Debug)]
struct Made {
    entry: Ref<VirtualServiceEntry>,
    problems: Vec<Problem>,
}

/// What a change makes of the section.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Entries that are no longer there.
    pub(crate) gone: Vec<Ref<VirtualServiceEntry>>,
    /// Entries that are there instead.
    pub(crate) came: Vec<Ref<VirtualServiceEntry>>,
    /// All that is wrong with each object that the change concerns.
    pub(crate) problems: Vec<(ObjectKey, Vec<Problem>)>,
}

impl Known {
    /// Takes the new forms of objects; none for one that is gone.
    pub(crate) fn update<'a>(
        &mut self,
        objects: impl Iterator<Item = (&'a Id, Option<&'a Ref<Config<VirtualService>>>)>,
        settings: &Settings,
    ) -> Difference {
        let mut concerned: BTreeSet<Id> = BTreeSet::new();
        for (id, object) in objects {
            self.resolve(id, object, settings);
            concerned.insert(id.clone());
        }
        let naming = concerned.iter().filter_map(|id| self.naming.get(id)).flatten().cloned();
        concerned.extend(naming.collect::<Vec<_>>());
        let mut difference = Difference::default();
        for id in &concerned {
            self.make_again(id, &mut difference);
        }
        concerned.extend(self.claims.exchange(&difference.gone, &difference.came));
        difference.problems = concerned.into_iter().map(|id| self.problems(id)).collect();
        difference
    }

    fn resolve(&mut self, id: &Id, object: Option<&Ref<Config<VirtualService>>>, settings: &Settings) {
        let new = object.map(|object| Resolved::new(object, settings));
        let named = |resolved: &Resolved| resolved.delegates().collect::<Vec<_>>();
        for delegate in self.resolved.remove(id).iter().flat_map(named) {
            if let Some(others) = self.naming.get_mut(&delegate) {
                others.remove(id);
                if others.is_empty() {
                    self.naming.remove(&delegate);
                }
            }
        }
        for delegate in new.iter().flat_map(named) {
            self.naming.entry(delegate).or_default().insert(id.clone());
        }
        if let Some(new) = new {
            self.resolved.insert(id.clone(), new);
        }
    }

    /// Merges delegates in again, and notes whether that differs.
    fn make_again(&mut self, id: &Id, difference: &mut Difference) {
        let new = self.make(id);
        let old = self.made.remove(id);
        let entry = |made: &Option<Made>| made.as_ref().map(|m| m.entry.clone());
        if entry(&old) != entry(&new) {
            difference.gone.extend(entry(&old));
            difference.came.extend(entry(&new));
        }
        if let Some(new) = new {
            self.made.insert(id.clone(), new);
        }
    }

    /// A VirtualService with its delegates; none for what is a delegate itself.
    fn make(&self, id: &Id) -> Option<Made> {
        let resolved = self.resolved.get(id).filter(|r| !r.is_delegate())?;
        let export_to = resolved.export_to.clone();
        let mut problems = Vec::new();
        let (config, origins) = if resolved.delegates().next().is_some() {
            let mut config = Config::clone(&resolved.config);
            let origins = delegates::merge_into(&mut config, &self.resolved, &mut problems);
            (Ref::new(config), origins)
        } else {
            (resolved.config.clone(), Vec::new())
        };
        let mut matches = config.spec.http.iter().flat_map(|r| &r.r#match);
        let source_dependent = matches.any(|m| !m.source_labels.is_empty() || !m.source_namespace.is_empty());
        let entry = Ref::new(VirtualServiceEntry { config, export_to, source_dependent, origins });
        Some(Made { entry, problems })
    }

    /// All that is wrong with an object.
    fn problems(&self, (namespace, name): Id) -> (ObjectKey, Vec<Problem>) {
        let made = self.made.get(&(Arc::clone(&namespace), Arc::clone(&name)));
        let own = made.into_iter().flat_map(|m| m.problems.iter().cloned());
        let lost = made.into_iter().flat_map(|m| self.claims.lost(&m.entry));
        (ObjectKey { kind: Kind::VirtualService, namespace, name }, own.chain(lost).collect())
    }
}

impl Resolved {
    fn new(object: &Config<VirtualService>, settings: &Settings) -> Self {
        let mut config = object.clone();
        names::resolve(&mut config, &settings.domain);
        let default = &settings.mesh.default_virtual_service_export_to;
        let own = &object.spec.export_to;
        let export_to = if object.spec.hosts.is_empty() {
            ExportTo::named(if own.is_empty() { default } else { own }, object.namespace())
        } else {
            ExportTo::parse(own, object.namespace(), default)
        };
        Self { config: Ref::new(config), export_to }
    }

    /// Whether it has no hosts: a delegate never stands for itself.
    fn is_delegate(&self) -> bool {
        self.config.spec.hosts.is_empty()
    }

    /// The delegates that its rules name.
    fn delegates(&self) -> impl Iterator<Item = Id> {
        let rules = self.config.spec.http.iter().filter(|_| !self.is_delegate());
        rules.filter_map(|r| Some(delegates::named(r.delegate.as_ref()?, self.config.namespace())))
    }
}

#[cfg(test)]
mod tests;

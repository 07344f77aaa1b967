//! DestinationRules merged per namespace and host, and indexed by who sees them.
//!
//! The rules of a host in a namespace are merged on their own, so a change costs as much as there are rules of its host.
//!
//! Source: Istio `pilot/pkg/model/push_context.go` (`setDestinationRules`); `shared/spec/xds.md` 2.6.

mod merge;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::istio::DestinationRule;
use api::{Kind, ObjectKey, Problem};
use model::hostname;
use model::mesh::{DestinationRules, MergedRule, RulesOfHost, Settings};
use model::visibility::ExportTo;
use model::{Config, Ref};

use crate::tables::Id;
use merge::Merged;

/// A namespace and a host for which it has rules.
type Host = (Arc<str>, Arc<str>);

/// Which rules each namespace has for each host.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The host of each rule.
    hosts: BTreeMap<Id, Host>,
    rules: BTreeMap<Host, BTreeMap<Id, Ref<Config<DestinationRule>>>>,
}

impl Known {
    /// Takes the new forms of objects, none for one that is gone, and changes the section accordingly. All that is
    /// wrong with each object that the change concerns comes back.
    pub(crate) fn update<'a>(
        &mut self,
        section: &mut DestinationRules,
        objects: impl Iterator<Item = (&'a Id, Option<&'a Ref<Config<DestinationRule>>>)>,
        settings: &Settings,
    ) -> BTreeMap<ObjectKey, Vec<Problem>> {
        let mut touched = BTreeSet::new();
        let mut problems: BTreeMap<ObjectKey, Vec<Problem>> = BTreeMap::new();
        for (id, object) in objects {
            let unhosted = object.filter(|o| o.spec.host.is_empty()).map(|o| merge::no_host(o));
            problems.insert(key(id), unhosted.into_iter().collect());
            touched.extend(self.forget(id));
            touched.extend(object.and_then(|object| self.note(id, object, settings)));
        }
        for host in touched {
            let of_host = self.rules.get(&host).into_iter().flatten();
            of_host.clone().for_each(|(id, _)| drop(problems.insert(key(id), Vec::new())));
            let mut found = Vec::new();
            let merged = merged(of_host.map(|(_, rule)| rule).collect(), &host.0, settings, &mut found);
            section.set(&host.0, &host.1, merged);
            for problem in found {
                problems.entry(problem.object.clone()).or_default().push(problem);
            }
        }
        problems
    }

    /// Takes a rule out; its host comes back.
    fn forget(&mut self, id: &Id) -> Option<Host> {
        let host = self.hosts.remove(id)?;
        if let Some(rules) = self.rules.get_mut(&host) {
            rules.remove(id);
            if rules.is_empty() {
                self.rules.remove(&host);
            }
        }
        Some(host)
    }

    /// Puts a rule in, if it has a host, which comes back.
    fn note(&mut self, id: &Id, rule: &Ref<Config<DestinationRule>>, settings: &Settings) -> Option<Host> {
        if rule.spec.host.is_empty() {
            return None;
        }
        let host = hostname::resolve_short(&rule.spec.host, &id.0, &settings.domain);
        let host = (Arc::clone(&id.0), Arc::from(host));
        self.hosts.insert(id.clone(), host.clone());
        self.rules.entry(host.clone()).or_default().insert(id.clone(), rule.clone());
        Some(host)
    }
}

fn key((namespace, name): &Id) -> ObjectKey {
    ObjectKey { kind: Kind::DestinationRule, namespace: Arc::clone(namespace), name: Arc::clone(name) }
}

/// The rules of one host in a namespace, merged for those who see them.
fn merged(
    mut objects: Vec<&Ref<Config<DestinationRule>>>,
    namespace: &Arc<str>,
    settings: &Settings,
    problems: &mut Vec<Problem>,
) -> RulesOfHost {
    objects.sort_by(|a, b| selectors_first(a, b));
    let (mut local, mut exported, mut root_private) = (Vec::new(), Vec::new(), Vec::new());
    let root = **namespace == *settings.mesh.root_namespace;
    for object in objects {
        let rule = Merged::new(object, settings);
        if rule.local {
            merge::add(&mut local, rule.clone(), problems);
        }
        // What is wrong was told for the first level that took the rule.
        if !rule.export_to.is_private(namespace) {
            if rule.export_to != ExportTo::Nobody {
                merge::add(&mut exported, rule, &mut Vec::new());
            }
        } else if root {
            merge::add(&mut root_private, rule, &mut Vec::new());
        }
    }
    RulesOfHost {
        local: finish(local),
        exported: finish(exported),
        root_private: root.then(|| finish(root_private)),
    }
}

fn finish(rules: Vec<Merged>) -> Vec<Ref<MergedRule>> {
    rules.into_iter().map(|rule| Ref::new(rule.finish())).collect()
}

/// Rules with a selector, then the older, then by name and namespace: the first of one host gives the policy.
fn selectors_first(a: &Config<DestinationRule>, b: &Config<DestinationRule>) -> Ordering {
    let none = |c: &Config<DestinationRule>| c.spec.workload_selector.is_none();
    none(a).cmp(&none(b)).then_with(|| a.by_age(b))
}

#[cfg(test)]
mod tests;

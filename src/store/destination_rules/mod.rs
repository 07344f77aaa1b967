//! DestinationRules merged per namespace and host, and indexed by who sees them.
//!
//! Source: Istio `pilot/pkg/model/push_context.go` (`setDestinationRules`); `shared/spec/xds.md` 2.6.

mod merge;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use api::Problem;
use api::istio::DestinationRule;
use model::hostname;
use model::mesh::{DestinationRules, RulesByHost, Settings};
use model::visibility::ExportTo;
use model::{Config, Ref};

use merge::Merged;

/// A section and what was found wrong with its objects.
#[derive(Debug, Default)]
pub struct Built {
    /// The section.
    pub section: DestinationRules,
    /// The problems.
    pub problems: Vec<Problem>,
}

/// The rules of one visibility level, in the making: by host, those that stay apart.
type Level = BTreeMap<Arc<str>, Vec<Merged>>;

/// Builds the section from all DestinationRules; their order does not matter.
pub fn build<'a>(
    objects: impl Iterator<Item = &'a Ref<Config<DestinationRule>>>,
    settings: &Settings,
) -> Built {
    let mut objects: Vec<&Ref<Config<DestinationRule>>> = objects.collect();
    objects.sort_by(|a, b| selectors_first(a, b));
    let mut local: BTreeMap<Arc<str>, Level> = BTreeMap::new();
    let mut exported: BTreeMap<Arc<str>, Level> = BTreeMap::new();
    let mut root_private = Level::new();
    let mut problems = Vec::new();
    let root = settings.mesh.root_namespace.as_str();
    for object in objects {
        if object.spec.host.is_empty() {
            problems.push(merge::no_host(object));
            continue;
        }
        let namespace = object.namespace();
        let host = hostname::resolve_short(&object.spec.host, namespace, &settings.domain);
        let host: Arc<str> = Arc::from(host);
        let rule = Merged::new(object, settings);
        if rule.export_to.visible_to(namespace) {
            add(local.entry(Arc::clone(namespace)).or_default(), &host, rule.clone(), &mut problems);
        }
        if rule.export_to.is_private(namespace) {
            if &**namespace == root {
                add(&mut root_private, &host, rule, &mut Vec::new());
            }
        } else if rule.export_to != ExportTo::Nobody {
            // What is wrong was told for the first level that took the rule.
            add(exported.entry(Arc::clone(namespace)).or_default(), &host, rule, &mut Vec::new());
        }
    }
    let finish = |levels: BTreeMap<Arc<str>, Level>| {
        levels.into_iter().map(|(ns, level)| (ns, by_host(level))).collect()
    };
    let section = DestinationRules {
        local: finish(local),
        exported: finish(exported),
        root_private: by_host(root_private),
    };
    Built { section, problems }
}

/// Rules with a selector, then the older, then by name and namespace: the first of one host gives the policy.
fn selectors_first(a: &Config<DestinationRule>, b: &Config<DestinationRule>) -> Ordering {
    let none = |c: &Config<DestinationRule>| c.spec.workload_selector.is_none();
    none(a).cmp(&none(b)).then_with(|| a.by_age(b))
}

fn add(level: &mut Level, host: &Arc<str>, rule: Merged, problems: &mut Vec<Problem>) {
    merge::add(level.entry(Arc::clone(host)).or_default(), rule, problems);
}

fn by_host(level: Level) -> RulesByHost {
    let mut rules = RulesByHost::default();
    for (host, merged) in level {
        let merged = merged.into_iter().map(|m| Ref::new(m.finish())).collect();
        if hostname::is_wildcard(&host) {
            rules.wildcard.push((host, merged));
        } else {
            rules.exact.insert(host, merged);
        }
    }
    rules.wildcard.sort_by(|a, b| hostname::by_specificity(&a.0, &b.0));
    rules
}

#[cfg(test)]
mod tests;

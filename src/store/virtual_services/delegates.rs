//! Delegates: rules of one VirtualService whose routes another one writes.
//!
//! Source: Istio `pilot/pkg/model/virtualservice.go` (`mergeVirtualServicesIfNeeded`); `shared/spec/xds.md` 5.7.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::istio::{Delegate, HttpRoute, VirtualService};
use api::{Problem, Severity};
use model::Config;
use model::mesh::{RuleOrigin, RulePlace};

use super::{Resolved, matches};
use crate::tables::Id;

/// Puts the rules of delegates in the place of the rules that name them. Where each rule was written comes back;
/// nothing if there are no delegates. Delegates of delegates are not looked for.
pub(super) fn merge_into(
    root: &mut Config<VirtualService>,
    known: &BTreeMap<Id, Resolved>,
    problems: &mut Vec<Problem>,
) -> Vec<RuleOrigin> {
    let mut rules = Vec::new();
    let mut origins = Vec::new();
    for (index, mut rule) in std::mem::take(&mut root.spec.http).into_iter().enumerate() {
        let Some(delegate) = rule.delegate.take() else {
            origins.push(RuleOrigin { object: root.source.clone(), place: RulePlace::Rule(index) });
            rules.push(rule);
            continue;
        };
        let told = |field: &str, message: String, hint: &str| Problem {
            severity: Severity::Error,
            object: root.source.key.clone(),
            field: format!("spec.http[{index}].{field}"),
            message,
            hint: hint.to_owned(),
        };
        let found = match find(known, &delegate, root.namespace()) {
            Ok(found) => found,
            Err(message) => {
                let hint = "create it without hosts and export it to this namespace; the rule is left out";
                problems.push(told("delegate", message, hint));
                continue;
            }
        };
        for (at, written) in found.spec.http.iter().enumerate() {
            if let Some(merged) = merge(&rule, written) {
                origins.push(RuleOrigin { object: found.source.clone(), place: RulePlace::Rule(at) });
                rules.push(merged);
            } else {
                let name = format!("{}/{}", found.namespace(), found.name());
                let message = format!("rule http[{at}] of delegate {name} fits no match of this rule");
                problems.push(told("match", message, "narrow the delegate's matches; its rule is left out"));
            }
        }
    }
    root.spec.http = rules;
    origins
}

/// Namespace and name of the delegate that a rule of `namespace` names.
pub(super) fn named(delegate: &Delegate, namespace: &Arc<str>) -> Id {
    let of = match delegate.namespace.as_str() {
        "" => Arc::clone(namespace),
        other => Arc::from(other),
    };
    (of, Arc::from(delegate.name.as_str()))
}

/// The delegate that a rule of `namespace` names, or why there is none.
fn find<'k>(
    known: &'k BTreeMap<Id, Resolved>,
    delegate: &Delegate,
    namespace: &Arc<str>,
) -> Result<&'k Config<VirtualService>, String> {
    let id = named(delegate, namespace);
    let called = format!("delegate {}/{}", id.0, id.1);
    match known.get(&id).filter(|r| r.is_delegate()) {
        None => Err(format!("{called} does not exist")),
        Some(found) if !found.export_to.visible_to(namespace) => {
            Err(format!("{called} is not exported to namespace {namespace}"))
        }
        Some(found) => Ok(&found.config),
    }
}

/// A delegate's rule with what the root's rule adds; none if their matches exclude each other. What the delegate says
/// wins; the root's redirect is not inherited.
fn merge(root: &HttpRoute, delegate: &HttpRoute) -> Option<HttpRoute> {
    let merged = delegate.clone();
    Some(HttpRoute {
        name: matches::joined(&root.name, &delegate.name),
        r#match: matches::merge(&root.r#match, &delegate.r#match)?,
        rewrite: merged.rewrite.or_else(|| root.rewrite.clone()),
        direct_response: merged.direct_response.or_else(|| root.direct_response.clone()),
        timeout: merged.timeout.or(root.timeout),
        retries: merged.retries.or_else(|| root.retries.clone()),
        fault: merged.fault.or_else(|| root.fault.clone()),
        mirror: merged.mirror.or_else(|| root.mirror.clone()),
        mirrors: if merged.mirrors.is_empty() { root.mirrors.clone() } else { merged.mirrors },
        mirror_percent: merged.mirror_percent.or(root.mirror_percent),
        mirror_percentage: merged.mirror_percentage.or_else(|| root.mirror_percentage.clone()),
        cors_policy: merged.cors_policy.or_else(|| root.cors_policy.clone()),
        headers: merged.headers.or_else(|| root.headers.clone()),
        ..merged
    })
}

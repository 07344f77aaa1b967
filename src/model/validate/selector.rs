//! What a policy is for: workloads by label, or targets by name.

use std::collections::BTreeMap;

use api::istio::{MatchLabels, PolicyTargetReference, WorkloadSelector};

use super::check::Check;

/// The kinds that a policy may be attached to, with their groups.
const TARGETS: [(&str, &str); 4] = [
    ("", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
];

/// A selector of policies.
pub(super) fn match_labels(check: &mut Check, selector: Option<&MatchLabels>) {
    check.some("selector", selector, |check, selector| labels(check, "matchLabels", &selector.match_labels));
}

/// A selector of workloads.
pub(super) fn workloads(check: &mut Check, selector: Option<&WorkloadSelector>) {
    check.some("workloadSelector", selector, |check, selector| labels(check, "labels", &selector.labels));
}

/// Labels that select.
pub(super) fn labels(check: &mut Check, field: &str, labels: &BTreeMap<String, String>) {
    if labels.is_empty() {
        let hint = "name labels, or leave the selector out if all workloads of the namespace are meant";
        check.warning(field, "the selector has no labels: it selects every workload", hint);
    }
    for (name, value) in labels {
        if name.is_empty() {
            check.error(field, "a label has no name", "write the name of a label");
        }
        if name.contains('*') || value.contains('*') {
            let hint = "write the label's exact name and value";
            check.error(field, format!("label {name}={value} has a *, which stands for nothing here"), hint);
        }
    }
}

/// Targets of a policy; at most one way to say what it is for may be used.
pub(super) fn targets(
    check: &mut Check,
    selected: bool,
    one: Option<&PolicyTargetReference>,
    several: &[PolicyTargetReference],
) {
    let ways = [selected, one.is_some(), !several.is_empty()];
    if ways.into_iter().filter(|used| *used).count() > 1 {
        let hint = "keep one of selector, targetRef and targetRefs";
        check.error("", "the policy says in more than one way what it is for", hint);
    }
    check.some("targetRef", one, target);
    check.each("targetRefs", several, target);
}

fn target(check: &mut Check, target: &PolicyTargetReference) {
    if target.name.is_empty() {
        check.error("name", "the target has no name", "name the target");
    }
    if !target.namespace.is_empty() {
        let hint = "leave the namespace out and put the policy into the target's namespace";
        check.error("namespace", "a target is always of the policy's own namespace", hint);
    }
    let group = if target.group == "core" { "" } else { &target.group };
    if !TARGETS.contains(&(group, target.kind.as_str())) {
        let known: Vec<String> = TARGETS.iter().map(|(group, kind)| format!("{kind} ({group:?})")).collect();
        let message = format!("a policy cannot be attached to {} of group {:?}", target.kind, target.group);
        check.error("kind", message, format!("name one of {}", known.join(", ")));
    }
}

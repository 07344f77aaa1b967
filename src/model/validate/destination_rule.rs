//! Rules of DestinationRule.

use api::istio::{DestinationRule, TrafficPolicy};

use super::check::Check;
use super::selector;
use super::text::{export_to, host, is_label};
use super::traffic_policy::traffic_policy;

pub(super) fn destination_rule(check: &mut Check, rule: &DestinationRule) {
    host(check, "host", &rule.host);
    check.some("trafficPolicy", rule.traffic_policy.as_ref(), policy);
    for (index, subset) in rule.subsets.iter().enumerate() {
        check.at(format_args!("subsets[{index}]"), |check| {
            if !is_label(&subset.name) {
                check.error(
                    "name",
                    format!("{:?} is no name of a subset", subset.name),
                    "write letters, digits and -",
                );
            }
            if rule.subsets.iter().take(index).any(|before| before.name == subset.name) {
                check.error(
                    "name",
                    format!("subset {:?} is defined before this", subset.name),
                    "use each name once",
                );
            }
            if subset.labels.keys().any(String::is_empty) {
                check.error("labels", "a label has no name", "write the name of a label");
            }
            check.some("trafficPolicy", subset.traffic_policy.as_ref(), policy);
        });
    }
    export_to(check, &rule.export_to);
    if let Some(workloads) = &rule.workload_selector {
        check.at("workloadSelector", |check| selector::labels(check, "matchLabels", &workloads.match_labels));
        if !rule.export_to.is_empty() && rule.export_to != ["."] {
            let hint = "leave exportTo out, or write only \".\"";
            check.error("exportTo", "a rule for some workloads is for those of its own namespace", hint);
        }
    }
}

/// A policy that is there says something.
fn policy(check: &mut Check, policy: &TrafficPolicy) {
    if *policy == TrafficPolicy::default() {
        check.error("", "the policy is empty", "write one of its fields, or leave it out");
    }
    traffic_policy(check, policy);
    failover(check, policy);
}

/// Failover looks at health, which only outlier detection tells.
fn failover(check: &mut Check, policy: &TrafficPolicy) {
    let setting = policy.load_balancer.as_ref().and_then(|lb| lb.locality_lb_setting.as_ref());
    let wanted = setting.is_some_and(|s| !s.failover.is_empty() || !s.failover_priority.is_empty());
    if wanted && policy.outlier_detection.is_none() {
        let hint = "add outlierDetection";
        let message = "without outlierDetection no endpoint is ever found unhealthy, so nothing fails over";
        check.warning("loadBalancer.localityLbSetting", message, hint);
    }
}

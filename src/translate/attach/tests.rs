//! Tests of what policies attach to.

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn selector(pairs: &[(&str, &str)]) -> MatchLabels {
    MatchLabels { match_labels: labels(pairs) }
}

fn gateway(name: &str) -> PolicyTargetReference {
    PolicyTargetReference {
        group: GATEWAY_GROUP.to_owned(),
        kind: "Gateway".to_owned(),
        name: name.to_owned(),
        ..PolicyTargetReference::default()
    }
}

fn attaches(
    on: &Labels,
    namespace: &str,
    selector: Option<&MatchLabels>,
    targets: &[PolicyTargetReference],
) -> bool {
    let workload =
        Workload { namespace: "shop", labels: on, root_namespace: "root", selectors_for_gateways: true };
    workload.has(Attachment { namespace, selector, target: None, targets, unread: Unread::Nothing })
}

#[test]
fn labels_select_workloads() {
    let web = labels(&[("app", "web"), ("tier", "edge")]);
    assert!(attaches(&web, "shop", None, &[]));
    assert!(attaches(&web, "root", Some(&selector(&[("app", "web")])), &[]));
    assert!(!attaches(&web, "shop", Some(&selector(&[("app", "api")])), &[]));
}

#[test]
fn sidecars_do_not_see_policies_for_targets() {
    let web = labels(&[("app", "web")]);
    assert!(!attaches(&web, "shop", None, &[gateway("web")]));
}

#[test]
fn targets_name_gateways_of_the_policy_s_own_namespace() {
    let door = labels(&[(GATEWAY_NAME, "door")]);
    assert!(attaches(&door, "shop", None, &[gateway("other"), gateway("door")]));
    assert!(!attaches(&door, "root", None, &[gateway("door")]));
    assert!(!attaches(&door, "shop", None, &[gateway("other")]));
    let elsewhere = PolicyTargetReference { namespace: "away".to_owned(), ..gateway("door") };
    assert!(!attaches(&door, "shop", None, &[elsewhere]));
    let service = PolicyTargetReference { kind: "Service".to_owned(), ..gateway("door") };
    assert!(!attaches(&door, "shop", None, &[service]));
}

#[test]
fn the_old_target_counts_where_no_new_one_is() {
    let door = labels(&[(GATEWAY_NAME, "door")]);
    let workload =
        Workload { namespace: "shop", labels: &door, root_namespace: "root", selectors_for_gateways: true };
    let (old, new) = (gateway("door"), [gateway("other")]);
    let policy = Attachment {
        namespace: "shop",
        selector: None,
        target: Some(&old),
        targets: &[],
        unread: Unread::Nothing,
    };
    assert!(workload.has(policy));
    assert!(!workload.has(Attachment { targets: &new, ..policy }));
}

#[test]
fn selectors_for_gateways_are_a_flag() {
    let door = labels(&[(GATEWAY_NAME, "door")]);
    let policy =
        Attachment { namespace: "shop", selector: None, target: None, targets: &[], unread: Unread::Nothing };
    for flag in [true, false] {
        let workload = Workload {
            namespace: "shop",
            labels: &door,
            root_namespace: "root",
            selectors_for_gateways: flag,
        };
        assert_eq!(workload.has(policy), flag);
    }
}

/// Whom it is for is not known: it may be for any workload of its namespace, behind a gateway or not.
#[test]
fn a_policy_of_unknown_scope_attaches_to_all() {
    for on in [labels(&[("app", "web")]), labels(&[(GATEWAY_NAME, "door")])] {
        let workload = Workload {
            namespace: "shop",
            labels: &on,
            root_namespace: "root",
            selectors_for_gateways: false,
        };
        let unread =
            |unread| Attachment { namespace: "shop", selector: None, target: None, targets: &[], unread };
        assert!(workload.has(unread(Unread::Scope)));
        assert_eq!(workload.has(unread(Unread::Content)), !on.contains_key(GATEWAY_NAME));
    }
}

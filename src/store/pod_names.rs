//! The name of the workload that a pod is one of.
//!
//! Source: Istio `pkg/kube/util.go` (`GetWorkloadMetaFromPod`); labels of Kubernetes, Argo Rollouts and OpenShift.

use api::kubernetes::Pod;
use api::{Object, Owner};

/// Label by which a pod names its workload itself.
const WORKLOAD: &str = "service.istio.io/workload-name";
/// Labels with the part of a ReplicaSet's name that its Deployment, or its Rollout, added.
const TEMPLATES: [&str; 2] = ["pod-template-hash", "rollouts-pod-template-hash"];
/// Label with the DeploymentConfig of a ReplicationController.
const DEPLOYMENT_CONFIG: &str = "deploymentconfig";
/// How many digits the time in the name of a CronJob's Job has.
const STAMP: std::ops::RangeInclusive<usize> = 8..=10;

/// The name that a label gives; else that of the owner, without what was added to it for this pod's generation; the pod's
/// own if nobody owns it or it was not made from a template.
pub(crate) fn workload(pod: &Object<Pod>) -> &str {
    if let Some(name) = pod.meta.labels.get(WORKLOAD) {
        return name;
    }
    let owner = pod.meta.controller.as_ref().filter(|_| pod.meta.generated);
    let name = owner.map_or("", |owner| of_owner(owner, pod));
    if name.is_empty() { &pod.meta.name } else { name }
}

fn of_owner<'a>(owner: &'a Owner, pod: &'a Object<Pod>) -> &'a str {
    let label = |name: &str| pod.meta.labels.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let shorter = match owner.kind.as_str() {
        "ReplicaSet" => TEMPLATES.into_iter().find_map(|template| {
            let name = owner.name.strip_suffix(label(template)?)?;
            Some(name.strip_suffix('-').unwrap_or(&owner.name))
        }),
        "ReplicationController" => label(DEPLOYMENT_CONFIG),
        "Job" => cron_job(&owner.name),
        _ => None,
    };
    shorter.unwrap_or(&owner.name)
}

/// A CronJob names its Jobs `<name>-<minutes since 1970>`.
fn cron_job(job: &str) -> Option<&str> {
    let (name, stamp) = job.rsplit_once('-')?;
    let digits = STAMP.contains(&stamp.len()) && stamp.bytes().all(|b| b.is_ascii_digit());
    (digits && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use api::decode::{AnyObject, decode};
    use serde_json::json;

    use super::*;

    fn named(owner: Option<(&str, &str)>, labels: serde_json::Value) -> String {
        let owners = owner
            .map(|(kind, name)| json!({"apiVersion": "v1", "kind": kind, "name": name, "controller": true}));
        let owners: Vec<_> = owners.into_iter().collect();
        let metadata =
            json!({"name": "web-1", "generateName": "web-", "labels": labels, "ownerReferences": owners});
        let pod = decode(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})).unwrap().object;
        let AnyObject::Pod(pod) = pod else { panic!("another kind") };
        workload(&pod).to_owned()
    }

    #[test]
    fn a_pod_is_named_after_what_made_its_maker() {
        let set = Some(("ReplicaSet", "web-5d9"));
        assert_eq!(named(set, json!({"pod-template-hash": "5d9"})), "web");
        assert_eq!(named(set, json!({"rollouts-pod-template-hash": "5d9"})), "web");
        assert_eq!(named(set, json!({"pod-template-hash": "6"})), "web-5d9");
        assert_eq!(named(set, json!({})), "web-5d9");
        let controller = Some(("ReplicationController", "web-3"));
        assert_eq!(named(controller, json!({"deploymentconfig": "web"})), "web");
        assert_eq!(named(controller, json!({})), "web-3");
        assert_eq!(named(Some(("Job", "backup-28912345")), json!({})), "backup");
        assert_eq!(named(Some(("Job", "backup-2891234")), json!({})), "backup-2891234");
        assert_eq!(named(Some(("Job", "backup-28912345678")), json!({})), "backup-28912345678");
        assert_eq!(named(Some(("StatefulSet", "db")), json!({})), "db");
        assert_eq!(named(None, json!({})), "web-1");
    }

    #[test]
    fn a_label_names_the_workload_whoever_made_the_pod() {
        let label = json!({"service.istio.io/workload-name": "shop", "pod-template-hash": "5d9"});
        assert_eq!(named(Some(("ReplicaSet", "web-5d9")), label.clone()), "shop");
        assert_eq!(named(None, label), "shop");
    }

    #[test]
    fn a_pod_that_its_owner_named_has_its_own_name() {
        let metadata = json!({"name": "broker-0", "ownerReferences": [
            {"apiVersion": "kafka.strimzi.io/v1", "kind": "StrimziPodSet", "name": "broker", "controller": true}]});
        let pod = decode(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})).unwrap().object;
        let AnyObject::Pod(pod) = pod else { panic!("another kind") };
        assert_eq!(workload(&pod), "broker-0");
    }
}

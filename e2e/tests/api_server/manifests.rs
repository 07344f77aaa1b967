//! `crds/` and `manifests/` as users apply them: the control plane runs with the rights that they give it, and uses all of them.

mod rights;

use anyhow::{Result, ensure};
use e2e::{Cluster, ControlPlane, Request, cluster, wait_until};
use rights::Right;

use serde_json::Value;

use super::identified::gateway_has_its_certificate;
use super::registration::{FORGETFUL, STRANGER, Vm};

const ACCESS: &str = include_str!("../../../manifests/2-access.yaml");

const READER: &str = include_str!("../../../manifests/optional/reader.yaml");

/// One object of each kind of the mesh.
const MESH: &str = include_str!("manifests/mesh.yaml");

/// What the Gateway API defines of what is read.
const GATEWAY_API: &str = include_str!("manifests/gateway-api.yaml");

/// A root and revocation lists that somebody else wrote.
const TAMPERED: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: istio-ca-root-cert, namespace: shop}
data: {root-cert.pem: evil}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-ca-crl, namespace: shop}
data: {ca-crl.pem: evil}
";

/// Renews the mesh's root as soon as it is looked at, which happens soon.
const RENEWING: [(&str, &str); 2] = [
    ("CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL", "3s"),
    ("CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", "100"),
];

/// Installs everything and starts what the Deployment says.
fn installed(cluster: &Cluster<'_>) -> Result<ControlPlane> {
    started(cluster, &FORGETFUL)
}

pub(super) fn started(cluster: &Cluster<'_>, variables: &[(&str, &str)]) -> Result<ControlPlane> {
    cluster.apply_folder("-f", "crds")?;
    cluster.apply_folder("-k", "manifests")?;
    cluster.lead_service("istio-system", "istiod")?;
    cluster.start_deployment("istio-system", "istiod", variables)
}

/// Waits until an account of the system namespace has used every right that a file gives; none of what it asked was refused.
pub(super) fn uses_its_rights(cluster: &Cluster<'_>, account: &str, file: &str) -> Result<()> {
    let user = format!("system:serviceaccount:istio-system:{account}");
    let asked = || -> Result<Vec<Request>> {
        Ok(cluster.requests()?.into_iter().filter(|request| request.user == user).collect())
    };
    let granted = rights::granted(file)?;
    ensure!(granted.len() > 4, "these are not all rights: {granted:?}");
    wait_until("every right to be used", || {
        let asked = asked()?;
        let unused: Vec<&Right> =
            granted.iter().filter(|right| !asked.iter().any(|request| right.covers(request))).collect();
        ensure!(unused.is_empty(), "nothing was done with {unused:#?}");
        Ok(true)
    })?;
    let refused: Vec<Request> = asked()?.into_iter().filter(|request| !request.allowed).collect();
    ensure!(refused.is_empty(), "{refused:#?}");
    Ok(())
}

#[test]
fn the_account_may_do_what_it_does_and_no_more() {
    cluster(|cluster| {
        let plane = started(cluster, &[&FORGETFUL[..], &RENEWING].concat())?;
        cluster.apply(GATEWAY_API)?;
        cluster.apply(MESH)?;
        plane.wait_for("the mesh", "/debug/configz", |page| page.contains("\"every-kind\""))?;
        wait_until("the root of the namespace", || {
            let there = |name| cluster.get("configmap", "shop", name).is_ok();
            Ok(there("istio-ca-root-cert") && there("istio-ca-crl"))
        })?;
        cluster.apply(TAMPERED)?;
        let workload = ("every-kind", "10.9.9.7");
        // Whose token cannot be judged here, the API server is asked about.
        ensure!(Vm::connect_with(cluster, &plane, workload, STRANGER).is_err(), "a stranger is served");
        let vm = Vm::connect(cluster, &plane, workload, "reviews")?;
        let entry = || cluster.get("workloadentry", "shop", "every-kind-10.9.9.7");
        wait_until("the entry of a workload", || Ok(entry().is_ok()))?;
        drop(vm);
        gateway_has_its_certificate(cluster, &plane, "")?;
        uses_its_rights(cluster, "istiod", ACCESS)?;
        let (log, problems) = (plane.log()?, plane.text("/debug/problems")?);
        for word in [" 403 ", "forbidden", "Forbidden", "unknown flag"] {
            ensure!(!log.contains(word) && !problems.contains(word), "{log}\n{problems}");
        }
        Ok(())
    });
}

#[test]
fn the_account_by_which_another_cluster_is_read_may_do_that_and_no_more() {
    cluster(|cluster| {
        let plane = installed(cluster)?;
        cluster.apply_folder("-f", "manifests/optional")?;
        let east = cluster.kubeconfig_of("istio-system", "istio-reader-service-account")?;
        let secret = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "east", "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}},
            "stringData": {"east": east},
        });
        cluster.apply(&secret.to_string())?;
        plane.wait_for("the cluster to be read", "/debug/clusterz", |page| {
            page.contains("istio-system/east")
        })?;
        gateway_has_its_certificate(cluster, &plane, "east")?;
        uses_its_rights(cluster, "istio-reader-service-account", READER)
    });
}

/// Leads nowhere: refused.
const NOWHERE: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: nobody, namespace: shop}
spec: {hosts: [reviews], http: [{timeout: 5s}]}
";

#[test]
fn objects_are_checked_by_way_of_the_service_and_refused_when_that_is_proven() {
    cluster(|cluster| {
        let _plane = installed(cluster)?;
        for name in ["istio-validator-istio-system", "istiod-default-validator"] {
            wait_until(&format!("{name} to be relied on"), || {
                let found = cluster.get("validatingwebhookconfiguration", "", name)?;
                let text = |pointer| found.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                ensure!(text("/webhooks/0/failurePolicy") == "Fail", "{found}");
                ensure!(!text("/webhooks/0/clientConfig/caBundle").is_empty(), "{found}");
                Ok(true)
            })?;
        }
        cluster.apply(MESH)?;
        let refused = cluster.apply(NOWHERE).err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refused.contains("denied the request") && refused.contains("spec.http[0]"), "{refused}");
        Ok(())
    });
}

#[test]
fn all_manifests_can_be_applied_in_the_order_of_their_names_and_once_more() {
    cluster(|cluster| {
        for (flag, folder) in [("-f", "manifests"), ("-k", "manifests"), ("-f", "manifests/optional")] {
            cluster.apply_folder(flag, folder)?;
        }
        Ok(())
    });
}

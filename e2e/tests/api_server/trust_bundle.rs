//! The mesh's root in a ClusterTrustBundle, as the API server takes it.

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, ControlPlane, cluster, wait_until};

/// The name that pods mount it by.
const NAME: &str = "istio.io:istiod-ca:root-cert";

/// The right to write it.
const ACCESS: &str = include_str!("../../../manifests/optional/trust-bundle.yaml");

const SWITCH: [(&str, &str); 1] = [("ENABLE_CLUSTER_TRUST_BUNDLE_API", "true")];

fn bundle(cluster: &Cluster<'_>) -> Result<String> {
    let found = cluster.get("clustertrustbundle", "", NAME)?;
    let text = found.pointer("/spec/trustBundle").and_then(serde_json::Value::as_str);
    Ok(text.with_context(|| found.to_string())?.to_owned())
}

fn started(cluster: &Cluster<'_>) -> Result<ControlPlane> {
    cluster.apply_folder("-f", "crds")?;
    cluster.apply_folder("-k", "manifests")?;
    cluster.lead_service("istio-system", "istiod")?;
    cluster.start_deployment("istio-system", "istiod", &SWITCH)
}

#[test]
fn the_cluster_learns_the_root_and_what_others_write_is_undone() {
    cluster(|cluster| {
        let plane = started(cluster)?;
        // Without the right nothing is written, and it is told what is missing.
        wait_until("the missing right", || Ok(plane.log()?.contains("clustertrustbundles")))?;
        cluster.apply(ACCESS)?;
        wait_until("the root", || Ok(bundle(cluster)?.contains("BEGIN CERTIFICATE")))?;
        let root = bundle(cluster)?;
        let other = e2e::Authority::new()?.pem();
        let object = serde_json::json!({
            "apiVersion": "certificates.k8s.io/v1beta1",
            "kind": "ClusterTrustBundle",
            "metadata": {"name": NAME},
            "spec": {"signerName": "istio.io/istiod-ca", "trustBundle": other},
        });
        cluster.apply(&object.to_string())?;
        wait_until("the root to be back", || Ok(bundle(cluster)? == root))?;
        ensure!(
            cluster.get("configmap", "istio-system", "istio-ca-root-cert").is_err(),
            "it is in a ConfigMap, too"
        );
        Ok(())
    });
}

//! Workloads outside of the cluster: an entry of each stands on a real API server while it is connected.

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, ControlPlane, cluster, wait_until};
use envoy::config::core::v3::Node;
use envoy::google::rpc::Status;
use envoy::service::discovery::v3::DeltaDiscoveryRequest;
use serde_json::{Value, json};
use testkit::ads::{Connection, Kind, Request, Variant};
use tokio::runtime::{Builder, Runtime};

use super::{ENDPOINTZ, NAMESPACES};

/// The port without TLS verifies nobody: there registration is for who allows it. What goes is forgotten soon.
pub(super) const UNVERIFIED: [(&str, &str); 2] =
    [("ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY", "false"), ("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", "1s")];

const HEALTH: &str = "type.googleapis.com/istio.v1.HealthInformation";

const LEGACY: &str = "apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: shop}
spec: {selector: {app: legacy}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms, namespace: shop}
spec:
  metadata: {labels: {app: legacy}}
  template: {serviceAccount: legacy, ports: {http: 8080}}
  probe: {httpGet: {port: 8080}}
";

/// The stream of a workload's proxy.
pub(super) struct Vm {
    runtime: Runtime,
    connection: Connection,
}

impl Vm {
    /// Connects the workload of a group at an address, and returns when it is served.
    pub(super) fn connect(plane: &ControlPlane, group: &str, address: &str) -> Result<Self> {
        let metadata = json!({
            "NAMESPACE": "shop", "AUTO_REGISTER_GROUP": group,
            "PROXY_CONFIG": {"readinessProbe": {"httpGet": {"port": 8080}}},
        });
        let node =
            json!({"id": format!("sidecar~{address}~vm.shop~shop.svc.cluster.local"), "metadata": metadata});
        let node: Node = api::json::from_json_as(&node, false)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(async {
            let mut connection = Connection::open(plane.discovery(), Variant::Delta).await?;
            connection.send(&Request::Delta(DeltaDiscoveryRequest {
                node: Some(node),
                type_url: Kind::Listener.type_url().to_owned(),
                ..Default::default()
            }));
            let served = connection.receive().await?.is_some();
            ensure!(served, "the stream ended: {:?}", connection.status());
            Ok(connection)
        })?;
        Ok(Self { runtime, connection })
    }

    /// Tells that the workload is healthy, or why not.
    fn tell(&self, wrong: Option<&str>) {
        let error_detail = wrong.map(|text| Status { message: text.to_owned(), ..Status::default() });
        let request =
            DeltaDiscoveryRequest { type_url: HEALTH.to_owned(), error_detail, ..Default::default() };
        let _entered = self.runtime.enter();
        self.connection.send(&Request::Delta(request));
        // The runtime writes while it is used.
        self.runtime.block_on(async { tokio::time::sleep(std::time::Duration::from_millis(20)).await });
    }
}

fn entry(cluster: &Cluster<'_>) -> Result<Value> {
    cluster.get("workloadentry", "shop", "vms-10.9.9.9")
}

fn controller(entry: &Value) -> &str {
    let annotation = entry.pointer("/metadata/annotations/istio.io~1workloadController");
    annotation.and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_workload_is_an_endpoint_while_it_is_connected_and_healthy() {
    cluster(|cluster| {
        cluster.apply(NAMESPACES)?;
        cluster.apply(LEGACY)?;
        let plane = cluster.replica_with(0, &[], &UNVERIFIED)?;
        let vm = Vm::connect(&plane, "vms", "10.9.9.9")?;
        let made = entry(cluster)?;
        ensure!(made["spec"]["address"] == "10.9.9.9" && made["spec"]["labels"]["app"] == "legacy", "{made}");
        ensure!(made["metadata"]["ownerReferences"][0]["uid"].is_string(), "{made}");
        ensure!(!plane.text(ENDPOINTZ)?.contains("10.9.9.9"), "nothing was told of its health");
        vm.tell(None);
        plane.wait_for("the healthy workload", ENDPOINTZ, |page| page.contains("10.9.9.9"))?;
        vm.tell(Some("connection refused"));
        plane.wait_for("the unhealthy one to be gone", ENDPOINTZ, |page| !page.contains("10.9.9.9"))?;
        vm.tell(None);
        plane.wait_for("the healthy workload again", ENDPOINTZ, |page| page.contains("10.9.9.9"))?;
        drop(vm);
        wait_until("the entry to be gone", || Ok(entry(cluster).is_err()))?;
        plane.wait_for("the endpoint to be gone", ENDPOINTZ, |page| !page.contains("10.9.9.9"))?;
        ensure!(plane.log()?.contains("nobody came back"), "{}", plane.log()?);
        Ok(())
    });
}

#[test]
fn a_workload_that_moves_to_another_replica_keeps_its_entry() {
    cluster(|cluster| {
        cluster.apply(NAMESPACES)?;
        cluster.apply(LEGACY)?;
        let first = cluster.replica_with(0, &[], &UNVERIFIED)?;
        let second = cluster.replica_with(1, &[], &UNVERIFIED)?;
        let vm = Vm::connect(&first, "vms", "10.9.9.9")?;
        let made = entry(cluster)?;
        ensure!(controller(&made) == ControlPlane::pod(0), "{made}");
        first.kill();
        let moved = Vm::connect(&second, "vms", "10.9.9.9")?;
        let taken = entry(cluster)?;
        ensure!(controller(&taken) == ControlPlane::pod(1), "{taken}");
        ensure!(taken["metadata"]["uid"] == made["metadata"]["uid"], "{taken}");
        drop((vm, moved));
        wait_until("the entry to be gone", || Ok(entry(cluster).is_err()))
    });
}

#[test]
fn who_cannot_be_verified_is_not_registered() {
    cluster(|cluster| {
        cluster.apply(NAMESPACES)?;
        cluster.apply(LEGACY)?;
        let plane = cluster.control_plane(&[])?;
        let refused = Vm::connect(&plane, "vms", "10.9.9.9").err().context("it is served")?.to_string();
        ensure!(refused.contains("requires a verified identity"), "{refused}");
        ensure!(entry(cluster).is_err(), "an entry was made");
        Ok(())
    });
}

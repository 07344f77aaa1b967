//! Workloads outside of the cluster: an entry of each stands on a real API server while it is connected.

use anyhow::{Context, Error, Result, ensure};
use e2e::{Cluster, ControlPlane, cluster, wait_until};
use envoy::config::core::v3::Node;
use envoy::google::rpc::Status;
use envoy::service::discovery::v3::DeltaDiscoveryRequest;
use serde_json::{Value, json};
use testkit::ads::{Connection, Kind, Request, Variant};
use tokio::runtime::{Builder, Runtime};

use super::identified::{AUDIENCE, over_tls};
use super::{ENDPOINTZ, NAMESPACES};

/// What goes is forgotten soon.
pub(super) const FORGETFUL: [(&str, &str); 1] = [("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", "1s")];

const HEALTH: &str = "type.googleapis.com/istio.v1.HealthInformation";

const LEGACY: &str = "apiVersion: v1
kind: ServiceAccount
metadata: {name: legacy, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: other, namespace: shop}
---
apiVersion: v1
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

/// The workload that connects: its group, and its address.
const VM: (&str, &str) = ("vms", "10.9.9.9");

/// A token that somebody signed with a key which nobody publishes: `{"alg":"RS256","kid":"x"}`, `{"sub":"x"}`.
pub(super) const STRANGER: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJ4In0.AAAA";

/// The stream of a workload's proxy.
pub(super) struct Vm {
    runtime: Runtime,
    connection: Connection,
}

impl Vm {
    /// Connects the workload of a group at an address, with a token of a service account of its namespace, and returns when
    /// it is served.
    pub(super) fn connect(
        cluster: &Cluster<'_>,
        plane: &ControlPlane,
        (group, address): (&str, &str),
        account: &str,
    ) -> Result<Self> {
        let token = cluster.token_for("shop", account, AUDIENCE)?;
        Self::connect_with(cluster, plane, (group, address), &token)
    }

    /// Connects it with this token.
    pub(super) fn connect_with(
        cluster: &Cluster<'_>,
        plane: &ControlPlane,
        workload: (&str, &str),
        token: &str,
    ) -> Result<Self> {
        Self::open(workload, over_tls(cluster, plane, token)?)
    }

    /// Connects it without TLS, where nobody is known.
    fn connect_in_the_clear(plane: &ControlPlane, workload: (&str, &str)) -> Result<Self> {
        Self::open(workload, Connection::open(plane.discovery(), Variant::Delta))
    }

    fn open(
        (group, address): (&str, &str),
        connection: impl Future<Output = Result<Connection>>,
    ) -> Result<Self> {
        let metadata = json!({
            "NAMESPACE": "shop", "AUTO_REGISTER_GROUP": group,
            "PROXY_CONFIG": {"readinessProbe": {"httpGet": {"port": 8080}}},
        });
        let node =
            json!({"id": format!("sidecar~{address}~vm.shop~shop.svc.cluster.local"), "metadata": metadata});
        let node: Node = api::json::from_json_as(&node, false)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(async {
            let mut connection = connection.await?;
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
        let plane = cluster.replica_with(0, &[], &FORGETFUL)?;
        let vm = Vm::connect(cluster, &plane, VM, "legacy")?;
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
        let first = cluster.replica_with(0, &[], &FORGETFUL)?;
        let second = cluster.replica_with(1, &[], &FORGETFUL)?;
        let vm = Vm::connect(cluster, &first, VM, "legacy")?;
        let made = entry(cluster)?;
        ensure!(controller(&made) == ControlPlane::pod(0), "{made}");
        first.kill();
        let moved = Vm::connect(cluster, &second, VM, "legacy")?;
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
        let refusal = |vm: Result<Vm>| Ok::<_, Error>(vm.err().context("it is served")?.to_string());
        let refused = refusal(Vm::connect_in_the_clear(&plane, VM))?;
        ensure!(refused.contains("requires a verified identity"), "{refused}");
        let refused = refusal(Vm::connect(cluster, &plane, VM, "other"))?;
        ensure!(refused.contains("service account mismatch"), "{refused}");
        let elsewhere = cluster.token_for("shop", "legacy", "https://kubernetes.default.svc")?;
        for token in [elsewhere.as_str(), STRANGER] {
            let refused = refusal(Vm::connect_with(cluster, &plane, VM, token))?;
            ensure!(refused.contains("16") && refused.contains("authentication failure"), "{refused}");
        }
        let gone = cluster.token_for("shop", "legacy", AUDIENCE)?;
        cluster.delete("serviceaccount", "shop", "legacy")?;
        wait_until("the account's token to be worth nothing", || {
            Ok(Vm::connect_with(cluster, &plane, VM, &gone).is_err())
        })?;
        ensure!(entry(cluster).is_err(), "an entry was made");
        Ok(())
    });
}

//! A second API server: its endpoints come with the Secret that gives access to it, stay while it is away, and go with the
//! Secret.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, ControlPlane, cluster};
use envoy::Message as _;
use envoy::config::core::v3::Node;
use envoy::config::core::v3::address::Address;
use envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use serde_json::json;
use testkit::ads::{Connection, Envoy, Kind, Variant};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// How long a change may take to reach the proxy, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

const ASSIGNMENT: &str = "outbound|8080||reviews.shop.svc.cluster.local";

/// The Service `reviews` with one pod.
fn shop(address: &str) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: istio-system}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: shop}}
---
apiVersion: v1
kind: Service
metadata: {{name: reviews, namespace: shop}}
spec: {{selector: {{app: reviews}}, ports: [{{name: http, port: 8080}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: reviews-1, namespace: shop, labels: {{kubernetes.io/service-name: reviews}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints:
- {{addresses: [{address}], targetRef: {{kind: Pod, name: reviews, namespace: shop}}, conditions: {{ready: true}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: reviews, namespace: shop, labels: {{app: reviews}}}}
spec: {{serviceAccountName: reviews, containers: [{{name: app, image: localhost/app}}]}}
status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}], conditions: [{{type: Ready, status: 'True'}}]}}
"
    )
}

/// A sidecar of the home cluster, as far as xDS knows it.
struct Sidecar {
    runtime: Runtime,
    envoy: Envoy,
    stream: Connection,
}

impl Sidecar {
    fn connect() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let node = Node {
            id: "sidecar~10.9.9.9~client.shop~shop.svc.cluster.local".to_owned(),
            metadata: Some(api::json::from_json_as(&json!({"CLUSTER_ID": "Kubernetes"}), false)?),
            ..Node::default()
        };
        let mut envoy = Envoy::new(Variant::Delta, node);
        let control_plane = SocketAddr::from(([127, 0, 0, 1], 15010));
        let stream = runtime.block_on(Connection::open(control_plane, Variant::Delta))?;
        envoy.connect();
        Ok(Self { runtime, envoy, stream })
    }

    /// Waits until these are the addresses of `reviews`.
    fn wait_for(&mut self, addresses: &[&str]) -> Result<()> {
        let wanted: BTreeSet<String> = addresses.iter().map(|a| (*a).to_owned()).collect();
        let Self { runtime, envoy, stream } = self;
        let driven = runtime.block_on(async {
            timeout(PATIENCE, stream.drive(envoy, |envoy| endpoints(envoy) == wanted)).await
        });
        driven.with_context(|| format!("wanted {wanted:?}, has {:?}", endpoints(&self.envoy)))?
    }
}

fn endpoints(envoy: &Envoy) -> BTreeSet<String> {
    let active = envoy.active();
    let Some(body) = active.get(&Kind::Endpoints).and_then(|all| all.get(ASSIGNMENT)) else {
        return BTreeSet::new();
    };
    let assignment = ClusterLoadAssignment::decode(body.clone()).unwrap_or_default();
    let endpoints = assignment.endpoints.into_iter().flat_map(|group| group.lb_endpoints);
    let address = |endpoint| match endpoint {
        Some(HostIdentifier::Endpoint(e)) => match e.address?.address? {
            Address::SocketAddress(socket) => Some(socket.address),
            _ => None,
        },
        _ => None,
    };
    endpoints.filter_map(|e| address(e.host_identifier)).collect()
}

/// What `istioctl remote-clusters` reads.
fn clusters(plane: &ControlPlane) -> Result<serde_json::Value> {
    plane.json("/debug/clusterz")
}

fn both(home: &Cluster<'_>) -> Result<ControlPlane> {
    home.apply(&shop("10.9.0.1"))?;
    home.control_plane(&[])
}

#[test]
fn endpoints_come_with_the_secret_stay_without_the_server_and_go_with_the_secret() {
    cluster(|home| {
        let east = home.remote()?;
        east.apply(&shop("10.9.1.1"))?;
        let plane = both(home)?;
        let mut sidecar = Sidecar::connect()?;
        sidecar.wait_for(&["10.9.0.1"])?;

        home.apply(&east.remote_secret("access", "east")?)?;
        sidecar.wait_for(&["10.9.0.1", "10.9.1.1"])?;
        let status = |id: &str, secret: &str| json!({"id": id, "secretName": secret, "syncStatus": "synced"});
        let all = json!([status("Kubernetes", ""), status("east", "istio-system/access")]);
        ensure!(clusters(&plane)? == all, "{}", clusters(&plane)?);

        east.stop_api_server();
        plane.wait_for("the loss to be told", "/ready", |page| {
            page.contains("cluster east: the API server")
        })?;
        // What was changed after the loss shows that nothing else was.
        home.apply(&shop("10.9.0.2"))?;
        sidecar.wait_for(&["10.9.0.2", "10.9.1.1"])?;
        east.start_api_server()?;
        plane.wait_for("the server to be found", "/ready", str::is_empty)?;
        east.apply(&shop("10.9.1.2"))?;
        sidecar.wait_for(&["10.9.0.2", "10.9.1.2"])?;

        east.stop_api_server();
        home.delete("secret", "istio-system", "access")?;
        sidecar.wait_for(&["10.9.0.2"])?;
        ensure!(clusters(&plane)? == json!([status("Kubernetes", "")]), "{}", clusters(&plane)?);
        ensure!(!plane.log()?.contains("test-token"), "credentials are in the log");
        Ok(())
    });
}

#[test]
fn a_kubeconfig_that_would_read_files_is_refused_at_its_secret() {
    cluster(|home| {
        home.apply(&shop("10.9.0.1"))?;
        let east = home.remote()?;
        let token = east.remote_secret("access", "east")?;
        let file = token.replace("token: test-token", "tokenFile: /etc/hostname");
        ensure!(file != token, "no token in {token}");
        home.apply(&file)?;
        let plane = home.control_plane(&[])?;
        plane.wait_for("the refusal", "/debug/problems", |page| {
            page.contains("Secret/istio-system/access") && page.contains("tokenFile is not allowed")
        })?;
        home.apply(&token)?;
        plane.wait_for("the refusal to be gone", "/debug/problems", str::is_empty)?;
        plane.wait_for("the cluster", "/debug/clusterz", |page| {
            page.contains(
                "{\"id\":\"east\",\"secretName\":\"istio-system/access\",\"syncStatus\":\"synced\"}",
            )
        })
    });
}

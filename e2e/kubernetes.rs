//! A real Kubernetes API server, with etcd behind it and kubectl before it: no nodes, so nothing runs in its pods.
//!
//! All programs are those that `scripts/fetch-kubernetes` puts into `target/tools`, or those of the folder that
//! `KUBEBUILDER_ASSETS` names. They end with the test's world.

mod agent;
mod audit;
mod control_plane;
mod files;
mod installed;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::BRIDGE_ADDRESS;
use crate::process::{Process, run, run_and_listen, run_with_input};
use crate::tools;
use crate::wait::within;
use crate::world::World;

pub use agent::Agent;
pub use audit::Request;
pub use control_plane::ControlPlane;
use files::Files;

/// The definitions of Istio's kinds.
const DEFINITIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/api/tests/istio-crds.yaml");

/// How long the API server may take to be ready, on a machine that has other things to do.
const START: Duration = Duration::from_secs(90);

/// What tells the clusters of one world apart.
#[derive(Clone, Copy, Debug)]
struct Site {
    name: &'static str,
    /// The port of the API server.
    port: u16,
    /// The port of etcd; its peers' port is the next.
    etcd: u16,
    /// The addresses of Services.
    services: &'static str,
}

const HOME: Site = Site { name: "kubernetes", port: 6443, etcd: 2379, services: "10.96.0.0/16" };

const REMOTE: Site = Site { name: "remote", port: 7443, etcd: 2479, services: "10.97.0.0/16" };

/// A cluster of one API server.
#[derive(Debug)]
pub struct Cluster<'w> {
    world: &'w World,
    site: Site,
    programs: PathBuf,
    files: Files,
    _etcd: Process,
    api_server: Mutex<Arc<Process>>,
}

impl<'w> Cluster<'w> {
    /// Starts etcd and the API server and installs the definitions of Istio's kinds.
    pub(crate) fn start(world: &'w World) -> Result<Self> {
        Self::start_at(world, HOME)
    }

    /// Starts a second cluster in the same world.
    pub fn remote(&self) -> Result<Self> {
        Self::start_at(self.world, REMOTE)
    }

    fn start_at(world: &'w World, site: Site) -> Result<Self> {
        let programs = tools::kubernetes()?;
        let files = Files::write(&Path::new("/run/e2e").join(site.name), site.port)?;
        let etcd = etcd(world, site, &programs, &files)?;
        let api_server = Mutex::new(Arc::new(api_server(world, site, &programs, &files)?));
        let cluster = Self { world, site, programs, files, _etcd: etcd, api_server };
        cluster.wait_ready()?;
        cluster.define()?;
        Ok(cluster)
    }

    /// Starts a control plane that reads this cluster; returns when it says that it is ready.
    pub fn control_plane(&self, flags: &[&str]) -> Result<ControlPlane> {
        self.replica(0, flags)
    }

    /// Starts one of several replicas of it, by number from 0; returns when it says that it is ready.
    pub fn replica(&self, number: u16, flags: &[&str]) -> Result<ControlPlane> {
        self.replica_with(number, flags, &[])
    }

    /// [`Cluster::replica`], with further environment variables.
    pub fn replica_with(
        &self,
        number: u16,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<ControlPlane> {
        ControlPlane::start(self.world, &self.files.kubeconfig(), (number, flags, variables))
    }

    /// The kubeconfig of an administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.files.kubeconfig()
    }

    /// Adds or changes the objects of a YAML text, their status too.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        run_with_input(&mut self.kubectl(&apply), yaml)?;
        for document in yaml.split("\n---") {
            let object: Value =
                serde_saphyr::from_str(document).with_context(|| format!("YAML:\n{document}"))?;
            if let Some(status) = object.get("status") {
                self.set_status(&object, status)?;
            }
        }
        Ok(())
    }

    /// Adds or changes the objects of a YAML text. Out: what the user is told beside that they were, such as warnings.
    pub fn apply_and_listen(&self, yaml: &str) -> Result<String> {
        Ok(run_and_listen(&mut self.kubectl(&["apply", "--server-side", "-f", "-"]), yaml)?.said)
    }

    /// Writes an object's status by the subresource, as kubelets and controllers do.
    pub fn set_status(&self, object: &Value, status: &Value) -> Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let patch = serde_json::json!({ "status": status }).to_string();
        let (kind, name, namespace) = (text("/kind"), text("/metadata/name"), text("/metadata/namespace"));
        let arguments =
            ["patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", "-p", &patch];
        run(&mut self.kubectl(&arguments)).map(drop)
    }

    /// An object as it is now; without a name the list of all in the namespace.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        let mut get = self.kubectl(&["get", kind, "-n", namespace, "-o", "json"]);
        get.args(Some(name).filter(|name| !name.is_empty()));
        let text = run(&mut get)?;
        serde_json::from_str(&text).with_context(|| format!("{kind} {namespace}/{name}"))
    }

    /// Takes an object away, and waits until it is gone.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        let mut delete = self.kubectl(&["delete", kind, name, "-n", namespace]);
        if kind == "Pod" {
            // There is no kubelet that would say that its containers have ended.
            delete.args(["--grace-period=0", "--force"]);
        }
        run(&mut delete).map(drop)
    }

    /// Installs the definitions of Istio's kinds, and waits until the kinds are there.
    pub fn define(&self) -> Result<()> {
        run(&mut self.kubectl(&["apply", "--server-side", "-f", DEFINITIONS]))?;
        run(&mut self.kubectl(&["wait", "--for=condition=Established", "-f", DEFINITIONS])).map(drop)
    }

    /// The Secret that gives another control plane access to this cluster under the name `cluster`.
    pub fn remote_secret(&self, name: &str, cluster: &str) -> Result<String> {
        let view = run(&mut self.kubectl(&["config", "view", "--raw", "--flatten", "--minify"]))?;
        let secret = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}},
            "stringData": {cluster: view},
        });
        Ok(secret.to_string())
    }

    /// Ends the API server's process; what it stored stays.
    pub fn stop_api_server(&self) {
        self.process().stop();
    }

    /// Starts the API server again, and waits until it is ready.
    pub fn start_api_server(&self) -> Result<()> {
        let started = Arc::new(api_server(self.world, self.site, &self.programs, &self.files)?);
        *self.api_server.lock().unwrap_or_else(PoisonError::into_inner) = started;
        self.wait_ready()
    }

    /// The world around it.
    pub fn world(&self) -> &'w World {
        self.world
    }

    fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("kubectl"));
        // Its cache must not outlive the cluster.
        command
            .env("HOME", self.files.folder())
            .arg("--kubeconfig")
            .arg(self.files.kubeconfig())
            .args(arguments);
        command
    }

    fn process(&self) -> Arc<Process> {
        Arc::clone(&self.api_server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wait_ready(&self) -> Result<()> {
        within(START, "the API server to be ready", || {
            if let Err(dead) = self.process().alive() {
                return Ok(Some(Err(dead)));
            }
            run(&mut self.kubectl(&["get", "--raw", "/readyz"])).map(|_| Some(Ok(())))
        })?
    }
}

fn etcd(world: &World, site: Site, programs: &Path, files: &Files) -> Result<Process> {
    let mut command = Command::new(programs.join("etcd"));
    let (clients, peers) = (site.etcd, site.etcd + 1);
    command.arg("--data-dir").arg(files.folder().join("etcd")).arg("--unsafe-no-fsync").args([
        format!("--listen-client-urls=http://127.0.0.1:{clients}"),
        format!("--advertise-client-urls=http://127.0.0.1:{clients}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peers}"),
    ]);
    Process::start("etcd", command, &world.dir().join(format!("{}-etcd.log", site.name)))
}

fn api_server(world: &World, site: Site, programs: &Path, files: &Files) -> Result<Process> {
    let mut command = Command::new(programs.join("kube-apiserver"));
    command.args(files.flags());
    command.args([
        format!("--advertise-address={BRIDGE_ADDRESS}"),
        format!("--etcd-servers=http://127.0.0.1:{}", site.etcd),
        format!("--secure-port={}", site.port),
        format!("--service-cluster-ip-range={}", site.services),
    ]);
    command.args([
        "--service-account-issuer=https://kubernetes.default.svc",
        "--api-audiences=https://kubernetes.default.svc,istio-ca",
        "--authorization-mode=RBAC",
        "--allow-privileged",
        "--feature-gates=ClusterTrustBundle=true",
        "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true",
        // There is no controller that would make the default accounts which it waits for.
        "--disable-admission-plugins=ServiceAccount",
    ]);
    Process::start("kube-apiserver", command, &world.dir().join(format!("{}-apiserver.log", site.name)))
}

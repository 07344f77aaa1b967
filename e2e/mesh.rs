//! A mesh: the control plane's binary over a folder of YAML or an API server, and the pods and objects that a test puts
//! there.

mod folder;
mod pilot_agent;
mod place;
mod proxy;
mod service;
mod sync;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::Value;

use crate::client::{Answer, Call, Caller};
use crate::kubernetes::{Cluster, ControlPlane};
use crate::netns::BRIDGE_ADDRESS;
use crate::objects::{self, PodFacts};
use crate::pod::{Pod, PodBuilder};
use crate::process::{Process, run};
use crate::services::{Backend, Key};
use crate::wait::wait_while;
use crate::world::World;

use folder::Folder;
pub use pilot_agent::PilotAgent;
pub(crate) use pilot_agent::start as start_pilot_agent;
pub(crate) use place::Credentials;
use place::Place;
pub(crate) use proxy::{ProxyOptions, start as start_proxy};
pub use service::ServiceBuilder;

/// Where the control plane is found without TLS: at the bridge's address.
pub(crate) const DISCOVERY: SocketAddr = SocketAddr::new(IpAddr::V4(BRIDGE_ADDRESS), 15010);

/// Where proxies find it unless a test says otherwise, and agents always: with TLS.
pub(crate) const SECURE_DISCOVERY: SocketAddr = SocketAddr::new(IpAddr::V4(BRIDGE_ADDRESS), 15012);

/// What the control plane's certificate is for.
pub(crate) const NAME: &str = "istiod.istio-system.svc";

/// The node that pods are on unless a test says otherwise.
pub(crate) const NODE: &str = "node-1";

/// A running control plane and its configuration.
#[derive(Debug)]
pub struct Mesh<'w> {
    world: &'w World,
    place: Place<'w>,
    control_plane: Mutex<Arc<Process>>,
    caller: Caller,
    options: MeshOptions,
    pods: Mutex<BTreeMap<Key, PodFacts>>,
}

/// What a control plane is started with.
#[derive(Clone, Debug, Default)]
pub struct MeshOptions {
    /// MeshConfig as YAML, put into the ConfigMap `istio`; absent: the defaults.
    pub mesh_config: Option<String>,
    /// More environment variables, such as `PILOT_*`.
    pub env: Vec<(String, String)>,
    /// More flags.
    pub flags: Vec<String>,
}

impl<'w> Mesh<'w> {
    /// Starts a control plane with the defaults and an empty mesh; returns when it says that it is ready.
    pub fn start(world: &'w World) -> Result<Self> {
        Self::start_with(world, MeshOptions::default())
    }

    /// [`Mesh::start`] with options.
    pub fn start_with(world: &'w World, options: MeshOptions) -> Result<Self> {
        Self::start_at(world, Place::Folder(Folder::create(world)?), options)
    }

    /// [`Mesh::start_with`], with all objects on an API server.
    pub fn on(cluster: &'w Cluster<'w>, options: MeshOptions) -> Result<Self> {
        let place = Place::cluster(cluster);
        // The control plane's own, where its locks are.
        place.write("Namespace", "", "istio-system", &objects::namespace("istio-system"))?;
        Self::start_at(cluster.world(), place, options)
    }

    fn start_at(world: &'w World, place: Place<'w>, options: MeshOptions) -> Result<Self> {
        place.write("Node", "", NODE, &objects::node(NODE, "region-1/zone-1"))?;
        if let Some(config) = &options.mesh_config {
            place.write("ConfigMap", "istio-system", "istio", &objects::mesh_config(config))?;
        }
        let caller = Caller::of_the_world(world)?;
        let control_plane = Mutex::new(Arc::new(launch(world, &place, &options)?));
        let mesh = Self { world, place, control_plane, caller, options, pods: Mutex::default() };
        mesh.wait_ready()?;
        Ok(mesh)
    }

    /// A pod in this mesh, with a sidecar unless the test takes it away.
    pub fn pod<'a>(&'a self, namespace: &str, name: &str) -> PodBuilder<'a> {
        PodBuilder::new(self.world, namespace, name).in_mesh(self)
    }

    /// A Service in the making.
    pub fn service<'a>(&'a self, namespace: &str, name: &str) -> ServiceBuilder<'a> {
        ServiceBuilder::new(self, namespace, name)
    }

    /// Adds or replaces the objects of a YAML text, one or several documents, as `kubectl apply` would.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        for document in folder::documents(yaml) {
            let object: Value =
                serde_saphyr::from_str(document).with_context(|| format!("YAML of the test:\n{document}"))?;
            let (kind, namespace, name) = folder::identity(&object)?;
            if kind == "Service" {
                self.put_service((namespace, name), object)?;
            } else {
                self.place.write_text([&kind, &namespace, &name], &object, document)?;
            }
        }
        Ok(())
    }

    /// Puts a file into the folder as it is, whatever its text means.
    pub fn put_file(&self, name: &str, text: &str) -> Result<()> {
        self.place.folder()?.put(name, text)
    }

    /// Takes a file away that [`Mesh::put_file`] has put there.
    pub fn remove_file(&self, name: &str) -> Result<()> {
        self.place.folder()?.take(name)
    }

    /// Takes an object away.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        self.place.remove(kind, namespace, name)?;
        if kind == "Service" {
            self.place.remove("EndpointSlice", namespace, &format!("{name}-slice"))?;
            self.world.services().remove_service(&(namespace.to_owned(), name.to_owned()));
            self.sync_services()?;
        }
        Ok(())
    }

    /// A Node in a locality `region/zone/subzone`, for pods that are started on it.
    pub fn node(&self, name: &str, locality: &str) -> Result<()> {
        self.place.write("Node", "", name, &objects::node(name, locality))
    }

    /// Says of a running pod that it is ready or not; Services follow.
    pub fn set_ready(&self, pod: &Pod, ready: bool) -> Result<()> {
        self.publish(&self.facts(pod)?, ready)
    }

    /// Takes a pod out of its Services and the cluster, then stops it.
    pub fn remove(&self, pod: &Pod) -> Result<()> {
        let key = (pod.namespace().to_owned(), pod.name().to_owned());
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        self.world.services().remove_pod(&key);
        self.sync_services()?;
        self.place.remove("Pod", &key.0, &key.1)?;
        pod.stop()
    }

    /// A GET of one of the control plane's own pages, such as `/debug/syncz` or `/ready`.
    pub fn get(&self, path: &str) -> Result<Answer> {
        Call::new(self.caller.clone(), Method::GET, &format!("http://127.0.0.1:8080{path}")).send()
    }

    /// Kills the control plane's process; pods keep what they have.
    pub fn kill_control_plane(&self) {
        self.process().stop();
    }

    /// Ends the control plane's process in the way Kubernetes does: SIGTERM, then time to finish.
    pub fn terminate_control_plane(&self) -> Result<()> {
        self.process().terminate()
    }

    /// Starts a new process of the control plane in place of one that was ended.
    pub fn start_control_plane(&self) -> Result<()> {
        let started = Arc::new(launch(self.world, &self.place, &self.options)?);
        *self.control_plane.lock().unwrap_or_else(PoisonError::into_inner) = started;
        self.wait_ready()
    }

    /// A file of the folder where the control plane of a folder keeps its root.
    pub fn state(&self, file: &str) -> Result<String> {
        let path = self.world.state_folder()?.join(file);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// What the command `root` says when the control plane of a folder is to go this step with its root.
    pub fn root(&self, step: &str) -> Result<String> {
        let mut command = ControlPlane::program(self.world)?;
        run(command.args(["root", step, "--state"]).arg(self.world.state_folder()?))
    }

    /// What the command `version` says.
    pub fn version(&self) -> Result<String> {
        run(ControlPlane::program(self.world)?.arg("version"))
    }

    /// Where proxies find the control plane with TLS, and agents get certificates.
    pub fn secure_discovery(&self) -> SocketAddr {
        SECURE_DISCOVERY
    }

    /// What the control plane has logged.
    pub fn log(&self) -> Result<String> {
        self.process().log()
    }

    /// A token of a pod's service account, as kubelet would mount it.
    pub fn token(&self, pod: &Pod, audience: &str) -> Result<String> {
        self.place.token(self.world, &self.facts(pod)?, audience)
    }

    /// What a pod of this mesh was published with.
    fn facts(&self, pod: &Pod) -> Result<PodFacts> {
        let key = (pod.namespace().to_owned(), pod.name().to_owned());
        let facts = self.pods.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        facts.with_context(|| format!("{key:?} is not in this mesh"))
    }

    /// By what the agent of a pod is known, and knows the control plane.
    pub(crate) fn credentials(&self, pod: &PodFacts) -> Result<Credentials> {
        let mut credentials = self.place.credentials(self.world, pod)?;
        let plugged = self.options.env.iter().find(|(name, _)| name == "ROOT_CA_DIR");
        if let Some((_, folder)) = plugged {
            credentials.roots = PathBuf::from(folder).join("root-cert.pem");
        }
        Ok(credentials)
    }

    /// Writes a pod's object and what follows from it.
    pub(crate) fn publish(&self, facts: &PodFacts, ready: bool) -> Result<()> {
        let key = (facts.namespace.clone(), facts.name.clone());
        self.place.write_once("Namespace", "", &facts.namespace, &objects::namespace(&facts.namespace))?;
        self.place.write("Pod", &facts.namespace, &facts.name, &facts.pod(ready))?;
        let backend = Backend {
            ip: facts.ip,
            node: facts.node.clone(),
            labels: facts.all_labels(),
            named_ports: BTreeMap::new(),
            ready,
        };
        self.world.services().put_pod(key.clone(), backend);
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(key, facts.clone());
        self.sync_services()
    }

    fn put_service(&self, key: Key, object: Value) -> Result<()> {
        self.place.write_once("Namespace", "", &key.0, &objects::namespace(&key.0))?;
        let object = self.world.services().put_service(key.clone(), object)?;
        self.place.write("Service", &key.0, &key.1, &object)?;
        self.sync_services()
    }

    /// Endpoints into the folder, addresses into every pod.
    fn sync_services(&self) -> Result<()> {
        for ((namespace, name), slice) in self.world.services().endpoint_slices() {
            self.place.write("EndpointSlice", &namespace, &format!("{name}-slice"), &slice)?;
        }
        for pod in self.world.pods() {
            pod.sync_services()?;
        }
        Ok(())
    }

    fn process(&self) -> Arc<Process> {
        Arc::clone(&self.control_plane.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wait_ready(&self) -> Result<()> {
        wait_while(
            || self.process().alive(),
            "the control plane to be ready",
            || {
                let answer = self.get("/ready")?;
                if answer.status != 200 {
                    bail!("/ready says {answer:?}");
                }
                Ok(true)
            },
        )
    }
}

fn launch(world: &World, place: &Place<'_>, options: &MeshOptions) -> Result<Process> {
    let mut command = ControlPlane::program(world)?;
    command.arg("discovery");
    place.named(&mut command);
    for (flag, port) in [("grpcAddr", 15010), ("secureGRPCAddr", 15012), ("httpAddr", 8080)] {
        command.arg(format!("--{flag}=:{port}"));
    }
    command.args(&options.flags).envs(options.env.iter().cloned());
    command.env("POD_NAMESPACE", "istio-system");
    Process::start("the control plane", command, &world.dir().join("pilothouse.log"))
}

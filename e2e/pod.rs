//! A pod: a network namespace with an app, a client and, if wanted, a sidecar.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::bootstrap::NodeKind;
use anyhow::{Context, Result};
use http::Method;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::client::load::Load;
use crate::client::tcp::TcpSession;
use crate::client::{Call, Caller};
use crate::echo::{Control, Echo, Workload};
use crate::envoy::Envoy;
use crate::mesh::{Mesh, NODE, start_proxy};
use crate::netns::Netns;
use crate::objects::PodFacts;
use crate::redirect;
use crate::services::CHAIN;
use crate::world::World;

/// What stands between a pod's app and the network.
#[derive(Clone, Debug)]
enum Proxy {
    /// Nothing: connections come and go as they are.
    None,
    /// An Envoy behind redirects, with a whole bootstrap written by the test.
    ByHand(String),
    /// A sidecar of the mesh.
    Sidecar,
    /// A gateway of the mesh: Envoy is the app, nothing is redirected.
    Gateway,
}

/// A pod in the making.
#[derive(Debug)]
#[must_use = "a pod does nothing until it is started"]
pub struct PodBuilder<'w> {
    world: &'w World,
    mesh: Option<&'w Mesh<'w>>,
    namespace: String,
    name: String,
    apps: Vec<Echo>,
    proxy: Proxy,
    redirect: agent::redirect::Options,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    service_account: String,
    node: String,
    node_options: Vec<(String, Value)>,
}

impl<'w> PodBuilder<'w> {
    pub(crate) fn new(world: &'w World, namespace: &str, name: &str) -> Self {
        Self {
            world,
            mesh: None,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            apps: Vec::new(),
            proxy: Proxy::None,
            redirect: agent::redirect::Options::default(),
            labels: BTreeMap::from([("app".to_owned(), name.to_owned())]),
            annotations: BTreeMap::new(),
            service_account: "default".to_owned(),
            node: NODE.to_owned(),
            node_options: Vec::new(),
        }
    }

    pub(crate) fn in_mesh(mut self, mesh: &'w Mesh<'w>) -> Self {
        self.mesh = Some(mesh);
        self.proxy = Proxy::Sidecar;
        self
    }

    /// Adds a port of the app.
    pub fn app(mut self, app: Echo) -> Self {
        self.apps.push(app);
        self
    }

    /// Whether a pod of a mesh has a sidecar; it has one unless this says no.
    pub fn sidecar(mut self, wanted: bool) -> Self {
        self.proxy = if wanted { Proxy::Sidecar } else { Proxy::None };
        self
    }

    /// Makes it a gateway's pod: an Envoy of its own, no app, no redirects.
    pub fn gateway(mut self) -> Self {
        self.proxy = Proxy::Gateway;
        self
    }

    /// Gives it an Envoy with a whole bootstrap of the test's own, admin at 127.0.0.1:15000.
    pub fn by_hand(mut self, bootstrap: &str) -> Self {
        self.proxy = Proxy::ByHand(bootstrap.to_owned());
        self
    }

    /// Sets all labels; without this it has `app: NAME`.
    pub fn labels(mut self, labels: &[(&str, &str)]) -> Self {
        self.labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self
    }

    /// Adds an annotation.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Runs it under this service account instead of `default`.
    pub fn service_account(mut self, account: &str) -> Self {
        account.clone_into(&mut self.service_account);
        self
    }

    /// Puts it on this node (see [`Mesh::node`]).
    pub fn on_node(mut self, node: &str) -> Self {
        node.clone_into(&mut self.node);
        self
    }

    /// Adds a field to the proxy's node metadata.
    pub fn metadata(mut self, key: &str, value: Value) -> Self {
        self.node_options.push((key.to_owned(), value));
        self
    }

    /// Changes what is redirected.
    pub fn redirect(mut self, options: agent::redirect::Options) -> Self {
        self.redirect = options;
        self
    }

    /// Starts all of it; returns when the sidecar is ready and the mesh knows of it.
    pub fn start(self) -> Result<Pod> {
        let called = format!("{}.{}", self.name, self.namespace);
        self.start_inner(&called).with_context(|| format!("start pod {called}"))
    }

    fn start_inner(self, called: &str) -> Result<Pod> {
        let (index, ip) = self.world.next_address();
        let caller = Caller {
            netns: Arc::new(Netns::create(called, index, ip)?),
            namespace: self.namespace.clone(),
            owner: self.world.owner(),
            services: Arc::clone(self.world.services()),
        };
        if matches!(self.proxy, Proxy::ByHand(_) | Proxy::Sidecar) {
            caller.netns.restore_rules(&redirect::rules(caller.owner, &self.redirect))?;
        }
        // After the sidecar's rules: what they leave alone goes to the Services' pods.
        caller.netns.restore_rules(&format!("*nat\n:{CHAIN} - [0:0]\n-A OUTPUT -j {CHAIN}\nCOMMIT\n"))?;
        let workload = Workload { pod: self.name.clone(), namespace: self.namespace.clone() };
        let control = Arc::new(Control::default());
        let apps = start_apps(&caller.netns, &self.apps, &workload, &control)?;
        let facts = self.facts(ip);
        if let Some(mesh) = self.mesh {
            mesh.publish(&facts, false)?;
        }
        let envoy = self.start_proxy(called, &facts, &caller)?;
        let pod = Pod(Arc::new(Inner {
            called: called.to_owned(),
            workload,
            ip,
            caller,
            control,
            envoy,
            apps: Mutex::new(apps),
            stopped: AtomicBool::new(false),
        }));
        pod.sync_services()?;
        if let Some(envoy) = &pod.0.envoy {
            envoy.wait_ready()?;
        }
        self.world.keep_pod(pod.clone());
        if let Some(mesh) = self.mesh {
            mesh.publish(&facts, true)?;
        }
        Ok(pod)
    }

    fn facts(&self, ip: Ipv4Addr) -> PodFacts {
        PodFacts {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ip,
            node: self.node.clone(),
            service_account: self.service_account.clone(),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            ports: self.apps.iter().map(Echo::port).collect(),
            in_mesh: matches!(self.proxy, Proxy::Sidecar | Proxy::Gateway),
        }
    }

    fn start_proxy(&self, called: &str, facts: &PodFacts, caller: &Caller) -> Result<Option<Envoy>> {
        let kind = match &self.proxy {
            Proxy::None => return Ok(None),
            Proxy::ByHand(bootstrap) => {
                return Envoy::start(self.world, caller.clone(), called, "yaml", bootstrap).map(Some);
            }
            Proxy::Sidecar => NodeKind::Sidecar,
            Proxy::Gateway => NodeKind::Router,
        };
        let metadata = self.node_options.iter().cloned().collect();
        start_proxy(self.world, caller.clone(), called, kind, facts, metadata).map(Some)
    }
}

fn start_apps(
    netns: &Netns,
    apps: &[Echo],
    workload: &Workload,
    control: &Arc<Control>,
) -> Result<Vec<JoinHandle<()>>> {
    let mut tasks = Vec::new();
    for app in apps {
        let opening = app.clone();
        let listener = netns.run(async move { opening.listen().await })??;
        let serving = app.clone().serve(listener, workload.clone(), Arc::clone(control));
        tasks.push(netns.inside().spawn(serving));
    }
    Ok(tasks)
}

/// A running pod; clones stand for the same one.
#[derive(Clone)]
pub struct Pod(Arc<Inner>);

struct Inner {
    called: String,
    workload: Workload,
    ip: Ipv4Addr,
    caller: Caller,
    control: Arc<Control>,
    envoy: Option<Envoy>,
    apps: Mutex<Vec<JoinHandle<()>>>,
    stopped: AtomicBool,
}

impl fmt::Debug for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pod({} {})", self.0.called, self.0.ip)
    }
}

impl Pod {
    /// The pod's address.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        self.0.ip
    }

    /// The pod's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.workload.pod
    }

    /// The pod's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.0.workload.namespace
    }

    /// The app's counters and behaviour.
    #[must_use]
    pub fn app(&self) -> &Control {
        &self.0.control
    }

    /// The sidecar's Envoy; an error for a pod without one.
    pub fn envoy(&self) -> Result<&Envoy> {
        self.0.envoy.as_ref().with_context(|| format!("{} has no Envoy", self.0.called))
    }

    /// A GET request from this pod's app to `url` (`http://NAME[.NAMESPACE]:PORT/PATH`).
    pub fn get(&self, url: &str) -> Call {
        self.call(Method::GET, url)
    }

    /// A request with any method.
    pub fn call(&self, method: Method, url: &str) -> Call {
        Call::new(self.0.caller.clone(), method, url)
    }

    /// A POST over HTTP/2 whose body is one gRPC message.
    pub fn grpc(&self, url: &str, message: &str) -> Call {
        self.call(Method::POST, url).body(message.to_owned()).framed_as_grpc()
    }

    /// Opens a TCP connection from this pod's app to `NAME[.NAMESPACE]:PORT`.
    pub fn tcp(&self, authority: &str) -> Result<TcpSession> {
        TcpSession::open(self.0.caller.clone(), authority)
    }

    /// Starts steady load: `connections` clients that GET `url` again a little after each answer.
    pub fn load(&self, url: &str, connections: usize) -> Result<Load> {
        self.load_of(&self.get(url), connections)
    }

    /// [`Pod::load`] with a request of the test's own.
    pub fn load_of(&self, call: &Call, connections: usize) -> Result<Load> {
        Load::start(call, connections, Duration::from_millis(5))
    }

    /// Closes the app's listeners; open connections go on. New ones are refused when this returns.
    pub fn stop_app(&self) -> Result<()> {
        let apps: Vec<_> = self.0.apps.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        self.0.caller.netns.run(async move {
            for app in apps {
                app.abort();
                // The end of an aborted task is an error by definition.
                let _ = app.await;
            }
        })
    }

    /// Ends the pod: first its sidecar must have refused nothing, then sidecar and app are stopped.
    pub fn stop(&self) -> Result<()> {
        let verdict = self.check();
        self.0.stopped.store(true, Ordering::Relaxed);
        let apps = self.stop_app();
        if let Some(envoy) = &self.0.envoy {
            envoy.stop();
        }
        verdict.and(apps)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn check(&self) -> Result<()> {
        match &self.0.envoy {
            Some(envoy) => envoy.check().with_context(|| format!("sidecar of {}", self.0.called)),
            None => Ok(()),
        }
    }

    /// Brings the rules for virtual addresses up to date.
    pub(crate) fn sync_services(&self) -> Result<()> {
        self.0.caller.netns.restore_rules(&self.0.caller.services.address_rules())
    }
}

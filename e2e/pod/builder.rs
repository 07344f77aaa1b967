//! A pod in the making: what it holds, and the order in which its parts start.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::bootstrap::{InterceptionMode, NodeKind, Protocol};
use agent::redirect::{Mode, rules};
use anyhow::{Context, Result};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Inner, Pod};
use crate::client::Caller;
use crate::echo::{Control, Echo, Workload};
use crate::envoy::Envoy;
use crate::mesh::{Mesh, NODE, ProxyOptions, start_pilot_agent, start_proxy};
use crate::netns::Netns;
use crate::objects::PodFacts;
use crate::oracle;
use crate::redirect::{self, ProxyUser};
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
    redirects_otherwise: bool,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    service_account: String,
    node: String,
    proxy_options: ProxyOptions,
    /// The variables of the reference's agent; none: the sidecar's agent is our own.
    pilot_agent: Option<Vec<(String, String)>>,
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
            redirects_otherwise: false,
            labels: BTreeMap::from([("app".to_owned(), name.to_owned())]),
            annotations: BTreeMap::new(),
            service_account: "default".to_owned(),
            node: NODE.to_owned(),
            proxy_options: ProxyOptions::default(),
            pilot_agent: None,
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
        self.proxy_options.metadata.insert(key.to_owned(), value);
        self
    }

    /// Lets the proxy ask in the way of state-of-the-world ADS instead of delta.
    pub fn state_of_the_world(mut self) -> Self {
        self.proxy_options.protocol = Protocol::Sotw;
        self
    }

    /// Lets the proxy ask without TLS at this address instead of the control plane's own, such as a relay.
    pub fn discovery(mut self, address: SocketAddr) -> Self {
        self.proxy_options.plaintext = Some(address);
        self
    }

    /// Gives its certificates this lifetime instead of a day.
    pub fn certificates_for(mut self, lifetime: Duration) -> Self {
        self.proxy_options.lifetime = Some(lifetime);
        self
    }

    /// Lets the reference's own agent start the sidecar's Envoy, with these variables beside the usual ones.
    pub fn pilot_agent(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.pilot_agent = Some(owned.collect());
        self
    }

    /// Changes what is redirected.
    pub fn redirect(mut self, options: agent::redirect::Options) -> Self {
        self.redirect = options;
        self.redirects_otherwise = true;
        self
    }

    /// Brings connections to the sidecar in this way instead of REDIRECT, and tells the control plane.
    pub fn interception(mut self, mode: InterceptionMode) -> Self {
        self.redirect.mode = if mode == InterceptionMode::Tproxy { Mode::Tproxy } else { Mode::Redirect };
        self.proxy_options.interception = mode;
        self.annotation("sidecar.istio.io/interceptionMode", &mode.to_string())
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
            oracle: Arc::clone(self.world.oracle()),
            ip: Some(ip),
        };
        let redirected = matches!(self.proxy, Proxy::ByHand(_) | Proxy::Sidecar)
            && self.proxy_options.interception != InterceptionMode::None;
        if redirected {
            caller.netns.restore_rules(&redirect::rules(caller.owner, &self.redirect))?;
            caller.netns.add_routes(&rules(&self.redirect).routes)?;
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
            identity: format!("spiffe://cluster.local/ns/{}/sa/{}", self.namespace, self.service_account),
            workload,
            ip,
            caller,
            control,
            envoy,
            redirected,
            redirects_otherwise: self.redirects_otherwise,
            ports: self.ports(),
            apps: Mutex::new(apps),
            stopped: AtomicBool::new(false),
        }));
        pod.sync_services()?;
        if let Some(envoy) = &pod.0.envoy {
            envoy.wait_ready()?;
        }
        self.world.keep_pod(pod.clone());
        self.world.oracle().register(ip, oracle::weak(&pod.0));
        if let Some(mesh) = self.mesh {
            mesh.publish(&facts, true)?;
        }
        Ok(pod)
    }

    /// The ports that the app listens on.
    fn ports(&self) -> Vec<u16> {
        self.apps.iter().filter_map(Echo::port).collect()
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
            ports: self.ports(),
            in_mesh: matches!(self.proxy, Proxy::Sidecar | Proxy::Gateway),
        }
    }

    fn start_proxy(&self, called: &str, facts: &PodFacts, caller: &Caller) -> Result<Option<Envoy>> {
        let kind = match &self.proxy {
            Proxy::None => return Ok(None),
            Proxy::ByHand(bootstrap) => {
                let user = ProxyUser::Own;
                return Envoy::start(self.world, caller.clone(), user, called, "yaml", bootstrap).map(Some);
            }
            Proxy::Sidecar => NodeKind::Sidecar,
            Proxy::Gateway => NodeKind::Router,
        };
        let mesh = self.mesh.context("a proxy needs a mesh")?;
        let credentials = mesh.credentials(facts)?;
        if let Some(variables) = &self.pilot_agent {
            let mut variables = variables.clone();
            let lifetime = self.proxy_options.lifetime.map(|lifetime| format!("{}s", lifetime.as_secs()));
            variables.extend(lifetime.map(|lifetime| ("SECRET_TTL".to_owned(), lifetime)));
            let process = start_pilot_agent(self.world, caller, facts, &credentials, &variables)?;
            return Ok(Some(Envoy::of(caller.clone(), process)));
        }
        let options = self.proxy_options.clone();
        start_proxy(self.world, caller.clone(), called, kind, facts, &credentials, options).map(Some)
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

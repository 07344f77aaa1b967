//! A pod: a network namespace with an app, a client and, if wanted, a sidecar.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use tokio::task::JoinHandle;

use crate::client::load::Load;
use crate::client::tcp::TcpSession;
use crate::client::{Call, Caller};
use crate::echo::{Control, Echo, Workload};
use crate::envoy::Envoy;
use crate::netns::Netns;
use crate::redirect;
use crate::services::CHAIN;
use crate::world::World;

/// What stands between a pod's app and the network.
#[derive(Clone, Debug, Default)]
pub enum Sidecar {
    /// Nothing: connections come and go as they are.
    #[default]
    None,
    /// An Envoy with this whole bootstrap, written by the test.
    ByHand(String),
}

/// A pod in the making.
#[must_use = "a pod does nothing until it is started"]
pub struct PodBuilder<'w> {
    pub(crate) world: &'w World,
    pub(crate) namespace: String,
    pub(crate) name: String,
    apps: Vec<Echo>,
    sidecar: Sidecar,
}

impl<'w> PodBuilder<'w> {
    pub(crate) fn new(world: &'w World, namespace: &str, name: &str) -> Self {
        Self {
            world,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            apps: Vec::new(),
            sidecar: Sidecar::None,
        }
    }

    /// Adds a port of the app.
    pub fn app(mut self, app: Echo) -> Self {
        self.apps.push(app);
        self
    }

    /// Sets what stands between app and network.
    pub fn sidecar(mut self, sidecar: Sidecar) -> Self {
        self.sidecar = sidecar;
        self
    }

    /// Starts all of it; returns when the sidecar is ready.
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
        if !matches!(self.sidecar, Sidecar::None) {
            caller.netns.restore_rules(&redirect::rules(caller.owner))?;
        }
        // After the sidecar's rules: what they leave alone goes to the Services' pods.
        caller.netns.restore_rules(&format!("*nat\n:{CHAIN} - [0:0]\n-A OUTPUT -j {CHAIN}\nCOMMIT\n"))?;
        let workload = Workload { pod: self.name.clone(), namespace: self.namespace.clone() };
        let control = Arc::new(Control::default());
        let apps = start_apps(&caller.netns, &self.apps, &workload, &control)?;
        let envoy = match &self.sidecar {
            Sidecar::None => None,
            Sidecar::ByHand(bootstrap) => {
                Some(Envoy::start_static(self.world, caller.clone(), called, bootstrap)?)
            }
        };
        let pod = Pod(Arc::new(Inner {
            called: called.to_owned(),
            ip,
            caller,
            control,
            envoy,
            apps: Mutex::new(apps),
            stopped: AtomicBool::new(false),
        }));
        // Known to the world before it is ready, so that its end and its log are looked at in any case.
        self.world.keep_pod(pod.clone());
        pod.sync_services()?;
        if let Some(envoy) = &pod.0.envoy {
            envoy.wait_ready()?;
        }
        Ok(pod)
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

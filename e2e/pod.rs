//! A pod: a network namespace with an app, a client and, if wanted, a sidecar.

mod builder;

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
use crate::echo::{Control, Workload};
use crate::envoy::Envoy;
use crate::wait::wait_until;

pub use builder::PodBuilder;

/// A running pod; clones stand for the same one.
#[derive(Clone)]
pub struct Pod(Arc<Inner>);

pub(crate) struct Inner {
    called: String,
    identity: String,
    workload: Workload,
    ip: Ipv4Addr,
    caller: Caller,
    control: Arc<Control>,
    envoy: Option<Envoy>,
    /// Its Envoy takes what comes and goes.
    redirected: bool,
    /// In another way than usual.
    redirects_otherwise: bool,
    ports: Vec<u16>,
    apps: Mutex<Vec<JoinHandle<()>>>,
    stopped: AtomicBool,
}

impl fmt::Debug for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pod({} {})", self.0.called, self.0.ip)
    }
}

impl Pod {
    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Whether connections go through its Envoy without the app's doing.
    pub(crate) fn redirected(&self) -> bool {
        self.0.redirected
    }

    /// Whether its Envoy takes what is sent to ports that it has opened itself, and nothing else.
    pub(crate) fn bound(&self) -> bool {
        self.0.envoy.is_some() && !self.0.redirected
    }

    /// Whether what is redirected is not what usually is.
    pub(crate) fn redirects_otherwise(&self) -> bool {
        self.0.redirects_otherwise
    }

    /// Whether its app takes connections at a port.
    pub(crate) fn listens(&self, port: u16) -> bool {
        let open = !self.0.apps.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        open && !self.is_stopped() && self.0.ports.contains(&port)
    }

    /// The name of its proxy in the mesh.
    pub(crate) fn identity(&self) -> String {
        self.0.identity.clone()
    }

    /// Where its client is.
    pub(crate) fn caller(&self) -> &Caller {
        &self.0.caller
    }

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

    /// Waits until nothing of the Envoy's configuration waits for something else.
    pub fn wait_settled(&self) -> Result<()> {
        wait_until(&format!("nothing to be warming in {}", self.0.called), || self.envoy()?.settled())
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

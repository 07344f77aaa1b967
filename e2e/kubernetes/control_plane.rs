//! The built control plane, reading a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::{Value, json};

use super::Cluster;
use crate::client::{Answer, Call, Caller};
use crate::netns::{BRIDGE, BRIDGE_ADDRESS};
use crate::process::{Process, run};
use crate::tools::{built, system};
use crate::wait::{wait_until, wait_while};
use crate::world::World;

/// The port of `/ready` and `/debug` of the first replica.
const HTTP: u16 = 8080;

/// The port of xDS of the first replica.
const XDS: u16 = 15010;

/// The port of xDS with TLS of the first replica.
const TLS: u16 = 15012;

/// The port of `/metrics` of the first replica, and of all that have an address of their own.
const MONITORING: u16 = 15014;

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    process: Process,
    caller: Caller,
    port: u16,
    discovery: SocketAddr,
    secure: SocketAddr,
}

impl ControlPlane {
    /// The replica of this number, from 0: each has ports, a log and a pod's name of its own.
    pub(super) fn start(
        world: &World,
        kubeconfig: &Path,
        (number, flags, variables): (u16, &[&str], &[(&str, &str)]),
    ) -> Result<Self> {
        let mut command = Self::program(world)?;
        command.envs(variables.iter().copied());
        command.arg("discovery").arg("--kubeconfig").arg(kubeconfig).args(flags);
        command.env("POD_NAMESPACE", "istio-system").env("POD_NAME", Self::pod(number));
        // Where the API server finds webhooks: it knows no Services.
        command.env("ISTIOD_CUSTOM_HOST", "127.0.0.1");
        command.arg(format!("--httpAddr=:{}", HTTP + number));
        let ports = [
            ("grpcAddr", XDS),
            ("secureGRPCAddr", TLS),
            ("monitoringAddr", MONITORING),
            ("httpsAddr", 15017),
        ];
        for (flag, usual) in ports {
            let flag = format!("--{flag}=");
            if !flags.iter().any(|given| given.starts_with(&flag)) {
                command.arg(format!("{flag}:{}", usual + 100 * number));
            }
        }
        Self::started(world, command, number)
    }

    /// The built program, without arguments.
    pub(crate) fn program(world: &World) -> Result<Command> {
        Ok(Command::new(world.program(&built("pilothouse", "pilothouse", "PILOTHOUSE_BIN")?)?))
    }

    /// Runs a command that is the replica of this number, and returns when it says that it is ready.
    pub(super) fn started(world: &World, command: Command, number: u16) -> Result<Self> {
        let log = world.dir().join(format!("{}.log", Self::pod(number)));
        let process = Process::start("the control plane", command, &log)?;
        let caller = Caller::of_the_world(world)?;
        let discovery = SocketAddr::from((BRIDGE_ADDRESS, XDS + 100 * number));
        let secure = SocketAddr::from((BRIDGE_ADDRESS, TLS + 100 * number));
        let control_plane = Self { process, caller, port: HTTP + number, discovery, secure };
        let alive = || control_plane.process.alive();
        wait_while(alive, "the control plane to be ready", || {
            let answer = control_plane.get("/ready")?;
            if answer.status != 200 {
                bail!("/ready says {answer:?}");
            }
            Ok(true)
        })?;
        Ok(control_plane)
    }

    /// The name of the pod that a replica takes itself to run in.
    pub fn pod(number: u16) -> String {
        format!("pilothouse-{number}")
    }

    /// Where proxies find it.
    pub fn discovery(&self) -> SocketAddr {
        self.discovery
    }

    /// Where proxies find it that show who they are.
    pub fn secure_discovery(&self) -> SocketAddr {
        self.secure
    }

    /// Ends it without a word to it.
    pub fn kill(self) {
        self.process.stop();
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(self) -> Result<()> {
        self.process.terminate()
    }

    /// A GET of one of its own pages, such as `/debug/configz` or `/ready`.
    pub fn get(&self, path: &str) -> Result<Answer> {
        Call::new(self.caller.clone(), Method::GET, &format!("http://127.0.0.1:{}{path}", self.port)).send()
    }

    /// The text of a page.
    pub fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.get(path)?.expect(http::StatusCode::OK)?.body).into_owned())
    }

    /// A page of JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_str(&self.text(path)?).with_context(|| format!("JSON of {path}"))
    }

    /// Waits until a page satisfies `condition`.
    pub fn wait_for(&self, what: &str, path: &str, condition: impl Fn(&str) -> bool) -> Result<()> {
        wait_until(what, || {
            self.process.alive()?;
            let page = self.text(path)?;
            if condition(&page) { Ok(true) } else { bail!("{path} says:\n{page}") }
        })
    }

    /// What it has logged.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }
}

impl Cluster<'_> {
    /// Makes the pod of a replica, with an address of its own in this world, before the replica is started. Out: the
    /// address, and the flag by which the replica answers other replicas there.
    pub fn pod_of_replica(&self, number: u16) -> Result<(Ipv4Addr, String)> {
        let (_, address) = self.world.next_address();
        run(system("ip").args(["addr", "add", &format!("{address}/32"), "dev", BRIDGE]))?;
        let labels = json!({"app": "istiod", "istio.io/rev": "default"});
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": ControlPlane::pod(number), "namespace": "istio-system", "labels": labels},
            "spec": {"containers": [{"name": "discovery", "image": "localhost/pilothouse"}]},
            "status": {"phase": "Running", "podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}]},
        });
        self.apply(&pod.to_string())?;
        Ok((address, format!("--monitoringAddr={address}:{MONITORING}")))
    }
}

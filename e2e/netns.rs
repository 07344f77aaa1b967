//! One pod's network namespace: its address, programs inside it, and a thread of this process that lives there.

use std::fs::File;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use crate::process::{run, run_with_input};
use crate::redirect::{Owner, PROXY_ID, ProxyUser};
use crate::tools::system;

/// The bridge in the world's namespace that all pods hang on.
pub(crate) const BRIDGE: &str = "mesh0";
/// Its address: the pods' gateway, and where they find the control plane.
pub(crate) const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Its link-layer address.
pub(crate) const BRIDGE_MAC: &str = "02:00:0a:4d:00:01";

/// A network namespace with one interface on the bridge, and a thread inside that runs futures.
#[derive(Debug)]
pub(crate) struct Netns {
    name: String,
    inside: Handle,
    // The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl Netns {
    /// Makes the namespace `name` with the address `ip`; `index` makes the interface's name unique in the world.
    pub(crate) fn create(name: &str, index: u16, ip: Ipv4Addr) -> Result<Self> {
        let veth = format!("pod{index}");
        run(system("ip").args(["netns", "add", name]))?;
        run(system("ip").args(["link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", name]))?;
        run(system("ip").args(["link", "set", &veth, "master", BRIDGE, "up"]))?;
        let setup = format!(
            "ip link set lo up && ip addr add {ip}/16 dev eth0 && ip link set eth0 up && \
             ip route add default via {BRIDGE_ADDRESS}"
        );
        run(enter(name).args(["sh", "-ec", &setup]))?;
        let path = format!("/run/netns/{name}");
        let (inside, stop) = resident_thread(name, move || {
            let namespace = File::open(&path).with_context(|| format!("open {path}"))?;
            setns(&namespace, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter {path}"))
        })?;
        Ok(Self { name: name.to_owned(), inside, _stop: stop })
    }

    /// The namespace that this process is in: the bridge's, where the control plane runs.
    pub(crate) fn of_the_world() -> Result<Self> {
        let (inside, stop) = resident_thread("the world", || Ok(()))?;
        Ok(Self { name: "the world".to_owned(), inside, _stop: stop })
    }

    /// A command that runs `program` inside; as the proxy's user when `owner` can tell users apart.
    pub(crate) fn proxy_command(&self, owner: Owner, user: ProxyUser, program: &Path) -> Command {
        let mut command = system("nsenter");
        command.arg(netns_argument(&self.name));
        if owner == Owner::Uid {
            let uid = if user == ProxyUser::Root { 0 } else { PROXY_ID };
            command.arg(format!("--setuid={uid}")).arg(format!("--setgid={PROXY_ID}"));
        }
        command.arg("--").arg(program);
        command
    }

    /// Applies rules in the form of `iptables-restore`, leaving other chains alone.
    pub(crate) fn restore_rules(&self, rules: &str) -> Result<()> {
        run_with_input(enter(&self.name).args(["iptables-restore", "--noflush"]), rules)
            .with_context(|| format!("rules for {}:\n{rules}", self.name))?;
        Ok(())
    }

    /// Adds rules and routes in the form of `ip -batch`.
    pub(crate) fn add_routes(&self, routes: &str) -> Result<()> {
        run_with_input(enter(&self.name).args(["ip", "-batch", "-"]), routes)
            .with_context(|| format!("routes for {}:\n{routes}", self.name))?;
        Ok(())
    }

    /// Runs a future on the thread inside and waits for its result.
    pub(crate) fn run<F>(&self, future: F) -> Result<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (done, result) = mpsc::sync_channel(1);
        self.inside.spawn(async move {
            // The receiver waits below; it is gone only if its thread has panicked.
            let _ = done.send(future.await);
        });
        result.recv().map_err(|_| anyhow!("the task in {} panicked", self.name))
    }

    /// Where tasks that live as long as the pod are started.
    pub(crate) fn inside(&self) -> &Handle {
        &self.inside
    }
}

fn netns_argument(name: &str) -> String {
    format!("--net=/run/netns/{name}")
}

/// `nsenter` and not `ip netns exec`: the latter remounts /sys, which an ordinary user's namespace may not.
fn enter(name: &str) -> Command {
    let mut command = system("nsenter");
    command.arg(netns_argument(name)).arg("--");
    command
}

/// A thread that enters a namespace and then drives futures until the sender is dropped.
fn resident_thread(
    name: &str,
    enter: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<(Handle, oneshot::Sender<()>)> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, started) = mpsc::sync_channel(1);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let built = enter().and_then(|()| Ok(runtime::Builder::new_current_thread().enable_all().build()?));
        // The owner waits below for one of these.
        match built {
            Ok(runtime) => {
                let _ = ready.send(Ok(runtime.handle().clone()));
                // Ends when the owner drops the other half.
                let _ = runtime.block_on(stopped);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    })?;
    Ok((started.recv().context("thread of the namespace ended")??, stop))
}

//! A proxy of the mesh: the agent for its certificate, the agent's bootstrap, a stock Envoy.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use agent::bootstrap::{Address, Node, NodeKind, Options, Protocol, StatusBackend, render};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::DISCOVERY;
use crate::client::Caller;
use crate::envoy::Envoy;
use crate::objects::PodFacts;
use crate::process::Process;
use crate::tools::built;
use crate::wait::wait_while;
use crate::world::World;

/// The folder with the development root that all agents of a world share.
const STATE: &str = "state";

/// How a proxy asks for its configuration, and what it says of itself beyond what its pod says.
#[derive(Clone, Debug)]
pub(crate) struct ProxyOptions {
    pub(crate) discovery: SocketAddr,
    pub(crate) protocol: Protocol,
    pub(crate) metadata: Map<String, Value>,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self { discovery: DISCOVERY, protocol: Protocol::Delta, metadata: Map::new() }
    }
}

/// Starts the agent, waits for its socket, and starts Envoy with the agent's bootstrap.
pub(crate) fn start(
    world: &World,
    caller: Caller,
    called: &str,
    kind: NodeKind,
    facts: &PodFacts,
    proxy: ProxyOptions,
) -> Result<Envoy> {
    let folder = world.pod_folder(called)?;
    let socket = folder.join("sds.sock");
    let program = world.program(&built("agent", "pilothouse-agent", "PILOTHOUSE_AGENT_BIN")?)?;
    let mut command = caller.netns.proxy_command(caller.owner, &program);
    command.arg("--sds-only").arg("--socket").arg(&socket);
    command.arg("--state").arg(world.pod_folder(STATE)?);
    command.args(["--namespace", &facts.namespace, "--service-account", &facts.service_account]);
    command.current_dir(&folder);
    let log = world.dir().join(format!("{called}.agent.log"));
    let agent = Process::start(&format!("the agent of {called}"), command, &log)?;
    wait_while(|| agent.alive(), "the agent's socket", || Ok(socket.exists()))?;
    world.keep_program(agent.into());
    let options = options(kind, facts, proxy, socket)?;
    options.check().context("bootstrap")?;
    Envoy::start(world, caller, called, "json", &serde_json::to_string_pretty(&render(&options))?)
}

fn options(kind: NodeKind, facts: &PodFacts, proxy: ProxyOptions, socket: PathBuf) -> Result<Options> {
    let mut node = Node::new(kind, IpAddr::V4(facts.ip), &facts.name, &facts.namespace);
    node.labels = facts.all_labels();
    node.annotations = facts.annotations.clone();
    node.service_account = Some(facts.service_account.clone());
    node.cluster_id = Some("Kubernetes".to_owned());
    node.mesh_id = Some("cluster.local".to_owned());
    node.node_name = Some(facts.node.clone());
    node.pod_ports = Some(facts.ports.iter().map(|port| json!({"containerPort": port})).collect());
    node.app_containers = vec!["app".to_owned()];
    node.metadata = proxy.metadata;
    let mut options = Options::new(node, proxy.discovery.to_string().parse::<Address>()?, socket);
    options.control_plane.protocol = proxy.protocol;
    options.prometheus_listener = true;
    options.status_listener = Some(StatusBackend::Envoy);
    // Tests read counters that the default inclusion list drops.
    options.all_stats = true;
    Ok(options)
}

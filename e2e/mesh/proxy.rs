//! A proxy of the mesh: the agent for its certificate, the agent's bootstrap, a stock Envoy.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use agent::bootstrap::{
    Address, InterceptionMode, Node, NodeKind, Options, Protocol, StatusBackend, Tls, render,
};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::{Credentials, NAME, SECURE_DISCOVERY};
use crate::client::Caller;
use crate::envoy::Envoy;
use crate::objects::PodFacts;
use crate::process::Process;
use crate::redirect::ProxyUser;
use crate::tools::built;
use crate::wait::wait_while;
use crate::world::World;

/// How a proxy asks for its configuration, and what it says of itself beyond what its pod says.
#[derive(Clone, Debug)]
pub(crate) struct ProxyOptions {
    /// Where it asks without TLS; none: with TLS and its certificate at the control plane itself.
    pub(crate) plaintext: Option<SocketAddr>,
    /// The lifetime of its certificates; none: the agent's usual one.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) protocol: Protocol,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) interception: InterceptionMode,
}

impl ProxyOptions {
    /// Whose process it must be for its connections to reach it.
    fn user(&self) -> ProxyUser {
        if self.interception == InterceptionMode::Tproxy { ProxyUser::Root } else { ProxyUser::Own }
    }
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            plaintext: None,
            lifetime: None,
            protocol: Protocol::Delta,
            metadata: Map::new(),
            interception: InterceptionMode::Redirect,
        }
    }
}

/// Starts the agent, waits for its socket, and starts Envoy with the agent's bootstrap.
pub(crate) fn start(
    world: &World,
    caller: Caller,
    called: &str,
    kind: NodeKind,
    facts: &PodFacts,
    credentials: &Credentials,
    proxy: ProxyOptions,
) -> Result<Envoy> {
    let folder = world.pod_folder(called)?;
    let socket = folder.join("sds.sock");
    let token = folder.join("token");
    fs::write(&token, &credentials.token).with_context(|| format!("write {}", token.display()))?;
    let program = world.program(&built("agent", "pilothouse-agent", "PILOTHOUSE_AGENT_BIN")?)?;
    let mut command = caller.netns.proxy_command(caller.owner, ProxyUser::Own, &program);
    command.arg("--sds-only").arg("--socket").arg(&socket);
    command.args(["--ca-address", &SECURE_DISCOVERY.to_string(), "--ca-server-name", NAME]);
    command.arg("--ca-roots").arg(&credentials.roots).arg("--token").arg(&token);
    if let Some(lifetime) = proxy.lifetime {
        command.arg("--lifetime").arg(format!("{}s", lifetime.as_secs()));
    }
    command.args(["--namespace", &facts.namespace, "--service-account", &facts.service_account]);
    command.current_dir(&folder);
    let log = world.dir().join(format!("{called}.agent.log"));
    let agent = Process::start(&format!("the agent of {called}"), command, &log)?;
    wait_while(|| agent.alive(), "the agent's socket", || Ok(socket.exists()))?;
    world.keep_program(agent.into());
    let user = proxy.user();
    let options = options(kind, facts, proxy, socket)?;
    options.check().context("bootstrap")?;
    Envoy::start(world, caller, user, called, "json", &serde_json::to_string_pretty(&render(&options))?)
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
    node.interception_mode = Some(proxy.interception).filter(|_| kind == NodeKind::Sidecar);
    node.metadata = proxy.metadata;
    let at = proxy.plaintext.unwrap_or(SECURE_DISCOVERY);
    let mut options = Options::new(node, at.to_string().parse::<Address>()?, socket);
    options.control_plane.tls = proxy.plaintext.is_none().then(|| Tls { server_name: NAME.to_owned() });
    options.control_plane.protocol = proxy.protocol;
    options.prometheus_listener = true;
    options.status_listener = Some(StatusBackend::Envoy);
    // Tests read counters that the default inclusion list drops.
    options.all_stats = true;
    Ok(options)
}

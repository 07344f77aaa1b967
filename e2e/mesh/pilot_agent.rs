//! The reference's own agent beside a workload: its files where the injector mounts them, its variables, and the stock Envoy
//! that it starts itself.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Credentials, Mesh, NAME, SECURE_DISCOVERY};
use crate::client::Caller;
use crate::netns::BRIDGE_ADDRESS;
use crate::objects::PodFacts;
use crate::pod::Pod;
use crate::process::Process;
use crate::redirect::ProxyUser;
use crate::tools;
use crate::world::World;

/// The folders of its container that it reads or makes files in, each after the one that it is in.
const FOLDERS: [&str; 12] = [
    "etc",
    "etc/istio",
    "etc/istio/pod",
    "etc/istio/proxy",
    "var",
    "var/lib",
    "var/lib/istio",
    "var/lib/istio/envoy",
    "var/run",
    "var/run/secrets",
    "var/run/secrets/istio",
    "var/run/secrets/tokens",
];

const TEMPLATE: &str = "var/lib/istio/envoy/envoy_bootstrap_tmpl.json";
const TOKEN: &str = "var/run/secrets/tokens/istio-token";
const ROOTS: &str = "var/run/secrets/istio/root-cert.pem";

/// The reference's agent with an Envoy that need not become ready.
#[derive(Debug)]
pub struct PilotAgent {
    process: Process,
    folder: PathBuf,
}

impl PilotAgent {
    /// What it and its Envoy have said.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }

    /// Puts another token in place, as kubelet does.
    pub fn set_token(&self, token: &str) -> Result<()> {
        let (draft, path) = (self.folder.join("token"), self.folder.join(TOKEN));
        fs::write(&draft, token).with_context(|| format!("write {}", draft.display()))?;
        fs::rename(&draft, &path).with_context(|| format!("put {} in place", path.display()))
    }
}

impl Mesh<'_> {
    /// Starts the reference's agent in a pod without a sidecar, with this token in place of the pod's own.
    pub fn pilot_agent(&self, pod: &Pod, token: &str) -> Result<PilotAgent> {
        let facts = self.facts(pod)?;
        let mut credentials = self.credentials(&facts)?;
        token.clone_into(&mut credentials.token);
        let process = start(self.world, pod.caller(), &facts, &credentials, &[])?;
        Ok(PilotAgent { process, folder: self.world.pod_folder(&called(&facts))? })
    }
}

fn called(facts: &PodFacts) -> String {
    format!("{}.{}", facts.name, facts.namespace)
}

/// Starts it in a pod.
pub(crate) fn start(
    world: &World,
    caller: &Caller,
    facts: &PodFacts,
    credentials: &Credentials,
    variables: &[(String, String)],
) -> Result<Process> {
    let called = called(facts);
    let assets = tools::pilot_agent()?;
    let folder = mounted(world, &called, facts, credentials, &assets)?;
    world.host(NAME, IpAddr::V4(BRIDGE_ADDRESS))?;
    let program = world.program(&assets.join("pilot-agent"))?;
    let envoy = world.program(&tools::envoy()?)?;
    let mut command = caller.netns.proxy_command(caller.owner, ProxyUser::Own, &program);
    command.args(["proxy", "sidecar", "--templateFile", TEMPLATE]);
    command.args(["--domain", &format!("{}.svc.cluster.local", facts.namespace)]);
    command.current_dir(&folder).envs(usual(facts, &envoy)).envs(variables.iter().cloned());
    let log = world.dir().join(format!("{called}.pilot-agent.log"));
    Process::start(&format!("the reference's agent of {called}"), command, &log)
}

/// Puts its files where kubelet and its image have them.
fn mounted(
    world: &World,
    called: &str,
    facts: &PodFacts,
    credentials: &Credentials,
    assets: &Path,
) -> Result<PathBuf> {
    let folder = world.pod_folder(called)?;
    for inner in FOLDERS {
        world.pod_folder(&format!("{called}/{inner}"))?;
    }
    // As kubelet does, which follows the ConfigMap.
    symlink(&credentials.roots, folder.join(ROOTS)).with_context(|| format!("mount {ROOTS} of {called}"))?;
    let labels: String = facts.all_labels().iter().map(|(key, value)| format!("{key}={value:?}\n")).collect();
    let annotations: String =
        facts.annotations.iter().map(|(key, value)| format!("{key}={value:?}\n")).collect();
    let template = assets.join("envoy_bootstrap.json");
    fs::copy(&template, folder.join(TEMPLATE)).with_context(|| format!("copy {}", template.display()))?;
    for (file, text) in [
        (TOKEN, credentials.token.trim().to_owned()),
        ("etc/istio/pod/labels", labels),
        ("etc/istio/pod/annotations", annotations),
    ] {
        fs::write(folder.join(file), text).with_context(|| format!("write {file} of {called}"))?;
    }
    Ok(folder)
}

/// The variables that the injector sets.
fn usual(facts: &PodFacts, envoy: &Path) -> Vec<(&'static str, String)> {
    let ports: Vec<Value> = facts.ports.iter().map(|port| json!({"containerPort": port})).collect();
    let proxy = json!({
        "discoveryAddress": format!("{NAME}:{}", SECURE_DISCOVERY.port()),
        "binaryPath": envoy,
        "concurrency": 1,
        // Tests read counters that the default list drops.
        "proxyStatsMatcher": {"inclusionRegexps": [".*"]},
    });
    vec![
        ("CA_ADDR", format!("{NAME}:{}", SECURE_DISCOVERY.port())),
        ("HOST_IP", BRIDGE_ADDRESS.to_string()),
        ("INSTANCE_IP", facts.ip.to_string()),
        ("ISTIO_META_APP_CONTAINERS", "app".to_owned()),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes".to_owned()),
        ("ISTIO_META_INTERCEPTION_MODE", "REDIRECT".to_owned()),
        ("ISTIO_META_ISTIO_VERSION", "1.32.0".to_owned()),
        ("ISTIO_META_MESH_ID", "cluster.local".to_owned()),
        ("ISTIO_META_NODE_NAME", facts.node.clone()),
        ("ISTIO_META_POD_PORTS", Value::from(ports).to_string()),
        ("ISTIO_META_WORKLOAD_NAME", facts.name.clone()),
        ("POD_NAME", facts.name.clone()),
        ("POD_NAMESPACE", facts.namespace.clone()),
        ("PROXY_CONFIG", proxy.to_string()),
        ("SERVICE_ACCOUNT", facts.service_account.clone()),
        ("TRUST_DOMAIN", "cluster.local".to_owned()),
    ]
}

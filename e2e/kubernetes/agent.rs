//! The built agent of a workload, beside no Envoy.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Cluster, ControlPlane};
use crate::process::Process;
use crate::tools::built;

/// The name by which the control plane is known to its clients.
const NAME: &str = "istiod.istio-system.svc";

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    _process: Process,
    log: PathBuf,
}

impl Agent {
    /// What it has said.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("read {}", self.log.display()))
    }
}

impl Cluster<'_> {
    /// Starts the agent of a service account: it knows the control plane by the roots that its namespace is told.
    pub fn agent(&self, plane: &ControlPlane, namespace: &str, account: &str) -> Result<Agent> {
        let map = self.get("configmap", namespace, "istio-ca-root-cert")?;
        let roots = map.pointer("/data/root-cert.pem").and_then(Value::as_str);
        let folder = self.world.dir().join(format!("{account}.{namespace}"));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("roots.pem"), roots.context("a ConfigMap without roots")?)?;
        fs::write(folder.join("token"), self.token_for(namespace, account, "istio-ca")?)?;
        let program = self.world.program(&built("agent", "pilothouse-agent", "PILOTHOUSE_AGENT_BIN")?)?;
        let mut command = Command::new(program);
        let address = plane.secure_discovery().to_string();
        command.current_dir(&folder).args(["--sds-only", "--socket", "sds.sock"]);
        command.args(["--ca-address", &address, "--ca-server-name", NAME]);
        command.args(["--ca-roots", "roots.pem", "--token", "token"]);
        command.args(["--namespace", namespace, "--service-account", account]);
        let log = folder.join("agent.log");
        let process = Process::start("the agent", command, &log)?;
        Ok(Agent { _process: process, log })
    }
}

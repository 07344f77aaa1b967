//! The control plane as manifests install it: the container of a Deployment, with the rights of its pod's account.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Cluster, ControlPlane};
use crate::netns::BRIDGE;
use crate::process::{run, run_with_input};
use crate::tools::{system, workspace};

/// Where a pod finds its account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Cluster<'_> {
    /// Applies a folder of the repository as users do: with `-f` all files of it, with `-k` what its Kustomization says.
    pub fn apply_folder(&self, flag: &str, folder: &str) -> Result<()> {
        let folder = workspace().join(folder).display().to_string();
        run(&mut self.kubectl(&["apply", "--server-side", "--force-conflicts", flag, &folder])).map(drop)
    }

    /// Leads a Service's address to this world's own ports: there are neither pods nor a kube-proxy.
    pub fn lead_service(&self, namespace: &str, name: &str) -> Result<()> {
        let service = self.get("service", namespace, name)?;
        let spec = service.get("spec").context("a Service without a spec")?;
        let address =
            spec.get("clusterIP").and_then(Value::as_str).context("a Service without an address")?;
        let mut rules = "*nat\n".to_owned();
        for port in spec.get("ports").and_then(Value::as_array).into_iter().flatten() {
            let number =
                |field| port.get(field).and_then(Value::as_u64).with_context(|| format!("{field} of {port}"));
            let (port, target) = (number("port")?, number("targetPort")?);
            rules +=
                &format!("-A OUTPUT -d {address} -p tcp --dport {port} -j REDIRECT --to-ports {target}\n");
        }
        rules += "COMMIT\n";
        run(system("ip").args(["route", "add", address, "dev", BRIDGE]))?;
        run_with_input(system("iptables-restore").arg("--noflush"), &rules).map(drop)
    }

    /// A kubeconfig, as JSON, that gives access to this cluster as a service account.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> Result<String> {
        let own =
            run(&mut self.kubectl(&["config", "view", "--raw", "--flatten", "--minify", "-o", "json"]))?;
        let mut kubeconfig: Value = serde_json::from_str(&own).context("JSON of kubectl")?;
        let user = kubeconfig.pointer_mut("/users/0/user").context("a kubeconfig without a user")?;
        *user = serde_json::json!({ "token": self.token(namespace, account)? });
        Ok(kubeconfig.to_string())
    }

    fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let token = run(&mut self.kubectl(&["create", "token", account, "-n", namespace]))?;
        Ok(token.trim().to_owned())
    }

    /// A token of a service account for an audience, as a kubelet mounts it into pods.
    pub fn token_for(&self, namespace: &str, account: &str, audience: &str) -> Result<String> {
        let create = ["create", "token", account, "-n", namespace, "--audience", audience];
        Ok(run(&mut self.kubectl(&create))?.trim().to_owned())
    }

    /// [`token_for`](Self::token_for), bound to a pod that is there: it is no good after the pod's end.
    pub(crate) fn token_of_pod(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
        pod: &str,
    ) -> Result<String> {
        let create = ["create", "token", account, "-n", namespace, "--audience", audience];
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", pod];
        Ok(run(self.kubectl(&create).args(bound))?.trim().to_owned())
    }

    /// Starts the first container of a Deployment, as the account of its pods: there are no nodes that would. Returns when
    /// it says that it is ready. `variables` of its environment are added to those of the container.
    pub fn start_deployment(
        &self,
        namespace: &str,
        name: &str,
        variables: &[(&str, &str)],
    ) -> Result<ControlPlane> {
        let deployment = self.get("deployment", namespace, name)?;
        let pod = deployment.pointer("/spec/template/spec").context("a Deployment without a pod")?;
        let container = pod.pointer("/containers/0").context("a pod without a container")?;
        let account =
            pod.get("serviceAccountName").and_then(Value::as_str).context("a pod without an account")?;
        let token = self.token(namespace, account)?;
        fs::create_dir_all(ACCOUNT)?;
        for (file, text) in [("token", token.as_str()), ("namespace", namespace)] {
            fs::write(Path::new(ACCOUNT).join(file), text)
                .with_context(|| format!("write {ACCOUNT}/{file}"))?;
        }
        fs::copy(self.files.authority(), Path::new(ACCOUNT).join("ca.crt")).context("copy the authority")?;
        let pod = ControlPlane::pod(0);
        let mut command = ControlPlane::program(self.world)?;
        command.args(texts(container.get("args")));
        let (host, port) = self.files.address();
        command.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port);
        for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
            let text = |pointer| variable.pointer(pointer).and_then(Value::as_str);
            let value = match text("/valueFrom/fieldRef/fieldPath") {
                Some("metadata.namespace") => namespace,
                Some("metadata.name") => &pod,
                _ => text("/value")
                    .with_context(|| format!("a variable that no pod would have: {variable}"))?,
            };
            command.env(text("/name").unwrap_or_default(), value);
        }
        command.envs(variables.iter().copied());
        ControlPlane::started(self.world, command, 0)
    }
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

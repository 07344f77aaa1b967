//! Where a mesh's objects are: files in a folder, or a real API server.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::folder::Folder;
use crate::kubernetes::{Cluster, ControlPlane};
use crate::objects::{self, PodFacts};
use crate::process::run;
use crate::wait::{PATIENCE, within};
use crate::world::World;

/// For whom tokens of agents are.
const AUDIENCE: &str = "istio-ca";

/// Where objects are put, and what reads them.
#[derive(Debug)]
pub(super) enum Place<'w> {
    /// Files.
    Folder(Folder),
    /// Objects of an API server.
    Cluster(OnCluster<'w>),
}

/// What an agent is given.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The token of its service account.
    pub(crate) token: String,
    /// The file with the mesh's roots.
    pub(crate) roots: PathBuf,
}

/// Objects of an API server.
#[derive(Debug)]
pub(super) struct OnCluster<'w> {
    cluster: &'w Cluster<'w>,
    /// What was applied last, by kind, namespace and name: a request costs more than a file.
    applied: Mutex<BTreeMap<[String; 3], Value>>,
}

impl<'w> Place<'w> {
    pub(super) fn cluster(cluster: &'w Cluster<'w>) -> Self {
        Self::Cluster(OnCluster { cluster, applied: Mutex::default() })
    }

    /// Makes the control plane read it.
    pub(super) fn named(&self, command: &mut Command) {
        match self {
            Self::Folder(folder) => {
                command.arg("--configDir").arg(folder.path()).arg("--state").arg(folder.state())
            }
            Self::Cluster(on) => command.arg("--kubeconfig").arg(on.cluster.kubeconfig()),
        };
    }

    /// Adds or replaces an object.
    pub(super) fn write(&self, kind: &str, namespace: &str, name: &str, object: &Value) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.write(kind, namespace, name, object),
            Self::Cluster(on) => on.write(kind, namespace, name, object),
        }
    }

    /// Adds an object unless it is there.
    pub(super) fn write_once(&self, kind: &str, namespace: &str, name: &str, object: &Value) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.write_once(kind, namespace, name, object),
            Self::Cluster(on) => on.write(kind, namespace, name, object),
        }
    }

    /// Adds or replaces the object of a YAML text.
    pub(super) fn write_text(
        &self,
        [kind, namespace, name]: [&str; 3],
        object: &Value,
        text: &str,
    ) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.write_text(kind, namespace, name, text),
            Self::Cluster(on) => on.write(kind, namespace, name, object),
        }
    }

    /// Takes an object away.
    pub(super) fn remove(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.remove(kind, namespace, name),
            Self::Cluster(on) => on.remove(kind, namespace, name),
        }
    }

    /// By what an agent of this pod is known, and knows the control plane.
    pub(super) fn credentials(&self, world: &World, pod: &PodFacts) -> Result<Credentials> {
        let token = self.token(world, pod, AUDIENCE)?;
        let roots = match self {
            Self::Folder(folder) => folder.state().join("root-cert.pem"),
            Self::Cluster(on) => on.roots(world, &pod.namespace)?,
        };
        Ok(Credentials { token, roots })
    }

    /// A token of this pod, as kubelet would mount it.
    pub(super) fn token(&self, world: &World, pod: &PodFacts, audience: &str) -> Result<String> {
        let (namespace, account) = (&pod.namespace, &pod.service_account);
        match self {
            Self::Folder(folder) => {
                let mut command = ControlPlane::program(world)?;
                command.args(["token", "--namespace", namespace, "--service-account", account]);
                run(command.args(["--audience", audience, "--state"]).arg(folder.state()))
            }
            Self::Cluster(on) => {
                on.write(
                    "ServiceAccount",
                    namespace,
                    account,
                    &objects::service_account(namespace, account),
                )?;
                on.cluster.token_of_pod(namespace, account, audience, &pod.name)
            }
        }
    }

    /// The folder, for tests of what only files can be.
    pub(super) fn folder(&self) -> Result<&Folder> {
        match self {
            Self::Folder(folder) => Ok(folder),
            Self::Cluster(_) => bail!("the objects of this mesh are not in files"),
        }
    }
}

impl OnCluster<'_> {
    fn roots(&self, world: &World, namespace: &str) -> Result<PathBuf> {
        // As kubelet would mount it.
        let map = within(PATIENCE, "the root of the namespace", || {
            Ok(self.cluster.get("configmap", namespace, "istio-ca-root-cert").ok())
        })?;
        let root = map.pointer("/data/root-cert.pem").and_then(Value::as_str).context("no root")?;
        let roots = world.state_folder()?.join(format!("{namespace}.pem"));
        fs::write(&roots, root).with_context(|| format!("write {}", roots.display()))?;
        Ok(roots)
    }

    fn write(&self, kind: &str, namespace: &str, name: &str, object: &Value) -> Result<()> {
        let id = [kind, namespace, name].map(str::to_owned);
        let mut object = object.clone();
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            // The server gives these.
            meta.remove("creationTimestamp");
            meta.remove("uid");
        }
        if self.lock().get(&id) == Some(&object) {
            return Ok(());
        }
        if !namespace.is_empty()
            && !self.lock().contains_key(&["Namespace", "", namespace].map(str::to_owned))
        {
            self.write("Namespace", "", namespace, &objects::namespace(namespace))?;
        }
        self.cluster.apply(&serde_json::to_string(&object)?)?;
        self.lock().insert(id, object);
        Ok(())
    }

    fn remove(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        self.cluster.delete(kind, namespace, name)?;
        self.lock().remove(&[kind, namespace, name].map(str::to_owned));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<[String; 3], Value>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

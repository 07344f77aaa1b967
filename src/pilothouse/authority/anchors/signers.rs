//! The roots of signers of Kubernetes: from a file, from the mesh configuration, or the cluster's own.
//!
//! Source: `shared/spec/security.md` 1.8; Istio `security/pkg/pki/ra/k8s_ra.go`, `pilot/pkg/bootstrap/istio_ca.go`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use api::mesh_config::MeshConfig;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::set;
use crate::authority::root::{Settings, Trusted};
use crate::features::certificates::Elsewhere;

/// The root of all signers, if operators put it there.
const FILE: &str = "./etc/external-ca-cert/root-cert.pem";
/// The root of the cluster itself, for signers that come with Kubernetes.
const CLUSTER: &str = "./var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// Time between two looks at files.
const LOOK: Duration = Duration::from_secs(1);

/// Where the roots of signers are. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Anchors {
    file: Trusted,
    cluster: Trusted,
    settings: Settings,
    signers: Elsewhere,
}

impl Anchors {
    /// Of these signers.
    ///
    /// # Errors
    /// A file is there that cannot be used.
    pub(crate) fn new(
        tasks: &mut JoinSet<Result<()>>,
        signers: Elsewhere,
        settings: Settings,
    ) -> Result<Self> {
        Self::at(tasks, (FILE.into(), CLUSTER.into()), signers, settings)
    }

    pub(super) fn at(
        tasks: &mut JoinSet<Result<()>>,
        (file, cluster): (PathBuf, PathBuf),
        signers: Elsewhere,
        settings: Settings,
    ) -> Result<Self> {
        let cluster = match signers.domain.as_str() {
            "" => followed(tasks, cluster)?,
            _ => watch::channel(None).1,
        };
        Ok(Self { file: followed(tasks, file)?, cluster, settings, signers })
    }

    /// The root of a signer, by its full name; none if only the chains that it returns tell.
    pub(crate) fn of(&self, signer: &str) -> Option<Arc<str>> {
        let file = self.file.borrow().clone();
        let mesh = || {
            let known = self.settings.borrow();
            known.as_ref().and_then(|mesh| in_mesh(mesh, |name| name == signer).into_iter().next())
        };
        file.or_else(mesh).or_else(|| self.cluster.borrow().clone())
    }

    /// The roots of all signers that are asked here: empty if only their chains tell, none before anything is known.
    pub(super) fn all(&self, tasks: &mut JoinSet<Result<()>>) -> Trusted {
        let (sender, all) = watch::channel(None);
        let mut this = self.clone();
        tasks.spawn(async move {
            loop {
                set(&sender, this.now());
                let Self { file, cluster, settings, .. } = &mut this;
                tokio::select! {
                    Ok(()) = file.changed() => {}
                    Ok(()) = cluster.changed() => {}
                    Ok(()) = settings.changed() => {}
                    else => std::future::pending::<()>().await,
                }
            }
        });
        all
    }

    fn now(&mut self) -> Option<Arc<str>> {
        let (file, cluster) =
            (self.file.borrow_and_update().clone(), self.cluster.borrow_and_update().clone());
        let known = self.settings.borrow_and_update();
        let mesh = known.as_ref()?;
        if file.is_some() {
            return file;
        }
        let Elsewhere { usual, domain } = &self.signers;
        let asked = |name: &str| {
            let below = name.strip_prefix(domain.as_str()).is_some_and(|rest| rest.starts_with('/'));
            name == usual || (!domain.is_empty() && below)
        };
        let named = in_mesh(mesh, asked);
        // Without a domain one signer is asked only.
        let all = if named.is_empty() { cluster.into_iter().collect() } else { named };
        // Each of them was read before.
        Some(ca::join_roots("", all.iter().map(|root| &**root)).unwrap_or_default().into())
    }
}

/// The root of one signer as the mesh configuration has it; none while it names none.
pub(super) fn named(tasks: &mut JoinSet<Result<()>>, settings: &Settings, signer: &str) -> Trusted {
    let (sender, root) = watch::channel(None);
    let (mut settings, signer) = (settings.clone(), signer.to_owned());
    tasks.spawn(async move {
        loop {
            let found = settings.borrow_and_update().as_ref().map(|mesh| in_mesh(mesh, |name| name == signer));
            if found.as_ref().is_some_and(Vec::is_empty) {
                tracing::warn!(
                    "PILOT_CERT_PROVIDER=k8s.io/{signer}: nobody learns what to check the control plane's certificate against: name \
                     this signer in certSigners of an entry of caCertificates in the mesh configuration"
                );
            }
            set(&sender, found.into_iter().flatten().next());
            if settings.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    });
    root
}

/// The roots that a mesh configuration has for signers, those that can be read.
fn in_mesh(mesh: &MeshConfig, asked: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
    let of_signers =
        mesh.ca_certificates.iter().filter(|one| one.cert_signers.iter().any(|name| asked(name)));
    let good = |pem: &str| match ca::check_roots(pem.as_bytes()) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("caCertificates of the mesh configuration: pem: {error}; this entry is left out");
            false
        }
    };
    of_signers.filter_map(|one| one.pem.as_deref()).filter(|pem| good(pem)).map(Arc::from).collect()
}

/// What a file of roots holds, followed; none if it is not there. What comes later and cannot be used is
/// told once, and changes nothing.
fn followed(tasks: &mut JoinSet<Result<()>>, path: PathBuf) -> Result<Trusted> {
    let now = read(&path).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
    let (sender, receiver) = watch::channel(now);
    tasks.spawn(async move {
        let mut told = String::new();
        loop {
            let looked = path.clone();
            match spawn_blocking(move || read(&looked)).await? {
                Ok(found) => {
                    told.clear();
                    // A file that is gone for a moment while it is replaced.
                    if found.is_some() {
                        set(&sender, found);
                    }
                }
                Err(problem) if problem != told => {
                    tracing::warn!("{}: {problem}; what was trusted before goes on", path.display());
                    told = problem;
                }
                Err(_) => {}
            }
            sleep(LOOK).await;
        }
    });
    Ok(receiver)
}

fn read(path: &Path) -> Result<Option<Arc<str>>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            ca::check_roots(text.as_bytes()).map_err(|error| error.to_string())?;
            Ok(Some(text.into()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

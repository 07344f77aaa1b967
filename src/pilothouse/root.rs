//! Where the mesh's root comes from: a state folder, the Secret that all replicas share, or memory.
//!
//! Source: `shared/spec/security.md` 1.1, 1.2.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use api::mesh_config::MeshConfig;
use ca::Root;
use controllers::ca_secret::{self, CaPair};
use controllers::write::Writer;
use model::Ref;
use sources::kube::Connection;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The root as it is now; none while it is not known.
pub(crate) type Roots = watch::Receiver<Option<Arc<Root>>>;

/// What peers trust, PEM; none while it is not known.
pub(crate) type Trusted = watch::Receiver<Option<Arc<str>>>;

/// The mesh configuration that is in force; none before it is known.
pub(crate) type Settings = watch::Receiver<Option<Ref<MeshConfig>>>;

/// Files of a certificate authority that operators plug in. `cacerts` is mounted there.
const PLUGGED: [&str; 5] = ["ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem", "tls.crt"];

/// Where the root is kept.
pub(crate) enum Keeping {
    /// In a folder, which agents of a development mesh share.
    Folder(PathBuf),
    /// In the Secret `istio-ca-secret` of a namespace, as the reference does.
    Secret(Connection, Writer, String),
    /// Nowhere: there is another after a restart.
    Memory,
}

/// Loads the root, or makes one. `plugged` is the folder in which operators plug in a certificate authority of their own:
/// a mesh that has one must not get another root, so there is none then.
pub(crate) fn start(
    tasks: &mut JoinSet<Result<()>>,
    keeping: Keeping,
    plugged: &Path,
    settings: Settings,
    shutdown: &CancellationToken,
) -> (Roots, Trusted) {
    let (sender, roots) = watch::channel(None);
    let (trust, trusted) = watch::channel(None);
    let file = PLUGGED.iter().map(|name| plugged.join(name)).find(|file| file.exists());
    let stopped = shutdown.clone();
    tasks.spawn(async move {
        match file {
            Some(file) => tracing::error!(
                file = %file.display(),
                "plugged-in certificate authorities are not served by this version: nothing is signed, and the root \
                 certificates of namespaces stay as they are"
            ),
            None => {
                let root = load(keeping, settings).await?;
                tracing::info!("the mesh's root is there");
                trust.send_replace(Some(root.cert_pem().into()));
                sender.send_replace(Some(Arc::new(root)));
            }
        }
        // Whoever waits for another root waits for as long as this process runs.
        stopped.cancelled().await;
        Ok(())
    });
    (roots, trusted)
}

async fn load(keeping: Keeping, mut settings: Settings) -> Result<Root> {
    match keeping {
        Keeping::Folder(folder) => {
            let domain = trust_domain(&mut settings).await?;
            blocking(move || ca::state::load_or_create(&folder, &domain, SystemTime::now())).await
        }
        Keeping::Memory => {
            let domain = trust_domain(&mut settings).await?;
            blocking(move || Root::generate(&domain, SystemTime::now())).await
        }
        Keeping::Secret(connection, writer, namespace) => {
            let read = |pair: &CaPair| {
                let root = Root::from_pem(&pair.cert_pem, &pair.key_pem, SystemTime::now());
                root.map_err(|error| error.to_string())
            };
            let make = || made(settings.clone());
            Ok(ca_secret::load_or_create(&connection, &writer, &namespace, read, make).await)
        }
    }
}

async fn made(mut settings: Settings) -> Result<CaPair, String> {
    let domain = trust_domain(&mut settings).await.map_err(|error| error.to_string())?;
    let made = blocking(move || Root::generate_to_store(&domain, SystemTime::now())).await;
    let (root, key_pem) = made.map_err(|error| error.to_string())?;
    Ok(CaPair { cert_pem: root.cert_pem().to_owned(), key_pem })
}

async fn trust_domain(settings: &mut Settings) -> Result<String> {
    let known = settings.wait_for(Option::is_some).await?;
    let mesh = known.as_ref().ok_or_else(|| anyhow!("the mesh configuration is not known"))?;
    Ok(mesh.trust_domain.clone())
}

/// Runs what waits for a disk or computes for long.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ca::Error> + Send + 'static,
) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root that is kept in one place, and what decides about it.
    struct Started {
        roots: Roots,
        trusted: Trusted,
        settings: watch::Sender<Option<Ref<MeshConfig>>>,
        tasks: JoinSet<Result<()>>,
        shutdown: CancellationToken,
    }

    fn started(keeping: Keeping, plugged: &Path) -> Started {
        let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        let (settings, known) = watch::channel(None);
        let (roots, trusted) = start(&mut tasks, keeping, plugged, known, &shutdown);
        Started { roots, trusted, settings, tasks, shutdown }
    }

    impl Started {
        /// The root, PEM, when the mesh configuration is known.
        async fn root(&mut self) -> String {
            self.settings.send_replace(Some(Ref::default()));
            let root = self.roots.wait_for(Option::is_some).await.expect("a root").clone();
            let trusted = self.trusted.borrow().clone();
            let pem = root.expect("a root").cert_pem().to_owned();
            assert_eq!(trusted.as_deref(), Some(pem.as_str()));
            pem
        }

        async fn end(&mut self) {
            self.shutdown.cancel();
            self.tasks.join_next().await.expect("a task").expect("no panic").expect("no error");
        }
    }

    #[tokio::test]
    async fn a_folder_keeps_the_root_and_memory_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, plugged) = (folder.path().join("state"), folder.path().join("cacerts"));
        let mut kept = Vec::new();
        for keeping in
            [Keeping::Folder(state.clone()), Keeping::Folder(state), Keeping::Memory, Keeping::Memory]
        {
            let mut started = started(keeping, &plugged);
            kept.push(started.root().await);
            started.end().await;
        }
        assert_eq!(kept[0], kept[1]);
        assert_ne!(kept[2], kept[3]);
    }

    #[tokio::test]
    async fn a_mesh_with_a_plugged_in_authority_gets_no_other_root() {
        let plugged = tempfile::tempdir().expect("a folder");
        std::fs::write(plugged.path().join("root-cert.pem"), "").expect("a file");
        let mut started = started(Keeping::Memory, plugged.path());
        started.settings.send_replace(Some(Ref::default()));
        started.end().await;
        assert!(started.roots.borrow().is_none() && started.trusted.borrow().is_none());
    }
}

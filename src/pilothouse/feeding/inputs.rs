//! Where objects come from: a folder, a cluster, or Istio's objects from the one and Kubernetes' from the other.
//!
//! Source: `shared/spec/kubernetes.md` 1.9.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use api::{Kind, ObjectKey};
use sources::event::Batch;
use sources::kube::remote::{self, Remotes};
use sources::kube::{ConfigMaps, Connection, Credentials, Health, Options, connect, defined};
use store::Tables;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::flags::{Discovery, path};

/// What objects are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// Everything from a folder.
    Folder(PathBuf),
    /// Everything from a cluster.
    Cluster(Credentials),
    /// Kinds that definitions bring from a folder, Kubernetes' own from a cluster.
    Both(PathBuf, Credentials),
}

impl Inputs {
    /// What flags say, and `environment`: the path in `KUBECONFIG`. It counts only if there is such a file and no folder
    /// is given: a shell that names a cluster must not join it to a mesh that is to come from a folder alone.
    ///
    /// # Errors
    /// `--kubeconfig` names no file.
    pub(crate) fn of(flags: &Discovery, environment: Option<PathBuf>) -> Result<Self> {
        let given = path(flags.kubeconfig.as_ref());
        if let Some(file) = &given {
            ensure!(file.is_file(), "--kubeconfig {}: there is no such file", file.display());
        }
        let credentials = given.map(Credentials::File);
        Ok(match (flags.config_dir.clone(), credentials) {
            (Some(folder), Some(credentials)) => Self::Both(folder, credentials),
            (Some(folder), None) => Self::Folder(folder),
            (None, Some(credentials)) => Self::Cluster(credentials),
            (None, None) => {
                let file = environment.filter(|path| path.is_file());
                Self::Cluster(file.map_or(Credentials::ServiceAccount, Credentials::File))
            }
        })
    }

    /// Whether a cluster is among them, and with it those to which its Secrets give access.
    pub(crate) fn has_cluster(&self) -> bool {
        !matches!(self, Self::Folder(_))
    }

    /// From how many sources a first complete batch comes that is of no named cluster: other clusters count as one.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Folder(_) => 1,
            Self::Cluster(_) => 2,
            Self::Both(..) => 3,
        }
    }

    /// Whether Istio's objects are read from the cluster, so that their status can be written there.
    pub(crate) fn istio_in_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The connection to the cluster, if there is one. Nothing is asked of it yet.
    ///
    /// # Errors
    /// The credentials cannot be used.
    pub(crate) async fn connect(&self, health: &Health) -> Result<Option<Connection>> {
        match self {
            Self::Folder(_) => Ok(None),
            Self::Cluster(credentials) | Self::Both(_, credentials) => {
                Ok(Some(Connection::new(connect(credentials).await?, health.clone())))
            }
        }
    }

    /// Starts the sources; their batches go to `sender`. That the folder is not there is what its task ends with.
    pub(crate) fn start(
        self,
        tasks: &mut JoinSet<Result<()>>,
        (config_maps, wanted): (Vec<(Arc<str>, Arc<str>)>, watch::Receiver<ConfigMaps>),
        connection: Option<Connection>,
        others: (remote::Options, Remotes),
        sender: Sender<Batch>,
        shutdown: &CancellationToken,
    ) {
        let folder = match self {
            Self::Folder(folder) | Self::Both(folder, _) => Some(folder),
            Self::Cluster(_) => None,
        };
        let both = folder.is_some() && connection.is_some();
        if let Some(folder) = folder {
            follow_folder(tasks, folder, both, sender.clone(), shutdown);
        }
        if let Some(connection) = connection {
            let kinds = read().filter(|kind| !both || defined(*kind).is_none()).collect();
            let options = Options { kinds, config_maps, wanted };
            let (others, status) = others;
            let remote = remote::watch(connection.clone(), others, status, sender.clone(), shutdown.clone());
            tasks.spawn(async move {
                remote.await?;
                Err(anyhow!("other clusters are no longer followed"))
            });
            let shutdown = shutdown.clone();
            tasks.spawn(async move {
                sources::kube::watch(connection, options, sender, shutdown).await?;
                Err(anyhow!("the cluster is no longer followed"))
            });
        }
    }
}

/// The kinds that are read from a cluster: of Kubernetes' own only what the store reads; of the others all, so that their
/// owners learn of mistakes.
fn read() -> impl Iterator<Item = Kind> {
    Kind::ALL
        .iter()
        .copied()
        .filter(|kind| kind.served() && (defined(*kind).is_some() || Tables::reads(*kind)))
}

fn follow_folder(
    tasks: &mut JoinSet<Result<()>>,
    folder: PathBuf,
    both: bool,
    mut sender: Sender<Batch>,
    shutdown: &CancellationToken,
) {
    if both {
        tracing::info!(folder = %folder.display(), "Istio's objects come from the folder, Kubernetes' from the cluster");
        let (all, batches) = channel(1);
        let filtered = std::mem::replace(&mut sender, all);
        tasks.spawn(async move {
            without_kubernetes(batches, filtered).await;
            Err(anyhow!("the configuration folder is no longer read"))
        });
    }
    let token = shutdown.clone();
    tasks.spawn(async move {
        sources::files::watch(&folder, sources::files::Options::default(), sender, token).await?;
        Err(anyhow!("the configuration folder is no longer followed"))
    });
}

/// Passes on what batches say of kinds that definitions bring; each other object is told in the log.
async fn without_kubernetes(mut batches: Receiver<Batch>, sender: Sender<Batch>) {
    while let Some(mut batch) = batches.recv().await {
        batch.events.retain(|event| {
            let kept = defined(event.key.kind).is_some();
            if !kept && event.object.is_some() {
                not_read(&event.key);
            }
            kept
        });
        if !batch.is_empty() && sender.send(batch).await.is_err() {
            return;
        }
    }
}

fn not_read(key: &ObjectKey) {
    tracing::warn!(object = %key, "in the folder, but this kind is read from the cluster: it has no effect");
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use sources::event::Event;
    use tempfile::NamedTempFile;

    use super::*;
    use crate::flags::{Cli, Command};

    fn flags(text: &str) -> Discovery {
        let arguments = format!("pilothouse discovery {text}");
        let Command::Discovery(flags) = Cli::parse_from(arguments.split_whitespace()).command else {
            panic!("not discovery")
        };
        *flags
    }

    #[test]
    fn a_folder_alone_is_not_joined_to_the_cluster_that_the_shell_names() {
        let file = NamedTempFile::new().expect("a file");
        let path = file.path().to_owned();
        let environment = || Some(path.clone());
        let given = format!("--kubeconfig={}", path.display());
        let of = |text: &str| Inputs::of(&flags(text), environment()).expect("inputs");
        assert_eq!(of("--configDir=d"), Inputs::Folder("d".into()));
        assert_eq!(of(""), Inputs::Cluster(Credentials::File(path.clone())));
        assert_eq!(of(&given), Inputs::Cluster(Credentials::File(path.clone())));
        let both = of(&format!("--configDir=d {given}"));
        assert_eq!((both.count(), both), (3, Inputs::Both("d".into(), Credentials::File(path.clone()))));
        let without = Inputs::of(&flags("--kubeconfig="), Some("/does/not/exist".into())).expect("inputs");
        assert_eq!(without, Inputs::Cluster(Credentials::ServiceAccount));
        assert!(Inputs::of(&flags("--kubeconfig=/does/not/exist"), None).is_err());
    }

    #[test]
    fn nothing_is_read_from_a_cluster_that_istiod_may_not_read() {
        let kinds: Vec<Kind> = read().collect();
        assert!(kinds.contains(&Kind::Service) && kinds.contains(&Kind::AuthorizationPolicy));
        assert!(!kinds.contains(&Kind::ServiceAccount));
    }

    #[tokio::test]
    async fn beside_a_cluster_the_folder_gives_no_objects_of_kubernetes() {
        let (all, batches) = channel(4);
        let (sender, mut filtered) = channel(4);
        let event =
            |kind| Event { key: ObjectKey { kind, namespace: "a".into(), name: "b".into() }, object: None };
        let events = vec![event(Kind::Service), event(Kind::VirtualService)];
        all.send(Batch { complete: true, events, ..Batch::default() }).await.expect("a receiver");
        all.send(Batch { events: vec![event(Kind::Pod)], ..Batch::default() }).await.expect("a receiver");
        drop(all);
        without_kubernetes(batches, sender).await;
        let first = filtered.recv().await.expect("a batch");
        assert!(first.complete);
        assert_eq!(first.events, [event(Kind::VirtualService)]);
        assert!(filtered.recv().await.is_none());
    }
}

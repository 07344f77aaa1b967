//! What this process writes to the cluster that it reads: the writers, the elections, the controllers.

use std::sync::Arc;

use anyhow::{Result, ensure};
use controllers::discovered::{self, Namespace};
use controllers::election::{Candidate, Election, Lock, Timing};
use controllers::expiring::{self, Expiring, Warnings};
use controllers::ingress_status::{self, IngressStatus};
use controllers::ip_allocate::{self, IpAllocator};
use controllers::registration::{self, Entries, Registrar, Terms};
use controllers::root_cert::{self, RootCertificates};
use controllers::status::{self, Keeper, Level, Outcomes};
use controllers::trust_bundle::TrustBundle;
use controllers::write::{Rate, Writers};
use futures::future::join_all;
use prometheus::Registry;
use sources::feed::{Feed, Listener};
use sources::kube::Connection;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::authority::root::{Mover, Root, Settings, Trusted};
use crate::features;
use crate::flags::Discovery;

/// What is told of what the mesh trusts.
pub(crate) struct Telling<'a> {
    /// The authority.
    pub(crate) root: &'a Root,
    /// What namespaces are told to trust; none if they are told nothing.
    pub(crate) distributed: Option<Trusted>,
    /// Replaces roots, and what is to be said of their ends; none if there is no authority.
    pub(crate) mover: Option<(Arc<Mover>, watch::Receiver<Warnings>)>,
}

/// Everything that writes to one cluster.
pub(crate) struct Control {
    /// The namespace of the control plane.
    namespace: String,
    /// How writes are made.
    pub(crate) writers: Writers,
    /// Who makes them.
    pub(crate) election: Election,
    /// Takes the objects that controllers look at.
    pub(crate) listeners: Vec<Arc<dyn Listener>>,
    /// The controllers. At the end they give back what they hold: they must be waited for.
    pub(crate) tasks: JoinSet<Result<()>>,
}

impl Control {
    /// Of the cluster of this connection; nothing is written yet.
    ///
    /// # Errors
    /// The name of a metric is taken.
    pub(crate) fn new(flags: &Discovery, connection: &Connection, registry: &Registry) -> Result<Self> {
        let rate = Rate { per_second: flags.api_qps, burst: f64::from(flags.api_burst) };
        let writers = Writers::new(connection, rate, registry)?;
        let candidate = Candidate {
            namespace: flags.namespace.as_str().into(),
            identity: features::identity().into(),
            revision: flags.revision.as_str().into(),
            remote: false,
            enabled: features::leader_election(),
            timing: Timing::default(),
        };
        let election = Election::new(connection, candidate, &writers, registry)?;
        let namespace = flags.namespace.clone();
        Ok(Self { namespace, writers, election, listeners: Vec::new(), tasks: JoinSet::new() })
    }

    /// Starts the controllers of the cluster of this connection; `own` if ServiceEntries are read from there.
    pub(crate) fn start(
        &mut self,
        connection: &Connection,
        own: bool,
        settings: &Settings,
        telling: Telling<'_>,
        shutdown: &CancellationToken,
    ) {
        let namespaces = discovered::namespaces();
        self.listeners.push(Arc::new(namespaces.clone()));
        self.distribute(connection, &namespaces, settings, telling, shutdown);
        self.keep_ingresses(connection, namespaces.clone(), settings, shutdown);
        if let Some((v4, v6)) = features::ip_allocation().filter(|_| own) {
            let entries = ip_allocate::feed();
            self.listeners.push(Arc::new(entries.clone()));
            let allocator = Arc::new(IpAllocator {
                connection: connection.clone(),
                writer: self.writers.of("addresses of ServiceEntries"),
                v4,
                v6,
                entries,
                namespaces,
                settings: settings.clone(),
            });
            self.lead(ip_allocate::lock(), shutdown, move |leading| {
                let allocator = Arc::clone(&allocator);
                async move { allocator.run(leading).await }
            });
        }
    }

    /// Tells namespaces what is trusted and what is revoked, and takes a replacement of the root along, on the replica that
    /// leads.
    fn distribute(
        &mut self,
        connection: &Connection,
        namespaces: &Feed<Namespace>,
        settings: &Settings,
        Telling { root, distributed, mover }: Telling<'_>,
        shutdown: &CancellationToken,
    ) {
        if distributed.is_none() && mover.is_none() {
            return;
        }
        let maps = |controller, name: String, key, what: &Trusted| {
            Arc::new(RootCertificates {
                connection: connection.clone(),
                writer: self.writers.of(controller),
                name: name.into(),
                key,
                namespaces: namespaces.clone(),
                settings: settings.clone(),
                root: what.clone(),
            })
        };
        let in_bundle = features::cluster_trust_bundle();
        let mut told = Vec::new();
        if let Some(roots) = distributed.as_ref().filter(|_| !in_bundle) {
            let name = features::root_certificate_config_map();
            told.push(maps("root certificates", name, root_cert::ROOT, roots));
        }
        if distributed.is_some() {
            let revoked = features::revocation_config_map();
            told.extend(
                revoked.map(|name| maps("revocation lists", name, root_cert::REVOKED, &root.revoked)),
            );
        }
        let bundle = distributed.filter(|_| in_bundle).map(|roots| {
            Arc::new(TrustBundle {
                connection: connection.clone(),
                writer: self.writers.of("trust bundle"),
                root: roots,
                shape: |pem| ca::Anchor::merged(std::iter::once(pem)).concat(),
            })
        });
        let moving = mover.map(|(mover, warnings)| {
            let early = mover.early();
            let expiring = [
                self.expiring(connection, root, ("ends of certificates", expiring::EXPIRING), warnings),
                self.expiring(connection, root, ("signing certificates", expiring::UNCONFIRMED), early),
            ];
            (mover, Arc::new(expiring))
        });
        self.lead(root_cert::lock(), shutdown, move |leading| {
            let (told, bundle, moving) = (told.clone(), bundle.clone(), moving.clone());
            async move {
                let told = join_all(told.iter().map(|maps| maps.run(leading.clone())));
                let bundle = async {
                    if let Some(bundle) = bundle {
                        bundle.run(leading.clone()).await;
                    }
                };
                // Whoever distributes roots knows best when they may sign.
                let moved = async {
                    if let Some((mover, expiring)) = moving {
                        let [ending, early] = &*expiring;
                        let (ending, early) = (ending.run(leading.clone()), early.run(leading.clone()));
                        tokio::join!(mover.run(leading.clone()), ending, early);
                    }
                };
                tokio::join!(told, bundle, moved);
            }
        });
    }

    /// Tells of the authority's certificates that are warned of, for this reason.
    fn expiring(
        &self,
        connection: &Connection,
        root: &Root,
        (controller, reason): (&'static str, &'static str),
        warnings: watch::Receiver<Warnings>,
    ) -> Expiring {
        Expiring {
            connection: connection.clone(),
            writer: self.writers.of(controller),
            namespace: self.namespace.clone(),
            instance: features::identity(),
            reason,
            warnings,
            secret: Arc::clone(&root.secret),
        }
    }

    /// Registers workloads outside of Kubernetes that connect to this replica, whether it leads or not; `own` if
    /// WorkloadEntries are read from this cluster. `None` if they are not to be registered.
    pub(crate) fn register(
        &mut self,
        connection: &Connection,
        own: bool,
        terms: Terms,
        registry: &Registry,
        shutdown: &CancellationToken,
    ) -> Result<Option<Registrar>> {
        if !own || !(terms.rules.auto || terms.rules.health) {
            return Ok(None);
        }
        let entries = Entries {
            connection: connection.clone(),
            writer: self.writers.of("workload entries"),
            controller: features::identity().into(),
            metrics: registration::Metrics::register(registry)?,
        };
        let (registrar, known) = (Registrar::new(entries, terms), registration::feed());
        self.listeners.push(Arc::new(known.clone()));
        let (keeper, stop) = (registrar.clone(), shutdown.clone());
        self.tasks.spawn(async move {
            keeper.keep(&known, &stop).await;
            ensure!(stop.is_cancelled(), "workload entries are no longer kept");
            Ok(())
        });
        Ok(Some(registrar))
    }

    /// Writes to Ingresses where their requests go in, on the replica that leads.
    fn keep_ingresses(
        &mut self,
        connection: &Connection,
        namespaces: Feed<Namespace>,
        settings: &Settings,
        shutdown: &CancellationToken,
    ) {
        let namespace = features::ingress_namespace();
        let objects = ingress_status::feed(&namespace);
        self.listeners.push(Arc::new(objects.clone()));
        let status = Arc::new(IngressStatus {
            connection: connection.clone(),
            writer: self.writers.of("addresses of Ingresses"),
            namespace: namespace.into(),
            objects,
            namespaces,
            settings: settings.clone(),
        });
        self.lead(ingress_status::lock(), shutdown, move |leading| {
            let status = Arc::clone(&status);
            async move { status.run(leading).await }
        });
    }

    /// Writes down what became of objects, on the replica that leads.
    pub(crate) fn keep_status(
        &mut self,
        connection: &Connection,
        level: Level,
        outcomes: watch::Sender<Outcomes>,
        shutdown: &CancellationToken,
    ) {
        if level == Level::Off {
            return;
        }
        let keeper = Keeper {
            connection: connection.clone(),
            status: self.writers.of("status"),
            events: self.writers.of("events"),
            level,
            instance: features::identity().into(),
        };
        let keeper = Arc::new(keeper);
        self.lead(status::lock(), shutdown, move |leading| {
            let (keeper, outcomes) = (Arc::clone(&keeper), outcomes.subscribe());
            async move { keeper.run(outcomes, leading).await }
        });
    }

    /// Does a controller's work whenever this replica holds its lock.
    pub(crate) fn lead<W, F>(&mut self, lock: Lock, shutdown: &CancellationToken, work: W)
    where
        W: FnMut(CancellationToken) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (election, stop) = (self.election.clone(), shutdown.clone());
        self.tasks.spawn(async move {
            election.run(&lock, &stop, work).await;
            ensure!(stop.is_cancelled(), "the work that {} guards ended", lock.name());
            Ok(())
        });
    }
}

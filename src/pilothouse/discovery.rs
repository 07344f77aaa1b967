//! The command `discovery`: sources, meshes, streams and debug pages, joined and supervised.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use api::{AnyObject, Problem};
use arc_swap::ArcSwap;
use auth::Presence;
use controllers::ca_secret::CaSecret;
use controllers::election::Leaders;
use controllers::write::Writers;
use debug::{Access, Ads, Counting, Later, ROOTZ, Ready, RootPage, Rootz, SPREADZ, Spreadz, Surface};
use inject::admission::{Admission, Metrics as AdmissionMetrics};
use model::Mesh;
use model::mesh::WantedKeys;
use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use sources::event::Batch;
use sources::feed::Listener;
use sources::jwks::Keyring;
use sources::kube::remote::Remotes;
use sources::kube::{ConfigMaps, Connection, Health, Reviewer};
use sources::resolve::{self, Wanted};
use store::{Options, Tables};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use xds::engine::Engine;
use xds::metrics::Metrics;
use xds::server::{Config, EngineHandle, Hooks, Server};

use crate::authority::certificates::Certificates;
use crate::authority::root::{self, Expiry, Keeping, Others, Progress, Remote, Terms};
use crate::authority::trust::Trust;
use crate::commands::version;
use crate::control::{Control, Telling};
use crate::features::certificates::Issuing;
use crate::feeding::inputs::Inputs;
use crate::feeding::intake::Intake;
use crate::feeding::mesh_thread::MeshThread;
use crate::feeding::{cluster, jwks, remote};
use crate::flags::Discovery;
use crate::serving::registration::Desk;
use crate::serving::secret_access::{Accounts, Asked};
use crate::serving::secure::{Known, Secure};
use crate::serving::translator::Translator;
use crate::serving::webhooks::{Asking, Webhooks};
use crate::telling::analysis::Analysis;
use crate::telling::counts::Counts;
use crate::telling::outcomes::Gatherer;
use crate::telling::peers::{self, Peers, Proofs, Replica};
use crate::telling::reports::Reports;
use crate::telling::secret_expiry;
use crate::{features, ports};

/// Batches that may wait for the mesh thread before the source waits.
const BATCHES: usize = 64;

/// How long controllers may take to end at the end.
const GIVE_BACK: Duration = Duration::from_secs(8);

/// Time between two looks for problems; a look costs as much as there are problems.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT, or until a part of it ends unexpectedly.
///
/// # Errors
/// An address cannot be bound, a source cannot be read, or a part ended that must not.
pub fn run(flags: &Discovery) -> Result<()> {
    crate::serving::tls::hold_clients(features::compliance());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(flags))
}

async fn serve(flags: &Discovery) -> Result<()> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let metrics = Metrics::register(&registry)?;
    let reports = Arc::new(Reports::default());
    let mesh = Arc::new(ArcSwap::<Mesh>::default());
    let health = Health::new(&flags.cluster_id);
    let clusters = Remotes::new(health.clone());
    cluster::register(&registry, clusters.clone())?;
    let keyring = jwks::keyring(&registry)?;
    let inputs = Inputs::of(flags, features::kubeconfig())?;
    let connection = inputs.connect(&health).await?;
    let mut control = match &connection {
        Some(connection) => Some(Control::new(flags, connection, &registry)?),
        None => None,
    };

    let shutdown = CancellationToken::new();
    let terms = features::registration(flags.max_connection_age);
    let registrar = match (&mut control, &connection) {
        (Some(control), Some(connection)) => {
            control.register(connection, inputs.istio_in_cluster(), terms, &registry, &shutdown)?
        }
        _ => None,
    };
    let security = features::security::security();
    let (accounts, asked) = Accounts::register(&registry)?;
    let (configured, settings) = watch::channel(None);
    let translator = Translator::new(accounts.clone(), security.check_identity).within(settings.clone());
    let desk = Desk::new(registrar, terms.rules, security.check_identity).within(settings.clone());
    let pages = Later::default();
    let hooks = Hooks { registrar: Some(Arc::new(desk)), debug: Some(Arc::new(pages.clone())) };
    let (server, engine) = Server::start(Arc::new(translator), config(flags), metrics, hooks)?;
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    let (sender, batches) = mpsc::channel(BATCHES);
    let options = options(flags);
    let awaited = inputs.count();
    tracing::info!(?inputs, version = version::VERSION, "pilothouse starts");
    let issuing = Issuing::read()?;
    let keeping = issuing.has_authority().then(|| match (&flags.state, &connection, &control) {
        (Some(folder), ..) => Keeping::Folder(folder.clone()),
        (None, Some(connection), Some(control)) => Keeping::Secret(ca_secret(flags, connection, control)),
        _ => Keeping::Memory,
    });
    let (mut plugging, terms) = (features::plugging(), root_terms());
    if let (true, Some(connection), Some(control)) = (features::remote_cacerts(), &connection, &control) {
        plugging.remote = Some(Remote(ca_secret(flags, connection, control)));
    }
    let multiroot = plugging.multiroot;
    let root = root::start(&mut tasks, keeping, plugging, terms, settings.clone(), &shutdown);
    let roots = root.roots.clone();
    let cluster = connection.as_ref().zip(control.as_ref().map(|control| &control.writers));
    let kept = connection.is_some() || flags.state.is_some();
    let certificates = Certificates::of(
        &mut tasks,
        flags,
        (issuing, kept),
        (&root, cluster),
        (&settings, multiroot),
        sender.clone(),
        &registry,
    )?;
    let trust = certificates.trust.clone();
    let warnings = Expiry::start(&mut tasks, roots.clone(), &registry)?;
    secret_expiry::start(&mut tasks, Arc::clone(&mesh), &registry)?;
    let proofs = Proofs::new(roots.clone());
    let progress = root.progress(&mut tasks, server.clients().clone(), &registry)?;
    let others = Others {
        own: replica(flags),
        mesh: Arc::clone(&mesh),
        proofs: proofs.clone(),
        in_pod: features::in_pod(),
    };
    let mover = certificates.has_authority.then(|| Arc::new(root.mover(progress.clone(), others)));
    let counts = Counts::new(engine.clone(), server.clients().clone());
    let shown = (spreadz(&counts, &proofs), rootz(progress, trust.clone(), &proofs));
    let mut surface = surface(&registry, &server, &reports, &mesh, &clusters, control.as_ref(), shown);
    surface.problems = trust.told_after(surface.problems);
    surface.jwks = jwks::page(keyring.clone());
    surface.clusters = inputs.has_cluster().then(|| remote::clusterz(clusters.clone()));
    if let (Some(control), Some(connection)) = (&mut control, &connection) {
        let distributed = certificates.distributed.clone();
        if let Some(mover) = mover.clone() {
            let stop = shutdown.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = mover.listen() => {}
                    () = stop.cancelled() => {}
                }
                Ok(())
            });
        }
        let telling = Telling { root: &root, distributed, mover: mover.map(|mover| (mover, warnings)) };
        control.start(connection, inputs.istio_in_cluster(), &settings, telling, &shutdown);
    } else if let Some(mover) = mover {
        let stop = shutdown.clone();
        tasks.spawn(async move {
            mover.run(stop).await;
            Ok(())
        });
    }
    let asking = match (&connection, &control) {
        (Some(connection), Some(control)) => {
            Some(Asking::new(connection, control.writers.of("webhooks"), &registry)?)
        }
        _ => None,
    };
    let (first, made) = watch::channel(false);
    let Certificates { identity, signing, .. } = certificates;
    let webhooks = Webhooks::new(flags, admission(&mesh, &made, &registry)?, identity.clone(), asking);
    let presence = Arc::new(Presence::default());
    let holders = root.holders.clone();
    let known = Known { signing, trust, holders, settings, presence: Arc::clone(&presence) };
    let known_clusters = (connection.as_ref(), clusters.clone());
    let secure = Secure::new(&mut tasks, flags, security, known_clusters, known, &registry)?;
    let gatherer = Gatherer::new(counts, Peers::new(replica(flags), Arc::clone(&mesh), proofs, &registry)?);
    if let (Some(control), Some(connection)) = (&mut control, &connection) {
        control.keep_status(connection, flags.status.into(), gatherer.sender(), &shutdown);
    }
    let reviewer = connection.clone().map(|home| Reviewer { home, remotes: clusters.clone() });
    follow_accounts(&mut tasks, accounts, asked, reviewer, sender.clone());
    let others = (remote::options(flags), clusters);
    let wanted = follow_names(&mut tasks, sender.clone());
    let wanted_keys = follow_keys(&mut tasks, &keyring, sender.clone());
    let (wanted_config_maps, named) = watch::channel(ConfigMaps::new());
    inputs.start(&mut tasks, (options.config_maps(), named), connection, others, sender, &shutdown);

    let (asked, told, served) = (engine.clone(), Arc::clone(&reports), Arc::clone(&mesh));
    tasks.spawn(async move {
        tell(&asked, &told, &served, gatherer).await;
        Err(anyhow!("configuration is no longer built"))
    });

    let current = Arc::clone(&mesh);
    let owner = MeshThread {
        tables: Tables::new(options),
        limits: features::limits(),
        batches,
        awaited,
        reports,
        listeners: listeners(control.as_mut(), presence),
        wanted,
        keyring,
        wanted_keys,
        wanted_config_maps,
        intake: Intake::register(&registry)?,
        publish: move |next: Arc<Mesh>, changes, age| {
            mesh.store(Arc::clone(&next));
            configured.send_if_modified(|known| replaced(known, &next.settings.mesh));
            engine.update(next, changes, age);
            first.send_if_modified(|made| !std::mem::replace(made, true));
        },
    };
    spawn_owner(owner)?;

    surface.access = access(flags, &secure, Arc::clone(&current));
    pages.set(Ads::new(surface.clone(), version::component(&features::identity())));
    let open = (&server, secure.plaintext_gate());
    ports::listen(&mut tasks, flags, open, surface.http().merge(webhooks.on_http()), &surface).await?;
    secure.listen(&mut tasks, flags, &server, identity, (made.clone(), Arc::clone(&current))).await?;
    tasks.spawn(webhooks.run(made, current, surface.ready.clone()));
    tracing::info!("pilothouse is up");
    let mut controllers = control.map(|control| control.tasks).unwrap_or_default();
    let ended = tokio::select! {
        () = stop_signal() => Ok(()),
        Some(ended) = tasks.join_next() => ended?.context("stopping"),
        Some(ended) = controllers.join_next() => ended?.context("stopping"),
    };
    surface.ready.clear();
    shutdown.cancel();
    // Locks are given back while connections drain.
    let given_back = timeout(GIVE_BACK, async { while controllers.join_next().await.is_some() {} });
    let (_, ()) = tokio::join!(given_back, server.shutdown(flags.shutdown_duration));
    ended
}

/// Those who look at objects of the home cluster beside the mesh.
fn listeners(control: Option<&mut Control>, presence: Arc<Presence>) -> Vec<Arc<dyn Listener>> {
    let mut all = control.map(|control| std::mem::take(&mut control.listeners)).unwrap_or_default();
    all.push(presence);
    all
}

/// Follows the addresses of the host names that come back.
fn follow_names(tasks: &mut JoinSet<Result<()>>, sender: mpsc::Sender<Batch>) -> watch::Sender<Wanted> {
    let (wanted, names) = watch::channel(Wanted::new());
    tasks.spawn(async move {
        resolve::follow(names, sender).await;
        Err(anyhow!("host names are no longer resolved"))
    });
    wanted
}

/// Follows the keys of those who issue tokens; they come back.
fn follow_keys(
    tasks: &mut JoinSet<Result<()>>,
    keyring: &Keyring,
    sender: mpsc::Sender<Batch>,
) -> watch::Sender<WantedKeys> {
    let (wanted, keys) = watch::channel(WantedKeys::new());
    let keyring = keyring.clone();
    tasks.spawn(async move {
        keyring.follow(keys, sender).await;
        Err(anyhow!("keys of those who issue tokens are no longer fetched"))
    });
    wanted
}

/// Follows what the service accounts that ask for secrets may have.
fn follow_accounts(
    tasks: &mut JoinSet<Result<()>>,
    accounts: Accounts,
    asked: Asked,
    reviewer: Option<Reviewer>,
    sender: mpsc::Sender<Batch>,
) {
    tasks.spawn(async move {
        accounts.run(asked, reviewer, sender).await;
        Err(anyhow!("service accounts are no longer judged"))
    });
}

/// What the API server is answered about objects, in view of the mesh that there is, as soon as one was made.
fn admission(
    mesh: &Arc<ArcSwap<Mesh>>,
    made: &watch::Receiver<bool>,
    registry: &Registry,
) -> Result<Admission> {
    let (mesh, made) = (Arc::clone(mesh), made.clone());
    let others = move |object: &AnyObject| -> Vec<Problem> {
        if *made.borrow() { model::analyze::analyze(object, &mesh.load()) } else { Vec::new() }
    };
    Ok(Admission::new(Arc::new(others), AdmissionMetrics::register(registry)?))
}

/// Looks again and again for what objects make together, for what is wrong with what proxies are sent, and for what became
/// of each object; ends with the engine.
async fn tell(
    engine: &EngineHandle<Translator>,
    reports: &Reports,
    mesh: &ArcSwap<Mesh>,
    mut gatherer: Gatherer,
) {
    let mut analysis = Analysis::default();
    let mut pace = tokio::time::interval(LOOK_AGAIN);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while engine.is_alive() {
        pace.tick().await;
        if let Some(found) = analysis.look(mesh.load_full()).await {
            reports.analyzed(found);
        }
        if let Some(problems) = engine.inspect(Engine::problems).await {
            reports.served(problems);
        }
        gatherer.look(reports).await;
    }
}

/// Puts a new value in the place of another; whether it differs.
fn replaced<T: Clone + PartialEq>(known: &mut Option<T>, now: &T) -> bool {
    let differs = known.as_ref() != Some(now);
    if differs {
        *known = Some(now.clone());
    }
    differs
}

/// The mesh's owner has a thread of its own: what it computes must not hold up streams.
fn spawn_owner<F>(owner: MeshThread<F>) -> Result<()>
where
    F: FnMut(Arc<Mesh>, model::Changes, Duration) + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    thread::Builder::new().name("mesh".to_owned()).spawn(move || runtime.block_on(owner.run()))?;
    Ok(())
}

fn surface(
    registry: &Registry,
    server: &Server,
    reports: &Arc<Reports>,
    mesh: &Arc<ArcSwap<Mesh>>,
    clusters: &Remotes,
    control: Option<&Control>,
    (spreadz, rootz): (Spreadz, Rootz),
) -> Surface {
    let (reports, mesh, clusters) = (Arc::clone(reports), Arc::clone(mesh), clusters.clone());
    let (writers, leaders) =
        control.map(|control| (control.writers.clone(), control.election.leaders().clone())).unzip();
    Surface {
        ready: Ready::default(),
        access: Access::loopback(),
        registry: registry.clone(),
        clients: server.clients().clone(),
        version: version::text(),
        problems: Arc::new(move || {
            let unwritten = writers.as_ref().map(Writers::lines).unwrap_or_default();
            reports.lines().into_iter().chain(unwritten).collect()
        }),
        leaders: Arc::new(move || leaders.as_ref().map(Leaders::lines).unwrap_or_default()),
        mesh: Arc::new(move || mesh.load_full()),
        clusters: None,
        jwks: Arc::new(Vec::new),
        spreadz,
        rootz,
        sources: Arc::new(move || clusters.lines()),
    }
}

/// Who may see debug pages: clients of the secure port's kinds, by the namespaces of the mesh that there is.
fn access(flags: &Discovery, secure: &Secure, mesh: Arc<ArcSwap<Mesh>>) -> Access {
    let root = move || mesh.load().settings.mesh.root_namespace.clone();
    let (root, own) = (Arc::new(root), flags.namespace.clone());
    Access { root, own, who: secure.viewers(), ..features::security::pages() }
}

/// How far objects have come with the proxies of this replica, for operators and for other replicas.
fn spreadz(counts: &Counts, proofs: &Proofs) -> Spreadz {
    let (counts, proofs) = (counts.clone(), proofs.clone());
    let now = move || -> Counting {
        let counts = counts.clone();
        Box::pin(async move { Some(counts.now().await?.spreads) })
    };
    Spreadz { counts: Arc::new(now), admits: Arc::new(move |proof| proofs.admits(proof, SPREADZ)) }
}

/// What the mesh trusts, for operators and for other replicas.
fn rootz(progress: Progress, trust: Trust, proofs: &Proofs) -> Rootz {
    let proofs = proofs.clone();
    Rootz {
        page: Arc::new(move || RootPage {
            others: trust.page(),
            namesakes: trust.namesakes(),
            ..progress.page()
        }),
        admits: Arc::new(move |proof| proofs.admits(proof, ROOTZ)),
    }
}

/// Where a root is kept in a cluster.
fn ca_secret(flags: &Discovery, connection: &Connection, control: &Control) -> CaSecret {
    CaSecret {
        connection: connection.clone(),
        writer: control.writers.of("ca"),
        namespace: flags.namespace.clone(),
        in_cacerts: features::self_signed_in_cacerts(),
    }
}

/// How the authority is treated.
fn root_terms() -> Terms {
    Terms {
        limits: features::certificate_lifetimes(),
        renewal: features::renewal(),
        pace: features::replacement_pace(),
    }
}

/// Who this process is among replicas.
fn replica(flags: &Discovery) -> Replica {
    let address = if flags.monitoring_addr.is_empty() { &flags.http_addr } else { &flags.monitoring_addr };
    Replica { namespace: flags.namespace.clone(), name: features::identity(), port: peers::port(address) }
}

fn options(flags: &Discovery) -> Options {
    Options {
        domain: Arc::from(flags.domain.as_str()),
        cluster: Arc::from(flags.cluster_id.as_str()),
        system_namespace: Arc::from(flags.namespace.as_str()),
        revision: Arc::from(flags.revision.as_str()),
        ingress_namespace: Arc::from(features::ingress_namespace()),
        shared_mesh_config: Arc::from(features::shared_mesh_config()),
        features: features::features(),
    }
}

fn config(flags: &Discovery) -> Config {
    let default = Config::default();
    let (max_streams, max_request) = features::stream_limits(default.max_streams, default.max_request);
    Config {
        max_streams,
        max_request,
        streams_per_second: features::streams_per_second(),
        keepalive_interval: flags.keepalive_interval,
        keepalive_timeout: flags.keepalive_timeout,
        max_connections: features::max_connections(default.max_connections)
            .min(tokio::sync::Semaphore::MAX_PERMITS),
        max_connection_age: flags.max_connection_age,
        max_connection_age_grace: Duration::max(default.max_connection_age_grace, flags.shutdown_duration),
        control_plane: format!("pilothouse {}", version::VERSION),
        ..default
    }
}

/// Ends at SIGTERM or SIGINT.
async fn stop_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be awaited: the process ends at once when it is told to");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

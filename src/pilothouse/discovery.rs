//! The command `discovery`: sources, meshes, streams and debug pages, joined and supervised.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use api::{AnyObject, Problem};
use arc_swap::ArcSwap;
use controllers::election::Leaders;
use controllers::write::Writers;
use debug::{Counting, Ready, Spreadz, Surface};
use inject::admission::{Admission, Metrics as AdmissionMetrics};
use model::Mesh;
use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use sources::event::Batch;
use sources::kube::Health;
use sources::kube::remote::Remotes;
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

use crate::analysis::Analysis;
use crate::control::Control;
use crate::counts::Counts;
use crate::flags::Discovery;
use crate::inputs::Inputs;
use crate::intake::Intake;
use crate::mesh_thread::MeshThread;
use crate::outcomes::Gatherer;
use crate::peers::{self, Peers, Proofs, Replica};
use crate::registration::Desk;
use crate::reports::Reports;
use crate::root::{self, Keeping};
use crate::translator::Translator;
use crate::webhooks::{Asking, Webhooks};
use crate::{cluster, features, ports, remote, version};

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
    let hooks = Hooks { registrar: Some(Arc::new(Desk::new(registrar, terms.rules))), ..Hooks::default() };
    let (server, engine) = Server::start(Arc::new(Translator::default()), config(flags), metrics, hooks)?;
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    let (sender, batches) = mpsc::channel(BATCHES);
    let options = options(flags);
    let awaited = inputs.count();
    tracing::info!(?inputs, version = version::VERSION, "pilothouse starts");
    let keeping = match (&flags.state, &connection, &control) {
        (Some(folder), ..) => Keeping::Folder(folder.clone()),
        (None, Some(connection), Some(control)) => {
            Keeping::Secret(connection.clone(), control.writers.of("ca"), flags.namespace.clone())
        }
        _ => Keeping::Memory,
    };
    let (configured, settings) = watch::channel(None);
    let plugged = features::root_ca_dir();
    let (roots, trusted) = root::start(&mut tasks, keeping, &plugged, settings.clone(), &shutdown);
    let proofs = Proofs::new(roots.clone());
    let counts = Counts::new(engine.clone(), server.clients().clone());
    let shown = spreadz(&counts, &proofs);
    let mut surface = surface(&registry, &server, &reports, &mesh, &clusters, control.as_ref(), shown);
    surface.clusters = inputs.has_cluster().then(|| remote::clusterz(clusters.clone()));
    if let (Some(control), Some(connection)) = (&mut control, &connection) {
        control.start(connection, inputs.istio_in_cluster(), &settings, trusted, &shutdown);
    }
    let asking = match (&connection, &control) {
        (Some(connection), Some(control)) => {
            Some(Asking::new(connection, control.writers.of("webhooks"), &registry)?)
        }
        _ => None,
    };
    let (first, made) = watch::channel(false);
    let webhooks = Webhooks::new(flags, admission(&mesh, &made, &registry)?, roots, asking)?;
    let gatherer = Gatherer::new(counts, Peers::new(replica(flags), Arc::clone(&mesh), proofs, &registry)?);
    if let (Some(control), Some(connection)) = (&mut control, &connection) {
        control.keep_status(connection, flags.status.into(), gatherer.sender(), &shutdown);
    }
    let others = (remote::options(flags), clusters);
    let wanted = follow_names(&mut tasks, sender.clone());
    inputs.start(&mut tasks, options.config_maps(), connection, others, sender, &shutdown);

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
        listeners: control.as_mut().map(|control| std::mem::take(&mut control.listeners)).unwrap_or_default(),
        wanted,
        intake: Intake::register(&registry)?,
        publish: move |next: Arc<Mesh>, changes, age| {
            mesh.store(Arc::clone(&next));
            configured.send_if_modified(|known| replaced(known, &next.settings.mesh));
            engine.update(next, changes, age);
            first.send_if_modified(|made| !std::mem::replace(made, true));
        },
    };
    spawn_owner(owner)?;

    ports::listen(&mut tasks, flags, &server, surface.http().merge(webhooks.on_http()), &surface).await?;
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

/// Follows the addresses of the host names that come back.
fn follow_names(tasks: &mut JoinSet<Result<()>>, sender: mpsc::Sender<Batch>) -> watch::Sender<Wanted> {
    let (wanted, names) = watch::channel(Wanted::new());
    tasks.spawn(async move {
        resolve::follow(names, sender).await;
        Err(anyhow!("host names are no longer resolved"))
    });
    wanted
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
    spreadz: Spreadz,
) -> Surface {
    let (reports, mesh, clusters) = (Arc::clone(reports), Arc::clone(mesh), clusters.clone());
    let (writers, leaders) =
        control.map(|control| (control.writers.clone(), control.election.leaders().clone())).unzip();
    Surface {
        ready: Ready::default(),
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
        spreadz,
        sources: Arc::new(move || clusters.lines()),
    }
}

/// How far objects have come with the proxies of this replica, for operators and for other replicas.
fn spreadz(counts: &Counts, proofs: &Proofs) -> Spreadz {
    let (counts, proofs) = (counts.clone(), proofs.clone());
    let now = move || -> Counting {
        let counts = counts.clone();
        Box::pin(async move { Some(counts.now().await?.spreads) })
    };
    Spreadz { counts: Arc::new(now), admits: Arc::new(move |proof| proofs.admits(proof)) }
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

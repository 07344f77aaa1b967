//! The private world of one test: its own network, mounts and processes, and what they end with.

mod outside;
mod setup;

use std::any::type_name;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow};

use crate::kubernetes::Cluster;
use crate::oracle::Oracle;
use crate::pod::{Pod, PodBuilder};
use crate::process::{Process, tail};
use crate::redirect::Owner;
use crate::relay::Relay;
use crate::services::Services;
use crate::sniff::Sniffer;
use crate::tools;

/// Set in the process that runs inside the namespaces.
const INSIDE: &str = "PILOTHOUSE_E2E_INSIDE";

/// Runs a test in namespaces of its own. The whole body of a `#[test]` function is one call of this.
///
/// The test binary starts itself once more, for this one test, under `unshare`: as root in new network, mount and
/// process namespaces, as an ordinary user in a new user namespace too. Where the machine does not allow that the
/// test is skipped with a message, and fails if `CI=true`.
///
/// Every call of a pod is held against what the call simulator says of it ([`Oracle`]).
///
/// After the closure: no Envoy may have ended, have refused configuration (log, `update_rejected`), nor may any
/// other started program have ended.
///
/// # Panics
/// If the test fails: that is how the test harness learns of it.
pub fn world<F: FnOnce(&World) -> Result<()>>(test: F) {
    start(&test_name::<F>(), &[], test);
}

/// [`world`] with a Kubernetes API server in it. Where its programs are not there the test is skipped with a message,
/// and fails if `CI=true`.
///
/// # Panics
/// If the test fails.
pub fn cluster<F: FnOnce(&Cluster<'_>) -> Result<()>>(test: F) {
    start(&test_name::<F>(), &[tools::kubernetes], |world| test(&Cluster::start(world)?));
}

/// [`world`] for pods whose agent is the reference's own ([`PodBuilder::pilot_agent`]), skipped where that is not there.
///
/// # Panics
/// If the test fails.
pub fn world_with_pilot_agent<F: FnOnce(&World) -> Result<()>>(test: F) {
    start(&test_name::<F>(), &[tools::pilot_agent], test);
}

/// [`cluster`] for pods whose agent is the reference's own, skipped where either is not there.
///
/// # Panics
/// If the test fails.
pub fn cluster_with_pilot_agent<F: FnOnce(&Cluster<'_>) -> Result<()>>(test: F) {
    let needed: &[Needed] = &[tools::kubernetes, tools::pilot_agent];
    start(&test_name::<F>(), needed, |world| test(&Cluster::start(world)?));
}

/// Finds what others have made; an error if it is not there.
type Needed = fn() -> Result<PathBuf>;

fn start(name: &str, needed: &[Needed], test: impl FnOnce(&World) -> Result<()>) {
    let outcome = if std::env::var_os(INSIDE).is_some() {
        inside(name, test)
    } else {
        match needed.iter().find_map(|find| find().err()) {
            None => outside::run(name),
            Some(reason) => outside::skip(name, &format!("{reason:#}")),
        }
    };
    if let Err(error) = outcome {
        panic!("{name}: {error:#}");
    }
}

/// The name by which libtest knows the function that the closure `F` was written in.
fn test_name<F>() -> String {
    let path = type_name::<F>();
    let path = path.split_once("::").map_or(path, |(_krate, rest)| rest);
    path.trim_end_matches("::{{closure}}").to_owned()
}

fn inside<F: FnOnce(&World) -> Result<()>>(name: &str, test: F) -> Result<()> {
    let world = World { owner: setup::prepare(name)?, ..World::empty() };
    eprintln!("the proxy's connections are told apart by {:?}", world.owner);
    setup::guard(&world.dir);
    let outcome = catch_unwind(AssertUnwindSafe(|| test(&world)))
        .unwrap_or_else(|_| Err(anyhow!("the test panicked; its message is above")));
    let outcome = outcome.and_then(|()| world.check());
    if outcome.is_err() {
        print_logs(&world.dir);
    }
    outcome
}

/// Everything that one test has around it.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    owner: Owner,
    services: Arc<Services>,
    oracle: Arc<Oracle>,
    pods: Mutex<Vec<Pod>>,
    programs: Mutex<Vec<Arc<Process>>>,
    next_pod: AtomicU16,
}

impl World {
    fn empty() -> Self {
        Self {
            dir: setup::LOGS.into(),
            owner: Owner::Uid,
            services: Arc::default(),
            oracle: Arc::default(),
            pods: Mutex::default(),
            programs: Mutex::default(),
            next_pod: AtomicU16::new(0),
        }
    }

    /// A pod that no control plane knows of; its sidecar, if any, gets a bootstrap written by hand.
    pub fn pod(&self, namespace: &str, name: &str) -> PodBuilder<'_> {
        PodBuilder::new(self, namespace, name)
    }

    /// Starts to listen to everything that crosses the bridge between the pods.
    pub fn sniff(&self) -> Result<Sniffer> {
        Sniffer::start()
    }

    /// A relay for proxies that are to hear only a part of what the control plane says.
    pub fn relay(&self) -> Result<Relay> {
        Relay::start()
    }

    /// Lets `host` stand for `address`, for clients of all pods and for the DNS lookups of Envoys.
    pub fn host(&self, host: &str, address: IpAddr) -> Result<()> {
        self.services.add_host(host, address);
        fs::write("/etc/hosts", self.services.hosts_file()).context("write the world's /etc/hosts")
    }

    /// The folder that stays after the test: logs and bootstraps.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.services
    }

    pub(crate) fn oracle(&self) -> &Arc<Oracle> {
        &self.oracle
    }

    /// A number and an address for a new pod.
    pub(crate) fn next_address(&self) -> (u16, Ipv4Addr) {
        let index = self.next_pod.fetch_add(1, Ordering::Relaxed);
        let [high, low] = index.to_be_bytes();
        (index, Ipv4Addr::new(10, 77, high.saturating_add(1), low.saturating_add(1)))
    }

    /// A folder for what a pod's own programs write; it belongs to the proxy's user and vanishes with the test.
    pub(crate) fn pod_folder(&self, pod: &str) -> Result<PathBuf> {
        setup::proxy_folder(pod, self.owner)
    }

    /// The folder of the control plane's root. Like all that is secret it vanishes with the test.
    pub(crate) fn state_folder(&self) -> Result<PathBuf> {
        setup::state_folder()
    }

    /// Makes a program readable for every user of the world, wherever it lies on the host.
    pub(crate) fn program(&self, path: &Path) -> Result<PathBuf> {
        setup::expose(path)
    }

    pub(crate) fn keep_pod(&self, pod: Pod) {
        lock(&self.pods).push(pod);
    }

    /// A program that must still run when the test ends.
    pub(crate) fn keep_program(&self, program: Arc<Process>) {
        lock(&self.programs).push(program);
    }

    /// The pods that were started and not stopped.
    pub(crate) fn pods(&self) -> Vec<Pod> {
        lock(&self.pods).iter().filter(|pod| !pod.is_stopped()).cloned().collect()
    }

    fn check(&self) -> Result<()> {
        for program in lock(&self.programs).iter() {
            program.alive()?;
        }
        for pod in self.pods() {
            pod.check()?;
        }
        let tally = self.oracle.tally();
        eprintln!("calls as the simulator foretold: {}, undecided: {}", tally.agreed, tally.undecided);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ends of all logs of the test, on standard error.
fn print_logs(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut logs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    logs.sort();
    for log in logs.iter().filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        let text = fs::read(log).unwrap_or_default();
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        eprintln!("---- end of {name}:\n{}", tail(&String::from_utf8_lossy(&text), 40));
    }
}

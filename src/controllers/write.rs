//! Writes to the API server: at a limited rate, tried again where that helps, counted, told once.
//!
//! Source: `shared/spec/kubernetes.md` 1.3, 1.9 (`--kubernetesApiQPS`, `--kubernetesApiBurst`).

mod error;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Error;
use prometheus::{IntCounterVec, Opts, Registry};
use sources::kube::{Connection, jittered};
use tokio::time::{sleep, timeout};

pub use error::WriteError;
use rate::Bucket;
pub use rate::Rate;

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a write is tried.
const TRIES: u32 = 5;

/// The first pause between two tries; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// All writes to one cluster. Clones are the same.
#[derive(Clone, Debug)]
pub struct Writers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connection: Connection,
    bucket: Mutex<Bucket>,
    writes: IntCounterVec,
    /// What cannot be written now, by controller, verb and resource.
    failures: Mutex<BTreeMap<Failing, String>>,
}

type Failing = (&'static str, &'static str, String);

impl Writers {
    /// Writes at this rate, all controllers together.
    ///
    /// # Errors
    /// There are writers of this cluster already.
    pub fn new(connection: &Connection, rate: Rate, registry: &Registry) -> prometheus::Result<Self> {
        let help = "Writes to the API server, by the controller that made them and what became of them.";
        let opts = Opts::new("pilothouse_kubernetes_writes", help);
        let opts = opts.const_label("cluster", connection.health().cluster());
        let writes = IntCounterVec::new(opts, &["controller", "result"])?;
        registry.register(Box::new(writes.clone()))?;
        Ok(Self(Arc::new(Shared {
            connection: connection.clone(),
            bucket: Mutex::new(Bucket::new(rate, Instant::now())),
            writes,
            failures: Mutex::default(),
        })))
    }

    /// The writer of a controller.
    pub fn of(&self, controller: &'static str) -> Writer {
        Writer { shared: Arc::clone(&self.0), controller }
    }

    /// What cannot be written now, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.0.failures().values().map(|line| format!("error: {line}")).collect()
    }
}

impl Shared {
    fn failures(&self) -> MutexGuard<'_, BTreeMap<Failing, String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write: what is done to which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    verb: &'static str,
    resource: String,
    namespace: String,
    name: String,
}

impl Write {
    /// A verb of RBAC (`create`, `update`, `patch`), the resource as RBAC names it (`configmaps`,
    /// `serviceentries/status`), the namespace (empty for objects of the cluster), the object's name.
    pub fn new(verb: &'static str, resource: &str, namespace: &str, name: &str) -> Self {
        Self { verb, resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.verb, self.resource)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// Writes for one controller.
#[derive(Clone, Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    controller: &'static str,
}

impl Writer {
    /// Writes: waits for the rate, makes the request, and makes it again if the server was away or asks for patience.
    /// May be dropped at any time.
    ///
    /// # Errors
    /// [`WriteError`] says what to do next: nothing, look again, or try later. [`WriteError::Forbidden`] and
    /// [`WriteError::Failed`] have been told to the operator.
    pub async fn write<T, F>(&self, what: &Write, request: impl Fn() -> F) -> Result<T, WriteError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut tries = 1;
        loop {
            self.permit().await;
            let done = match timeout(PATIENCE, request()).await {
                Ok(done) => done,
                Err(_) => Err(Error::Service(format!("no answer within {PATIENCE:?}").into())),
            };
            match &done {
                Err(error) if error::is_passing(error) && tries < TRIES => {
                    tracing::debug!(controller = self.controller, %what, %error, "failed, tried again");
                    if !error::is_answer(error) {
                        self.shared.connection.regained().await;
                    }
                    sleep(jittered(PAUSE * 2_u32.pow(tries - 1))).await;
                    tries += 1;
                }
                _ => return self.outcome(what, done),
            }
        }
    }

    /// Waits until one more request is within the rate. Only for requests that are not made by [`Writer::write`].
    pub(crate) async fn permit(&self) {
        let wait = {
            let mut bucket = self.shared.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(Instant::now())
        };
        sleep(wait).await;
    }

    /// Counts what became of a request, and tells it once if somebody must do something about it.
    pub(crate) fn outcome<T>(&self, what: &Write, done: kube::Result<T>) -> Result<T, WriteError> {
        let done = done.map_err(|error| WriteError::of(error, what));
        let result = done.as_ref().map_or_else(WriteError::label, |_| "ok");
        self.shared.writes.with_label_values(&[self.controller, result]).inc();
        match &done {
            Ok(_) => self.well(what),
            Err(error @ (WriteError::Forbidden(_) | WriteError::Failed(_))) => self.tell(what, error),
            Err(_) => {}
        }
        done
    }

    /// Tells the operator that a write does not succeed: in the log once, in `/debug` until one of its kind does.
    pub fn tell(&self, what: &Write, error: &WriteError) {
        let line = format!("{}: cannot {what}: {error}", self.controller);
        if self.shared.failures().insert(self.failing(what), line).is_none() {
            tracing::warn!(controller = self.controller, %what, %error, "cannot be written");
        }
    }

    /// Takes back what was told of this kind of write.
    pub fn well(&self, what: &Write) {
        if self.shared.failures().remove(&self.failing(what)).is_some() {
            tracing::info!(controller = self.controller, %what, "written again");
        }
    }

    fn failing(&self, what: &Write) -> Failing {
        (self.controller, what.verb, what.resource.clone())
    }
}

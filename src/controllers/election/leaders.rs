//! Who leads, for `/debug` and metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntGaugeVec, Opts, Registry};

/// What this replica knows of the locks for which it stands. Clones are the same.
#[derive(Clone, Debug)]
pub struct Leaders {
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    leads: IntGaugeVec,
}

#[derive(Debug)]
struct Known {
    holder: String,
    here: bool,
}

impl Leaders {
    pub(super) fn register(cluster: &str, registry: &Registry) -> prometheus::Result<Self> {
        let opts = Opts::new(
            "pilothouse_leader",
            "Whether this replica holds a lock and does the work that it guards.",
        );
        let leads = IntGaugeVec::new(opts.const_label("cluster", cluster), &["lock"])?;
        registry.register(Box::new(leads.clone()))?;
        Ok(Self { known: Arc::default(), leads })
    }

    /// A line a lock: who holds it.
    pub fn lines(&self) -> Vec<String> {
        let line = |(lock, known): (&String, &Known)| match (known.here, known.holder.as_str()) {
            (true, holder) => format!("{lock}: {holder} (this replica)"),
            (false, "") => format!("{lock}: nobody"),
            (false, holder) => format!("{lock}: {holder}"),
        };
        self.lock().iter().map(line).collect()
    }

    /// This replica leads.
    pub(super) fn leads(&self, lock: &str, identity: &str) {
        tracing::info!(lock, "this replica leads");
        self.set(lock, identity, true);
    }

    /// This replica does not lead; another does, or nobody.
    pub(super) fn follows(&self, lock: &str, holder: &str) {
        if self.set(lock, holder, false) {
            tracing::info!(lock, holder, "another replica leads");
        }
    }

    fn set(&self, lock: &str, holder: &str, here: bool) -> bool {
        self.leads.with_label_values(&[lock]).set(here.into());
        let now = Known { holder: holder.to_owned(), here };
        let before = self.lock().insert(lock.to_owned(), now);
        !holder.is_empty() && before.is_none_or(|before| before.holder != holder)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

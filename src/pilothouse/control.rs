//! What this process writes to the cluster that it reads: the writers, the elections, the controllers.

use std::sync::Arc;

use anyhow::Result;
use controllers::election::{Candidate, Election, Timing};
use controllers::write::{Rate, Writers};
use prometheus::Registry;
use sources::feed::Listener;
use sources::kube::Connection;
use tokio::task::JoinSet;

use crate::features;
use crate::flags::Discovery;

/// Everything that writes to one cluster.
pub(crate) struct Control {
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
        Ok(Self { writers, election, listeners: Vec::new(), tasks: JoinSet::new() })
    }
}

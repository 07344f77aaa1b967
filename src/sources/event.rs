//! What every source says: which objects are there in which form, in batches that belong together.

use std::net::IpAddr;
use std::sync::Arc;

use api::decode::AnyObject;
use api::{ObjectKey, Severity};
use model::mesh::{Access, Account, JwksSource};

use crate::report::Report;

/// An object's new form, or that it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Which object.
    pub key: ObjectKey,
    /// Its new form; none when the object is gone.
    pub object: Option<Arc<AnyObject>>,
}

/// What one look at the outside found: all of it takes effect at once or the mesh is seen half changed.
///
/// One directory scan, one swap of a symbolic link, one burst of renames is one batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The cluster that all of this is of; none for the home cluster, and for what is of no cluster. A complete batch of
    /// a named cluster is all that there is of it: what is known of it and not said here is gone.
    pub cluster: Option<Arc<str>>,
    /// Whether this is the source's first complete look. It is sent even when nothing was found: whoever waits for the
    /// source to be ready waits for this.
    pub complete: bool,
    /// The changes, in order of the keys, at most one for a key; an object that is as before has none.
    pub events: Vec<Event>,
    /// Host names whose addresses are others than before; none for a name that nobody asks for any more.
    pub resolved: Vec<(Arc<str>, Vec<IpAddr>)>,
    /// Keys of those who issue tokens that are others than before; none if nobody asks for them any more, or if they are too
    /// old to be trusted.
    pub keys: Vec<(JwksSource, Option<Arc<str>>)>,
    /// What service accounts may have of secrets; none for those of which no proxy is left.
    pub accounts: Vec<(Account, Option<Access>)>,
    /// What peers trust from now on, certificates in PEM, one each; none if that is not said.
    pub trusted: Option<Vec<Arc<str>>>,
    /// Problems that are new, in order of their places.
    pub appeared: Vec<Arc<Report>>,
    /// Problems of earlier batches that are no more, in order of their places.
    pub cleared: Vec<Arc<Report>>,
}

impl Batch {
    /// Whether the batch says nothing that its receiver does not know.
    pub fn is_empty(&self) -> bool {
        !self.complete
            && self.events.is_empty()
            && self.resolved.is_empty()
            && self.keys.is_empty()
            && self.accounts.is_empty()
            && self.trusted.is_none()
            && self.appeared.is_empty()
            && self.cleared.is_empty()
    }
    /// Tells in the log which problems have come and gone; `subject` is what they are problems of.
    pub(crate) fn log(&self, subject: &str) {
        for report in &self.appeared {
            match report.severity {
                Severity::Error => tracing::error!(%report, "problem in {subject}"),
                Severity::Warning => tracing::warn!(%report, "problem in {subject}"),
            }
        }
        for report in &self.cleared {
            tracing::info!(%report, "problem in {subject} is gone");
        }
        tracing::debug!(events = self.events.len(), complete = self.complete, "read {subject}");
    }
}

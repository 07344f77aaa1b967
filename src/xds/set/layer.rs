//! A sorted, immutable list of resources that all proxies of one class share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::Problem;

use super::diff::Diff;
use super::names::Names;
use crate::encoded::Encoded;
use crate::failure::Failure;
use crate::kind::ResourceType;

/// What one class of proxies adds to a set: resources, and names of lower layers that it hides.
pub struct Layer {
    kind: ResourceType,
    names: Arc<Names>,
    /// In the order of `names`.
    entries: Box<[Arc<Encoded>]>,
    /// Ascending.
    hidden: Arc<[Arc<str>]>,
    /// Layers of one epoch have the same names, versions and hidden names. Never leaves the process.
    epoch: u64,
    /// The epoch of the predecessor and what differs from it, so that all streams of a class share that work.
    from: Option<(u64, Arc<Diff>)>,
    /// Failures of resources that are therefore missing.
    lost: Box<[Arc<Failure>]>,
    /// Positions of the entries that have problems or failures.
    troubled: Box<[u32]>,
}

/// The epoch of layers that add and hide nothing.
const VOID: u64 = 0;
static NEXT_EPOCH: AtomicU64 = AtomicU64::new(VOID + 1);

/// The contents of a layer that is being made.
pub(crate) struct Draft {
    pub(crate) names: Arc<Names>,
    pub(crate) entries: Box<[Arc<Encoded>]>,
    pub(crate) hidden: Arc<[Arc<str>]>,
    pub(crate) lost: Box<[Arc<Failure>]>,
}

impl Layer {
    /// A layer of these resources and hidden names, in any order; of several resources of a name the last counts.
    pub fn new(
        kind: ResourceType,
        entries: impl IntoIterator<Item = Arc<Encoded>>,
        hidden: impl IntoIterator<Item = Arc<str>>,
    ) -> Self {
        let entries: BTreeMap<Arc<str>, Arc<Encoded>> =
            entries.into_iter().map(|entry| (entry.name().clone(), entry)).collect();
        let mut hidden: Vec<_> = hidden.into_iter().collect();
        hidden.sort_unstable();
        hidden.dedup();
        Self::first(
            kind,
            Draft {
                names: Arc::new(Names::new(entries.keys().cloned().collect())),
                entries: entries.into_values().collect(),
                hidden: hidden.into(),
                lost: Box::default(),
            },
        )
    }

    /// A layer that adds and hides nothing.
    pub fn empty(kind: ResourceType) -> Self {
        Self::new(kind, [], [])
    }

    /// A layer without a predecessor.
    pub(crate) fn first(kind: ResourceType, draft: Draft) -> Self {
        let void = draft.entries.is_empty() && draft.hidden.is_empty();
        let epoch = if void { VOID } else { NEXT_EPOCH.fetch_add(1, Ordering::Relaxed) };
        let Draft { names, entries, hidden, lost } = draft;
        let troubled = entries.iter().enumerate().filter(|(_, entry)| entry.troubled);
        let troubled = troubled.map(|(at, _)| at as u32).collect();
        Self { kind, names, entries, hidden, epoch, from: None, lost, troubled }
    }

    /// The layer that takes the place of `older`.
    pub(crate) fn successor(older: &Self, draft: Draft) -> Self {
        let mut layer = Self::first(older.kind, draft);
        let diff = Diff::of_layers(&layer, older);
        if diff.is_empty() && layer.hidden == older.hidden {
            layer.epoch = older.epoch;
            layer.from.clone_from(&older.from);
        } else {
            layer.from = Some((older.epoch, Arc::new(diff)));
        }
        layer
    }

    /// The resource of this name in this layer.
    pub fn get(&self, name: &str) -> Option<&Arc<Encoded>> {
        self.entries.get(self.names.position(name)?)
    }

    /// Whether lower layers' resources of this name are hidden.
    pub fn hides(&self, name: &str) -> bool {
        self.hidden.binary_search_by(|hidden| (**hidden).cmp(name)).is_ok()
    }

    /// The resources, in name order.
    pub fn entries(&self) -> &[Arc<Encoded>] {
        &self.entries
    }

    /// The names of [`Layer::entries`]; one shared list for all layers with the same names.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// The names that are hidden, ascending.
    pub fn hidden(&self) -> &Arc<[Arc<str>]> {
        &self.hidden
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no resources; some names may still be hidden.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was found wrong with the resources' source objects.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.troubled().flat_map(|entry| entry.problems())
    }

    /// The caught panics because of which a resource is missing or not in its current form.
    pub fn failures(&self) -> impl Iterator<Item = &Arc<Failure>> {
        self.lost.iter().chain(self.troubled().flat_map(|entry| entry.failures()))
    }

    fn troubled(&self) -> impl Iterator<Item = &Arc<Encoded>> {
        self.troubled.iter().filter_map(|at| self.entries.get(*at as usize))
    }

    /// The type of the resources.
    pub fn kind(&self) -> ResourceType {
        self.kind
    }

    pub(crate) fn is_void(&self) -> bool {
        self.epoch == VOID
    }

    /// Whether both are known to have the same names, versions and hidden names.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.epoch == other.epoch
    }

    /// The difference from `older`, if it is the layer that this one took the place of.
    pub(super) fn diff_from(&self, older: &Self) -> Option<&Arc<Diff>> {
        self.from.as_ref().filter(|(epoch, _)| *epoch == older.epoch).map(|(_, diff)| diff)
    }
}

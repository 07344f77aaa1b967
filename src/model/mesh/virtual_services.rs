//! The VirtualService section: all rules, hosts resolved and delegates merged in.

use std::sync::Arc;

use api::istio::VirtualService;

use crate::config::Config;
use crate::content::Ref;
use crate::visibility::ExportTo;

/// A VirtualService as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The rule: hosts and destinations are full names, gateways are `<namespace>/<name>` or `mesh`, delegates
    /// are merged in.
    pub config: Ref<Config<VirtualService>>,
    /// Who sees it.
    pub export_to: ExportTo,
    /// Whether any of its matches looks at the labels or the namespace of the client.
    pub source_dependent: bool,
}

/// All VirtualServices that have hosts, oldest first. Delegates are not among them.
#[derive(Clone, Debug, Default)]
pub struct VirtualServices {
    all: Arc<[Ref<Entry>]>,
}

impl VirtualServices {
    /// Takes the entries; their order does not matter.
    pub fn new(mut entries: Vec<Ref<Entry>>) -> Self {
        entries.sort_by(|a, b| a.config.by_age(&b.config));
        Self { all: entries.into() }
    }

    /// All, oldest first.
    pub fn all(&self) -> &[Ref<Entry>] {
        &self.all
    }
}

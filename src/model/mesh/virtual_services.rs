//! The VirtualService section: all rules, hosts resolved and delegates merged in.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::ObjectRef;
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
    /// Where each HTTP rule was written, if delegates were merged in; else empty.
    pub origins: Vec<Origin>,
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The object: the rule's own VirtualService, or a delegate.
    pub object: ObjectRef,
    /// The rule's place in it.
    pub rule: usize,
}

impl Entry {
    /// The object and the place where an HTTP rule was written.
    pub fn origin(&self, rule: usize) -> (&ObjectRef, usize) {
        match self.origins.get(rule) {
            Some(origin) => (&origin.object, origin.rule),
            None => (&self.config.source, rule),
        }
    }

    /// All objects that it was put together from.
    pub fn sources(&self) -> impl Iterator<Item = &ObjectRef> {
        let own = &self.config.source;
        let delegates: BTreeSet<&ObjectRef> =
            self.origins.iter().map(|o| &o.object).filter(|o| *o != own).collect();
        std::iter::once(own).chain(delegates)
    }

    /// Whether `gateway` (`mesh`, or `<namespace>/<name>`) applies it.
    pub fn applies_to(&self, gateway: &str) -> bool {
        let gateways = &self.config.spec.gateways;
        gateways.iter().any(|g| g == gateway) || (gateways.is_empty() && gateway == MESH)
    }

    /// What puts it before others for a client: what is meant for the client's namespace alone, then what is
    /// exported to it by name, then what everybody sees.
    fn precedence(&self, namespace: &str) -> u8 {
        let own = **self.config.namespace() == *namespace;
        let semantics = self.config.annotations.get("internal.istio.io/route-semantics");
        match &self.export_to {
            ExportTo::All if own && semantics.is_some_and(|s| s == "gateway") => 2,
            ExportTo::All => 3,
            _ if own => 0,
            _ => 1,
        }
    }
}

/// The gateway name that stands for all sidecars.
pub const MESH: &str = "mesh";

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

    /// Those that a client of `namespace` sees, in the order in which they count for it.
    pub fn visible_to(&self, namespace: &str) -> Vec<Ref<Entry>> {
        let seen = self.all.iter().filter(|v| v.export_to.visible_to(namespace));
        let mut seen: Vec<Ref<Entry>> = seen.cloned().collect();
        seen.sort_by_key(|v| v.precedence(namespace));
        seen
    }
}

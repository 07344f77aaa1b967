//! The VirtualService section: all rules, hosts resolved and delegates merged in.

use std::collections::{BTreeMap, BTreeSet};
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

    /// Whether it has rules for connections (TCP, TLS), which listeners look at.
    pub fn for_connections(&self) -> bool {
        !self.config.spec.tcp.is_empty() || !self.config.spec.tls.is_empty()
    }

    /// Whether `gateway` (`mesh`, or `<namespace>/<name>`) applies it.
    pub fn applies_to(&self, gateway: &str) -> bool {
        let gateways = &self.config.spec.gateways;
        gateways.iter().any(|g| g == gateway) || (gateways.is_empty() && gateway == MESH)
    }

    /// Whether it says what a route of the Gateway API says: it is for its hosts alone.
    pub fn has_gateway_semantics(&self) -> bool {
        self.config.annotations.get("internal.istio.io/route-semantics").is_some_and(|s| s == "gateway")
    }

    /// What puts it before others for a client: what is meant for the client's namespace alone, then what is
    /// exported to it by name, then what everybody sees.
    fn precedence(&self, namespace: &str) -> u8 {
        let own = **self.config.namespace() == *namespace;
        match &self.export_to {
            ExportTo::All if own && self.has_gateway_semantics() => 2,
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
    by_namespace: BTreeMap<Arc<str>, Vec<Ref<Entry>>>,
}

impl VirtualServices {
    /// Takes the entries; their order does not matter.
    pub fn new(mut entries: Vec<Ref<Entry>>) -> Self {
        entries.sort_by(|a, b| a.config.by_age(&b.config));
        let mut by_namespace: BTreeMap<Arc<str>, Vec<Ref<Entry>>> = BTreeMap::new();
        for entry in &entries {
            by_namespace.entry(Arc::clone(entry.config.namespace())).or_default().push(entry.clone());
        }
        Self { all: entries.into(), by_namespace }
    }

    /// All, oldest first.
    pub fn all(&self) -> &[Ref<Entry>] {
        &self.all
    }

    /// Those that a client of `client` sees, in the order in which they count for it; of all namespaces, or only of
    /// those that are given.
    pub fn visible_to(&self, client: &str, of: Option<&[&str]>) -> Vec<&Ref<Entry>> {
        let sees = |v: &&Ref<Entry>| v.export_to.visible_to(client);
        let mut seen: Vec<&Ref<Entry>> = match of {
            None => self.all.iter().filter(sees).collect(),
            Some(namespaces) => {
                let lists = namespaces.iter().filter_map(|namespace| self.by_namespace.get(*namespace));
                lists.flatten().filter(sees).collect()
            }
        };
        if of.is_some_and(|namespaces| namespaces.len() > 1) {
            seen.sort_by(|a, b| a.config.by_age(&b.config));
        }
        seen.sort_by_key(|v| v.precedence(client));
        seen
    }
}

//! The VirtualService section: all rules, hosts resolved and delegates merged in.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use api::ObjectRef;
use api::istio::VirtualService;

use super::lists::{self, Exchange, Lists};
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
    /// Where each HTTP rule was written, if not all in this object; else empty.
    pub origins: Vec<Origin>,
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The object: the rule's own VirtualService, a delegate, or an Ingress.
    pub object: ObjectRef,
    /// The rule's place in it.
    pub place: Place,
}

/// The place of a rule in the object in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The HTTP rule of a VirtualService.
    Rule(usize),
    /// The path of a rule of an Ingress.
    Path {
        /// The rule.
        rule: usize,
        /// The path among those of the rule.
        path: usize,
    },
}

impl Place {
    /// The field that its user wrote, for a field of the HTTP rule, such as `route[0].destination.host`.
    pub fn field(self, within: &str) -> String {
        match self {
            Self::Rule(rule) if within.is_empty() => format!("spec.http[{rule}]"),
            Self::Rule(rule) => format!("spec.http[{rule}].{within}"),
            Self::Path { rule, path } => {
                let part = match within {
                    _ if within.starts_with("match") => ".path",
                    _ if within.contains("destination.port") => ".backend.service.port",
                    _ if within.contains("destination") => ".backend.service.name",
                    _ => "",
                };
                format!("spec.rules[{rule}].http.paths[{path}]{part}")
            }
        }
    }
}

impl Entry {
    /// The object and the place where an HTTP rule was written.
    pub fn origin(&self, rule: usize) -> (&ObjectRef, Place) {
        match self.origins.get(rule) {
            Some(origin) => (&origin.object, origin.place),
            None => (&self.config.source, Place::Rule(rule)),
        }
    }

    /// All objects that it was put together from.
    pub fn sources(&self) -> impl Iterator<Item = &ObjectRef> {
        let own = &self.config.source;
        let others: BTreeSet<&ObjectRef> =
            self.origins.iter().map(|o| &o.object).filter(|o| *o != own).collect();
        std::iter::once(own).chain(others)
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

    /// Whether sidecars may apply it to this host, written in full.
    pub fn claims(&self, host: &str) -> bool {
        self.claimed().any(|claimed| claimed == host)
    }

    /// The hosts to which sidecars may apply it.
    pub fn claimed(&self) -> impl Iterator<Item = &String> {
        let claims = self.applies_to(MESH) && !self.config.spec.http.is_empty();
        self.config.spec.hosts.iter().filter(move |_| claims)
    }

    /// What to tell the owner of a younger VirtualService that has the host for the same clients, and what to do.
    pub fn wins(&self, host: &str) -> (String, &'static str) {
        let message = format!(
            "sidecars apply the rules of the older VirtualService {}/{} to host {host}, and not these",
            self.config.namespace(),
            self.config.name()
        );
        (message, "put the rules of a host into one VirtualService, with delegates if need be")
    }

    /// Whether it says what a route of the Gateway API says: it is for its hosts alone.
    pub fn has_gateway_semantics(&self) -> bool {
        self.config.annotations.get("internal.istio.io/route-semantics").is_some_and(|s| s == "gateway")
    }

    /// The namespace of its VirtualService.
    fn namespace(&self) -> &Arc<str> {
        self.config.namespace()
    }

    /// As the VirtualServices by age. What is made of an Ingress for two of its hosts may have one name.
    fn by_age(&self, other: &Self) -> Ordering {
        self.config.by_age(&other.config).then_with(|| self.config.spec.hosts.cmp(&other.config.spec.hosts))
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
    by_namespace: Lists<Entry>,
}

impl VirtualServices {
    /// Takes the entries; their order does not matter.
    pub fn new(mut entries: Vec<Ref<Entry>>) -> Self {
        entries.sort_by(|a, b| a.by_age(b));
        let by_namespace = Lists::new(&entries, Entry::namespace);
        Self { all: entries.into(), by_namespace }
    }

    /// These without those that are `gone` and with those that `came`.
    pub fn replaced(&self, gone: &[Ref<Entry>], came: &[Ref<Entry>]) -> Self {
        let exchange = Exchange::new(gone, came, Entry::by_age);
        let mut by_namespace = self.by_namespace.clone();
        by_namespace.apply(&exchange, Entry::namespace);
        Self { all: exchange.apply(&self.all).into(), by_namespace }
    }

    /// The entries that are not in `next`, and those that are there only; each oldest first.
    pub fn difference<'a>(&'a self, next: &'a Self) -> (Vec<&'a Ref<Entry>>, Vec<&'a Ref<Entry>>) {
        if Arc::ptr_eq(&self.all, &next.all) {
            return (Vec::new(), Vec::new());
        }
        lists::difference(&self.all, &next.all, Entry::by_age)
    }

    /// All, oldest first.
    pub fn all(&self) -> &[Ref<Entry>] {
        &self.all
    }

    /// Those of a namespace, oldest first.
    pub fn of_namespace(&self, namespace: &str) -> &[Ref<Entry>] {
        self.by_namespace.of(namespace)
    }

    /// Those that a client of `client` sees, in the order in which they count for it; of all namespaces, or only of
    /// those that are given.
    pub fn visible_to(&self, client: &str, of: Option<&[&str]>) -> Vec<&Ref<Entry>> {
        let sees = |v: &&Ref<Entry>| v.export_to.visible_to(client);
        let mut seen: Vec<&Ref<Entry>> = match of {
            None => self.all.iter().filter(sees).collect(),
            Some(namespaces) => {
                let lists = namespaces.iter().flat_map(|namespace| self.by_namespace.of(namespace));
                lists.filter(sees).collect()
            }
        };
        if of.is_some_and(|namespaces| namespaces.len() > 1) {
            seen.sort_by(|a, b| a.by_age(b));
        }
        seen.sort_by_key(|v| v.precedence(client));
        seen
    }
}

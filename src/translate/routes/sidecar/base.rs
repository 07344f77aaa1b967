//! The route configurations that a client of no namespace would have: those of each namespace are planned as a
//! difference from them. What is equal is the same allocation.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use model::{ProxyKind, Ref};

use super::configuration::Configuration;
use super::outline::Outline;
use super::touched::Touched;
use super::{Common, Egress, http_proxy, name_of, named_routes, replan};
use crate::class::SharedView;
use crate::context::Context;
use crate::key::{Entries, Key, entries};
use crate::routes::share::{route, share, share_one};
use crate::routes::{RouteKey, domains};
use crate::scope::{EgressListener, Scope};

/// The plan of such a client, with what is looked at to tell what is otherwise for others.
#[derive(Clone, Debug)]
pub struct Base {
    view: Ref<SharedView>,
    scope: Ref<Scope>,
    egress: Arc<Egress>,
    entries: Entries,
    /// The configurations by port; that of all ports has none.
    outlines: Arc<BTreeMap<Option<u16>, Outline>>,
    /// Services by the client that calls them by their first label.
    near: Arc<BTreeMap<Arc<str>, Vec<Arc<str>>>>,
}

/// Changes to the base's list.
#[derive(Debug, Default)]
struct Edit {
    dropped: HashSet<Arc<str>>,
    added: Vec<(Arc<str>, Key)>,
}

impl Base {
    /// Plans for a class of the lowest layer, whose scope is `scope`; none if such proxies ask for no routes by port.
    pub fn new(context: &Context<'_>, scope: &Ref<Scope>) -> Option<Self> {
        let listener = scope.egress.first().filter(|_| context.view.kind == ProxyKind::Sidecar)?;
        let common = Common::new(context);
        let egress = Egress::new(context, listener);
        let mut planned = Vec::new();
        let mut outlines = BTreeMap::new();
        for port in ports(context, &egress) {
            let name = name_of(&egress.table, port);
            let configuration = Configuration::of(&common, &egress, port, None);
            outlines.insert(port, Outline::new(name.clone(), &configuration));
            planned.extend(named_routes(&common, name, port, configuration));
        }
        Some(Self {
            view: context.view.clone(),
            scope: scope.clone(),
            near: Arc::new(near(listener)),
            egress: Arc::new(egress),
            entries: entries(planned),
            outlines: Arc::new(outlines),
        })
    }

    /// The same, keeping what is equal in `old` as it is there.
    pub fn sharing(self, old: &Self) -> Self {
        Self { entries: share(self.entries, &old.entries), ..self }
    }

    /// What [`Base::new`] would give, if since this one nothing but HTTP rules changed that apply to every client alike.
    pub fn after(&self, context: &Context<'_>, scope: &Ref<Scope>) -> Option<Self> {
        let entries = replan(context, &self.scope, &self.entries)?;
        let egress = Arc::new(Egress::new(context, scope.egress.first()?));
        Some(Self { scope: scope.clone(), entries, egress, ..self.clone() })
    }

    /// The route configurations of a class above: equal to what [`super::plan`] gives. Both are of one mesh.
    pub fn plan(&self, context: &Context<'_>) -> Entries {
        let common = Common::new(context);
        let egress = self.egress_of(context);
        let touched = Touched::of(&common, &egress, self);
        if self.has(&egress) && touched.is_empty() {
            return Arc::clone(&self.entries);
        }
        let mut edit = Edit::default();
        let ports: Vec<_> = ports(context, &egress).collect();
        for gone in self.outlines.keys().filter(|port| !ports.contains(port)) {
            edit.dropped.extend(self.names_of(*gone));
        }
        for port in ports {
            self.plan_port(&common, &egress, &touched, port, &mut edit);
        }
        let kept = self.entries.iter().filter(|(name, _)| !edit.dropped.contains(name)).cloned();
        entries(kept.chain(edit.added).collect())
    }

    /// The listener of the class, with its services and rules.
    fn egress_of(&self, context: &Context<'_>) -> Arc<Egress> {
        match context.scope.egress.first() {
            Some(listener) if self.scope.egress.first() != Some(listener) => {
                Arc::new(Egress::new(context, listener))
            }
            _ => Arc::clone(&self.egress),
        }
    }

    fn plan_port(
        &self,
        common: &Common<'_>,
        egress: &Egress,
        touched: &Touched,
        port: Option<u16>,
        edit: &mut Edit,
    ) {
        let name = name_of(&egress.table, port);
        let part = Configuration::of(common, egress, port, Some(touched));
        let outline = self.outlines.get(&port).filter(|outline| {
            outline.is_called(&name)
                && !outline.disputes(common, [egress, &self.egress], port, touched, &part)
        });
        let Some(outline) = outline else {
            let whole = Configuration::of(common, egress, port, None);
            edit.dropped.extend(self.names_of(port));
            edit.added.extend(named_routes(common, name, port, whole).into_iter().map(|e| self.shared(e)));
            return;
        };
        if let Some(number) = port {
            edit.dropped.extend(touched.hosts().map(|host| alone_name(host, number)));
            edit.added.extend(super::alone(&part));
        }
        let below = name.and_then(|name| self.route(&name));
        if let Some(key) = below.and_then(|below| outline.edit(common, below, touched, part)) {
            edit.dropped.insert(Arc::clone(&key.name));
            edit.added.push((Arc::clone(&key.name), Key::Route(Ref::new(key))));
        }
    }

    /// The names of all configurations of a port.
    fn names_of(&self, port: Option<u16>) -> Vec<Arc<str>> {
        let number = port.into_iter();
        let alone =
            number.flat_map(|n| self.egress.table.at(n).iter().map(move |c| alone_name(&c.service.host, n)));
        name_of(&self.egress.table, port).into_iter().chain(alone).collect()
    }

    fn route(&self, name: &Arc<str>) -> Option<&Ref<RouteKey>> {
        let at = self.entries.binary_search_by(|(n, _)| n.cmp(name)).ok()?;
        route(&self.entries.get(at)?.1)
    }

    /// A configuration with the virtual hosts of the base's where these are equal.
    fn shared(&self, (name, key): (Arc<str>, Key)) -> (Arc<str>, Key) {
        let key = match (route(&key), self.route(&name)) {
            (Some(new), Some(below)) => Key::Route(share_one(new, below)),
            _ => key,
        };
        (name, key)
    }

    pub(super) fn view(&self) -> &Ref<SharedView> {
        &self.view
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Whether the listener is its own.
    pub(super) fn has(&self, egress: &Egress) -> bool {
        std::ptr::eq(egress, &*self.egress)
    }

    /// The services that this client calls by their first label.
    pub(super) fn near(&self, client: &str) -> &[Arc<str>] {
        self.near.get(client).map_or(&[], Vec::as_slice)
    }
}

/// The ports that have configurations; none stands for all of them in one.
fn ports<'e>(context: &Context<'_>, egress: &'e Egress) -> impl Iterator<Item = Option<u16>> + use<'e> {
    egress.table.ports().map(Some).chain(http_proxy(context).then_some(None))
}

/// The name of the configuration that a service has for itself.
pub(super) fn alone_name(host: &str, port: u16) -> Arc<str> {
    format!("{host}:{port}").into()
}

fn near(listener: &EgressListener) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut near: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    for service in listener.services.iter().map(|s| &s.service) {
        let hosts = std::iter::once(&service.host).chain(service.aliases.iter().map(|a| &a.host));
        for client in hosts.filter_map(|host| domains::neighbour(host)) {
            let list = near.entry(Arc::from(client)).or_default();
            if !list.contains(&service.host) {
                list.push(Arc::clone(&service.host));
            }
        }
    }
    near
}

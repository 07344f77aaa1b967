//! Which services a class of clients finds in its table, and in which part.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::service::Resolution;
use model::{ProxyKind, Ref};

use super::{Client, NAME, NameTableKey, NamedService, NamesKey, Of};
use crate::context::Context;
use crate::key::{Entries, Key};
use crate::scope::ScopedService;

/// Plans the table of a class.
pub fn plan(context: &Context<'_>) -> Entries {
    let mut parts = Vec::new();
    if context.view.kind == ProxyKind::Sidecar {
        let by_namespace = by_namespace(context);
        parts.extend(by_namespace.iter().map(|(namespace, services)| part(context, namespace, services)));
        // After all services: the name of a workload goes before a service of the same name.
        parts.extend(by_namespace.iter().filter_map(|(ns, services)| workloads(context, ns, services)));
    }
    let key = NameTableKey { parts: parts.into_iter().map(Ref::new).collect() };
    Arc::new([(Arc::from(NAME), Key::Names(Ref::new(key)))])
}

type ByNamespace = BTreeMap<Arc<str>, Vec<NamedService>>;

/// The services of all egress listeners in their order; all that have one host stand where the first of them is.
fn by_namespace(context: &Context<'_>) -> ByNamespace {
    let repeated = context.mesh.services.repeated();
    let mut first: HashMap<&str, &Arc<str>> = HashMap::new();
    let mut services = ByNamespace::new();
    for scoped in context.scope.egress.iter().flat_map(|listener| &listener.services) {
        let service = &scoped.service;
        let namespace = if repeated.contains(&service.host) {
            first.entry(&service.host).or_insert(&service.namespace)
        } else {
            &service.namespace
        };
        let named = named(context, scoped);
        match services.get_mut(namespace) {
            Some(list) => list.push(named),
            None => drop(services.insert(Arc::clone(namespace), vec![named])),
        }
    }
    services
}

fn named(context: &Context<'_>, scoped: &ScopedService) -> NamedService {
    let service = scoped.service.clone();
    let headless = service.resolution == Resolution::Passthrough && scoped.ports().next().is_some();
    let endpoints = headless.then(|| context.endpoints(&service)).flatten();
    NamedService { endpoints: endpoints.map(|e| e.endpoints.clone()), service }
}

fn part(context: &Context<'_>, namespace: &Arc<str>, services: &[NamedService]) -> NamesKey {
    let (namespace, services) = (Arc::clone(namespace), services.to_vec());
    NamesKey { of: Of::Services, client: client(context, &services), namespace, services }
}

/// The part of the workloads that have names of their own; none if there are none.
fn workloads(context: &Context<'_>, namespace: &Arc<str>, services: &[NamedService]) -> Option<NamesKey> {
    let has_names = |named: &&NamedService| {
        named.endpoints.iter().flatten().any(|endpoint| !endpoint.workload.subdomain.is_empty())
    };
    let services: Vec<_> = services.iter().filter(has_names).cloned().collect();
    (!services.is_empty()).then(|| {
        let namespace = Arc::clone(namespace);
        NamesKey { of: Of::Workloads, client: client(context, &services), namespace, services }
    })
}

/// The client, without what none of the services looks at, so that more clients share the part.
fn client(context: &Context<'_>, services: &[NamedService]) -> Client {
    let view = context.view;
    let allotted = services.iter().any(|s| !s.service.auto_addresses.is_empty());
    let headless = services.iter().any(|s| s.endpoints.is_some());
    let apart = headless || services.iter().any(|s| !s.service.remotes.is_empty());
    Client {
        reach: view.reach,
        dns_capture: view.dns_capture && allotted,
        cluster: if apart { Arc::clone(&view.cluster_id) } else { Arc::default() },
        network: if headless { Arc::clone(&view.network) } else { Arc::default() },
        across_clusters: headless && context.settings().features.multicluster_headless,
    }
}

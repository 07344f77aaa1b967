//! Which assignments a class gets, and what each of them looks at.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::endpoint::{Endpoint, Locality};
use model::mesh::MergedRule;
use model::service::{Service, ServicePort};
use model::{Labels, Ref};

use super::networks::{self, NetworkView};
use super::preference::Preference;
use super::{EndpointsKey, Form, Place, local, mtls};
use crate::clusters::names;
use crate::clusters::outbound::{Discovery, discovery, subsets};
use crate::context::Context;
use crate::key::Key;
use crate::scope::ScopedService;

/// Plans the assignments of the EDS clusters that a class has for services of its scope.
pub fn plan(context: &Context<'_>, services: &[&ScopedService]) -> Vec<(Arc<str>, Key)> {
    let planner = Planner::new(context);
    services.iter().flat_map(|s| planner.service(s)).collect()
}

/// Plans the assignments of one service: of each of its ports and subsets.
pub fn plan_service(context: &Context<'_>, service: &ScopedService) -> Vec<(Arc<str>, Key)> {
    Planner::new(context).service(service)
}

/// Plans assignments; holds what all of a class have in common.
#[derive(Debug)]
pub struct Planner<'a> {
    context: &'a Context<'a>,
    networks: Option<Ref<NetworkView>>,
    /// Whether any PeerAuthentication makes a workload take plain text only.
    some_plain: bool,
    nobody: Ref<Vec<Endpoint>>,
    whole: Arc<str>,
}

impl<'a> Planner<'a> {
    /// A planner for a class.
    pub fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            networks: networks::view(context).map(Ref::new),
            some_plain: mtls::some_plain(context.mesh),
            nobody: Ref::default(),
            whole: Arc::from(""),
        }
    }

    /// The assignments of a service. Those of services that keep to the client's node are its own.
    pub fn service(&self, scoped: &ScopedService) -> Vec<(Arc<str>, Key)> {
        if scoped.service.node_local { Vec::new() } else { self.assignments(scoped, None) }
    }

    /// The assignments of a service, with the endpoints of one node only if one is given.
    pub(super) fn assignments(
        &self,
        scoped: &ScopedService,
        node: Option<&Arc<str>>,
    ) -> Vec<(Arc<str>, Key)> {
        let service = &scoped.service;
        let kind = self.context.view.kind;
        let mut planned = Vec::new();
        let mut common = None;
        for port in scoped.ports() {
            if discovery(service, port, kind, self.context.settings()) != Discovery::Eds {
                continue;
            }
            let common = common.get_or_insert_with(|| {
                let rule = self.context.rule(service);
                EndpointsKey { node: node.cloned(), ..self.common(service, rule, Form::Eds) }
            });
            for subset in subsets(common.rule.as_ref()).map(Arc::from).chain([Arc::clone(&self.whole)]) {
                let name = names::outbound(port.number, &subset, &service.host);
                let key = self.finish(common, port, subset);
                planned.push((Arc::from(name), Key::Endpoints(Ref::new(key))));
            }
        }
        planned
    }

    /// The assignment inside of a cluster that resolves names.
    pub(crate) fn inline(
        &self,
        service: &Ref<Service>,
        port: &ServicePort,
        subset: &Arc<str>,
        rule: Option<&Ref<MergedRule>>,
    ) -> EndpointsKey {
        self.finish(&self.common(service, rule, Form::Inline), port, Arc::clone(subset))
    }

    /// The assignment of a cluster behind an AUTO_PASSTHROUGH server.
    pub(crate) fn sni_dnat(
        &self,
        service: &Ref<Service>,
        port: &ServicePort,
        subset: &str,
        rule: Option<&Ref<MergedRule>>,
        inline: bool,
    ) -> EndpointsKey {
        let form = if inline { Form::InlineSniDnat } else { Form::SniDnat };
        self.finish(&self.common(service, rule, form), port, Arc::from(subset))
    }

    /// The assignment of those endpoints of a service that are of the client's own workload, whatever rules say.
    pub(super) fn local(
        &self,
        service: &Ref<Service>,
        port: u16,
        own: impl Fn(&Endpoint) -> bool,
    ) -> EndpointsKey {
        let all = self.context.endpoints(service).map_or(&self.nobody, |e| &e.endpoints);
        let endpoints: Vec<_> = all.iter().filter(|e| own(e)).cloned().collect();
        let common = self.common(service, None, Form::Local);
        EndpointsKey { port, plain: self.plain(&endpoints), endpoints: Ref::new(endpoints), ..common }
    }

    /// What the assignments of all ports of a service share.
    fn common(&self, service: &Ref<Service>, rule: Option<&Ref<MergedRule>>, form: Form) -> EndpointsKey {
        let context = self.context;
        let endpoints = context.endpoints(service).map_or(&self.nobody, |e| &e.endpoints);
        let own_cluster = local::is_local(&service.host, context.settings());
        EndpointsKey {
            service: service.clone(),
            port: 0,
            subset: Arc::clone(&self.whole),
            rule: rule.cloned(),
            endpoints: endpoints.clone(),
            settings: context.mesh.settings.clone(),
            form,
            plain: self.plain(endpoints),
            node: None,
            cluster: own_cluster.then(|| Arc::clone(&context.view.cluster_id)),
            networks: self.networks.clone(),
            place: None,
        }
    }

    fn plain(&self, endpoints: &[Endpoint]) -> Option<Ref<BTreeSet<usize>>> {
        if !self.some_plain {
            return None;
        }
        let plain = mtls::plain(self.context.mesh, endpoints);
        (!plain.is_empty()).then(|| Ref::new(plain))
    }

    fn finish(&self, common: &EndpointsKey, port: &ServicePort, subset: Arc<str>) -> EndpointsKey {
        let mut key = EndpointsKey { port: port.number, subset, ..common.clone() };
        key.place = self.place(&key);
        key
    }

    /// Where the client is, reduced to what the preference in force looks at.
    fn place(&self, key: &EndpointsKey) -> Option<Ref<Place>> {
        let policy = key.policy();
        let preference = Preference::of(policy.load_balancer, &key.service, &key.settings.mesh);
        let view = self.context.view;
        let distributes = matches!(preference, Preference::Locality(l) if !l.distribute.is_empty());
        let prioritises = preference.prioritises(policy.outlier_detection.is_some());
        if preference == Preference::None || !(distributes || prioritises) {
            return None;
        }
        let names = preference.labels();
        let by_labels = !distributes && !names.is_empty();
        let by_locality = distributes
            || names.is_empty()
            || !preference.failover().is_empty()
            || matches!(preference, Preference::ZoneAware(_));
        let labels: Labels = names
            .iter()
            .filter(|_| by_labels)
            .filter_map(|n| Some(((*n).to_owned(), view.labels.get(*n)?.clone())))
            .collect();
        let locality = if by_locality { view.locality.clone() } else { Locality::default() };
        Some(Ref::new(Place { locality, labels }))
    }
}

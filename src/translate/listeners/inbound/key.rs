//! The key of an inbound listener and how it is built.

use std::sync::Arc;

use envoy::config::core::v3::TrafficDirection;
use envoy::config::listener::v3::{AdditionalAddress, Listener, ListenerFilter};
use envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy::extensions::filters::listener::original_src::v3::OriginalSrc;
use model::Ref;
use model::proxy::Interception;

use super::common::Shared;
use super::{Group, InboundDefaults, VIRTUAL_INBOUND, chain, inspect};
use crate::class::OwnView;
use crate::context::Context;
use crate::listeners::exact_balance;
use crate::listeners::shape::{address, duration, listener_filter};
use crate::output::Built;

/// The mark by which the rules of iptables know the proxy's own packets (TPROXY).
const OWN_MARK: u32 = 1337;
/// Where iptables redirects to, unless the mesh says otherwise.
const DEFAULT_PORT: u16 = 15006;

/// All that an inbound listener is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundKey {
    /// Whether connections are redirected to it, and how.
    pub redirected: Option<Interception>,
    /// Its address.
    pub address: Arc<str>,
    /// Further addresses.
    pub additional: Vec<Arc<str>>,
    /// Its port.
    pub port: u16,
    /// Its chains, by port.
    pub groups: Vec<Group>,
    /// What it has in common with others.
    pub defaults: Ref<InboundDefaults>,
}

impl InboundKey {
    /// `virtualInbound`.
    pub(super) fn virtual_inbound(
        context: &Context<'_>,
        view: &OwnView,
        groups: Vec<Group>,
        defaults: &Ref<InboundDefaults>,
    ) -> Self {
        let wildcard = &defaults.wildcard;
        let port = u16::try_from(context.settings().mesh.proxy_inbound_listen_port);
        Self {
            redirected: Some(view.shared.interception),
            address: Arc::clone(&wildcard.any),
            additional: if defaults.dual_stack { wildcard.any_extra.clone() } else { Vec::new() },
            port: port.unwrap_or(DEFAULT_PORT),
            groups,
            defaults: defaults.clone(),
        }
    }

    /// A listener that binds to one port of the workload.
    pub(super) fn bound(bind: &Arc<str>, port: u16, group: Group, defaults: &Ref<InboundDefaults>) -> Self {
        Self {
            redirected: None,
            address: Arc::clone(bind),
            additional: Vec::new(),
            port,
            groups: vec![group],
            defaults: defaults.clone(),
        }
    }

    /// The name of the listener.
    pub(super) fn name(&self) -> String {
        match self.redirected {
            Some(_) => VIRTUAL_INBOUND.to_owned(),
            None => format!("{}_{}", self.address, self.port),
        }
    }

    /// Builds the listener.
    pub(crate) fn build(&self) -> Built<Listener> {
        let defaults = &*self.defaults;
        let own_port = self.redirected.map(|_| chain::own_port(self.port));
        let authz = defaults.authz.filters();
        let mut shared = Shared::new(defaults, &authz);
        let chains = self.groups.iter().flat_map(|g| g.build(&mut shared));
        let additional = |a: &Arc<str>| AdditionalAddress {
            address: Some(address(a, self.port)),
            ..AdditionalAddress::default()
        };
        let accepts = defaults.accepts_per_event;
        let message = Listener {
            name: self.name(),
            address: Some(address(&self.address, self.port)),
            additional_addresses: self.additional.iter().map(additional).collect(),
            traffic_direction: TrafficDirection::Inbound.into(),
            transparent: (self.redirected == Some(Interception::Tproxy)).then(|| true.into()),
            filter_chains: own_port.into_iter().chain(chains).collect(),
            listener_filters: self.listener_filters(),
            listener_filters_timeout: Some(duration(defaults.detection_timeout)),
            continue_on_listener_filters_timeout: true,
            max_connections_to_accept_per_socket_event: (accepts > 0).then(|| accepts.into()),
            connection_balance_config: defaults.exact_balance.then(exact_balance),
            access_log: defaults.access_logs.listener(),
            ..Listener::default()
        };
        let jwt = defaults.jwt.iter();
        let policies = jwt.clone().flat_map(|j| &j.sources).chain(defaults.authz.sources());
        let mut sources: Vec<_> =
            self.groups.iter().flat_map(Group::sources).chain(policies).cloned().collect();
        sources.sort();
        sources.dedup();
        let of_tls = self.groups.iter().flat_map(Group::problems);
        let problems = jwt.flat_map(|j| &j.problems).cloned().chain(authz.problems).chain(of_tls).collect();
        Built { message, sources, problems }
    }

    /// What looks at a connection before a chain is chosen.
    fn listener_filters(&self) -> Vec<ListenerFilter> {
        let mut filters = Vec::new();
        if self.redirected.is_some() {
            filters.push(listener_filter("envoy.filters.listener.original_dst", &OriginalDst::default()));
        }
        if self.redirected == Some(Interception::Tproxy) {
            let config = OriginalSrc { mark: OWN_MARK, ..OriginalSrc::default() };
            filters.push(listener_filter("envoy.filters.listener.original_src", &config));
        }
        filters.extend(inspect::inspectors(&self.groups, self.redirected.map(|_| self.port)));
        filters
    }
}

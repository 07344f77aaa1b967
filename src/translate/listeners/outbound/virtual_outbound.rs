//! `virtualOutbound`: where iptables redirects to. It hands connections to the listener of their original address and
//! keeps those that have none.
//!
//! Source: `shared/spec/xds.md` 4.2.

use std::sync::Arc;

use api::ObjectRef;
use envoy::config::core::v3::TrafficDirection;
use envoy::config::listener::v3::{AdditionalAddress, FilterChain, FilterChainMatch, Listener};
use envoy::config::route::v3::{
    Route as EnvoyRoute, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route, route_action,
    route_match,
};
use envoy::google::protobuf::Duration;
use model::Ref;
use model::proxy::Interception;

use super::bind::Wildcard;
use super::key::{accepts, http_inspector, to_cluster};
use super::{OutboundDefaults, Unknown, VIRTUAL_OUTBOUND};
use crate::context::Context;
use crate::listeners::http::{DnsCache, Manager, Route, Side};
use crate::listeners::shape::address;
use crate::listeners::tcp::Forward;
use crate::output::Built;

/// Name of route, virtual host and configuration for hosts that are resolved as they come.
const DYNAMIC_DNS: &str = "allow_any_dynamic_dns";

/// All that `virtualOutbound` is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualOutboundKey {
    /// Its port.
    pub port: u16,
    /// Its address.
    pub address: Arc<str>,
    /// Further addresses.
    pub additional: Vec<Arc<str>>,
    /// The cache of the hosts that requests name, where they are resolved.
    pub dns_cache: Option<DnsCache>,
    /// The client's address is kept.
    pub transparent: bool,
    /// What becomes of connections that no other listener takes.
    pub unknown: Unknown,
    /// The Sidecar that decides so.
    pub sidecar: Option<ObjectRef>,
    /// What it has in common with others.
    pub defaults: Ref<OutboundDefaults>,
    /// Requests tell how often they were tried.
    pub attempt_count: bool,
}

impl VirtualOutboundKey {
    pub(super) fn of(context: &Context<'_>, defaults: &Ref<OutboundDefaults>, unknown: Unknown) -> Self {
        let (view, settings) = (context.view, context.settings());
        let wildcard = Wildcard::of(view.families);
        let deciding = context.scope.sidecar.as_ref().filter(|s| s.spec.outbound_traffic_policy.is_some());
        let headers = view.proxy_config.proxy_headers.as_ref();
        let attempts = headers.and_then(|h| h.attempt_count.as_ref()).and_then(|a| a.disabled);
        Self {
            port: u16::try_from(settings.mesh.proxy_listen_port).unwrap_or(15001),
            address: Arc::clone(&wildcard.any),
            additional: if settings.features.dual_stack { wildcard.any_extra.clone() } else { Vec::new() },
            dns_cache: (unknown == Unknown::PassByName)
                .then(|| DnsCache::allow_any(view, &settings.features)),
            transparent: view.interception == Interception::Tproxy,
            unknown,
            sidecar: deciding.map(|s| s.source.clone()),
            defaults: defaults.clone(),
            attempt_count: attempts != Some(true),
        }
    }

    /// Builds the listener.
    pub(crate) fn build(&self) -> Built<Listener> {
        let defaults = &*self.defaults;
        let mut filter_chains = vec![self.own_port()];
        filter_chains.extend(self.dns_cache.clone().map(|cache| self.by_name(cache)));
        filter_chains.push(FilterChain {
            name: format!("{VIRTUAL_OUTBOUND}-catchall-tcp"),
            filters: to_cluster(self.unknown.cluster(), defaults.idle_timeout, defaults),
            ..FilterChain::default()
        });
        let additional = |a: &Arc<str>| AdditionalAddress {
            address: Some(address(a, self.port)),
            ..AdditionalAddress::default()
        };
        let message = Listener {
            name: VIRTUAL_OUTBOUND.to_owned(),
            address: Some(address(&self.address, self.port)),
            additional_addresses: self.additional.iter().map(additional).collect(),
            use_original_dst: Some(true.into()),
            transparent: self.transparent.then(|| true.into()),
            filter_chains,
            listener_filters: self.dns_cache.as_ref().map(|_| http_inspector()).into_iter().collect(),
            traffic_direction: TrafficDirection::Outbound.into(),
            max_connections_to_accept_per_socket_event: accepts(true, defaults),
            access_log: defaults.access_logs.listener(),
            ..Listener::default()
        };
        Built::new(message, self.sidecar.iter().cloned().collect())
    }

    /// Connections to the port itself would be sent to it again, without end.
    fn own_port(&self) -> FilterChain {
        // Such connections are a mistake of the client's: they are not logged.
        let filters = Forward::to("BlackHoleCluster", None, &Ref::default()).filters();
        FilterChain {
            name: format!("{VIRTUAL_OUTBOUND}-blackhole"),
            filter_chain_match: Some(FilterChainMatch {
                destination_port: Some(u32::from(self.port).into()),
                ..FilterChainMatch::default()
            }),
            filters,
            ..FilterChain::default()
        }
    }

    fn by_name(&self, cache: DnsCache) -> FilterChain {
        let prefix = format!("outbound_{VIRTUAL_OUTBOUND}_{DYNAMIC_DNS};");
        let route = Route::Inline(Box::new(resolved(self.attempt_count)));
        let mut manager = Manager::new(&self.defaults.http, Side::Outbound);
        manager.dns_cache = Some(cache);
        FilterChain {
            name: format!("{VIRTUAL_OUTBOUND}-catchall-tcp-http"),
            filter_chain_match: Some(FilterChainMatch {
                application_protocols: crate::listeners::http_protocols(self.defaults.http10),
                ..FilterChainMatch::default()
            }),
            filters: vec![manager.filter(prefix, route)],
            ..FilterChain::default()
        }
    }
}

/// Routes that send every request to the host that it names.
fn resolved(include_request_attempt_count: bool) -> RouteConfiguration {
    let action = RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(
            "AllowAnyDynamicDNSCluster".to_owned(),
        )),
        timeout: Some(Duration::default()),
        max_grpc_timeout: Some(Duration::default()),
        ..RouteAction::default()
    };
    let all = RouteMatch {
        path_specifier: Some(route_match::PathSpecifier::Prefix("/".to_owned())),
        ..RouteMatch::default()
    };
    let route = EnvoyRoute {
        name: DYNAMIC_DNS.to_owned(),
        r#match: Some(all),
        action: Some(route::Action::Route(action)),
        ..EnvoyRoute::default()
    };
    RouteConfiguration {
        name: DYNAMIC_DNS.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: DYNAMIC_DNS.to_owned(),
            domains: vec!["*".to_owned()],
            routes: vec![route],
            include_request_attempt_count,
            ..VirtualHost::default()
        }],
        validate_clusters: Some(false.into()),
        max_direct_response_body_size_bytes: Some((1 << 20).into()),
        ignore_port_in_host_matching: true,
        ..RouteConfiguration::default()
    }
}

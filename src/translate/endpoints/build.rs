//! A load assignment from its key.
//!
//! Source: Istio `pilot/pkg/xds/endpoints/endpoint_builder.go`; `shared/spec/xds.md` 3.2, 3.3.

use std::collections::BTreeMap;

use api::istio::ClientTlsMode;
use envoy::config::core::v3::{HealthStatus, Metadata};
use envoy::config::endpoint::v3::endpoint::AdditionalAddress;
use envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint};
use envoy::google::protobuf::{Struct, Value};
use model::canonical;
use model::config::selects;
use model::endpoint::{Address, Endpoint, Health, TlsMode, Workload};

use super::group::{self, Group, Labeled, Member};
use super::{EndpointsKey, Form, LOCAL_CLUSTER, mtls, networks, priority};
use crate::clusters::metadata::ISTIO;
use crate::clusters::policy::{Policy, find_subset};
use crate::clusters::{names, sends_unhealthy};
use crate::output::Built;

/// Key of the metadata that choose a transport socket.
const SOCKET_MATCH: &str = "envoy.transport_socket_match";
/// A label of workloads that are being taken out of service.
const DRAINING: &str = "istio.io/draining";

/// Builds a load assignment from its key.
pub fn build(key: &EndpointsKey) -> Built<ClusterLoadAssignment> {
    let cluster_name = match key.form {
        Form::Local => LOCAL_CLUSTER.to_owned(),
        Form::SniDnat | Form::InlineSniDnat => names::sni(key.port, &key.subset, &key.service.host),
        Form::Eds | Form::Inline => names::outbound(key.port, &key.subset, &key.service.host),
    };
    let mut groups = grouped(key);
    if let Some(networks) = &key.networks {
        networks::replace(&mut groups, networks, key.form);
    }
    if key.form.is_sni_dnat() {
        groups.iter_mut().for_each(|g| g.members.retain(|m| m.mtls));
    }
    priority::apply(&mut groups, key);
    let endpoints = groups.into_iter().map(Group::message).collect();
    let message = ClusterLoadAssignment { cluster_name, endpoints, ..ClusterLoadAssignment::default() };
    Built::new(message, vec![key.service.source.clone()])
}

/// The endpoints of the key's port and subset that are sent, with their positions.
pub(super) fn selected(key: &EndpointsKey) -> impl Iterator<Item = (usize, &Endpoint)> {
    let rule = key.rule.as_ref().map(|r| &r.rule.spec);
    let policy = Policy::of(rule, key.port, &key.subset, &key.settings.mesh);
    let unhealthy = sends_unhealthy(&key.service, policy.outlier_detection, &key.settings);
    let sessions = key.service.has_persistent_session();
    let labels = rule.and_then(|r| find_subset(r, &key.subset)).map(|s| &s.labels);
    let port_name = key.service.port(key.port).map(|p| &p.name);
    let inline = key.form.is_inline();
    key.endpoints.iter().enumerate().filter(move |(_, e)| {
        let workload = &e.workload;
        let fits = port_name == Some(&e.port_name)
            && key.node.as_ref().is_none_or(|n| *n == workload.node)
            && key.cluster.as_ref().is_none_or(|c| *c == workload.cluster)
            && key.networks.as_ref().is_none_or(|v| v.sees(&workload.network))
            && (inline || !matches!(e.address, Address::Host(_)));
        let healthy = match health(e) {
            Health::Healthy | Health::Unknown => true,
            Health::Unhealthy => unhealthy,
            Health::Draining => sessions,
            Health::Terminating => false,
        };
        fits && healthy && labels.is_none_or(|l| selects(l, &workload.labels))
    })
}

fn health(endpoint: &Endpoint) -> Health {
    let marked = endpoint.workload.labels.get(DRAINING).is_some_and(|v| !v.is_empty());
    if marked && matches!(endpoint.health, Health::Healthy | Health::Unknown) {
        Health::Draining
    } else {
        endpoint.health
    }
}

/// The endpoints by locality, in the order of the localities' names.
fn grouped(key: &EndpointsKey) -> Vec<Group<'_>> {
    let rule_mode = key.rule.as_ref().and_then(|r| mtls::rule_mode(&r.rule.spec, key.port, &key.subset));
    let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
    for (at, endpoint) in selected(key) {
        let locality = &endpoint.workload.locality;
        let group = groups.entry(locality.label()).or_insert_with(|| Group::new(locality));
        group.members.push(member(key, at, endpoint, rule_mode));
    }
    groups.into_values().collect()
}

fn member<'a>(
    key: &'a EndpointsKey,
    at: usize,
    endpoint: &'a Endpoint,
    rule_mode: Option<ClientTlsMode>,
) -> Member<'a> {
    let workload = &*endpoint.workload;
    let wanted = match rule_mode {
        Some(mode) => mode == ClientTlsMode::IstioMutual,
        None => key.plain.as_ref().is_none_or(|plain| !plain.contains(&at)),
    };
    let mtls = wanted && workload.tls_mode == TlsMode::Istio;
    let telemetry = key.settings.features.endpoint_telemetry_label;
    Member {
        message: LbEndpoint {
            health_status: wire_health(health(endpoint)).into(),
            metadata: metadata(mtls, telemetry.then(|| describe(workload))),
            ..address(endpoint)
        },
        weight: endpoint.weight,
        labels: Labeled::Workload(&workload.labels),
        network: &workload.network,
        cluster: &workload.cluster,
        mtls,
    }
}

fn address(endpoint: &Endpoint) -> LbEndpoint {
    let (address, port) = match &endpoint.address {
        Address::Ip(text) | Address::Host(text) => (group::socket(text, endpoint.port), endpoint.port),
        Address::Pipe(path) => (group::pipe(path), 0),
    };
    let mut message = group::at(address);
    message.additional_addresses = endpoint
        .additional
        .iter()
        .map(|a| AdditionalAddress { address: Some(group::socket(a, port)) })
        .collect();
    group::host(message)
}

fn wire_health(health: Health) -> HealthStatus {
    match health {
        Health::Healthy => HealthStatus::Healthy,
        Health::Unknown => HealthStatus::Unknown,
        Health::Unhealthy | Health::Terminating => HealthStatus::Unhealthy,
        Health::Draining => HealthStatus::Draining,
    }
}

/// What an endpoint says of itself: whether it takes mesh mTLS, and of which workload it is.
pub(super) fn metadata(mtls: bool, workload: Option<String>) -> Option<Metadata> {
    let mut filter_metadata = BTreeMap::new();
    if mtls {
        let fields = Struct::from([("tlsMode", Value::from("istio"))]);
        filter_metadata.insert(SOCKET_MATCH.to_owned(), fields);
    }
    if let Some(workload) = workload {
        filter_metadata.insert(ISTIO.to_owned(), Struct::from([("workload", Value::from(workload))]));
    }
    (!filter_metadata.is_empty()).then(|| Metadata { filter_metadata, ..Metadata::default() })
}

/// `<workload>;<namespace>;<canonical service>;<canonical revision>;<cluster>`; the revision `latest` is left out.
fn describe(workload: &Workload) -> String {
    let service = canonical::service(&workload.labels, &workload.name);
    let revision = match canonical::revision(&workload.labels) {
        "latest" => "",
        other => other,
    };
    format!("{};{};{service};{revision};{}", workload.name, workload.namespace, workload.cluster)
}

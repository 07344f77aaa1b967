//! Rules of the mesh configuration and of the mesh's networks: what is wrong with either is wrong with all of it.
//!
//! Source: Istio `pkg/config/validation/agent/validation.go` (`ValidateMeshConfig`, `ValidateMeshNetworks`).

use api::mesh_config::{CaCertificate, MeshConfig, MeshNetworks, Network, NetworkEndpoints};
use api::{Duration, ObjectKey, Problem};
use ipnet::IpNet;

use super::balancer::{localities, zones};
use super::check::Check;
use super::http_actions::retries;
use super::proxy_config::proxy_config;
use super::text::{
    MILLISECOND, is_cidr, is_fqdn, is_label, is_wildcard_fqdn, port, signed_port, time, whole,
};
use super::traffic_policy::{connection_pool, outlier_detection};

/// The longest time to connect.
const LONGEST_CONNECT: Duration = Duration::from_secs(3600);

/// What is wrong with a mesh configuration that comes from the key `mesh` of this ConfigMap.
pub fn mesh_config(object: ObjectKey, mesh: &MeshConfig) -> Vec<Problem> {
    checked(object, "data.mesh", |check| {
        ports_and_times(check, mesh);
        check.at("defaultConfig", |check| proxy_config(check, &mesh.default_config));
        identities(check, mesh);
        traffic(check, mesh);
    })
}

/// What is wrong with networks that come from the key `meshNetworks` of this ConfigMap.
pub fn mesh_networks(object: ObjectKey, networks: &MeshNetworks) -> Vec<Problem> {
    checked(object, "data.meshNetworks", |check| {
        for (name, of) in &networks.networks {
            check.at(format_args!("networks[{name}]"), |check| network(check, of));
        }
        overlaps(check, networks);
    })
}

fn checked(object: ObjectKey, key: &str, look: impl FnOnce(&mut Check)) -> Vec<Problem> {
    let mut check = Check::new(object);
    check.document(|check| check.at(key, look));
    check.done()
}

fn ports_and_times(check: &mut Check, mesh: &MeshConfig) {
    signed_port(check, "proxyListenPort", mesh.proxy_listen_port);
    if mesh.connect_timeout.is_none_or(|span| span > LONGEST_CONNECT) {
        check.error("connectTimeout", "the time to connect is longer than an hour", "write a time up to 1h");
    }
    time(check, "connectTimeout", mesh.connect_timeout);
    whole(check, "connectTimeout", mesh.connect_timeout, MILLISECOND);
    whole(check, "protocolDetectionTimeout", mesh.protocol_detection_timeout, MILLISECOND);
}

fn identities(check: &mut Check, mesh: &MeshConfig) {
    trust_domain(check, "trustDomain", &mesh.trust_domain);
    check.each("trustDomainAliases", &mesh.trust_domain_aliases, |check, alias| {
        trust_domain(check, "", alias)
    });
    check.each("caCertificates", &mesh.ca_certificates, further_roots);
    if mesh.mesh_mtls.as_ref().is_some_and(|tls| !tls.ecdh_curves.is_empty()) {
        let hint = "write them in tlsDefaults, which is for all other TLS";
        check.error("meshMTLS.ecdhCurves", "the curves of mesh mTLS cannot be chosen", hint);
    }
}

/// Roots that are of no use are left out; all else is in force.
fn further_roots(check: &mut Check, roots: &CaCertificate) {
    let written = |field: &Option<String>| field.as_ref().is_some_and(|text| !text.is_empty());
    match (written(&roots.pem), written(&roots.spiffe_bundle_url)) {
        (true, true) => check.warning(
            "spiffeBundleUrl",
            "pem is written beside it, which goes before",
            "write an item for each",
        ),
        (false, false) => check.warning("", "no roots are named", "write pem or spiffeBundleUrl"),
        _ => {}
    }
    let url = roots.spiffe_bundle_url.as_deref().unwrap_or_default();
    if url.split_once("://").is_some_and(|(scheme, _)| scheme != "https") {
        let message = format!("{url:?} is not read over TLS, and not fetched");
        check.warning("spiffeBundleUrl", message, "write an address that begins with https://");
    }
}

fn traffic(check: &mut Check, mesh: &MeshConfig) {
    check.some("localityLbSetting", mesh.locality_lb_setting.as_ref(), localities);
    check.some("zoneAwareLbSetting", mesh.zone_aware_lb_setting.as_ref(), zones);
    check.each("serviceSettings", &mesh.service_settings, |check, settings| {
        check.each("hosts", &settings.hosts, |check, host| {
            if !is_wildcard_fqdn(host) {
                check.error("", format!("{host:?} is no host name"), "write a host name, perhaps after *.");
            }
        });
    });
    check.some("defaultTrafficPolicy", mesh.default_traffic_policy.as_ref(), |check, policy| {
        check.some("connectionPool", policy.connection_pool.as_ref(), connection_pool);
        check.some("outlierDetection", policy.outlier_detection.as_ref(), outlier_detection);
    });
    check.some("defaultHttpRetryPolicy", mesh.default_http_retry_policy.as_ref(), retries);
    let inbound = mesh.default_inbound_http_retry_policy.as_ref();
    check.some("defaultInboundHttpRetryPolicy", inbound, |check, policy| {
        retries(check, policy);
        if policy.attempts == 0 && policy.backoff.is_some() {
            check.error("backoff", "0 attempts turn retries off", "write the number of attempts");
        }
    });
}

fn network(check: &mut Check, network: &Network) {
    check.each("endpoints", &network.endpoints, |check, of| match (&of.from_cidr, &of.from_registry) {
        (Some(range), _) if !is_cidr(range) => {
            check.error("fromCidr", format!("{range:?} is no range of addresses"), "write ADDRESS/LENGTH");
        }
        (None, Some(registry)) if registry.is_empty() => {
            check.error("fromRegistry", "the cluster has no name", "write the name of a cluster");
        }
        (None, None) => check.error("", "nothing is named", "write fromCidr or fromRegistry"),
        _ => {}
    });
    check.each("gateways", &network.gateways, |check, gateway| {
        match (&gateway.registry_service_name, &gateway.address) {
            (Some(host), _) if !is_fqdn(host) => {
                check.error("registryServiceName", format!("{host:?} is no host name"), "write a host name");
            }
            (None, None) => check.error("", "nothing is named", "write registryServiceName or address"),
            _ => {}
        }
        port(check, "port", gateway.port);
    });
}

/// Tells the ranges and clusters of a network that another has too: they never count.
fn overlaps(check: &mut Check, networks: &MeshNetworks) {
    let all = networks.networks.iter().flat_map(|(name, network)| {
        network.endpoints.iter().enumerate().map(move |(at, endpoints)| (name, at, endpoints))
    });
    let all: Vec<_> = all.collect();
    let range = |e: &NetworkEndpoints| e.from_cidr.as_deref()?.parse::<IpNet>().ok();
    for (name, at, own) in &all {
        let others = || all.iter().filter(|(other, ..)| other != name);
        let mut tell = |field: &str, message: String, hint: &str| {
            check.at(format_args!("networks[{name}].endpoints[{at}]"), |c| c.warning(field, message, hint));
        };
        if let Some(inner) = range(own) {
            let wider = |(other, _, e): &&(&String, usize, &NetworkEndpoints)| {
                range(e)
                    .is_some_and(|net| net.contains(&inner) && (net.trunc() != inner.trunc() || other < name))
            };
            if let Some((winner, _, e)) =
                others().filter(wider).min_by_key(|(_, _, e)| range(e).map(|net| net.prefix_len()))
            {
                let outer = e.from_cidr.as_deref().unwrap_or_default();
                let message =
                    format!("{inner} lies in {outer} of network {winner}, which all of it counts as");
                tell("fromCidr", message, "give networks ranges that do not overlap");
            }
        } else if let Some(cluster) = &own.from_registry
            && let Some((winner, ..)) =
                others().find(|(other, _, e)| e.from_registry.as_ref() == Some(cluster) && other < name)
        {
            let message =
                format!("cluster {cluster} is of network {winner} already, and counts as of that one");
            tell("fromRegistry", message, "name the cluster in one network only");
        }
    }
}

/// A trust domain: labels with dots between them.
fn trust_domain(check: &mut Check, field: &str, name: &str) {
    let labels = name.strip_suffix('.').unwrap_or(name);
    if !labels.split('.').all(is_label) {
        let hint = "write a name such as cluster.local";
        check.error(field, format!("{name:?} is no trust domain"), hint);
    }
}

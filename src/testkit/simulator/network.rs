//! The network filters of a chain, up to the one that ends it.

use anyhow::{Context, Result, bail};
use envoy::config::core::v3::DataSource;
use envoy::config::core::v3::data_source::Specifier;
use envoy::config::core::v3::substitution_format_string::Format;
use envoy::config::listener::v3::FilterChain;
use envoy::config::listener::v3::filter::ConfigType;
use envoy::extensions::filters::common::set_filter_state::v3::FilterStateValue;
use envoy::extensions::filters::common::set_filter_state::v3::filter_state_value::{Key, Value};
use envoy::extensions::filters::network::redis_proxy::v3::RedisProxy;
use envoy::extensions::filters::network::set_filter_state;
use envoy::extensions::filters::network::sni_dynamic_forward_proxy::v3::{FilterConfig, filter_config};
use envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{ClusterSpecifier, TunnelingConfig};
use envoy::google::protobuf::Any;
use envoy::{type_name, unpack_any};

use super::authz::facts::Facts;
use super::authz::{self, Said};
use super::cluster::{self, Bound, Nowhere};
use super::downstream::Content;
use super::resources::Resources;
use super::{Call, Chance, Forwarded, Outcome, http, known, limits};

const STATE: &str = "envoy.extensions.filters.network.set_filter_state.v3.Config";
/// The state that takes the place of what a cluster announces.
const PROTOCOLS: &str = "envoy.network.application_protocols";
const TCP_USED: &[&str] = &["cluster", "weighted_clusters", "hash_policy", "tunneling_config"];
const TCP_INERT: &[&str] = &[
    "stat_prefix",
    "idle_timeout",
    "access_log",
    "max_downstream_connection_duration",
    "max_connect_attempts",
    "access_log_options",
];

/// What the filters make of the connection.
pub(super) fn run(
    resources: &Resources,
    chain: &FilterChain,
    call: &Call,
    content: &Content,
) -> Result<Vec<Chance>> {
    let mut bound = Bound { call, request: None, sni_port: None, announced: None };
    let announced = announced(chain)?;
    bound.announced = announced.as_deref();
    let mut facts = Facts::of_connection(call, content);
    for filter in &chain.filters {
        let Some(ConfigType::TypedConfig(config)) = &filter.config_type else {
            bail!("filter {} has no configuration", filter.name);
        };
        match type_name(&config.type_url) {
            // It only counts.
            "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy" => {}
            // Read before.
            STATE => {}
            "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig" => {
                bound.sni_port = sni_port(config)?;
            }
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => {
                return tcp(resources, bound, &unpack_any(config)?).context("TCP proxy");
            }
            "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy" => {
                let cluster = redis(&unpack_any(config)?).context("Redis proxy")?;
                return Ok(vec![forward(resources, bound, &cluster, 1.0, &Forwarded::default())?]);
            }
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" => {
                return http::run(resources, &unpack_any(config)?, call, content)
                    .context("HTTP connection manager");
            }
            unknown => match authorized(unknown, config, &mut facts).context(filter.name.clone())? {
                Said::Nothing => {}
                Said::Refused(..) => {
                    let why = format!("refused by {}", filter.name);
                    return Ok(vec![Chance::of_connection(Outcome::Closed(why))]);
                }
            },
        }
    }
    bail!("no filter ends the chain")
}

/// What a filter says that decides who may connect.
fn authorized(name: &str, config: &Any, facts: &mut Facts<'_>) -> Result<Said> {
    match name {
        "envoy.extensions.filters.network.rbac.v3.RBAC" => authz::network_rbac(&unpack_any(config)?, facts),
        "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz" => {
            authz::network_authorizer(&unpack_any(config)?, facts)
        }
        unknown => bail!("the simulator does not know {unknown}"),
    }
}

/// What connections of the chain announce instead of what their cluster says.
fn announced(chain: &FilterChain) -> Result<Option<String>> {
    let mut announced = None;
    for filter in &chain.filters {
        let Some(ConfigType::TypedConfig(config)) = &filter.config_type else { continue };
        if type_name(&config.type_url) != STATE {
            continue;
        }
        let config: set_filter_state::v3::Config = unpack_any(config)?;
        known::only(&config, &["on_new_connection"], &[])?;
        for state in &config.on_new_connection {
            known::only(state, &["object_key", "format_string"], &[])?;
            announced = Some(protocols(state).context("a state that is not known")?);
        }
    }
    Ok(announced)
}

fn protocols(state: &FilterStateValue) -> Option<String> {
    let (Some(Key::ObjectKey(key)), Some(Value::FormatString(value))) = (&state.key, &state.value) else {
        return None;
    };
    match &value.format {
        Some(Format::TextFormatSource(DataSource {
            specifier: Some(Specifier::InlineString(text)), ..
        })) if key == PROTOCOLS => Some(text.clone()),
        _ => None,
    }
}

fn sni_port(config: &Any) -> Result<Option<u16>> {
    let config: FilterConfig = unpack_any(config)?;
    known::only(&config, &["port_value"], &["dns_cache_config"])?;
    Ok(match config.port_specifier {
        Some(filter_config::PortSpecifier::PortValue(port)) => Some(u16::try_from(port)?),
        None => Some(443),
    })
}

fn redis(proxy: &RedisProxy) -> Result<String> {
    known::only(proxy, &["prefix_routes"], &["stat_prefix", "settings", "latency_in_micros"])?;
    let routes = proxy.prefix_routes.clone().unwrap_or_default();
    known::only(&routes, &["catch_all_route"], &[])?;
    Ok(routes.catch_all_route.context("no route")?.cluster)
}

fn tcp(resources: &Resources, bound: Bound<'_>, proxy: &TcpProxy) -> Result<Vec<Chance>> {
    known::only(proxy, TCP_USED, TCP_INERT)?;
    let tunnel = proxy.tunneling_config.as_ref().map(tunnel).transpose()?;
    let hashed_by = proxy.hash_policy.iter().map(|_| "source address".to_owned()).collect();
    let how = Forwarded { tunnel, hashed_by, ..Forwarded::default() };
    match &proxy.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => Ok(vec![forward(resources, bound, name, 1.0, &how)?]),
        Some(ClusterSpecifier::WeightedClusters(several)) => {
            let total: f64 = several.clusters.iter().map(|c| f64::from(c.weight)).sum();
            let taken = several.clusters.iter().filter(|c| c.weight > 0);
            taken
                .map(|c| {
                    known::only(c, &["name", "weight"], &[])?;
                    forward(resources, bound, &c.name, f64::from(c.weight) / total, &how)
                })
                .collect()
        }
        None => bail!("no cluster"),
    }
}

fn tunnel(config: &TunnelingConfig) -> Result<String> {
    known::only(config, &["hostname", "use_post"], &[])?;
    Ok(format!("{}{}", if config.use_post { "(as POST) " } else { "" }, config.hostname))
}

fn forward(
    resources: &Resources,
    bound: Bound<'_>,
    cluster: &str,
    share: f64,
    how: &Forwarded,
) -> Result<Chance> {
    let outcome = match cluster::upstreams(resources, cluster, bound)? {
        Ok(upstreams) => {
            let limits = limits::of(resources, cluster)?;
            let cluster = cluster.to_owned();
            Outcome::Forwarded(Box::new(Forwarded { cluster, upstreams, limits, ..how.clone() }))
        }
        Err(Nowhere::Unknown) => Outcome::Closed(format!("no cluster {cluster}")),
        Err(Nowhere::NoHealthyUpstream) => Outcome::Closed(format!("{cluster} has no healthy endpoint")),
    };
    Ok(Chance { share, ..Chance::of_connection(outcome) })
}

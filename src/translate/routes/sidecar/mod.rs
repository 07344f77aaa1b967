//! The route configurations of sidecars: one for each name that an outbound listener may ask for.
//!
//! Source: Istio `pilot/pkg/networking/core/httproute.go`; `shared/spec/xds.md` 5.1, 5.2.

mod configuration;
mod contested;
mod hosts;
mod replan;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use api::istio::HttpRetry;
use model::mesh::MESH;
use model::protocol::Protocol;
use model::service::Service;
use model::{ProxyKind, Ref};

use self::configuration::Configuration;
use self::hosts::Rules;
use self::table::Table;
use super::virtual_host::VirtualHostKey;
use super::{RouteKey, catch_all};
use super::{hash_policy, http};
use crate::context::Context;
use crate::key::Key;
use crate::scope::EgressListener;

pub use replan::replan;

/// What all route configurations of a class have in common.
#[derive(Clone, Debug)]
struct Common<'a> {
    context: &'a Context<'a>,
    /// The mesh's retry policy.
    retries: Option<Ref<HttpRetry>>,
    /// Whether requests tell how often they were tried.
    attempt_count: bool,
    /// Whether full names stand with a trailing dot as well.
    absolute: bool,
    /// Whether any DestinationRule of the mesh hashes: if not, none needs to be looked for.
    hashing: bool,
    catch_all: Ref<VirtualHostKey>,
    /// What `gateways` of a match may name.
    gateways: BTreeSet<Arc<str>>,
    /// The services that destinations may name, by host; never iterated.
    services: HashMap<&'a str, &'a Ref<Service>>,
}

/// One egress listener.
struct Egress<'a> {
    table: Table<'a>,
    rules: Rules<'a>,
}

impl<'a> Common<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        let settings = context.settings();
        let headers = context.view.proxy_config.proxy_headers.as_ref();
        let disabled = headers.and_then(|h| h.attempt_count.as_ref()).and_then(|a| a.disabled);
        let attempt_count = disabled != Some(true);
        Self {
            context,
            retries: settings.mesh.default_http_retry_policy.clone().map(Ref::new),
            attempt_count,
            absolute: settings.features.absolute_fqdn_domain,
            hashing: context.mesh.destination_rules.all().any(|r| hash_policy::hashes(&r.rule.spec)),
            catch_all: Ref::new(VirtualHostKey::CatchAll(catch_all::plan(context, attempt_count))),
            gateways: BTreeSet::from([Arc::from(MESH)]),
            services: destinations(context),
        }
    }

    /// The listener of a port, or of all ports if it is 0, as rules see it.
    fn listener(&self, port: u16) -> http::Listener<'_> {
        http::Listener {
            context: self.context,
            port,
            gateways: &self.gateways,
            tls: false,
            services: self,
            only_port: false,
            hashing: self.hashing,
            retries: self.retries.as_ref(),
        }
    }
}

impl http::Services for Common<'_> {
    fn service(&self, host: &str, _namespace: &str) -> Option<&Ref<Service>> {
        self.services.get(host).copied()
    }
}

/// The services of the scope by host, if any VirtualService may ask for them.
fn destinations<'a>(context: &Context<'a>) -> HashMap<&'a str, &'a Ref<Service>> {
    if context.scope.egress.iter().all(|e| e.virtual_services.is_empty()) {
        return HashMap::new();
    }
    let mut services = HashMap::with_capacity(context.scope.services.len());
    for scoped in &context.scope.services {
        services.entry(&*scoped.service.host).or_insert(&scoped.service);
    }
    services
}

/// Which ports of its services a listener serves, and the name of the configuration that it asks for.
enum Serves {
    /// Each port of its services, each by a configuration of its own.
    EachPort,
    /// One port.
    Port(u16),
    /// All ports of its services by one configuration of this name.
    AllPorts(Arc<str>),
}

impl Serves {
    fn of(context: &Context<'_>, listener: &EgressListener) -> Self {
        let declared = listener.index.and_then(|i| context.scope.sidecar.as_ref()?.spec.egress.get(i));
        let Some((declared, port)) = declared.and_then(|d| Some((d, d.port.as_ref()?))) else {
            return Self::EachPort;
        };
        match u16::try_from(port.number) {
            Ok(number @ 1..) if !declared.bind.starts_with("unix://") => {
                if Protocol::of_declared(&port.protocol) == Protocol::HttpProxy {
                    Self::AllPorts(number.to_string().into())
                } else {
                    Self::Port(number)
                }
            }
            _ => Self::AllPorts(declared.bind.as_str().into()),
        }
    }
}

/// Plans the route configurations of a class, one for each name that its listeners ask for.
pub fn plan(context: &Context<'_>) -> Vec<(Arc<str>, Key)> {
    if context.view.kind != ProxyKind::Sidecar {
        return Vec::new();
    }
    let common = Common::new(context);
    let mut planned = Vec::new();
    let mut claimed = BTreeSet::new();
    for listener in &context.scope.egress {
        let table = Table::new(context, listener);
        let egress = Egress { rules: Rules::new(&listener.virtual_services, &table), table };
        match Serves::of(context, listener) {
            Serves::Port(port) => {
                if claimed.insert(port) {
                    let configuration = Configuration::of_port(&common, &egress, port);
                    planned.extend(alone(&configuration));
                    planned.push(whole(&common, port.to_string().into(), configuration));
                }
            }
            Serves::AllPorts(name) => {
                planned.push(whole(&common, name, Configuration::of_all_ports(&common, &egress)));
            }
            Serves::EachPort => {
                for port in egress.table.ports().filter(|p| !claimed.contains(p)) {
                    let configuration = Configuration::of_port(&common, &egress, port);
                    planned.extend(alone(&configuration));
                    if egress.table.asked_by_number(port) {
                        planned.push(whole(&common, port.to_string().into(), configuration));
                    }
                }
                if http_proxy(context) {
                    let configuration = Configuration::of_all_ports(&common, &egress);
                    planned.push(whole(&common, "http_proxy".into(), configuration));
                }
                // What comes after a listener for every port is never asked.
                break;
            }
        }
    }
    planned
}

/// Whether the class has a listener for an HTTP forward proxy.
fn http_proxy(context: &Context<'_>) -> bool {
    match context.view.http_proxy_port {
        Some(port) => port != 0,
        None => context.settings().mesh.proxy_http_port > 0,
    }
}

/// A configuration of all its virtual hosts.
fn whole(common: &Common<'_>, name: Arc<str>, configuration: Configuration<'_>) -> (Arc<str>, Key) {
    let mut virtual_hosts = configuration.into_virtual_hosts();
    virtual_hosts.push(common.catch_all.clone());
    let key = RouteKey { name: Arc::clone(&name), virtual_hosts };
    (name, Key::Route(Ref::new(key)))
}

/// The configurations of services whose protocol is told by inspection: each asks for a name of its own.
fn alone<'c>(configuration: &'c Configuration<'_>) -> impl Iterator<Item = (Arc<str>, Key)> + 'c {
    configuration.inspected().map(|(service, port, host)| {
        let name: Arc<str> = format!("{}:{port}", service.host).into();
        let key = RouteKey { name: Arc::clone(&name), virtual_hosts: vec![host] };
        (name, Key::Route(Ref::new(key)))
    })
}

//! The route configurations of sidecars: one for each name that an outbound listener may ask for.
//!
//! Source: Istio `pilot/pkg/networking/core/httproute.go`; `shared/spec/xds.md` 5.1, 5.2.

mod base;
mod configuration;
mod contested;
mod hosts;
mod outline;
mod replan;
mod table;
mod touched;

use std::collections::BTreeSet;
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

pub use base::Base;
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
}

/// One egress listener.
#[derive(Debug)]
struct Egress {
    table: Table,
    rules: Rules,
}

impl Egress {
    fn new(context: &Context<'_>, listener: &EgressListener) -> Self {
        let table = Table::new(context, listener);
        Self { rules: Rules::new(&listener.virtual_services, &table), table }
    }
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
            http3: false,
        }
    }
}

impl http::Services for Common<'_> {
    fn service(&self, host: &str, _namespace: &str) -> Option<&Ref<Service>> {
        Some(&self.context.scope.service(host)?.service)
    }
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
        let egress = Egress::new(context, listener);
        match Serves::of(context, listener) {
            Serves::Port(port) => {
                if claimed.insert(port) {
                    let configuration = Configuration::of(&common, &egress, Some(port), None);
                    let name = Some(port.to_string().into());
                    planned.extend(named_routes(&common, name, Some(port), configuration));
                }
            }
            Serves::AllPorts(name) => {
                let configuration = Configuration::of(&common, &egress, None, None);
                planned.extend(named_routes(&common, Some(name), None, configuration));
            }
            Serves::EachPort => {
                let ports = egress.table.ports().filter(|p| !claimed.contains(p)).map(Some);
                for port in ports.chain(http_proxy(context).then_some(None)) {
                    let configuration = Configuration::of(&common, &egress, port, None);
                    planned.extend(named_routes(&common, name_of(&egress.table, port), port, configuration));
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

/// The name of the configuration of a port, if a listener asks for it; or of that of all ports, which is for an HTTP
/// forward proxy.
fn name_of(table: &Table, port: Option<u16>) -> Option<Arc<str>> {
    match port {
        Some(port) => table.asked_by_number(port).then(|| port.to_string().into()),
        None => Some("http_proxy".into()),
    }
}

/// A configuration with all its virtual hosts under a name, and those of services of its port that have one alone.
fn named_routes(
    common: &Common<'_>,
    name: Option<Arc<str>>,
    port: Option<u16>,
    configuration: Configuration<'_>,
) -> Vec<(Arc<str>, Key)> {
    let mut named: Vec<_> = port.into_iter().flat_map(|_| alone(&configuration)).collect();
    named.extend(name.map(|name| whole(common, name, configuration)));
    named
}

/// A configuration of all its virtual hosts.
fn whole(common: &Common<'_>, name: Arc<str>, configuration: Configuration<'_>) -> (Arc<str>, Key) {
    let hosts = configuration.into_virtual_hosts().into_iter().map(|(_, host)| host);
    let virtual_hosts = hosts.chain([common.catch_all.clone()]).collect();
    let key = RouteKey { name: Arc::clone(&name), virtual_hosts };
    (name, Key::Route(Ref::new(key)))
}

/// The configurations of services whose protocol is told by inspection: each asks for a name of its own.
fn alone<'c>(configuration: &'c Configuration<'_>) -> impl Iterator<Item = (Arc<str>, Key)> + 'c {
    configuration.inspected().map(|(service, port, host)| {
        let name = base::alone_name(&service.host, port);
        let key = RouteKey { name: Arc::clone(&name), virtual_hosts: vec![host] };
        (name, Key::Route(Ref::new(key)))
    })
}

//! Virtual hosts: a name, domains, and the routes of requests for them.

use std::sync::Arc;

use api::ObjectRef;
use envoy::config::route::v3::VirtualHost;
use envoy::config::route::v3::virtual_host::TlsRequirementType;
use model::Ref;
use model::service::Service;

use super::catch_all::{self, CatchAll};
use super::default_route::{self, DefaultRoute};
use super::domains::{self, PortForm, ServiceHost};
use super::http::{self, RuleSet};
use super::session::Session;
use crate::gateways::GatewayHost;
use crate::output::Built;

/// All that a virtual host is built from. Each is encoded once, whatever configurations hold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VirtualHostKey {
    /// Of a host that somebody defines.
    Hosted(Hosted),
    /// Of all other hosts.
    CatchAll(CatchAll),
    /// Of hosts of a gateway.
    Gateway(GatewayHost),
}

/// A host and its routes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hosted {
    /// The host.
    pub host: Host,
    /// Its routes.
    pub routes: Routes,
    /// Whether requests tell how often they were tried.
    pub attempt_count: bool,
    /// Whether plain HTTP is redirected to HTTPS.
    pub https_only: bool,
    /// The sessions of its service.
    pub session: Option<Session>,
}

/// What gives a virtual host its name and its domains.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A service.
    Service(ServiceHost),
    /// A service that has the configuration for itself: its domain is `*`.
    Alone(Ref<Service>, u16),
    /// A name.
    Named(NamedHost),
}

/// A host that no service stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedHost {
    /// The host; with the port it is the name of the virtual host.
    pub host: Arc<str>,
    /// The port of the listener.
    pub port: u16,
    /// The domains.
    pub domains: Vec<Arc<str>>,
    /// Whether domains carry the port.
    pub form: PortForm,
}

/// The routes of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Routes {
    /// One, to the service.
    Default(DefaultRoute),
    /// Those of a VirtualService.
    Rules(Ref<RuleSet>),
}

impl Host {
    fn name(&self) -> Arc<str> {
        match self {
            Self::Service(host) => format!("{}:{}", host.service.host, host.port),
            Self::Alone(service, port) => format!("{}:{port}", service.host),
            Self::Named(host) => format!("{}:{}", host.host, host.port),
        }
        .into()
    }

    fn domains(&self) -> Vec<String> {
        match self {
            Self::Service(host) => host.domains(),
            Self::Alone(..) => vec!["*".to_owned()],
            Self::Named(host) => {
                let bracketed = host.domains.iter().map(|d| domains::bracketed(d));
                bracketed.flat_map(|d| domains::with_port(d, host.port, host.form)).collect()
            }
        }
    }

    fn sources(&self) -> Vec<ObjectRef> {
        match self {
            Self::Service(host) => vec![host.service.source.clone()],
            Self::Alone(service, _) => vec![service.source.clone()],
            Self::Named(_) => Vec::new(),
        }
    }
}

impl VirtualHostKey {
    /// The name of the virtual host.
    pub fn name(&self) -> Arc<str> {
        match self {
            Self::Hosted(hosted) => hosted.host.name(),
            Self::CatchAll(_) => Arc::from("*"),
            Self::Gateway(host) => host.name(),
        }
    }

    /// The hosts whose requests it takes, as Envoy writes them.
    pub fn domains(&self) -> Vec<String> {
        match self {
            Self::Hosted(hosted) => hosted.host.domains(),
            Self::CatchAll(_) => vec!["*".to_owned()],
            Self::Gateway(host) => host.domains.clone(),
        }
    }

    /// Whether it sends requests to what nobody defines.
    pub fn dangles(&self) -> bool {
        match self {
            Self::Hosted(Hosted { routes: Routes::Rules(rules), .. }) => rules.dangles(),
            Self::Hosted(_) | Self::CatchAll(_) => false,
            Self::Gateway(host) => host.rules.iter().any(|rules| rules.dangles()),
        }
    }

    /// The objects that its name and domains come from.
    pub fn sources(&self) -> Vec<ObjectRef> {
        match self {
            Self::Hosted(hosted) => hosted.host.sources(),
            Self::CatchAll(_) => Vec::new(),
            Self::Gateway(host) => host.sources(),
        }
    }
}

/// Builds one virtual host.
pub fn build(key: &VirtualHostKey) -> Built<VirtualHost> {
    match key {
        VirtualHostKey::Hosted(hosted) => build_hosted(hosted),
        VirtualHostKey::CatchAll(catch_all) => catch_all::build(catch_all),
        VirtualHostKey::Gateway(host) => host.build(),
    }
}

fn build_hosted(key: &Hosted) -> Built<VirtualHost> {
    let mut sources = key.host.sources();
    let routes = match &key.routes {
        Routes::Default(route) => {
            let hashing = route.hashing.iter().flat_map(|h| h.from.iter().cloned());
            Built::new(vec![default_route::build(route)], hashing.collect())
        }
        Routes::Rules(rules) => http::build(rules),
    };
    sources.extend(routes.sources);
    let require_tls = if key.https_only { TlsRequirementType::All } else { TlsRequirementType::None };
    let message = VirtualHost {
        name: key.host.name().to_string(),
        domains: key.host.domains(),
        routes: routes.message,
        require_tls: require_tls.into(),
        include_request_attempt_count: key.attempt_count,
        typed_per_filter_config: key.session.iter().map(Session::filter).collect(),
        ..VirtualHost::default()
    };
    Built { message, sources, problems: routes.problems }
}

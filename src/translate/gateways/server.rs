//! One server of a Gateway, on one port of a router.

use std::sync::Arc;

use api::istio::{Gateway, ServerTlsMode, ServerTlsSettings};
use api::{Problem, Severity};
use model::protocol::Protocol;
use model::{Config, Ref};

use super::hosts::ServedHost;

/// What a server carries, and who ends TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Plain HTTP.
    Http,
    /// HTTP in TLS that ends here.
    Https,
    /// Bytes.
    Tcp,
    /// Bytes in TLS that ends here.
    Tls,
    /// TLS that is passed on by name, as VirtualServices say.
    Passthrough,
    /// TLS that is passed on to the service that the name spells.
    AutoPassthrough,
}

/// A server as a router opens it.
#[derive(Clone, Debug)]
pub(crate) struct Server<'a> {
    /// The Gateway.
    pub(crate) gateway: &'a Ref<Config<Gateway>>,
    /// `<namespace>/<name>` of the Gateway, as VirtualServices name it.
    pub(crate) gateway_name: Arc<str>,
    /// Its place among the servers of the Gateway.
    pub(crate) index: usize,
    /// What the Gateway says.
    pub(crate) spec: &'a api::istio::Server,
    /// The name of its port.
    pub(crate) port_name: &'a str,
    /// The port that the Gateway names.
    pub(crate) number: u16,
    /// The port that the router listens on.
    pub(crate) listening: u16,
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// Its hosts.
    pub(crate) hosts: Vec<ServedHost>,
    /// Whether it is opened for HTTP/3 as well, on the same port over UDP.
    pub(crate) http3: bool,
}

impl Server<'_> {
    /// What it carries.
    pub(crate) fn carries(&self) -> Carries {
        match self.tls().map(|tls| tls.mode) {
            _ if self.protocol.is_http() => Carries::Http,
            None => Carries::Tcp,
            Some(ServerTlsMode::Passthrough) => Carries::Passthrough,
            Some(ServerTlsMode::AutoPassthrough) => Carries::AutoPassthrough,
            Some(_) if self.protocol == Protocol::Https => Carries::Https,
            Some(_) => Carries::Tls,
        }
    }

    /// Its TLS settings; on a server of plain HTTP they only hold the redirect.
    pub(crate) fn tls(&self) -> Option<&ServerTlsSettings> {
        self.spec.tls.as_ref()
    }

    /// Whether requests over plain HTTP are sent to HTTPS.
    pub(crate) fn redirects(&self) -> bool {
        self.tls().is_some_and(|tls| tls.https_redirect)
    }

    /// The name of its routes; none if it carries no HTTP.
    ///
    /// Plain servers of one port share their routes; HTTPS ones have each their own, named after the port that the
    /// Gateway names and not after the one that is listened on.
    pub(crate) fn route_name(&self) -> Option<String> {
        let mut name = match self.carries() {
            Carries::Http => format!("http.{}", self.listening),
            Carries::Https => {
                let (gateway, namespace) = (self.gateway.name(), self.gateway.namespace());
                format!("https.{}.{}.{gateway}.{namespace}", self.number, self.port_name)
            }
            _ => return None,
        };
        if !self.spec.bind.is_empty() {
            name.push('.');
            name.push_str(&self.spec.bind);
        }
        Some(name)
    }

    /// Whether the parts of a match hold that the server decides.
    pub(crate) fn fits(&self, port: u32, gateways: &[String]) -> bool {
        (port == 0 || port == u32::from(self.number))
            && (gateways.is_empty() || gateways.iter().any(|name| *name == *self.gateway_name))
    }

    /// Something wrong with it.
    pub(crate) fn problem(&self, field: &str, message: String, hint: &str) -> Problem {
        Problem {
            severity: Severity::Error,
            object: self.gateway.source.key.clone(),
            field: format!("spec.servers[{}]{field}", self.index),
            message,
            hint: hint.to_owned(),
        }
    }
}

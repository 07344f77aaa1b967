//! The servers of several Gateways put together: which share a listener, which routes they share, which clash.
//!
//! A server that clashes with an older one is left out whole and its owner is told. Servers on different addresses
//! never clash. Source: `shared/spec/xds.md` 4.8.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use api::Problem;
use model::protocol::Protocol;

use super::hosts::ServedHost;
use super::quic;
use super::select::Selected;
use super::server::{Carries, Server};

/// One listener's servers.
#[derive(Clone, Debug)]
pub(crate) struct Listening<'a> {
    /// The port.
    pub(crate) port: u16,
    /// The address; empty for all.
    pub(crate) bind: &'a str,
    /// The servers: those of one protocol together, the protocols in the order of their first server.
    pub(crate) servers: Vec<Arc<Server<'a>>>,
}

/// The servers of a router.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merged<'a> {
    /// By listener, in the order of the first server.
    pub(crate) listeners: Vec<Listening<'a>>,
    /// By the name of their routes.
    pub(crate) routes: BTreeMap<String, Vec<Arc<Server<'a>>>>,
    /// Servers that were left out.
    pub(crate) problems: Vec<Problem>,
}

/// Puts the servers of Gateways together, oldest Gateway first; `any` is the address that an empty `bind` stands for,
/// `http3` whether servers may be opened for HTTP/3.
pub(super) fn merge<'a>(gateways: &[Selected<'a, '_>], any: &'a str, http3: bool) -> Merged<'a> {
    let mut merger = Merger { any, ..Merger::default() };
    for selected in gateways {
        let gateway = selected.gateway;
        let gateway_name: Arc<str> = format!("{}/{}", gateway.namespace(), gateway.name()).into();
        for (index, spec) in gateway.spec.servers.iter().enumerate() {
            let port = spec.port.as_ref();
            let number = port.and_then(|p| u16::try_from(p.number).ok());
            let hosts = spec.hosts.iter().map(|h| ServedHost::parse(h, gateway.namespace())).collect();
            let server = Server {
                gateway,
                gateway_name: Arc::clone(&gateway_name),
                index,
                spec,
                port_name: port.map_or("", |p| p.name.as_str()),
                number: number.unwrap_or_default(),
                listening: 0,
                protocol: Protocol::of_declared(port.map_or("", |p| p.protocol.as_str())),
                hosts,
                http3: false,
            };
            if let Some(problem) = unusable(&server) {
                merger.merged.problems.push(problem);
                continue;
            }
            for listening in selected.listening(server.number) {
                let mut server = Server { listening, ..server.clone() };
                let mirrored = if http3 { quic::mirrored(&server, selected.targets) } else { Ok(false) };
                server.http3 = *mirrored.as_ref().unwrap_or(&false);
                if merger.add(server) {
                    merger.merged.problems.extend(mirrored.err());
                }
            }
        }
    }
    merger.merged
}

/// Why nothing can listen for a server.
fn unusable(server: &Server<'_>) -> Option<Problem> {
    if server.number == 0 {
        let message = "the server has no valid port and is left out".to_owned();
        return Some(server.problem(".port", message, "set port.number to 1-65535"));
    }
    let bind = &server.spec.bind;
    if bind.is_empty() || bind.starts_with("unix://") || bind.parse::<IpAddr>().is_ok() {
        return None;
    }
    let message = format!("{bind:?} is no IP address; the server is left out");
    Some(server.problem(".bind", message, "set bind to an IP address or unix:///PATH, or remove it"))
}

#[derive(Default)]
struct Merger<'a> {
    merged: Merged<'a>,
    any: &'a str,
    /// Where the servers of a port and address (empty for all addresses) are among the listeners.
    places: BTreeMap<(u16, &'a str), usize>,
    /// Hosts that are taken by servers with TLS settings.
    taken: BTreeMap<(u16, &'a str, ServedHost), Arc<str>>,
}

impl<'a> Merger<'a> {
    /// Opens a server; whether that could be done.
    fn add(&mut self, server: Server<'a>) -> bool {
        if let Some(problem) = self.clash(&server) {
            self.merged.problems.push(problem);
            return false;
        }
        let (port, bind) = (server.listening, server.spec.bind.as_str());
        let place = self.place(bind);
        if server.tls().is_some() {
            let name = &server.gateway_name;
            let hosts = server.hosts.iter().map(|h| ((port, place, h.clone()), Arc::clone(name)));
            self.taken.extend(hosts);
        }
        let server = Arc::new(server);
        if let Some(name) = server.route_name() {
            self.merged.routes.entry(name).or_default().push(Arc::clone(&server));
        }
        let listeners = &mut self.merged.listeners;
        let place = *self.places.entry((port, place)).or_insert_with(|| {
            listeners.push(Listening { port, bind, servers: Vec::new() });
            listeners.len().saturating_sub(1)
        });
        if let Some(listener) = listeners.get_mut(place) {
            let last = listener.servers.iter().rposition(|s| s.protocol == server.protocol);
            let at = last.map_or(listener.servers.len(), |at| at.saturating_add(1));
            listener.servers.insert(at, server);
        }
        true
    }

    /// Why a server cannot be opened beside those that are there.
    fn clash(&self, server: &Server<'a>) -> Option<Problem> {
        let (port, bind) = (server.listening, server.spec.bind.as_str());
        if server.tls().is_some() {
            let place = self.place(bind);
            let taken = |h: &ServedHost| Some((h.clone(), self.taken.get(&(port, place, h.clone()))?));
            if let Some((host, by)) = server.hosts.iter().find_map(taken) {
                let message = format!(
                    "host {:?} on port {port} belongs to an older server with TLS, of Gateway {by}; the whole server is left out",
                    host.host
                );
                return Some(server.problem(".hosts", message, "remove the host from one of the servers"));
            }
        }
        // Plain servers of one listener share its only chain and its routes, which the bind names.
        let plain = |s: &Server<'a>| matches!(s.carries(), Carries::Http | Carries::Tcp);
        let otherwise = |s: &&Arc<Server<'a>>| s.spec.bind != *bind && plain(s) && plain(server);
        if let Some(first) = self.servers(port, bind).iter().find(otherwise) {
            let message = format!(
                "port {port} of all addresses is open already (server {} of {}); the server is left out",
                first.index, first.gateway_name
            );
            return Some(server.problem(".bind", message, "write bind as that server does"));
        }
        // What is plain may come after servers with TLS, but nothing else than more plain HTTP after it.
        let there = self.servers(port, bind).iter().find(|s| plain(s));
        let apart =
            there.filter(|first| (first.carries(), server.carries()) != (Carries::Http, Carries::Http));
        if let Some(first) = apart {
            let message = format!(
                "port {port} is already open for another protocol (server {} of {}); the server is left out",
                first.index, first.gateway_name
            );
            return Some(server.problem(".port", message, "use another port or another bind address"));
        }
        let name = server.route_name().filter(|_| server.carries() == Carries::Https)?;
        self.merged.routes.contains_key(&name).then(|| {
            let message = format!("an HTTPS server named {:?} exists on the port", server.port_name);
            server.problem(
                ".port.name",
                message,
                "give each HTTPS server of a Gateway a port name of its own",
            )
        })
    }

    /// The address in the form in which listeners are told apart.
    fn place<'s>(&self, bind: &'s str) -> &'s str {
        if bind == self.any { "" } else { bind }
    }

    fn servers(&self, port: u16, bind: &str) -> &[Arc<Server<'a>>] {
        let place = self.places.get(&(port, self.place(bind))).and_then(|at| self.merged.listeners.get(*at));
        place.map_or(&[], |listener| &listener.servers)
    }
}

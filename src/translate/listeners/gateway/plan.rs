//! Plans the listeners of a gateway: the chains of each server in order.

use std::sync::Arc;

use api::Problem;
use api::istio::ServerTlsSettings;
use model::protocol::Protocol;
use model::{Ref, hostname};

use super::Planned;
use super::chain::{Content, GatewayChain};
use super::forward::{Forwarder, Forwarding};
use super::key::GatewayKey;
use super::taken::{Claimant, Taken};
use crate::authz::Policies;
use crate::class::OwnView;
use crate::clusters::outbound::subsets;
use crate::context::Context;
use crate::gateways::hosts;
use crate::gateways::merge::{Listening, Merged};
use crate::gateways::rules::Bindings;
use crate::gateways::server::{Carries, Server};
use crate::jwt::{self, Jwt};
use crate::key::Key;
use crate::listeners::ListenerKey;
use crate::listeners::outbound::{OutboundDefaults, Wildcard};
use crate::tls::server::{ServerTls, Transport};

/// The first port that needs no privileges.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// Plans the listeners. What is wrong with servers is told by the listener of their port; comes with the plan for those
/// that have none.
pub(super) fn listeners(
    bindings: &Bindings<'_>,
    view: &OwnView,
    merged: &Merged<'_>,
) -> (Planned, Vec<Problem>) {
    let context = bindings.context;
    let defaults = Ref::new(OutboundDefaults::of(context));
    let jwt = jwt::plan(context.mesh, view, true);
    let authz = Ref::new(Policies::of(context.mesh, view));
    let mut keys = Vec::new();
    let mut problems = merged.problems.clone();
    for listening in &merged.listeners {
        if view.shared.unprivileged && listening.port < FIRST_UNPRIVILEGED {
            problems.extend(listening.servers.iter().map(|s| no_right(s, listening.port)));
            continue;
        }
        let mut planner = Planner {
            context,
            bindings,
            view,
            listening,
            defaults: &defaults,
            jwt: jwt.as_ref(),
            authz: &authz,
            taken: Taken::default(),
            chains: Vec::new(),
            http3: Vec::new(),
            plain: None,
            problems: Vec::new(),
        };
        for server in &listening.servers {
            planner.server(server);
        }
        if planner.chains.is_empty() {
            problems.append(&mut planner.problems);
        } else {
            keys.extend(planner.keys());
        }
    }
    let entry = |key: GatewayKey| {
        let name: Arc<str> = key.name().into();
        (name, Key::Listener(Ref::new(ListenerKey::Gateway(key))))
    };
    (keys.into_iter().map(entry).collect(), problems)
}

fn claimant(server: &Server<'_>) -> Claimant {
    let object = server.gateway.source.key.clone();
    Claimant { object, field: format!("spec.servers[{}].hosts", server.index) }
}

fn no_right(server: &Server<'_>, port: u16) -> Problem {
    let message = format!("a router without privileges cannot open port {port}; the server is left out");
    server.problem(".port", message, "map the port to a target port of 1024 or above")
}

/// The chains of one listener.
struct Planner<'a> {
    context: &'a Context<'a>,
    bindings: &'a Bindings<'a>,
    view: &'a OwnView,
    listening: &'a Listening<'a>,
    defaults: &'a Ref<OutboundDefaults>,
    jwt: Option<&'a Ref<Jwt>>,
    authz: &'a Ref<Policies>,
    taken: Taken,
    chains: Vec<GatewayChain>,
    /// Those of them that there are for HTTP/3 as well.
    http3: Vec<GatewayChain>,
    /// The chain of the plain HTTP servers.
    plain: Option<usize>,
    problems: Vec<Problem>,
}

impl<'a> Planner<'a> {
    fn server(&mut self, server: &'a Server<'a>) {
        match server.carries() {
            // All plain HTTP servers of a listener share one chain and its routes.
            Carries::Http => match self.plain.and_then(|at| self.chains.get_mut(at)) {
                Some(chain) => chain.sources.push(server.gateway.source.clone()),
                None => self.plain_http(server),
            },
            Carries::Https => self.http(server),
            Carries::Tcp | Carries::Tls => self.tcp(server),
            Carries::Passthrough => self.passthrough(server),
            Carries::AutoPassthrough => self.auto_passthrough(server),
        }
    }

    fn plain_http(&mut self, server: &Server<'_>) {
        let before = self.chains.len();
        self.http(server);
        self.plain = (self.chains.len() > before).then_some(before);
    }

    fn http(&mut self, server: &Server<'_>) {
        let Some(name) = server.route_name() else { return };
        let https = server.carries() == Carries::Https;
        let content = Content::Http {
            routes: name.into(),
            stat_prefix: if https { server.spec.name.clone() } else { String::new() },
            grpc_web: server.protocol == Protocol::GrpcWeb,
        };
        self.terminated(server, content, vec![server.gateway.source.clone()]);
    }

    /// The first route for TCP of the VirtualServices whose hosts meet the server's; none leaves the server closed.
    fn tcp(&mut self, server: &Server<'_>) {
        let forwarder = self.forwarder(server);
        for rule in self.bindings.to(&server.gateway_name) {
            let spec = &rule.config.spec;
            if !hosts::meets(&server.hosts, &spec.hosts, rule.config.namespace()) {
                continue;
            }
            let matching = spec.tcp.iter().find(|tcp| {
                tcp.r#match.is_empty() || tcp.r#match.iter().any(|m| server.fits(m.port, &m.gateways))
            });
            if let Some(tcp) = matching {
                let Some(Forwarding { forward, mut sources }) = forwarder.routed(&rule.config, &tcp.route)
                else {
                    break;
                };
                sources.push(server.gateway.source.clone());
                self.terminated(server, Content::Tcp(Box::new(forward)), sources);
                return;
            }
        }
        let message =
            format!("no TCP route of a VirtualService fits port {}; it is not opened", server.number);
        self.problems.push(server.problem(
            "",
            message,
            "bind a VirtualService with a tcp route to the Gateway",
        ));
    }

    /// A chain for the hosts of a server, where TLS ends if the server has any.
    fn terminated(&mut self, server: &Server<'_>, content: Content, sources: Vec<api::ObjectRef>) {
        let carries = server.carries();
        let ends = matches!(carries, Carries::Https | Carries::Tls);
        let settings = server.tls().filter(|_| ends);
        let names = if ends { hosts::server_names(&server.hosts) } else { Vec::new() };
        let claimant = claimant(server);
        if let Some(server_names) = self.taken.claim(&claimant, &mut self.problems, &names) {
            let tls = settings.map(|settings| self.tls(server, settings));
            let inspected = !server_names.is_empty() || tls.is_some();
            let chain = GatewayChain { server_names, inspected, mesh_only: false, tls, content, sources };
            self.http3.extend(server.http3.then(|| chain.clone()));
            self.chains.push(chain);
        }
    }

    fn tls(&self, server: &Server<'_>, settings: &ServerTlsSettings) -> ServerTls {
        ServerTls {
            settings: Box::new(settings.clone()),
            defaults: self.context.settings().mesh.tls_defaults.clone(),
            compliance: self.context.settings().features.compliance,
            tcp: server.carries() == Carries::Tls,
            workload: self.view.tls_server.clone(),
            secret_servers: self.view.shared.secret_servers,
            at: (server.gateway.source.key.clone(), format!("spec.servers[{}]", server.index)),
        }
    }

    /// A chain for each match of the TLS routes whose names are still free.
    fn passthrough(&mut self, server: &Server<'_>) {
        let forwarder = self.forwarder(server);
        for rule in self.bindings.to(&server.gateway_name) {
            let spec = &rule.config.spec;
            if !hosts::meets(&server.hosts, &spec.hosts, rule.config.namespace()) {
                continue;
            }
            for (index, tls) in spec.tls.iter().enumerate() {
                let matches = tls.r#match.iter().enumerate();
                for (at, matched) in matches.filter(|(_, m)| server.fits(m.port, &m.gateways)) {
                    let claimant = Claimant {
                        object: rule.config.source.key.clone(),
                        field: format!("spec.tls[{index}].match[{at}].sniHosts"),
                    };
                    let mut names = matched.sni_hosts.iter();
                    if let Some((name, by)) = names.find_map(|name| Some((name, self.taken.by(name)?))) {
                        let message = format!(
                            "SNI host {name:?} is that of {by} on port {} already; the match is left out",
                            self.listening.port
                        );
                        self.problems.push(claimant.problem(message, "name each SNI host of a port once"));
                        continue;
                    }
                    let Some(Forwarding { forward, mut sources }) =
                        forwarder.routed(&rule.config, &tls.route)
                    else {
                        continue;
                    };
                    let any = matched.sni_hosts.iter().any(|name| name == "*");
                    let names = if any { &[][..] } else { &matched.sni_hosts };
                    let Some(server_names) = self.taken.claim(&claimant, &mut self.problems, names) else {
                        continue;
                    };
                    sources.push(server.gateway.source.clone());
                    let content = Content::Tcp(Box::new(forward));
                    self.chains.push(GatewayChain {
                        server_names,
                        inspected: !matched.sni_hosts.is_empty(),
                        mesh_only: false,
                        tls: None,
                        content,
                        sources,
                    });
                }
            }
        }
    }

    /// A chain for each port, and each subset of it, of the services of the mesh that the server's hosts cover.
    ///
    /// Only mesh mTLS comes in: what is behind is known to ask for certificates.
    fn auto_passthrough(&mut self, server: &Server<'_>) {
        let forwarder = self.forwarder(server);
        let covers = |host: &str| server.hosts.iter().any(|h| hostname::subset_of(host, &h.host));
        let services = self.context.scope.services.iter();
        for scoped in services.filter(|s| !s.service.mesh_external && covers(&s.service.host)) {
            let service = &scoped.service;
            let rule = self.context.rule(service);
            for port in scoped.ports().filter(|p| p.protocol != Protocol::Udp) {
                for subset in std::iter::once("").chain(subsets(rule)) {
                    let (name, Forwarding { forward, mut sources }) =
                        forwarder.spelt(service, port, subset, rule);
                    // Another server of the port that covers the host leads to the same cluster.
                    if self.taken.by(&name).is_some() {
                        continue;
                    }
                    let claimed = self.taken.claim(&claimant(server), &mut self.problems, &[name]);
                    let Some(server_names) = claimed else { continue };
                    sources.push(server.gateway.source.clone());
                    self.chains.push(GatewayChain {
                        server_names,
                        inspected: true,
                        mesh_only: true,
                        tls: None,
                        content: Content::Tcp(Box::new(forward)),
                        sources,
                    });
                }
            }
        }
    }

    fn forwarder<'s>(&self, server: &'s Server<'s>) -> Forwarder<'s>
    where
        'a: 's,
    {
        Forwarder { context: self.context, server, defaults: self.defaults }
    }

    /// The listener, and the one for HTTP/3 beside it.
    fn keys(self) -> impl Iterator<Item = GatewayKey> {
        let wildcard = Wildcard::of(self.view.shared.families);
        let dual = self.context.settings().features.dual_stack;
        let (address, additional) = match self.listening.bind {
            "" => (Arc::clone(&wildcard.any), if dual { wildcard.any_extra.clone() } else { Vec::new() }),
            bind => (Arc::from(bind), Vec::new()),
        };
        let http = self.chains.iter().any(GatewayChain::is_http);
        let topology = self.view.shared.proxy_config.gateway_topology.as_ref();
        let key = GatewayKey {
            address,
            additional,
            port: self.listening.port,
            transport: Transport::Tcp,
            chains: self.chains,
            proxy_protocol: topology.is_some_and(|t| t.proxy_protocol.is_some()),
            jwt: self.jwt.filter(|_| http).cloned(),
            authz: self.authz.clone(),
            defaults: self.defaults.clone(),
            problems: self.problems,
        };
        let quic = (!self.http3.is_empty()).then(|| GatewayKey {
            transport: Transport::Quic,
            chains: self.http3,
            proxy_protocol: false,
            problems: Vec::new(),
            ..key.clone()
        });
        std::iter::once(key).chain(quic)
    }
}

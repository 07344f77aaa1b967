//! A call from proxy to proxy, up to the app.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::simulator::{
    Answer, Authorizer, Call, ClientTls, Forwarded, HeaderEdit, Outcome, Reply, Request, Says, Tls, Upstream,
    simulate,
};

use super::{Oracle, Snapshot, address};
use crate::pod::Pod;
use crate::services::Services;

/// More proxies than any call passes.
const LONGEST: usize = 6;

/// Where a call may end.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// At a proxy that closes it, after so many others that forwarded it.
    Closed {
        /// Whether a proxy before it answers in its place.
        answered: bool,
        /// Why.
        why: String,
    },
    /// At a proxy that answers it, with the changes of the proxies before it.
    Reply(Reply, Vec<HeaderEdit>),
    /// At an app.
    App(Box<AtApp>),
    /// At an address that is no pod's.
    Elsewhere(String),
}

/// What an app is to see.
#[derive(Clone, Debug)]
pub(super) struct AtApp {
    /// The pod.
    pub(super) pod: Pod,
    /// Where the connection arrives.
    pub(super) to: SocketAddr,
    /// The request; none where it is not HTTP to the last proxy.
    pub(super) request: Option<Request>,
    /// Whether the pod's sidecar took it over mutual TLS; none without a sidecar that sees HTTP.
    pub(super) mutual: Option<bool>,
    /// TLS that the app itself ends.
    pub(super) tls: Option<ClientTls>,
    /// What is done to the answer's headers, in order.
    pub(super) response: Vec<HeaderEdit>,
    /// The shortest limit for an answer on the way.
    pub(super) timeout: Option<Duration>,
    /// Whether a proxy on the way may refuse what is one too many.
    pub(super) limited: bool,
    /// Whether some proxy stands between.
    pub(super) proxied: bool,
}

/// All ends, and the configurations that led there.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    pub(super) ends: Vec<End>,
    pub(super) used: Vec<Snapshot>,
}

/// What a call has on its way.
#[derive(Clone, Debug, Default)]
struct Luggage {
    passed: usize,
    response: Vec<HeaderEdit>,
    timeout: Option<Duration>,
    limited: bool,
    /// A proxy that speaks HTTP stands before: it answers where the way ends.
    answered: bool,
    mutual: Option<bool>,
}

/// Walks from the pod at `from`.
pub(super) fn walk(oracle: &Oracle, services: &Services, from: Ipv4Addr, call: &Call) -> Result<Walk> {
    let mut walker = Walker { oracle, services, walk: Walk::default() };
    let call = Call { source: SocketAddr::new(from.into(), call.source.port()), ..call.clone() };
    match oracle.pod(from.into()) {
        Some(pod) if pod.redirected() => {
            walker.proxy(&pod, Call { arrives: outbound(call.wanted), ..call }, Luggage::default())?
        }
        // A port that the sidecar has opened for its app.
        Some(pod) if call.wanted.ip().is_loopback() => walker.proxy(&pod, call, Luggage::default())?,
        _ => walker.connect(call, Luggage::default())?,
    }
    Ok(walker.walk)
}

/// Where a sidecar takes what its app sends.
fn outbound(wanted: SocketAddr) -> SocketAddr {
    Call::outbound(wanted, Says::Bytes(Vec::new())).arrives
}

struct Walker<'a> {
    oracle: &'a Oracle,
    services: &'a Services,
    walk: Walk,
}

impl Walker<'_> {
    /// A connection on the bridge between the pods.
    fn connect(&mut self, call: Call, luggage: Luggage) -> Result<()> {
        let wanted = call.wanted;
        if let Some(targets) = self.services.targets(wanted) {
            if targets.is_empty() {
                self.end(End::Elsewhere(format!("{wanted} has no pod")));
            }
            return targets
                .into_iter()
                .try_for_each(|to| self.connect(Call { wanted: to, ..call.clone() }, luggage.clone()));
        }
        let Some(pod) = self.oracle.pod(wanted.ip()) else {
            self.end(End::Elsewhere(format!("{wanted} is no pod's")));
            return Ok(());
        };
        if pod.redirected() {
            let inbound = Call::inbound(wanted, call.says.clone()).arrives;
            return self.proxy(&pod, Call { arrives: inbound, ..call }, luggage);
        }
        if pod.bound() {
            return self.proxy(&pod, Call { arrives: wanted, ..call }, luggage);
        }
        self.app(pod, &call, luggage);
        Ok(())
    }

    fn app(&mut self, pod: Pod, call: &Call, luggage: Luggage) {
        let request = match &call.says {
            Says::Http(request) => Some(request.clone()),
            Says::Bytes(_) => None,
        };
        self.end(End::App(Box::new(AtApp {
            pod,
            to: call.wanted,
            request,
            mutual: luggage.mutual,
            tls: call.tls.clone(),
            response: luggage.response,
            timeout: luggage.timeout,
            limited: luggage.limited,
            proxied: luggage.passed > 0,
        })));
    }

    fn proxy(&mut self, pod: &Pod, call: Call, luggage: Luggage) -> Result<()> {
        if luggage.passed > LONGEST {
            bail!("the call goes in a circle: {call:?}");
        }
        let snapshot = pod.envoy()?.snapshot()?;
        let place = || format!("at the proxy of {}.{}", pod.name(), pod.namespace());
        // What an external authorizer will say is not told by what proxies are sent.
        let mut answers: Vec<Answer> = Vec::new();
        for authorizer in [Authorizer::Allows, Authorizer::Denies(403), Authorizer::Away] {
            let call = Call { authorizer, ..call.clone() };
            let answer = simulate(&snapshot.resources, &call).with_context(place)?;
            if !answers.contains(&answer) {
                answers.push(answer);
            }
        }
        self.walk.used.push(snapshot);
        answers.into_iter().try_for_each(|answer| self.answered(pod, &call, answer, &luggage))
    }

    fn answered(&mut self, pod: &Pod, call: &Call, answer: Answer, luggage: &Luggage) -> Result<()> {
        let place = || format!("at the proxy of {}.{}", pod.name(), pod.namespace());
        if answer.listener.is_empty() && pod.bound() && pod.listens(call.wanted.port()) {
            self.app(pod.clone(), call, luggage.clone());
            return Ok(());
        }
        for chance in answer.chances {
            match chance.outcome {
                Outcome::Closed(why) => {
                    self.end(End::Closed { answered: luggage.answered, why: format!("{}: {why}", place()) });
                }
                Outcome::Replied(reply) => self.end(End::Reply(reply, luggage.response.clone())),
                Outcome::Forwarded(forwarded) => {
                    for upstream in &forwarded.upstreams {
                        let next = next(pod, call, answer.tls_ends, &forwarded, upstream);
                        let luggage = luggage.with(call, answer.tls_ends, &forwarded);
                        self.forward(pod, call, next, upstream, luggage)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The connection of a proxy to an endpoint.
    fn forward(&mut self, pod: &Pod, call: &Call, next: Call, to: &Upstream, luggage: Luggage) -> Result<()> {
        let Some(wanted) = self.resolve(&to.address) else {
            self.end(End::Elsewhere(to.address.clone()));
            return Ok(());
        };
        let next = Call { wanted, arrives: wanted, source: SocketAddr::new(pod.ip().into(), 40_000), ..next };
        if to.proxy_protocol.is_some() {
            self.end(End::Elsewhere(format!("{wanted} by the PROXY protocol")));
            return Ok(());
        }
        // What came in goes to the app: it is not redirected again.
        let inbound = call.arrives.ip() == IpAddr::V4(pod.ip());
        let own = wanted.ip() == IpAddr::V4(pod.ip()) && pod.redirected();
        if inbound && (own || wanted.ip().is_loopback()) {
            self.app(pod.clone(), &next, luggage);
            return Ok(());
        }
        self.connect(next, Luggage { mutual: None, ..luggage })
    }

    fn resolve(&self, text: &str) -> Option<SocketAddr> {
        address(text).or_else(|| {
            let (host, port) = text.rsplit_once(':')?;
            Some(SocketAddr::new(self.services.resolve(host, "").ok()?, port.parse().ok()?))
        })
    }

    fn end(&mut self, end: End) {
        self.walk.ends.push(end);
    }
}

impl Luggage {
    fn with(&self, call: &Call, tls_ends: bool, forwarded: &Forwarded) -> Self {
        let http = forwarded.request.is_some();
        let shown = call.tls.as_ref().is_some_and(|tls| tls.certificate.is_some());
        // What stands nearer to the app changes an answer first.
        let response = forwarded.response.iter().chain(&self.response).cloned().collect();
        Self {
            passed: self.passed + 1,
            response,
            timeout: [self.timeout, forwarded.timeout].into_iter().flatten().min(),
            limited: self.limited || forwarded.limits.refuse(),
            answered: self.answered || http,
            mutual: http.then_some(tls_ends && shown),
        }
    }
}

/// The call as it leaves a proxy.
fn next(pod: &Pod, call: &Call, tls_ends: bool, forwarded: &Forwarded, to: &Upstream) -> Call {
    let tls = match &to.tls {
        // TLS that did not end goes on.
        Tls::Plaintext => call.tls.clone().filter(|_| !tls_ends),
        Tls::Tls { mutual, sni, alpn, .. } => Some(ClientTls {
            sni: Some(sni.clone()).filter(|sni| !sni.is_empty()),
            alpn: alpn.clone(),
            certificate: mutual.then(|| vec![pod.identity()]),
        }),
    };
    let says = forwarded.request.clone().map_or_else(|| call.says.clone(), Says::Http);
    Call { tls, says, quic: to.quic, ..call.clone() }
}

//! The answer to a call, and how it is written in one line.

use std::fmt;
use std::time::Duration;

use super::call::Request;
use super::limits::Limits;

/// Where a call goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Name of the listener that takes it.
    pub listener: String,
    /// Name of the filter chain; most have none.
    pub chain: String,
    /// TLS of the client's ends here.
    pub tls_ends: bool,
    /// What becomes of it; several where shares decide. The shares sum up to 1.
    pub chances: Vec<Chance>,
}

/// One of the things that may become of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Chance {
    /// Its share of equal calls, 0 to 1.
    pub share: f64,
    /// Name of the virtual host; empty for what is not HTTP.
    pub virtual_host: String,
    /// Name of the route.
    pub route: String,
    /// What becomes of the call.
    pub outcome: Outcome,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The connection is closed without an answer, for this reason.
    Closed(String),
    /// The proxy answers by itself.
    Replied(Reply),
    /// It is forwarded.
    Forwarded(Box<Forwarded>),
}

/// An answer of the proxy's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers that the configuration asks for.
    pub headers: Vec<(String, String)>,
    /// The body, where the configuration gives one.
    pub body: String,
}

/// A call on its way to an endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forwarded {
    /// Name of the cluster.
    pub cluster: String,
    /// Where it may arrive.
    pub upstreams: Vec<Upstream>,
    /// The request as it arrives there; none for what is not HTTP.
    pub request: Option<Request>,
    /// What is done to the headers of the answer, in order.
    pub response: Vec<HeaderEdit>,
    /// The longest time for an answer; none for no limit.
    pub timeout: Option<Duration>,
    /// What is tried again, and how often.
    pub retries: Option<(String, u32)>,
    /// How long it waits before it is sent on: a fault.
    pub delay: Option<Duration>,
    /// Clusters that get a copy, and the share of requests that is copied.
    pub mirrors: Vec<(String, f64)>,
    /// What chooses among the endpoints, where that is not the balancer alone.
    pub hashed_by: Vec<String>,
    /// Where an HTTP proxy is asked to connect to, if the connection goes through one.
    pub tunnel: Option<String>,
    /// How much the cluster takes at once.
    pub limits: Limits,
}

/// An endpoint that a call may arrive at.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// `IP:PORT`, `HOST:PORT` where a name is resolved, or the path of a socket.
    pub address: String,
    /// Its share of the cluster's calls.
    pub share: f64,
    /// How the connection is secured.
    pub tls: Tls,
    /// The connection is one of QUIC.
    pub quic: bool,
    /// The connection begins with a header of the PROXY protocol, of this version.
    pub proxy_protocol: Option<u8>,
}

/// How a connection to an endpoint is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It is not.
    Plaintext,
    /// TLS.
    Tls {
        /// The proxy shows a certificate of its own.
        mutual: bool,
        /// Server name that is asked for; empty for none.
        sni: String,
        /// Application protocols that are offered.
        alpn: Vec<String>,
        /// Names of which the server's certificate must have one; empty for any.
        names: Vec<String>,
    },
}

/// A change of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// The header is taken away.
    Remove(String),
    /// A value is added to those that are there.
    Append(String, String),
    /// The value is set unless one is there.
    AddIfAbsent(String, String),
    /// The value replaces all others.
    Set(String, String),
    /// The value replaces those that are there, if any.
    Overwrite(String, String),
}

impl Answer {
    pub(super) fn of_connection(listener: &str, chain: &str, outcome: Outcome) -> Self {
        let (listener, chain) = (listener.to_owned(), chain.to_owned());
        Self { listener, chain, tls_ends: false, chances: vec![Chance::of_connection(outcome)] }
    }

    /// The only thing that may become of the call; none if shares decide.
    #[must_use]
    pub fn only(&self) -> Option<&Outcome> {
        match self.chances.as_slice() {
            [only] => Some(&only.outcome),
            _ => None,
        }
    }
}

impl Chance {
    pub(super) fn of_connection(outcome: Outcome) -> Self {
        Self { share: 1.0, virtual_host: String::new(), route: String::new(), outcome }
    }
}

impl HeaderEdit {
    /// Applies it to a list of headers, names in lower case.
    pub fn apply(&self, headers: &mut Vec<(String, String)>) {
        let has = |headers: &[(String, String)], name: &str| headers.iter().any(|(n, _)| n == name);
        let replace = |headers: &mut Vec<(String, String)>, name: &str, value: &str| {
            headers.retain(|(n, _)| n != name);
            headers.push((name.to_owned(), value.to_owned()));
        };
        match self {
            Self::Remove(name) => headers.retain(|(n, _)| n != name),
            Self::Append(name, value) => headers.push((name.clone(), value.clone())),
            Self::AddIfAbsent(name, _) if has(headers, name) => {}
            Self::AddIfAbsent(name, value) => headers.push((name.clone(), value.clone())),
            Self::Set(name, value) => replace(headers, name, value),
            Self::Overwrite(name, value) if has(headers, name) => replace(headers, name, value),
            Self::Overwrite(..) => {}
        }
    }
}

/// `LISTENER: ` and its chances, separated by ` | `.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.listener)?;
        separated(f, &self.chances, " | ")
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        share(f, self.share)?;
        if !self.virtual_host.is_empty() {
            write!(f, "{} > ", self.virtual_host)?;
        }
        if !self.route.is_empty() {
            write!(f, "{} > ", self.route)?;
        }
        match &self.outcome {
            Outcome::Closed(why) => write!(f, "closed, {why}"),
            Outcome::Replied(reply) => write!(f, "{reply}"),
            Outcome::Forwarded(forwarded) => write!(f, "{forwarded}"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        headers(f, &self.headers)?;
        if self.body.is_empty() { Ok(()) } else { write!(f, " {:?}", self.body) }
    }
}

impl fmt::Display for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Request { method, authority, path, headers: all, .. }) = &self.request {
            write!(f, "{method} {authority}{path}")?;
            headers(f, all)?;
            write!(f, " to ")?;
        }
        write!(f, "{}", self.cluster)?;
        if let Some(tunnel) = &self.tunnel {
            write!(f, " by CONNECT {tunnel}")?;
        }
        write!(f, " at ")?;
        separated(f, &self.upstreams, ", ")?;
        for edit in &self.response {
            write!(f, "; answer: {edit}")?;
        }
        if let Some(delay) = self.delay {
            write!(f, "; after {delay:?}")?;
        }
        if let Some(timeout) = self.timeout {
            write!(f, "; within {timeout:?}")?;
        }
        if let Some((on, times)) = &self.retries {
            write!(f, "; {times} retries on {on}")?;
        }
        for (cluster, of) in &self.mirrors {
            write!(f, "; copy of {}% to {cluster}", of * 100.0)?;
        }
        self.hashed_by.iter().try_for_each(|by| write!(f, "; by {by}"))?;
        write!(f, "{}", self.limits)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        share(f, self.share)?;
        write!(f, "{} ", self.address)?;
        if let Some(version) = self.proxy_protocol {
            write!(f, "PROXY v{version} ")?;
        }
        write!(f, "{}{}", if self.quic { "QUIC " } else { "" }, self.tls)
    }
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Tls { mutual, sni, alpn, names } = self else { return write!(f, "plaintext") };
        write!(f, "{}({sni}", if *mutual { "mTLS" } else { "TLS" })?;
        if !alpn.is_empty() {
            write!(f, " {}", alpn.join(","))?;
        }
        if !names.is_empty() {
            write!(f, " of {}", names.join(" or "))?;
        }
        write!(f, ")")
    }
}

impl fmt::Display for HeaderEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove(name) => write!(f, "-{name}"),
            Self::Append(name, value) => write!(f, "+{name}: {value}"),
            Self::AddIfAbsent(name, value) => write!(f, "?{name}: {value}"),
            Self::Set(name, value) | Self::Overwrite(name, value) => write!(f, "{name}: {value}"),
        }
    }
}

/// Nothing for all of it.
fn share(f: &mut fmt::Formatter<'_>, share: f64) -> fmt::Result {
    if share >= 1.0 { Ok(()) } else { write!(f, "{}% ", (share * 1000.0).round() / 10.0) }
}

fn headers(f: &mut fmt::Formatter<'_>, headers: &[(String, String)]) -> fmt::Result {
    if headers.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    write!(f, " [{}]", lines.join("; "))
}

fn separated(f: &mut fmt::Formatter<'_>, parts: &[impl fmt::Display], by: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            write!(f, "{by}")?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}

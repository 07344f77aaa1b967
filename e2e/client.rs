//! The client side of a test pod: single requests, TCP conversations and steady load from inside its namespace.

pub(crate) mod load;
pub(crate) mod tcp;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use testkit::simulator;

use crate::echo::Seen;
use crate::netns::Netns;
use crate::oracle::{Came, Oracle};
use crate::redirect::{APP_MARK, Owner};
use crate::services::Services;
use crate::tls::{self, Identity};
use crate::world::World;

/// A pod as a place from which connections are made.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) netns: Arc<Netns>,
    pub(crate) namespace: String,
    pub(crate) owner: Owner,
    pub(crate) services: Arc<Services>,
    pub(crate) oracle: Arc<Oracle>,
    /// The pod's address; none outside of pods.
    pub(crate) ip: Option<Ipv4Addr>,
}

impl Caller {
    /// The world outside of all pods.
    pub(crate) fn of_the_world(world: &World) -> Result<Self> {
        Ok(Self {
            netns: Arc::new(Netns::of_the_world()?),
            namespace: "istio-system".to_owned(),
            owner: world.owner(),
            services: Arc::clone(world.services()),
            oracle: Arc::clone(world.oracle()),
            ip: None,
        })
    }

    /// The mark that the app's sockets must carry.
    fn mark(&self) -> Option<u32> {
        (self.owner == Owner::Mark).then_some(APP_MARK)
    }

    /// The address behind `host:port`, as the cluster's DNS would answer in this pod.
    fn resolve(&self, authority: &str, default_port: u16) -> Result<SocketAddr> {
        if let Ok(address) = authority.parse() {
            return Ok(address);
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().with_context(|| format!("port of {authority}"))?),
            None => (authority, default_port),
        };
        Ok(SocketAddr::new(self.services.resolve(host, &self.namespace)?, port))
    }
}

/// One HTTP request in the making.
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    caller: Caller,
    method: Method,
    url: String,
    host: Option<String>,
    through: Option<SocketAddr>,
    headers: Vec<(String, String)>,
    body: Bytes,
    http2: bool,
    trust: Option<String>,
    identity: Option<Identity>,
    timeout: Duration,
}

/// The answer to a [`Call`].
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Trailers, if any came.
    pub trailers: Option<HeaderMap>,
}

impl Call {
    pub(crate) fn new(caller: Caller, method: Method, url: &str) -> Self {
        Self {
            caller,
            method,
            url: url.to_owned(),
            host: None,
            through: None,
            headers: Vec::new(),
            body: Bytes::new(),
            http2: false,
            trust: None,
            identity: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// Adds a request header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends this Host (or `:authority`) instead of the URL's.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Asks the HTTP proxy at this address for it (RFC 9112, 3.2.2), as clients do for which `HTTP_PROXY` is set.
    pub fn through(mut self, proxy: SocketAddr) -> Self {
        self.through = Some(proxy);
        self
    }

    /// Sends a body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Trusts this root (PEM) for `https://`.
    pub fn trust(mut self, root: &str) -> Self {
        self.trust = Some(root.to_owned());
        self
    }

    /// Shows this certificate to a server that asks for one.
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Speaks HTTP/2, with prior knowledge or by ALPN.
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Gives up after this time instead of 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Frames the body as one gRPC message and speaks HTTP/2.
    pub(crate) fn framed_as_grpc(self) -> Self {
        let mut frame = BytesMut::with_capacity(self.body.len() + 5);
        frame.put_u8(0);
        frame.put_u32(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        frame.put_slice(&self.body);
        self.body(frame.freeze()).http2().header("content-type", "application/grpc").header("te", "trailers")
    }

    /// Sends the request on a new connection and waits for the whole answer.
    ///
    /// An error means that there was no answer (refused, reset, timed out); any status is an answer.
    pub fn send(&self) -> Result<Answer> {
        let prepared = self.prepare()?;
        let foretold = self
            .caller
            .ip
            .and_then(|ip| self.caller.oracle.foretell(&self.caller.services, ip, self.simulated(&prepared)));
        let outcome = self.exchange(prepared)?;
        if let Some(foretold) = foretold {
            foretold.judge(&self.came(&outcome)).with_context(|| format!("{} {}", self.method, self.url))?;
        }
        outcome
    }

    /// The answer, or why there is none.
    fn exchange(&self, prepared: wire::Prepared) -> Result<Result<Answer>> {
        let url = self.url.clone();
        self.caller.netns.run(async move {
            let exchange = async { wire::Connection::open(&prepared).await?.exchange(&prepared).await };
            match tokio::time::timeout(prepared.timeout, exchange).await {
                Ok(answer) => answer.with_context(|| format!("call {url} at {}", prepared.target)),
                Err(_) => bail!("no answer from {url} at {} within {:?}", prepared.target, prepared.timeout),
            }
        })
    }

    /// The call as the simulator is asked of it.
    fn simulated(&self, prepared: &wire::Prepared) -> simulator::Call {
        let uri = prepared.head.uri();
        let host = prepared.head.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = uri.authority().map(http::uri::Authority::as_str).or(host).unwrap_or_default();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = simulator::Request {
            method: self.method.to_string(),
            version: if self.http2 { simulator::Version::Http2 } else { simulator::Version::Http11 },
            ..simulator::Request::get(authority, path)
        };
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let call = simulator::Call::direct(prepared.target, request);
        match &prepared.tls {
            None => call,
            Some(tls) => call.over(simulator::ClientTls {
                certificate: self.identity.as_ref().map(|_| Vec::new()),
                alpn: vec![if self.http2 { "h2" } else { "http/1.1" }.to_owned()],
                ..simulator::ClientTls::of(&tls.name.to_str())
            }),
        }
    }

    fn came(&self, outcome: &Result<Answer>) -> Came {
        match outcome {
            Ok(answer) => Came::Answer {
                answer: answer.clone().into(),
                sent: self.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect(),
            },
            Err(error) => Came::Nothing(format!("{error:#}")),
        }
    }

    /// Resolves the name and builds the head, once for any number of sendings.
    fn prepare(&self) -> Result<wire::Prepared> {
        let uri: Uri = self.url.parse().with_context(|| format!("URL {}", self.url))?;
        let authority = uri.authority().with_context(|| format!("{} names no host", self.url))?;
        let (default_port, tls) = match uri.scheme_str() {
            Some("http") => (80, None),
            Some("https") => (443, Some(self.tls(authority.host())?)),
            _ => bail!("{}: only http:// and https:// are spoken", self.url),
        };
        let target = match self.through {
            Some(proxy) => proxy,
            None => self.caller.resolve(authority.as_str(), default_port)?,
        };
        let host = self.host.clone().unwrap_or_else(|| authority.to_string());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut head = http::Request::new(());
        *head.method_mut() = self.method.clone();
        if self.http2 {
            *head.version_mut() = Version::HTTP_2;
            let scheme = uri.scheme_str().unwrap_or("http");
            *head.uri_mut() = format!("{scheme}://{host}{path}").parse()?;
        } else {
            *head.uri_mut() = match self.through {
                Some(_) => format!("http://{host}{path}").parse()?,
                None => path.parse()?,
            };
            head.headers_mut().insert(header::HOST, host.parse()?);
        }
        for (name, value) in &self.headers {
            head.headers_mut().append(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
        }
        Ok(wire::Prepared {
            target,
            mark: self.caller.mark(),
            tls,
            head,
            body: self.body.clone(),
            http2: self.http2,
            timeout: self.timeout,
        })
    }

    fn tls(&self, host: &str) -> Result<wire::Tls> {
        let root =
            self.trust.as_ref().with_context(|| format!("{}: no root to trust was given", self.url))?;
        let alpn = if self.http2 { "h2" } else { "http/1.1" };
        let config = tls::client(root, self.identity.as_ref(), alpn)?;
        Ok(wire::Tls { connector: config.into(), name: host.to_owned().try_into()? })
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Answer {
    /// The echo app's report, also from inside a gRPC message.
    ///
    /// Fails, with the answer's text, if something else answered: a proxy's own answer, for one.
    pub fn seen(&self) -> Result<Seen> {
        let framed = self.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/grpc");
        let json = self.body.get(if framed { 5 } else { 0 }..).unwrap_or_default();
        serde_json::from_slice(json).with_context(|| format!("not the app's answer: {self:?}"))
    }

    /// Fails, with the whole answer, unless the status is `expected`.
    pub fn expect(self, expected: StatusCode) -> Result<Self> {
        if self.status != expected.as_u16() {
            bail!("expected {expected}, got {self:?}");
        }
        Ok(self)
    }

    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

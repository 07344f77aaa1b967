//! One ADS stream as the body of an HTTP/2 response.
//!
//! There is no task: the transport asks for the next piece when it can send one, and then the stream reads what the client
//! said, looks for newer sets, and makes the next response. A stream that is behind so skips to the newest sets.

mod inbound;
mod running;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future as _;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep_until};

use self::inbound::Inbound;
use self::running::{Progress, Running};
use super::backend::Connected;
use super::config::Config;
use super::mailbox::Mailbox;
use super::registrar::{Registered, Registering};
use super::request::{NOT_BUILT, Request, Wanted};
use super::service::Shared;
use super::status::Status;
use crate::generate::{NodeInfo, Peer};
use crate::protocol::Variant;

/// A stream. Dropping it disconnects the client.
pub(super) struct AdsBody {
    shared: Arc<Shared>,
    variant: Variant,
    connection: u64,
    peer: Peer,
    inbound: Inbound<Incoming>,
    phase: Phase,
}

enum Phase {
    /// Waits for its turn.
    Waiting(Pin<Box<Sleep>>),
    /// Waits for the first request.
    Opening,
    /// Waits until it is registered elsewhere.
    Registering(Box<Opened>, Registering),
    /// Waits for the engine.
    Connecting(Box<Connecting>),
    Running(Box<Running>),
    /// Has only the status left to send.
    Closing(Status),
    Closed,
}

/// What the first request said.
struct Opened {
    node: NodeInfo,
    first: Request,
}

struct Connecting {
    opened: Opened,
    registered: Option<Box<dyn Registered>>,
    mailbox: Mailbox,
    reply: oneshot::Receiver<Result<Connected, Status>>,
}

impl AdsBody {
    /// A stream that begins to read at `turn`.
    pub(super) fn new(
        shared: Arc<Shared>,
        variant: Variant,
        connection: u64,
        peer: Peer,
        turn: Duration,
        body: Incoming,
    ) -> Self {
        let Config { max_request, first_request, .. } = shared.config;
        let inbound = Inbound::new(body, variant, max_request, first_request);
        let phase = if turn > shared.clock.now() {
            Phase::Waiting(Box::pin(sleep_until(shared.clock.instant(turn))))
        } else {
            Phase::Opening
        };
        Self { shared, variant, connection, peer, inbound, phase }
    }

    /// Goes from one phase to the next; `Ready` with data or the trailers to send, `None` at the end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        loop {
            let next = match &mut self.phase {
                Phase::Waiting(turn) => {
                    std::task::ready!(turn.as_mut().poll(cx));
                    Phase::Opening
                }
                Phase::Opening => {
                    match std::task::ready!(self.inbound.poll_request(cx, &self.shared.metrics)) {
                        Some(Ok(request)) => match self.begin(request) {
                            Ok(phase) => phase,
                            Err(status) => Phase::Closing(status),
                        },
                        Some(Err(status)) => Phase::Closing(status),
                        None => Phase::Closing(Status::ok()),
                    }
                }
                Phase::Registering(_, registering) => {
                    let registered = std::task::ready!(registering.as_mut().poll(cx));
                    self.registered(registered.map_err(Status::from)).unwrap_or_else(Phase::Closing)
                }
                Phase::Connecting(connecting) => {
                    let gone = || Err(Status::unavailable("the control plane is shutting down"));
                    match std::task::ready!(Pin::new(&mut connecting.reply).poll(cx))
                        .unwrap_or_else(|_| gone())
                    {
                        Ok(connected) => self.run(connected),
                        Err(status) => Phase::Closing(status),
                    }
                }
                Phase::Running(running) => match std::task::ready!(running.poll(&mut self.inbound, cx)) {
                    Progress::Data(data) => return Poll::Ready(Some(Frame::data(data))),
                    Progress::End(status) => Phase::Closing(status),
                },
                Phase::Closing(status) => {
                    if status.code != 0 {
                        tracing::info!(peer = ?self.peer.address, code = status.code, reason = %status.message, "ADS stream ends");
                    }
                    let trailers = Frame::trailers(status.headers());
                    self.phase = Phase::Closed;
                    return Poll::Ready(Some(trailers));
                }
                Phase::Closed => return Poll::Ready(None),
            };
            self.phase = next;
        }
    }

    /// Reads the first request, which says who the client is.
    fn begin(&self, mut first: Request) -> Result<Phase, Status> {
        match Wanted::of(&first.type_url) {
            // Health may be told before anything else; it says nothing of the client.
            Wanted::Health => return Ok(Phase::Opening),
            Wanted::Ambient => return Err(Status::unimplemented(NOT_BUILT)),
            Wanted::Set(_) | Wanted::Debug | Wanted::Unknown => {}
        }
        let node = first.node.take().filter(|node| !node.id.is_empty());
        let Some(node) = node else {
            return Err(Status::invalid_argument("missing node information"));
        };
        let opened = Opened { node, first };
        let registrar = self.shared.hooks.registrar.as_ref();
        match registrar.and_then(|registrar| registrar.register(&opened.node, &self.peer)) {
            Some(registering) => Ok(Phase::Registering(Box::new(opened), registering)),
            None => self.connect(opened, None),
        }
    }

    /// Goes on when the client is registered, or will not be.
    fn registered(&mut self, registered: Result<Box<dyn Registered>, Status>) -> Result<Phase, Status> {
        let Phase::Registering(opened, _) = mem::replace(&mut self.phase, Phase::Closed) else {
            return Ok(Phase::Closed);
        };
        self.connect(*opened, Some(registered?))
    }

    /// Makes the client known to the engine.
    fn connect(&self, opened: Opened, registered: Option<Box<dyn Registered>>) -> Result<Phase, Status> {
        let mailbox = Mailbox::default();
        let reply = self.shared.backend.connect(&opened.node, &self.peer, mailbox.clone())?;
        Ok(Phase::Connecting(Box::new(Connecting { opened, registered, mailbox, reply })))
    }

    fn run(&mut self, connected: Connected) -> Phase {
        let Phase::Connecting(connecting) = mem::replace(&mut self.phase, Phase::Closed) else {
            return Phase::Closed;
        };
        let Connecting { opened: Opened { node, first }, registered, mailbox, .. } = *connecting;
        let mut running = Running::new(
            Arc::clone(&self.shared),
            self.variant,
            (self.connection, self.peer.clone()),
            node,
            mailbox,
            (connected, registered),
        );
        match running.request(first) {
            Ok(()) => Phase::Running(Box::new(running)),
            Err(status) => Phase::Closing(status),
        }
    }
}

impl http_body::Body for AdsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll(cx).map(|frame| frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }
}

/// Messages that are sent as they are, before the next response.
type Outbox = VecDeque<Bytes>;

//! A stream whose client is known: the protocol between the transport and the engine.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use api::envoy::config::core::v3::Node;
use api::envoy::google::protobuf::value::Kind;
use bytes::Bytes;
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep_until};

use super::Outbox;
use super::inbound::Inbound;
use crate::encoded::Encoded;
use crate::engine::ProxySets;
use crate::frame::{self, Writer};
use crate::generate::{NodeInfo, Peer};
use crate::kind::ResourceType;
use crate::metrics::{label, send_error_label};
use crate::protocol::{self, Event, Stream, Variant};
use crate::server::backend::{Connected, Lease};
use crate::server::clients::{Client, proxy_id};
use crate::server::debug_types::Answering;
use crate::server::doubts::Left;
use crate::server::mailbox::{Mailbox, Notice};
use crate::server::registrar::{Health, Registered};
use crate::server::request::{Body, DEBUG, NOT_BUILT, Request, Wanted};
use crate::server::service::Shared;
use crate::server::status::Status;

/// Requests read before the next response is looked for: a client that never stops asking is still answered.
const REQUESTS: usize = 64;

/// Unused lists of names are thrown out when one of so many streams ends.
const SWEEP_EVERY: u64 = 64;

/// What the stream has for the transport.
pub(super) enum Progress {
    Data(Bytes),
    End(Status),
}

/// A connected client.
pub(super) struct Running {
    shared: Arc<Shared>,
    variant: Variant,
    client: Arc<Client>,
    version: String,
    mailbox: Mailbox,
    lease: Box<dyn Lease>,
    /// Set if the client is registered elsewhere.
    registered: Option<Box<dyn Registered>>,
    /// What the client's last stream left.
    left: Left,
    outbox: Outbox,
    /// What is answered by others, with its type.
    answering: Option<(String, Answering)>,
    sending: Option<Sending>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the earliest change happened that is not sent completely.
    changed_at: Option<Duration>,
    end: Option<Status>,
}

/// A response on its way.
struct Sending {
    writer: Writer,
    kind: ResourceType,
    since: Duration,
}

impl Running {
    pub(super) fn new(
        shared: Arc<Shared>,
        variant: Variant,
        (connection, peer): (u64, Peer),
        node: NodeInfo,
        mailbox: Mailbox,
        (connected, registered): (Connected, Option<Box<dyn Registered>>),
    ) -> Self {
        let version = metadata(&node, "ISTIO_VERSION").unwrap_or("unknown").to_owned();
        shared.metrics.clients.with_label_values(&[version.as_str()]).inc();
        let proxy = connected.lease.proxy();
        let client = shared.clients.add((connection, peer), (proxy, node), mailbox.clone(), |number| {
            Stream::new(variant, format!("{number:x}"), connected.sets, &shared.names, shared.config.limits)
        });
        let left = shared.doubts.take(&client.node().id, shared.clock.now());
        tracing::info!(
            connection = client.connection_id(),
            delta = (variant == Variant::Delta),
            "ADS client connected"
        );
        Self {
            shared,
            variant,
            client,
            version,
            mailbox,
            lease: connected.lease,
            registered,
            left,
            outbox: Outbox::new(),
            answering: None,
            sending: None,
            timer: None,
            changed_at: None,
            end: None,
        }
    }

    /// The next data for the transport.
    pub(super) fn poll(&mut self, inbound: &mut Inbound<Incoming>, cx: &mut Context<'_>) -> Poll<Progress> {
        loop {
            if let Some(data) = self.next_data() {
                return Poll::Ready(Progress::Data(data));
            }
            if let Some(status) = self.end.take() {
                return Poll::Ready(Progress::End(status));
            }
            // What the client says comes before what it is told.
            let more = self.poll_answer(cx).is_ready() && self.end.is_none() && self.read(inbound, cx);
            self.take_notices(cx);
            self.make_response();
            if self.sending.is_some() || !self.outbox.is_empty() || self.end.is_some() {
                continue;
            }
            if more {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            std::task::ready!(self.poll_timer(cx));
        }
    }

    /// Takes a request.
    ///
    /// # Errors
    /// The stream must end with this status.
    pub(super) fn request(&mut self, request: Request) -> Result<(), Status> {
        match Wanted::of(&request.type_url) {
            Wanted::Set(kind) => self.protocol(kind, request.body),
            Wanted::Health => self.health(request.body),
            Wanted::Ambient => return Err(Status::unimplemented(NOT_BUILT)),
            Wanted::Debug => self.debug(&request),
            Wanted::Unknown => self.unknown(&request),
        }
        Ok(())
    }

    /// Passes on what is told of a client that is registered; of others nobody wants to know.
    fn health(&self, body: Body) {
        if let Some(registered) = &self.registered {
            registered.health(match body.into_error() {
                None => Health::Healthy,
                Some(error) => Health::Unhealthy(error.message),
            });
        }
    }

    fn protocol(&mut self, kind: ResourceType, body: Body) {
        let now = self.shared.clock.now();
        let events = {
            let mut stream = self.client.stream();
            match body {
                Body::Delta(request) => stream.delta(kind, request, now, &self.context(now)),
                Body::Sotw(request) => stream.sotw(kind, request, now),
            }
            stream.take_events()
        };
        self.report(events);
    }

    /// Answers with nothing, so that the client does not wait.
    fn unknown(&mut self, request: &Request) {
        if request.body.is_reply() {
            return;
        }
        tracing::info!(
            connection = self.client.connection_id(),
            type_url = request.named(),
            "a type that is not served is asked for"
        );
        self.outbox.push_back(frame::bare(self.variant, &request.type_url, ("", ""), &[]));
    }

    fn debug(&mut self, request: &Request) {
        match &self.shared.hooks.debug {
            None => self.unknown(request),
            Some(debug) => {
                let answering = debug.answer(&request.type_url, request.body.names(), self.client.peer());
                self.answering = Some((request.type_url.clone(), answering));
            }
        }
    }

    /// Ready when no answer of another is waited for.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((type_url, answering)) = &mut self.answering else { return Poll::Ready(()) };
        match std::task::ready!(answering.as_mut().poll(cx)) {
            Ok(answer) => {
                let head = (&*answer.version, &*answer.control_plane);
                self.outbox.push_back(frame::bare(self.variant, type_url, head, &answer.resources));
                self.shared.metrics.pushes.with_label_values(&[DEBUG]).inc();
            }
            Err(status) => self.end = Some(status),
        }
        self.answering = None;
        Poll::Ready(())
    }

    /// Reads requests; says whether there may be more.
    fn read(&mut self, inbound: &mut Inbound<Incoming>, cx: &mut Context<'_>) -> bool {
        for _ in 0..REQUESTS {
            let end = match inbound.poll_request(cx, &self.shared.metrics) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(request))) => self.request(request).err(),
                Poll::Ready(Some(Err(status))) => {
                    self.shared.metrics.internal_errors.inc();
                    Some(status)
                }
                Poll::Ready(None) => Some(Status::ok()),
            };
            if end.is_some() {
                self.end = end;
                return false;
            }
            if self.answering.is_some() {
                return true;
            }
        }
        true
    }

    fn take_notices(&mut self, cx: &Context<'_>) {
        while let Poll::Ready(notice) = self.mailbox.poll_take(cx) {
            match notice {
                Notice::Close(status) => self.end = Some(status),
                Notice::Sets(sets, since) => self.update(sets, since),
            }
        }
    }

    fn update(&mut self, sets: ProxySets, since: Duration) {
        let now = self.shared.clock.now();
        self.shared.metrics.queue_time.observe(now.saturating_sub(since).as_secs_f64());
        self.changed_at = Some(self.changed_at.map_or(since, |before| before.min(since)));
        let mut stream = self.client.stream();
        let clusters = sets.get(ResourceType::Cluster);
        let before = stream.sets().get(ResourceType::Cluster);
        if !clusters.is_same(before) {
            self.shared.recent.note(&clusters.diff(before), clusters.slots(), now);
        }
        stream.update(sets, now);
    }

    /// Asks the protocol for a response, unless one is on its way.
    fn make_response(&mut self) {
        let now = self.shared.clock.now();
        let (response, deadline, events) = {
            let mut stream = self.client.stream();
            let response = stream.next(now, &self.context(now));
            (response, stream.deadline(), stream.take_events())
        };
        self.report(events);
        let Some(response) = response else {
            if deadline.is_none()
                && let Some(since) = self.changed_at.take()
            {
                self.shared.metrics.convergence_time.observe(now.saturating_sub(since).as_secs_f64());
            }
            self.timer = deadline.map(|at| Box::pin(sleep_until(self.shared.clock.instant(at))));
            return;
        };
        let kind = response.kind;
        match Writer::new(response, &self.shared.config.control_plane) {
            Ok(writer) => {
                let writer = writer.with(&self.shared.pages);
                self.sending = Some(Sending { writer, kind, since: now });
            }
            Err(error) => {
                self.shared.metrics.internal_errors.inc();
                self.end = Some(Status::internal(format!(
                    "{kind}: {error}: give the proxy a Sidecar that imports less"
                )));
            }
        }
    }

    fn next_data(&mut self) -> Option<Bytes> {
        if let Some(sending) = &mut self.sending {
            if let Some(chunk) = sending.writer.next_chunk() {
                return Some(chunk);
            }
            let sent = self.sending.take()?;
            self.observe(&sent);
        }
        self.outbox.pop_front()
    }

    fn observe(&self, sent: &Sending) {
        let metrics = &self.shared.metrics;
        let seconds = self.shared.clock.now().saturating_sub(sent.since).as_secs_f64();
        let label = [label(sent.kind)];
        metrics.pushes.with_label_values(&label).inc();
        metrics.push_time.with_label_values(&label).observe(seconds);
        metrics.send_time.observe(seconds);
        metrics.config_size.with_label_values(&[sent.kind.type_url()]).observe(sent.writer.len() as f64);
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            None => Poll::Pending,
            Some(timer) => {
                std::task::ready!(timer.as_mut().poll(cx));
                self.timer = None;
                Poll::Ready(())
            }
        }
    }

    fn report(&self, events: Vec<Event>) {
        let (metrics, connection) = (&self.shared.metrics, self.client.connection_id());
        for event in events {
            match event {
                Event::Acked(_) => {}
                Event::Rejected(kind, rejection) => {
                    metrics.reject(kind, proxy_id(&self.client.node().id), rejection.code);
                    let (code, names) = (rejection.code, rejection.names());
                    tracing::warn!(connection, %kind, code, ?names, reason = rejection.message, "the proxy refused configuration");
                }
                Event::ExpiredNonce(kind) => {
                    metrics.expired_nonce.with_label_values(&[label(kind)]).inc();
                    tracing::debug!(connection, %kind, "a request speaks of an old response");
                }
                Event::WaitExpired(kind, step) => {
                    let step = step.as_str();
                    metrics.wait_expired.with_label_values(&[label(kind), step]).inc();
                    tracing::warn!(connection, %kind, step, "sent without the acknowledgement that it waited for");
                }
            }
        }
    }

    fn context(&self, now: Duration) -> Surroundings<'_> {
        Surroundings { shared: &self.shared, lease: &*self.lease, left: &self.left, now }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.clients.remove(&self.client);
        if self.client.number().is_multiple_of(SWEEP_EVERY) {
            self.shared.names.sweep();
        }
        let now = self.shared.clock.now();
        let left = {
            let stream = self.client.stream();
            let names = ResourceType::ALL.map(|kind| (kind, stream.doubtful(kind, self.left.of(kind))));
            let names = names.into_iter().filter(|(_, names)| !names.is_empty()).collect();
            Left { names, settled_at: stream.is_settled().then_some(now) }
        };
        self.shared.doubts.leave(&self.client.node().id, left, now);
        self.shared.metrics.clients.with_label_values(&[self.version.as_str()]).dec();
        if let Some(label) = self.sending.as_ref().and_then(|sending| send_error_label(sending.kind)) {
            self.shared.metrics.pushes.with_label_values(&[label]).inc();
        }
        tracing::info!(connection = self.client.connection_id(), "ADS client disconnected");
    }
}

/// What the protocol asks of the rim.
struct Surroundings<'a> {
    shared: &'a Shared,
    lease: &'a dyn Lease,
    left: &'a Left,
    now: Duration,
}

impl protocol::Context for Surroundings<'_> {
    fn absent(&self, kind: ResourceType, name: &str) -> Option<Arc<Encoded>> {
        let body = self.lease.absent(kind, name)?;
        Some(Arc::new(Encoded::whole(kind, name, body)))
    }

    fn doubtful(&self, kind: ResourceType) -> Vec<Arc<str>> {
        self.left.of(kind).to_vec()
    }

    fn changed_lately(&self, assignment: &str) -> bool {
        self.shared.recent.contains(assignment, self.left.settled_at, self.now)
    }
}

/// A text in the node's metadata.
fn metadata<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match node.metadata.as_ref()?.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

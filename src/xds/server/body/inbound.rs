//! The client's half of a stream: data in, requests out.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Sleep, sleep};

use crate::metrics::Metrics;
use crate::protocol::Variant;
use crate::server::codec::Decoder;
use crate::server::request::{self, Request};
use crate::server::status::Status;

/// Reads requests from a body.
pub(super) struct Inbound<B> {
    body: B,
    decoder: Decoder,
    variant: Variant,
    ended: bool,
    /// How long the first request may take to come, and each one that has begun.
    patience: Duration,
    /// The end of that, while a request is due.
    limit: Option<Pin<Box<Sleep>>>,
    /// Whether there was a request.
    begun: bool,
}

impl<B> Inbound<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B, variant: Variant, longest: usize, patience: Duration) -> Self {
        let decoder = Decoder::new(longest);
        Self { body, decoder, variant, ended: false, patience, limit: None, begun: false }
    }

    /// The next request; `None` when the client has no more to say or is gone. One that is due and does not come ends the
    /// stream: who sends a byte now and then must not hold what a request takes.
    pub(super) fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        metrics: &Metrics,
    ) -> Poll<Option<Result<Request, Status>>> {
        let polled = self.poll_message(cx, metrics);
        let due = !self.begun || self.decoder.is_partial();
        if polled.is_ready() || !due {
            self.begun |= polled.is_ready();
            self.limit = None;
            return polled;
        }
        let patience = self.patience;
        let limit = self.limit.get_or_insert_with(|| Box::pin(sleep(patience)));
        std::task::ready!(limit.as_mut().poll(cx));
        let message = format!("no request came within {patience:?}");
        Poll::Ready(Some(Err(Status::deadline_exceeded(message))))
    }

    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        metrics: &Metrics,
    ) -> Poll<Option<Result<Request, Status>>> {
        loop {
            match self.decoder.next() {
                Ok(Some(message)) => {
                    metrics.received(message.len());
                    return Poll::Ready(Some(request::decode(self.variant, message)));
                }
                Ok(None) => {}
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
            if self.ended {
                let cut = self.decoder.is_partial();
                let cut = cut.then(|| Err(Status::cut()));
                return Poll::Ready(cut);
            }
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.decoder.push(data);
                    }
                }
                Some(Err(error)) => {
                    // Clients go without a word all the time: the connection or the stream is reset.
                    tracing::debug!(%error, "ADS client is gone");
                    return Poll::Ready(None);
                }
                None => self.ended = true,
            }
        }
    }
}

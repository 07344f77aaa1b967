//! The client's half of a stream: data in, requests out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;

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
}

impl<B> Inbound<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B, variant: Variant, limit: usize) -> Self {
        Self { body, decoder: Decoder::new(limit), variant, ended: false }
    }

    /// The next request; `None` when the client has no more to say or is gone.
    pub(super) fn poll_request(
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
                let cut = cut.then(|| Err(Status::internal("the stream ended within a message")));
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

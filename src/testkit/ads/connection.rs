//! One ADS stream over a socket: gRPC by hand on HTTP/2, so that a test sees each message as it is.

use std::convert::Infallible;
use std::net::SocketAddr;

use ::envoy::Message as _;
use ::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::envoy::{Envoy, Request, Response, Variant};

/// A stream to a server. Dropping it resets the stream.
pub struct Connection {
    variant: Variant,
    requests: Option<mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>>,
    body: Option<Incoming>,
    buffer: BytesMut,
    status: Option<(i32, String)>,
}

impl Connection {
    /// Opens a stream in plaintext.
    ///
    /// # Errors
    /// There is no HTTP/2 server, or it answers with something other than 200.
    pub async fn open(address: SocketAddr, variant: Variant) -> Result<Self> {
        let socket = TcpStream::connect(address).await.context("connecting")?;
        Self::open_over(socket, variant, &[]).await
    }

    /// Opens a stream over a connection, which may be of TLS, with these further headers.
    ///
    /// # Errors
    /// There is no HTTP/2 server, or it answers with something other than 200.
    pub async fn open_over<C>(connection: C, variant: Variant, headers: &[(&str, &str)]) -> Result<Self>
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let method = match variant {
            Variant::Delta => "DeltaAggregatedResources",
            Variant::Sotw => "StreamAggregatedResources",
        };
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await?;
        tokio::spawn(connection);
        let (requests, body) = mpsc::unbounded_channel();
        let request = hyper::Request::post(format!(
            "http://istiod/envoy.service.discovery.v3.AggregatedDiscoveryService/{method}"
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(StreamBody::new(UnboundedReceiverStream::new(body)))?;
        let response = sender.send_request(request).await?;
        ensure!(response.status() == 200, "HTTP status {}", response.status());
        let status = status(response.headers());
        let body = Some(response.into_body());
        Ok(Self { variant, requests: Some(requests), body, buffer: BytesMut::new(), status })
    }

    /// Sends a request.
    pub fn send(&self, request: &Request) {
        let message = match request {
            Request::Delta(request) => request.encode_to_vec(),
            Request::Sotw(request) => request.encode_to_vec(),
        };
        let mut frame = BytesMut::with_capacity(5 + message.len());
        frame.put_u8(0);
        frame.put_u32(message.len() as u32);
        frame.put_slice(&message);
        self.send_raw(frame.freeze());
    }

    /// Sends bytes as they are.
    pub fn send_raw(&self, data: Bytes) {
        if let Some(requests) = &self.requests {
            // A server that has ended the stream reads no more; its status says why.
            let _ = requests.send(Ok(Frame::data(data)));
        }
    }

    /// Says that no request will follow.
    pub fn finish(&mut self) {
        self.requests = None;
    }

    /// The next response; `None` at the end of the stream.
    ///
    /// # Errors
    /// The stream broke, or the server sent something that is not a response.
    pub async fn receive(&mut self) -> Result<Option<Response>> {
        loop {
            if let Some(message) = self.message()? {
                return Ok(Some(match self.variant {
                    Variant::Delta => Response::Delta(DeltaDiscoveryResponse::decode(message)?),
                    Variant::Sotw => Response::Sotw(DiscoveryResponse::decode(message)?),
                }));
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            match body.frame().await {
                None => self.body = None,
                Some(frame) => match frame?.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => self.status = frame.trailers_ref().and_then(status),
                },
            }
        }
    }

    /// The gRPC status code and message with which the stream ended.
    pub fn status(&self) -> Option<(i32, &str)> {
        self.status.as_ref().map(|(code, message)| (*code, message.as_str()))
    }

    /// Carries requests and responses for `envoy` until `done` says so of it.
    ///
    /// # Errors
    /// The stream ended before.
    pub async fn drive(&mut self, envoy: &mut Envoy, done: impl Fn(&Envoy) -> bool) -> Result<()> {
        loop {
            while let Some(request) = envoy.next_request() {
                self.send(&request);
            }
            if done(envoy) {
                return Ok(());
            }
            match self.receive().await? {
                Some(response) => envoy.respond(response),
                None => bail!("the stream ended: {:?}; warming: {:?}", self.status, envoy.warming()),
            }
        }
    }

    fn message(&mut self) -> Result<Option<Bytes>> {
        let Some(&[flag, a, b, c, d]) = self.buffer.first_chunk::<5>() else { return Ok(None) };
        ensure!(flag == 0, "a compressed message");
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if self.buffer.len() < 5 + len {
            return Ok(None);
        }
        self.buffer.advance(5);
        Ok(Some(self.buffer.split_to(len).freeze()))
    }
}

fn status(headers: &hyper::HeaderMap) -> Option<(i32, String)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().ok()?;
    Some((code, text("grpc-message").unwrap_or_default().to_owned()))
}

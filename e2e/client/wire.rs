//! One HTTP connection of a client: opened by the pod's own thread, marked if the rules want that.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Answer;

/// A request that can be sent any number of times.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) target: SocketAddr,
    pub(super) mark: Option<u32>,
    pub(super) tls: Option<Tls>,
    pub(super) head: Request<()>,
    pub(super) body: Bytes,
    pub(super) http2: bool,
    pub(super) timeout: Duration,
}

/// How a connection is secured.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.name)
    }
}

/// A stream with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Prepared {
    fn request(&self) -> Request<Full<Bytes>> {
        let (parts, ()) = self.head.clone().into_parts();
        Request::from_parts(parts, Full::new(self.body.clone()))
    }
}

/// Connects from the current thread's network namespace.
pub(super) async fn connect(target: SocketAddr, mark: Option<u32>) -> Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(mark) = mark {
        socket2::SockRef::from(&socket).set_mark(mark).context("mark the client's socket")?;
    }
    socket.connect(target).await.with_context(|| format!("connect to {target}"))
}

/// An open connection that takes one request after the other.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(super) async fn open(prepared: &Prepared) -> Result<Self> {
        let stream = connect(prepared.target, prepared.mark).await?;
        let stream: Box<dyn Stream> = match &prepared.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(
                tls.connector.connect(tls.name.clone(), stream).await.context("the TLS handshake failed")?,
            ),
        };
        let stream = TokioIo::new(stream);
        // What ends a connection is reported by the request that was under way on it.
        if prepared.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            Ok(Self::Http2(sender))
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            Ok(Self::Http1(sender))
        }
    }

    /// Whether another request can be sent, waiting for the previous one's end if need be.
    pub(super) async fn usable(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    pub(super) async fn exchange(&mut self, prepared: &Prepared) -> Result<Answer> {
        let request = prepared.request();
        let response = match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        };
        read(response?).await
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.context("the answer's body broke off")?;
    let trailers = body.trailers().cloned();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers })
}

//! Clients that say a byte now and then, or never listen: they end, and nobody waits for them.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Cx, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::*;
use crate::open_files;

const PATIENCE: Duration = Duration::from_secs(30);

/// Limits that a test can wait for.
fn hasty() -> Config {
    let short = Duration::from_millis(300);
    Config {
        first_request: short,
        other_request: short,
        keepalive_interval: short,
        keepalive_timeout: short,
        ..Config::default()
    }
}

fn web(port: &Port) -> Option<(&Root, &'static str)> {
    Some((&*port.root, "cluster.local"))
}

/// The first bytes of a client's TLS, which announce 512 more.
const HELLO: [u8; 9] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];

/// A connection whose handshake stops in the middle, and goes on saying a little until it is closed.
async fn stuck(address: SocketAddr) -> Result<tokio::task::JoinHandle<()>> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(&HELLO).await?;
    Ok(tokio::spawn(async move {
        let mut heard = [0];
        while socket.write_all(&[0]).await.is_ok() {
            if timeout(Duration::from_millis(500), socket.read(&mut heard)).await.is_ok() {
                return;
            }
        }
    }))
}

/// More than there are turns for handshakes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_do_not_go_on_end() -> Result<()> {
    let port = port(|_| {}).await?;
    let mut all = Vec::new();
    for _ in 0..280 {
        all.push(stuck(port.address).await?);
    }
    for one in all {
        timeout(PATIENCE, one).await.context("a handshake goes on for ever")??;
    }
    Ok(())
}

/// So many that whoever came behind them would wait for most of a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_stuck_handshakes_hold_up_nobody_from_elsewhere() -> Result<()> {
    open_files::raise()?;
    let mut port = port(|_| {}).await?;
    let mut all = Vec::new();
    for _ in 0..3000 {
        all.push(stuck(port.address).await?);
    }
    port.client = ELSEWHERE;
    let served = timeout(PATIENCE, port.ask(web(&port), &[], SHOP[0])).await;
    assert_eq!(served.context("the door is blocked")??, None);
    let ended = all.iter().filter(|one| one.is_finished()).count();
    assert!(ended < 1000, "{ended} of those that came before it had to end first");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_come_bit_by_bit_are_not_waited_for() -> Result<()> {
    let port = port_of(|_| {}, hasty(), &[]).await?;
    let mut stream = port.connect(web(&port)).await?;
    // The preface, no settings, and headers of which more are to come.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x83")
        .await?;
    let mut heard = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut heard)).await.context("it is still open")?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_does_not_come_whole_ends() -> Result<()> {
    let port = port_of(|_| {}, hasty(), &[]).await?;
    for variant in [Variant::Delta, Variant::Sotw] {
        // None at all; the beginning of one; and the beginning of another after the first.
        for (first, beginning) in [(false, &b""[..]), (false, &[0, 0, 0, 1, 0, 7]), (true, &[0, 0])] {
            let mut stream = Stream::open_over(port.connect(web(&port)).await?, variant, &[]).await?;
            if first {
                stream.send(&first_request(variant, Kind::Cluster.type_url()));
                assert!(stream.receive().await?.is_some());
            }
            stream.send_raw(Bytes::copy_from_slice(beginning));
            assert_eq!(timeout(PATIENCE, stream.receive()).await.context("it is still open")??, None);
            assert_eq!(stream.status().map(|(code, _)| code), Some(4), "{variant:?} {beginning:?}");
        }
    }
    // A request for a certificate that never ends.
    let io = TokioIo::new(port.connect(web(&port)).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let (_said, body) = mpsc::channel(1);
    let request =
        http::Request::post("http://istiod/istio.v1.auth.IstioCertificateService/CreateCertificate")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(axum::body::Body::new(Never(body)))?;
    let response = timeout(PATIENCE, sender.send_request(request)).await.context("it is waited for")??;
    assert_eq!(response.headers().get("grpc-status").map(|status| status.as_bytes()), Some(&b"4"[..]));
    Ok(())
}

/// A body of which nothing comes.
struct Never(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Never {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(hyper::body::Frame::data(data))))
    }
}

/// A connection whose client stops to listen when it is told to.
struct Deaf<C>(C, Arc<AtomicBool>);

impl<C: AsyncRead + Unpin> AsyncRead for Deaf<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.1.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Deaf<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_listen_end_and_others_are_served() -> Result<()> {
    let port = port_of(|_| {}, hasty(), &[]).await?;
    let deaf = Arc::new(AtomicBool::new(false));
    let mut streams = Vec::new();
    for _ in 0..20 {
        let connection = Deaf(port.connect(web(&port)).await?, Arc::clone(&deaf));
        let mut stream = Stream::open_over(connection, Variant::Delta, &[]).await?;
        stream.send(&first_request(Variant::Delta, Kind::Cluster.type_url()));
        assert!(stream.receive().await?.is_some());
        streams.push(stream);
    }
    assert_eq!(port.server.clients().len(), 20);
    deaf.store(true, Ordering::Relaxed);
    assert_eq!(port.ask(web(&port), &[], SHOP[0]).await?, None);
    let gone = async {
        while !port.server.clients().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await.context("they are still there")
}

//! One question to another replica: a page of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use api::ObjectKey;
use bytes::Bytes;
use debug::{SPREADZ, read_spreadz};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use xds::spread::Spread;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(1);

/// The longest page that is read, in bytes: some hundred thousand objects.
const LONGEST: usize = 64 << 20;

/// What a replica tells.
pub(super) type Answer = Result<BTreeMap<ObjectKey, Spread>, Failure>;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Nothing listens there: the process has ended, or has not begun.
    pub(crate) ended: bool,
    /// For operators.
    pub(crate) text: String,
}

impl Failure {
    fn of(what: &str, error: impl Display) -> Self {
        Self { ended: false, text: format!("{what}: {error}") }
    }
}

/// Asks the replica at this address for its counts, with a proof that it is a replica who asks.
pub(super) async fn ask(address: SocketAddr, proof: &str) -> Answer {
    let body = page(address, SPREADZ, proof).await?;
    // What this costs grows with the mesh: streams must not wait for it.
    let read = tokio::task::spawn_blocking(move || read_spreadz(&body)).await;
    let read = read.map_err(|error| Failure::of("answer", error))?;
    read.map_err(|error| Failure::of("the answer cannot be read", error))
}

/// A page of the replica at this address, with a proof that it is a replica who asks for it.
pub(crate) async fn page(address: SocketAddr, name: &str, proof: &str) -> Result<Bytes, Failure> {
    let late = |_| Err(Failure { ended: false, text: format!("no answer within {LIMIT:?}") });
    timeout(LIMIT, exchange(address, name, proof)).await.unwrap_or_else(late)
}

async fn exchange(address: SocketAddr, name: &str, proof: &str) -> Result<Bytes, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| Failure {
        ended: error.kind() == ErrorKind::ConnectionRefused,
        text: format!("cannot connect: {error}"),
    })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| Failure::of("HTTP", error))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = request(address, name, proof).map_err(|error| Failure::of("request", error))?;
    let answer = sender.send_request(request).await.map_err(|error| Failure::of("HTTP", error))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => {
            return Err(Failure::of("401", "has it another root, or is its clock more than a minute off?"));
        }
        status => return Err(Failure::of("it answers", status)),
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    Ok(body.map_err(|error| Failure::of("answer", error))?.to_bytes())
}

fn request(address: SocketAddr, name: &str, proof: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {proof}"))?;
    bearer.set_sensitive(true);
    Request::get(format!("/debug/{name}"))
        .header(HOST, address.to_string())
        .header(AUTHORIZATION, bearer)
        .body(Empty::new())
}

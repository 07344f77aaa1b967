//! The app's HTTP side: one JSON report per request, behaviour by query parameters.
//!
//! Query parameters: `status=503`, `grpc-status=14`, `delay=MS`, `hold=N` (from the Nth attempt on, until released),
//! `size=BYTES` (that many bytes instead of the
//! report), `header=NAME:VALUE` (an answer header; may be repeated).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Control, Seen, Workload, authorizer};

type Body = BoxBody<Bytes, Infallible>;

/// Serves one connection, whichever HTTP version its first bytes show.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    workload: Workload,
    control: Arc<Control>,
) {
    let service = service_fn(move |request| {
        let (workload, control, connection) = (workload.clone(), Arc::clone(&control), connection.clone());
        async move { Ok::<_, Infallible>(answer(request, workload, &control, connection).await) }
    });
    // A connection that breaks off is the client's to report.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    workload: Workload,
    control: &Control,
    connection: Connection,
) -> Response<Body> {
    control.requests.fetch_add(1, Ordering::Relaxed);
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return plain(StatusCode::BAD_REQUEST, "the request's body broke off");
    };
    let body = body.to_bytes();
    let wish = Wish::parse(head.uri.query().unwrap_or_default());
    tokio::time::sleep(control.current_delay().max(wish.delay)).await;
    if wish.hold.is_some_and(|from| attempt(&head.headers) >= from) {
        control.hold().await;
    }
    if head.uri.path() == authorizer::CHECK {
        return grpc_answer(authorizer::answer(control.status().is_none()), 0);
    }
    let grpc = is_grpc(&head.headers);
    let seen = Seen {
        pod: workload.pod,
        namespace: workload.namespace,
        protocol: format!("{:?}", head.version),
        method: head.method.to_string(),
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        host: host(&head),
        headers: headers(&head.headers),
        peer: connection.peer,
        local: connection.local,
        tls: connection.tls,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let report =
        wish.size.map_or_else(|| serde_json::to_vec(&seen).unwrap_or_default(), |size| vec![b'x'; size]);
    let mut response = if grpc {
        grpc_answer(&report, wish.grpc_status)
    } else {
        let mut response = Response::new(whole(report.into()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    if let Some(status) = control.status().or(wish.status).and_then(|code| StatusCode::from_u16(code).ok()) {
        *response.status_mut() = status;
    }
    response.headers_mut().extend(wish.headers);
    response
}

/// One length-prefixed message and its status as trailers (gRPC over HTTP/2, "Responses").
fn grpc_answer(message: &[u8], status: u16) -> Response<Body> {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    let body = Full::new(frame.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// How often a proxy has tried, this time included.
fn attempt(headers: &HeaderMap) -> u32 {
    let count = headers.get("x-envoy-attempt-count").and_then(|value| value.to_str().ok());
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/grpc"))
}

fn host(head: &http::request::Parts) -> String {
    let header = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    head.uri.authority().map(http::uri::Authority::as_str).or(header).unwrap_or_default().to_owned()
}

fn headers(map: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in map {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.to_string()).or_default().push(value);
    }
    all
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).boxed()
}

/// What the query asks of the app.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) status: Option<u16>,
    pub(super) grpc_status: u16,
    pub(super) delay: Duration,
    pub(super) hold: Option<u32>,
    pub(super) size: Option<usize>,
    pub(super) headers: HeaderMap,
}

impl Wish {
    /// Unknown parameters and values that do not parse are left out: they are the test's own business.
    pub(super) fn parse(query: &str) -> Self {
        let mut wish = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "status" => wish.status = value.parse().ok(),
                "grpc-status" => wish.grpc_status = value.parse().unwrap_or(0),
                "delay" => wish.delay = Duration::from_millis(value.parse().unwrap_or(0)),
                "hold" => wish.hold = value.parse().ok(),
                "size" => wish.size = value.parse().ok(),
                "header" => wish.header(value),
                _ => {}
            }
        }
        wish
    }

    fn header(&mut self, pair: &str) {
        let Some((name, value)) = pair.split_once(':') else { return };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            self.headers.append(name, value);
        }
    }
}

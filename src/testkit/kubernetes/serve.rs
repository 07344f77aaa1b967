//! The fake server's HTTP side.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

use super::objects::{self, Place};
use super::{Shared, id, lock};

type Body = BoxBody<Bytes, Infallible>;

/// Answers until it is dropped; connections end with it.
pub(super) async fn run(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(request, &shared).await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    let uri = request.uri().clone();
    if uri.path() == "/readyz" {
        return text(StatusCode::OK, "ok");
    }
    let place = Place::of(uri.path());
    let query: BTreeMap<String, String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let method = request.method().clone();
    let patch_type = request.headers().get(http::header::CONTENT_TYPE).cloned();
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let verb = objects::verb(&method, place.name.is_some(), query.contains_key("watch"));
    let mut content = lock(shared);
    content.requests.push(format!("{}?{}", place.list, uri.query().unwrap_or_default()));
    if !content.lists.contains_key(&place.list) {
        return status(StatusCode::NOT_FOUND, "NotFound");
    }
    if method != Method::GET {
        let name = place.name.as_deref().unwrap_or_default();
        let namespace = place.namespace.as_deref().unwrap_or_default();
        let subresource = place.subresource.iter().map(|part| format!(" {part}")).collect::<String>();
        content.writes.push(format!("{verb}{subresource} {} {namespace}/{name}", place.list));
    }
    if content.forbidden.contains(&(verb.to_owned(), place.list.clone())) {
        return status(StatusCode::FORBIDDEN, "Forbidden");
    }
    let done = match verb {
        "get" => objects::get(&content, &place),
        "create" => objects::create(&mut content, &place, &body),
        "update" => objects::replace(&mut content, &place, &body),
        "patch" => objects::patch(&mut content, &place, patch_type.as_ref(), &body),
        "delete" => objects::delete(&mut content, &place),
        _ => {
            drop(content);
            return listed(shared, &place, &query);
        }
    };
    match done {
        Ok(object) => json_text(StatusCode::OK, &object),
        Err((code, reason)) => status(code, reason),
    }
}

fn listed(shared: &Shared, place: &Place, query: &BTreeMap<String, String>) -> Response<Body> {
    let name = query.get("fieldSelector").and_then(|s| s.strip_prefix("metadata.name%3D"));
    let name = name.map(|name| name.replace("%3A", ":"));
    let namespace = place.namespace.clone();
    let label = query.get("labelSelector").map(|s| s.replace("%2F", "/").replace("%3D", "="));
    let wanted = move |object: &Value| {
        let (in_namespace, called) = id(object);
        let labelled = |label: &String| {
            let (key, value) = label.split_once('=').expect("one label and its value");
            object.pointer("/metadata/labels").and_then(|labels| labels.get(key)).is_some_and(|v| v == value)
        };
        label.as_ref().is_none_or(labelled)
            && namespace.as_ref().is_none_or(|n| *n == in_namespace)
            && name.as_ref().is_none_or(|n| *n == called)
    };
    if query.contains_key("watch") {
        watch(shared, &place.list, query, wanted)
    } else {
        list(shared, &place.list, query, wanted)
    }
}

fn list(
    shared: &Shared,
    path: &str,
    query: &BTreeMap<String, String>,
    wanted: impl Fn(&Value) -> bool,
) -> Response<Body> {
    let number = |key: &str| query.get(key).and_then(|value| value.parse::<usize>().ok());
    let (limit, from) = (number("limit").unwrap_or(usize::MAX), number("continue").unwrap_or(0));
    let content = lock(shared);
    let all: Vec<&Value> =
        content.lists.get(path).into_iter().flat_map(BTreeMap::values).filter(|o| wanted(o)).collect();
    let page: Vec<&&Value> = all.iter().skip(from).take(limit).collect();
    let end = from + page.len();
    let next = if end < all.len() { end.to_string() } else { String::new() };
    let version = content.version.to_string();
    let metadata = json!({"resourceVersion": version, "continue": next});
    json_text(
        StatusCode::OK,
        &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page}),
    )
}

fn watch(
    shared: &Shared,
    path: &str,
    query: &BTreeMap<String, String>,
    wanted: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Response<Body> {
    let from: u64 = query.get("resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut content = lock(shared);
    let (sender, receiver) = unbounded_channel();
    if from < content.oldest {
        let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"});
        sender.send(json!({"type": "ERROR", "object": gone})).expect("a receiver");
    } else {
        for (_, _, event) in content.history.iter().filter(|(at, of, _)| *at > from && of == path) {
            sender.send(event.clone()).expect("a receiver");
        }
        content.watches.push((path.to_owned(), sender));
    }
    let events = stream::unfold(receiver, |mut receiver| async move {
        let event = receiver.recv().await?;
        Some((event, receiver))
    });
    let lines = events
        .filter(move |event| {
            let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
            let all = !matches!(kind, "ADDED" | "MODIFIED" | "DELETED");
            let chosen = event.get("object").is_none_or(|o| o.is_number() || wanted(o));
            std::future::ready(all || chosen)
        })
        .map(|event| Ok(Frame::data(Bytes::from(format!("{event}\n")))));
    Response::new(BodyExt::boxed(StreamBody::new(lines)))
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned())).boxed();
    Response::builder().status(status).body(body).expect("a response")
}

fn json_text(status: StatusCode, value: &Value) -> Response<Body> {
    text(status, &value.to_string())
}

fn status(code: StatusCode, reason: &str) -> Response<Body> {
    let value = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
        "message": reason, "code": code.as_u16()});
    json_text(code, &value)
}

//! What came of a call against one of the ends that were foretold.

use std::collections::BTreeMap;

use testkit::simulator::{HeaderEdit, Reply, Request};

use super::walk::{AtApp, End};
use crate::client::Answer;
use crate::echo::Seen;

/// What came of a call.
pub(crate) enum Came {
    /// An HTTP answer to a request with these headers.
    Answer {
        /// The answer.
        answer: Box<Answer>,
        /// The names of the request's headers.
        sent: Vec<String>,
    },
    /// No answer, or a connection that was closed.
    Nothing(String),
    /// A line of a TCP server: the pod that wrote it.
    Line(String),
}

/// Headers that proxies and clients set for each connection of their own.
const OWN: [&str; 9] = [
    "connection",
    "te",
    "upgrade",
    "content-length",
    "transfer-encoding",
    "expect",
    "host",
    "x-forwarded-proto",
    "x-forwarded-for",
];

/// In what they differ, written with what was foretold.
pub(super) fn differs(end: &End, came: &Came) -> String {
    format!("- {}: {}", told(end), disagreement(end, came).unwrap_or_default())
}

fn told(end: &End) -> String {
    match end {
        End::Closed { answered, why } => format!("closed (answered by a proxy before: {answered}), {why}"),
        End::Elsewhere(where_to) => format!("to {where_to}"),
        other => format!("{other:?}"),
    }
}

impl Came {
    /// It in words.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Answer { answer, .. } => format!("{answer:?}"),
            Self::Nothing(why) => format!("no answer: {why}"),
            Self::Line(pod) => format!("a line of {pod}"),
        }
    }
}

/// In what they differ; none if this is what was foretold.
pub(super) fn disagreement(end: &End, came: &Came) -> Option<String> {
    match (end, came) {
        (End::Elsewhere(_), _) => None,
        (End::Closed { answered: false, .. }, Came::Nothing(_)) => None,
        (End::Closed { answered: true, .. }, Came::Answer { answer, .. }) => {
            (!is_reset(answer)).then(|| "expected a connection that fails".to_owned())
        }
        (End::Reply(reply, edits), Came::Answer { answer, .. }) => replied(reply, edits, answer),
        (End::App(app), came) if !app.pod.listens(app.to.port()) => gone(came),
        (End::App(app), Came::Answer { answer, sent }) => at_app(app, answer, sent),
        (End::App(app), Came::Line(pod)) => {
            (app.pod.name() != pod).then(|| format!("expected {}", app.pod.name()))
        }
        (End::App(app), Came::Nothing(_)) if app.pod.app().is_slow() => None,
        // Too many connections: the proxy of a TCP service closes what comes then.
        (End::App(app), Came::Nothing(_)) if app.limited && app.request.is_none() => None,
        _ => Some("expected something else".to_owned()),
    }
}

/// Where no app listens, proxies say that they could not connect, and connections fail.
fn gone(came: &Came) -> Option<String> {
    match came {
        Came::Nothing(_) => None,
        Came::Answer { answer, .. } if is_reset(answer) => None,
        _ => Some("expected nothing, because nobody listens there".to_owned()),
    }
}

/// A proxy's answer in place of an endpoint that it could not speak with.
fn is_reset(answer: &Answer) -> bool {
    answer.status == 503 && String::from_utf8_lossy(&answer.body).contains("upstream connect error")
        || answer.header("grpc-status") == Some("14")
}

fn replied(reply: &Reply, edits: &[HeaderEdit], answer: &Answer) -> Option<String> {
    if answer.status != reply.status {
        return Some(format!("expected the status {}", reply.status));
    }
    if !reply.body.is_empty() && answer.body != reply.body.as_bytes() {
        return Some(format!("expected the body {:?}", reply.body));
    }
    let own = reply.headers.iter().map(|(name, value)| HeaderEdit::Set(name.clone(), value.clone()));
    let edits: Vec<HeaderEdit> = own.chain(edits.iter().cloned()).collect();
    edited(&edits, answer)
}

fn at_app(app: &AtApp, answer: &Answer, sent: &[String]) -> Option<String> {
    let late = answer.status == 504 && app.timeout.is_some();
    let refused = answer.status == 503 && app.limited && answer.header("x-envoy-overloaded").is_some();
    if late || refused {
        return None;
    }
    let seen = match answer.seen() {
        Ok(seen) => seen,
        // Answers of a wanted size hold no report.
        Err(_) if app.request.as_ref().is_some_and(|r| r.path.contains("size=")) => return None,
        Err(_) => return Some(format!("expected the answer of {}", app.pod.name())),
    };
    if (seen.pod.as_str(), seen.namespace.as_str()) != (app.pod.name(), app.pod.namespace()) {
        return Some(format!("expected the answer of {}", app.pod.name()));
    }
    if let Some(mutual) = app.mutual
        && mutual == seen.client_certificate("URI").is_empty()
    {
        return Some(format!("expected mutual TLS to be {mutual}"));
    }
    let asked = app.tls.as_ref().and_then(|tls| tls.sni.clone());
    let named = seen.tls.as_ref().and_then(|tls| tls.sni.clone());
    if app.tls.is_some() != seen.tls.is_some() || asked != named {
        return Some(format!("expected a handshake of the app: {:?}", app.tls));
    }
    app.request
        .as_ref()
        .and_then(|request| arrived(request, &seen, sent))
        .or_else(|| if app.proxied { edited(&app.response, answer) } else { None })
}

fn arrived(request: &Request, seen: &Seen, sent: &[String]) -> Option<String> {
    let (method, path, host) = (&request.method, &request.path, &request.authority);
    if (method, path, host) != (&seen.method, &seen.path, &seen.host) {
        return Some(format!("expected {method} {host}{path} to arrive"));
    }
    let expected = request.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    for (name, value) in expected {
        let values = seen.headers.get(name).map(Vec::as_slice).unwrap_or_default();
        let computed = value.contains('%');
        let there = values.iter().any(|v| computed || v == value || v.split(',').any(|part| part == value));
        if !there {
            return Some(format!("expected {name}: {value} to arrive"));
        }
    }
    let kept = |name: &String| request.value(name).is_some() || OWN.contains(&name.as_str());
    let lost = sent.iter().find(|name| !kept(name) && seen.headers.contains_key(*name));
    lost.map(|name| format!("expected {name} not to arrive"))
}

/// What the answer's headers are after these changes, where they say it.
fn edited(edits: &[HeaderEdit], answer: &Answer) -> Option<String> {
    let mut expected: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for edit in edits {
        match edit {
            HeaderEdit::Remove(name) => drop(expected.insert(name, None)),
            HeaderEdit::Append(name, value) | HeaderEdit::Set(name, value) => {
                expected.insert(name, Some(value));
            }
            // They depend on what the app sent.
            HeaderEdit::AddIfAbsent(name, _) | HeaderEdit::Overwrite(name, _) => {
                expected.remove(name.as_str());
            }
        }
    }
    expected.into_iter().find_map(|(name, value)| {
        let has = |wanted: &str| {
            answer
                .headers
                .get_all(name)
                .iter()
                .any(|v| wanted.contains('%') || v.as_bytes() == wanted.as_bytes())
        };
        match value {
            None => answer.headers.contains_key(name).then(|| format!("expected no {name} in the answer")),
            Some(value) => (!has(value)).then(|| format!("expected {name}: {value} in the answer")),
        }
    })
}

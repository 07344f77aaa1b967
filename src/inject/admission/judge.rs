//! The answer to one request: from the object that is to be stored to what its owner is told.

use api::decode::{DecodeError, decode};
use api::{AnyObject, Kind, ObjectKey, Problem, Severity};
use serde_json::{Map, Value};

use super::text;
use super::wire::{AdmissionRequest, AdmissionResponse, Reason, Verdict};

/// Groups of which objects are none of the mesh's configuration, though the product reads them.
const FOREIGN: [&str; 3] = ["", "discovery.k8s.io", "networking.k8s.io"];

/// The members that a document may have.
const MEMBERS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Finds what an object makes of others, such as a host that nobody has: told to its owner, never a reason to refuse it.
pub trait Warn: Send + Sync {
    /// What is doubtful about an object that is about to be stored.
    fn warn(&self, object: &AnyObject) -> Vec<Problem>;
}

impl<F: Fn(&AnyObject) -> Vec<Problem> + Send + Sync> Warn for F {
    fn warn(&self, object: &AnyObject) -> Vec<Problem> {
        self(object)
    }
}

/// Answers a request: the rules of the object's kind, and what `others` finds. Nothing is remembered.
pub fn review(request: &AdmissionRequest, others: &dyn Warn) -> AdmissionResponse {
    let (verdict, warnings) = match request.operation.as_str() {
        "CREATE" | "UPDATE" => match look(request, others) {
            Ok(warnings) => (Verdict::Allowed, warnings),
            Err(Refusal { reason, message, warnings }) => (Verdict::Refused { reason, message }, warnings),
        },
        _ => (Verdict::NotLookedAt, Vec::new()),
    };
    AdmissionResponse { uid: request.uid.clone(), verdict, warnings: text::fitting(warnings) }
}

struct Refusal {
    reason: Reason,
    message: String,
    warnings: Vec<String>,
}

impl Refusal {
    fn new(reason: Reason, message: String) -> Self {
        Self { reason, message, warnings: Vec::new() }
    }
}

/// The warnings about an object that may be taken.
fn look(request: &AdmissionRequest, others: &dyn Warn) -> Result<Vec<String>, Refusal> {
    let Value::Object(document) = &request.object else {
        let message = "cannot decode configuration: the request holds no object".to_owned();
        return Err(Refusal::new(Reason::NoObject, message));
    };
    let kind = kind(document)?;
    let strangers: Vec<&String> = document.keys().filter(|key| !MEMBERS.contains(&key.as_str())).collect();
    let decoded = decode(named(kind, document.clone(), request)).map_err(not_decoded)?;
    let key = decoded.object.key();
    let mut found: Vec<Problem> = strangers.into_iter().map(|name| stranger(&key, name)).collect();
    found.extend(decoded.warnings.iter().map(|warning| Problem {
        severity: Severity::Warning,
        object: key.clone(),
        field: warning.path.clone(),
        message: warning.message.clone(),
        hint: String::new(),
    }));
    found.extend(notice(&decoded.object));
    found.extend(model::validate::validate(&decoded.object));
    if !found.iter().any(|problem| problem.severity == Severity::Error) {
        // What is an error where objects meet may be made good by the next object: it never stands in the way.
        let doubts = others.warn(&decoded.object);
        found.extend(doubts.into_iter().map(|doubt| Problem { severity: Severity::Warning, ..doubt }));
    }
    let of = |severity| move |problem: &&Problem| problem.severity == severity;
    let errors: Vec<String> = found.iter().filter(of(Severity::Error)).map(text::line).collect();
    let warnings = found.iter().filter(of(Severity::Warning)).map(text::warning).collect();
    if errors.is_empty() {
        return Ok(warnings);
    }
    Err(Refusal { reason: Reason::Invalid, message: text::refusal(&errors), warnings })
}

/// The object's kind in whatever version: versions of a kind have the same fields, and one that came after this program
/// was built must not stop its users.
fn kind(document: &Map<String, Value>) -> Result<Kind, Refusal> {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, name) = (text("apiVersion"), text("kind"));
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Kind::in_any_version(group, name).filter(|kind| !FOREIGN.contains(&kind.group())).ok_or_else(|| {
        let message = format!(
            "unrecognized type {name:?} of {api_version:?}: send this webhook only kinds of Istio and of the Gateway API"
        );
        Refusal::new(Reason::UnknownType, message)
    })
}

/// The document in a version that decodes, with the name and namespace that the API server will give it.
fn named(kind: Kind, mut document: Map<String, Value>, request: &AdmissionRequest) -> Value {
    let version = kind.versions().first().copied().unwrap_or_default();
    document.insert("apiVersion".to_owned(), format!("{}/{version}", kind.group()).into());
    if let Some(Value::Object(meta)) = document.get_mut("metadata") {
        let missing = |meta: &Map<String, Value>, field: &str| meta.get(field).is_none_or(|v| v == "");
        if missing(meta, "name") {
            let generated = meta.get("generateName").cloned().filter(|_| request.name.is_empty());
            meta.insert("name".to_owned(), generated.unwrap_or_else(|| request.name.clone().into()));
        }
        if kind.namespaced() && missing(meta, "namespace") && !request.namespace.is_empty() {
            meta.insert("namespace".to_owned(), request.namespace.clone().into());
        }
    }
    Value::Object(document)
}

fn not_decoded(error: DecodeError) -> Refusal {
    Refusal::new(Reason::Decode, format!("error decoding configuration: {error}"))
}

fn stranger(object: &ObjectKey, name: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        object: object.clone(),
        field: name.to_owned(),
        message: format!("unknown field {name:?}"),
        hint: format!("beside {} there is nothing", MEMBERS.join(", ")),
    }
}

/// What the reference says about every object of a kind.
fn notice(object: &AnyObject) -> Option<Problem> {
    matches!(object, AnyObject::EnvoyFilter(_)).then(|| Problem {
        severity: Severity::Warning,
        object: object.key(),
        field: String::new(),
        message: "an EnvoyFilter leans on details of Envoy's configuration that may change with any version"
            .to_owned(),
        hint: "use another kind if one can do it, and look at the patches again before each upgrade"
            .to_owned(),
    })
}

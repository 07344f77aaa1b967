//! What becomes of single objects: read, created, replaced, patched, deleted.

use http::{HeaderValue, Method, StatusCode};
use json_patch::PatchOperation;
use serde_json::Value;

use super::{Content, Id, id, member, metadata};

/// An object, or the code and reason of a refusal.
type Done = Result<Value, (StatusCode, &'static str)>;

const CONFLICT: (StatusCode, &str) = (StatusCode::CONFLICT, "Conflict");
const EXISTS: (StatusCode, &str) = (StatusCode::CONFLICT, "AlreadyExists");
const ABSENT: (StatusCode, &str) = (StatusCode::NOT_FOUND, "NotFound");
const BAD: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "BadRequest");
const INVALID: (StatusCode, &str) = (StatusCode::UNPROCESSABLE_ENTITY, "Invalid");

/// What a path names.
#[derive(Debug)]
pub(super) struct Place {
    /// The path of the list over all namespaces.
    pub(super) list: String,
    /// The namespace, if one is named.
    pub(super) namespace: Option<String>,
    /// The object, if one is named.
    pub(super) name: Option<String>,
    /// A part of it that has rights of its own, such as its status.
    pub(super) subresource: Option<String>,
}

impl Place {
    /// Of `/api/v1[/namespaces/NAMESPACE]/PLURAL[/NAME[/SUBRESOURCE]]` and the like below `/apis/GROUP/VERSION`.
    pub(super) fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let root = if parts.first() == Some(&"api") { 2 } else { 3 };
        let (head, rest) = parts.split_at(root.min(parts.len()));
        let (namespace, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..] if *plural != "status" => {
                (Some((*namespace).to_owned()), [&[*plural], rest].concat())
            }
            rest => (None, rest.to_vec()),
        };
        let plural = rest.first().copied().unwrap_or_default();
        Self {
            list: format!("/{}/{plural}", head.join("/")),
            namespace,
            name: rest.get(1).map(|name| (*name).to_owned()),
            subresource: rest.get(2).map(|part| (*part).to_owned()),
        }
    }

    fn id(&self) -> Id {
        (self.namespace.clone().unwrap_or_default(), self.name.clone().unwrap_or_default())
    }
}

/// The verb of RBAC that a request is.
pub(super) fn verb(method: &Method, named: bool, watch: bool) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ if named => "get",
        _ if watch => "watch",
        _ => "list",
    }
}

pub(super) fn get(content: &Content, place: &Place) -> Done {
    content.lists.get(&place.list).and_then(|list| list.get(&place.id())).cloned().ok_or(ABSENT)
}

pub(super) fn create(content: &mut Content, place: &Place, body: &[u8]) -> Done {
    let mut object: Value = serde_json::from_slice(body).map_err(|_| BAD)?;
    if let Some(namespace) = &place.namespace {
        member(&mut object, "metadata").insert("namespace".to_owned(), namespace.clone().into());
    }
    let start = metadata(&object, "generateName").to_owned();
    if metadata(&object, "name").is_empty() && !start.is_empty() {
        let name = format!("{start}{}", content.version);
        member(&mut object, "metadata").insert("name".to_owned(), name.into());
    }
    if content.lists.get(&place.list).is_some_and(|list| list.contains_key(&id(&object))) {
        return Err(EXISTS);
    }
    Ok(content.put(&place.list, object))
}

pub(super) fn replace(content: &mut Content, place: &Place, body: &[u8]) -> Done {
    let object: Value = serde_json::from_slice(body).map_err(|_| BAD)?;
    store(content, place, object)
}

pub(super) fn patch(content: &mut Content, place: &Place, kind: Option<&HeaderValue>, body: &[u8]) -> Done {
    let mut object = get(content, place)?;
    match kind.and_then(|kind| kind.to_str().ok()) {
        Some("application/json-patch+json") => {
            let patch: json_patch::Patch = serde_json::from_slice(body).map_err(|_| BAD)?;
            let patch = without_absent(&object, patch);
            json_patch::patch(&mut object, &patch).map_err(|_| INVALID)?;
        }
        Some("application/merge-patch+json") => {
            json_patch::merge(&mut object, &serde_json::from_slice(body).map_err(|_| BAD)?);
        }
        _ => return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType")),
    }
    store(content, place, object)
}

/// The patch without tests for null of what is not there: the API server's library lets them pass.
fn without_absent(object: &Value, patch: json_patch::Patch) -> json_patch::Patch {
    let passes = |operation: &PatchOperation| matches!(operation, PatchOperation::Test(test) if test.value.is_null() && object.pointer(test.path.as_str()).is_none());
    json_patch::Patch(patch.0.into_iter().filter(|operation| !passes(operation)).collect())
}

pub(super) fn delete(content: &mut Content, place: &Place) -> Done {
    let object = get(content, place)?;
    content.delete(&place.list, &place.id());
    Ok(object)
}

/// Puts another form of an object in its place, if what it is made from is what is there. Subresources change the
/// status and nothing else; what changes nothing is not written.
fn store(content: &mut Content, place: &Place, mut object: Value) -> Done {
    let now = get(content, place)?;
    let (made_from, version) = (metadata(&object, "resourceVersion"), metadata(&now, "resourceVersion"));
    if !made_from.is_empty() && made_from != version {
        return Err(CONFLICT);
    }
    if place.subresource.is_some() {
        let status = object.get("status").cloned();
        object = now.clone();
        match (object.as_object_mut(), status) {
            (Some(members), Some(status)) => members.insert("status".to_owned(), status),
            (Some(members), None) => members.remove("status"),
            (None, _) => return Err(BAD),
        };
    }
    let version = version.to_owned();
    member(&mut object, "metadata").insert("resourceVersion".to_owned(), version.into());
    Ok(if object == now { now } else { content.put(&place.list, object) })
}

//! The documents that go to and fro: `AdmissionReview` of `admission.k8s.io`, v1 and v1beta1, whose fields are the same.

use serde::Deserialize;
use serde_json::{Map, Value, json};

const KIND: &str = "AdmissionReview";
const V1: &str = "admission.k8s.io/v1";
const VERSIONS: [&str; 2] = [V1, "admission.k8s.io/v1beta1"];

/// What the API server asks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionRequest {
    /// Names the question; the answer repeats it.
    pub uid: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: String,
    /// What is written, as the webhook's rules name it.
    pub resource: GroupVersionResource,
    /// The object's namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's name; empty while the API server has not made one from `generateName`.
    pub name: String,
    /// Whether nothing will be stored.
    pub dry_run: Option<bool>,
    /// The object as it is to become; null when it is deleted.
    pub object: Value,
}

/// A resource of the Kubernetes API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupVersionResource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// The plural name, such as `virtualservices`.
    pub resource: String,
}

/// What the API server is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionResponse {
    /// The question's name.
    pub uid: String,
    /// The decision.
    pub verdict: Verdict,
    /// Sentences that `kubectl` shows whatever is decided; each fits into an HTTP header of the API server.
    pub warnings: Vec<String>,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The object was looked at and may be taken.
    Allowed,
    /// It is an operation that nothing is said against.
    NotLookedAt,
    /// The object must not be taken.
    Refused {
        /// The kind of mistake, for the counters.
        reason: Reason,
        /// What is wrong and what to write instead, for the user.
        message: String,
    },
}

/// Why an object is refused; the words are those of the reference's metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request holds no object.
    NoObject,
    /// The object is of a kind that is not known.
    UnknownType,
    /// A field has a value of a wrong type.
    Decode,
    /// The object breaks a rule.
    Invalid,
}

impl Reason {
    /// The value of the metric's label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoObject => "yaml_decode_error",
            Self::UnknownType => "unknown_type",
            Self::Decode => "crd_conversion_error",
            Self::Invalid => "invalid_resource",
        }
    }
}

/// A question with the version in which it is to be answered.
#[derive(Clone, Debug)]
pub(super) struct Review {
    api_version: String,
    /// The question.
    pub(super) request: AdmissionRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReview {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<AdmissionRequest>,
}

impl Review {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever runs the API server.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let raw: RawReview =
            serde_json::from_slice(body).map_err(|e| format!("could not decode body: {e}"))?;
        let RawReview { api_version, kind, request } = raw;
        if kind != KIND || !VERSIONS.contains(&api_version.as_str()) {
            return Err(format!(
                "could not decode body: {kind:?} of {api_version:?} is no {KIND} of {}",
                VERSIONS.join(" or ")
            ));
        }
        let request = request.ok_or_else(|| format!("could not decode body: the {KIND} has no request"))?;
        Ok(Self { api_version, request })
    }

    /// The document that answers.
    pub(super) fn answer(&self, response: &AdmissionResponse) -> Value {
        let mut members = Map::from_iter([("uid".to_owned(), response.uid.clone().into())]);
        let refused = matches!(response.verdict, Verdict::Refused { .. });
        members.insert("allowed".to_owned(), (!refused).into());
        if let Verdict::Refused { message, .. } = &response.verdict {
            members.insert("status".to_owned(), json!({ "message": message }));
        }
        if !response.warnings.is_empty() {
            members.insert("warnings".to_owned(), response.warnings.clone().into());
        }
        json!({ "apiVersion": self.api_version, "kind": KIND, "response": members })
    }
}

/// The document that answers a body which is no question.
pub(super) fn unreadable(message: &str) -> Value {
    let response = json!({ "uid": "", "allowed": false, "status": { "message": message } });
    json!({ "apiVersion": V1, "kind": KIND, "response": response })
}

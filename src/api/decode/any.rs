//! An object of any kind, and where in a document each kind's content stands.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::read::{FieldError, FieldWarning, joined, read_message};
use crate::kind::Kind;
use crate::object::{Meta, Object, ObjectKey, ObjectRef};
use crate::{gateway_api, istio, kubernetes};

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The object.
    pub object: AnyObject,
    /// Fields that were read over.
    pub warnings: Vec<FieldWarning>,
}

/// Where a kind's content stands in its document, and whether unknown fields are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// In `spec`; unknown fields are told.
    Spec,
    /// In `spec`, with the `status` as a member; unknown fields are told, but for those of the status.
    SpecAndStatus,
    /// In `spec`, with the `status` as a member.
    TrimmedSpecAndStatus,
    /// Beside the metadata.
    TrimmedWhole,
}

macro_rules! any_object {
    ($($variant:ident($spec:ty) => $shape:ident,)*) => {
        /// An object of any kind that the product knows; what all who keep it share is behind the [`Arc`].
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum AnyObject {
            $(
                #[doc = concat!("A `", stringify!($variant), "`.")]
                $variant(Arc<Object<$spec>>),
            )*
            /// An object of a kind that is known but not acted on, or one whose content cannot be read: its metadata only.
            NotServed(Kind, Box<Meta>),
        }

        impl AnyObject {
            /// The object's metadata.
            pub fn meta(&self) -> &Meta {
                match self {
                    $(Self::$variant(object) => &object.meta,)*
                    Self::NotServed(_, meta) => meta,
                }
            }

            /// The object's kind.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind::$variant,)*
                    Self::NotServed(kind, _) => *kind,
                }
            }

            /// The content of a document of a kind. The document's metadata and kind are taken out already; the metadata
            /// comes back with an error.
            pub(super) fn read(
                kind: Kind,
                meta: Meta,
                document: Map<String, Value>,
            ) -> Result<(Self, Vec<FieldWarning>), (Box<Meta>, FieldError)> {
                match kind {
                    $(Kind::$variant => match content::<$spec>(Shape::$shape, document) {
                        Ok((spec, warnings)) => Ok((Self::$variant(Arc::new(Object { meta, spec })), warnings)),
                        Err(error) => Err((Box::new(meta), error)),
                    },)*
                    _ => Ok((Self::NotServed(kind, Box::new(meta)), Vec::new())),
                }
            }
        }
    };
}

any_object! {
    Namespace(kubernetes::Namespace) => TrimmedWhole,
    Node(kubernetes::Node) => TrimmedSpecAndStatus,
    Service(kubernetes::Service) => TrimmedSpecAndStatus,
    Pod(kubernetes::Pod) => TrimmedSpecAndStatus,
    Secret(kubernetes::Secret) => TrimmedWhole,
    ConfigMap(kubernetes::ConfigMap) => TrimmedWhole,
    ServiceAccount(kubernetes::ServiceAccount) => TrimmedWhole,
    EndpointSlice(kubernetes::EndpointSlice) => TrimmedWhole,
    Ingress(kubernetes::Ingress) => TrimmedSpecAndStatus,
    IngressClass(kubernetes::IngressClass) => TrimmedSpecAndStatus,
    VirtualService(istio::VirtualService) => Spec,
    DestinationRule(istio::DestinationRule) => Spec,
    Gateway(istio::Gateway) => Spec,
    ServiceEntry(istio::ServiceEntry) => SpecAndStatus,
    Sidecar(istio::Sidecar) => Spec,
    WorkloadEntry(istio::WorkloadEntry) => SpecAndStatus,
    WorkloadGroup(istio::WorkloadGroup) => Spec,
    EnvoyFilter(istio::EnvoyFilter) => Spec,
    ProxyConfig(istio::ProxyConfig) => Spec,
    PeerAuthentication(istio::PeerAuthentication) => Spec,
    RequestAuthentication(istio::RequestAuthentication) => Spec,
    AuthorizationPolicy(istio::AuthorizationPolicy) => Spec,
    Telemetry(istio::Telemetry) => Spec,
    WasmPlugin(istio::WasmPlugin) => Spec,
    TrafficExtension(istio::TrafficExtension) => Spec,
    ReferenceGrant(gateway_api::ReferenceGrant) => Spec,
}

impl AnyObject {
    /// What names the object.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::of(self.kind(), self.meta())
    }

    /// The object in its present state, as a source of something that is served.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { key: self.key(), generation: self.meta().generation }
    }
}

/// Reads a kind's content, with paths as in the document.
fn content<T: DeserializeOwned>(
    shape: Shape,
    mut document: Map<String, Value>,
) -> Result<(T, Vec<FieldWarning>), FieldError> {
    let status = document.remove("status");
    let mut warnings = Vec::new();
    let value = match shape {
        Shape::TrimmedWhole => Value::Object(document),
        Shape::Spec => spec(&mut document)?,
        Shape::SpecAndStatus | Shape::TrimmedSpecAndStatus => {
            let mut value = spec(&mut document)?;
            if let Value::Object(members) = &mut value {
                if members.remove("status").is_some() {
                    warnings.push(FieldWarning::unknown("spec.status".to_owned()));
                }
                members.insert("status".to_owned(), status.unwrap_or(Value::Null));
            }
            value
        }
    };
    let place = |path: &str| match shape {
        Shape::TrimmedWhole => path.to_owned(),
        Shape::SpecAndStatus | Shape::TrimmedSpecAndStatus if in_status(path) => path.to_owned(),
        _ => joined("spec", path),
    };
    let (message, unknown) = read_message(value)
        .map_err(|error| FieldError { path: place(&error.path), message: error.message })?;
    match shape {
        Shape::TrimmedSpecAndStatus | Shape::TrimmedWhole => warnings.clear(),
        Shape::Spec | Shape::SpecAndStatus => {
            let told = |path: &str| shape == Shape::Spec || !in_status(path);
            warnings.extend(
                unknown
                    .into_iter()
                    .filter(|warning| told(&warning.path))
                    .map(|warning| FieldWarning { path: place(&warning.path), ..warning }),
            );
        }
    }
    Ok((message, warnings))
}

fn in_status(path: &str) -> bool {
    path == "status" || path.starts_with("status.")
}

/// The `spec` of a document; an absent one is empty.
fn spec(document: &mut Map<String, Value>) -> Result<Value, FieldError> {
    match document.remove("spec") {
        None | Some(Value::Null) => Ok(Value::Object(Map::new())),
        Some(members @ Value::Object(_)) => Ok(members),
        Some(_) => Err(FieldError {
            path: "spec".to_owned(),
            message: "must be a mapping of fields to values".to_owned(),
        }),
    }
}

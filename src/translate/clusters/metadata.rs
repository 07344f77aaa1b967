//! What a cluster says of itself to filters and logs (`filter_metadata.istio`).
//!
//! Source: `shared/spec/xds.md` 2.9.

use std::collections::BTreeMap;

use api::ObjectRef;
use envoy::config::core::v3::Metadata;
use envoy::google::protobuf::{Struct, Value};
use model::service::Service;

/// Key of the mesh's own metadata.
pub(crate) const ISTIO: &str = "istio";

/// Field of the object that shaped a cluster or a filter chain.
const CONFIG: &str = "config";

/// How metadata name an object.
fn path(object: &ObjectRef, kind: &str) -> String {
    format!("/apis/networking.istio.io/v1/namespaces/{}/{kind}/{}", object.key.namespace, object.key.name)
}

/// Metadata that name the Sidecar that shaped a filter chain.
pub(crate) fn of_sidecar(sidecar: &ObjectRef) -> Metadata {
    of(ISTIO, Struct::from([(CONFIG, Value::from(path(sidecar, "sidecar")))]))
}

/// The metadata of a cluster in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    fields: BTreeMap<String, Value>,
}

impl Facts {
    /// The services that the cluster serves.
    pub(crate) fn services<'a>(mut self, services: impl Iterator<Item = &'a Service>) -> Self {
        let service = |s: &Service| {
            Struct::from([
                ("host", Value::from(&*s.host)),
                ("name", Value::from(&*s.name)),
                ("namespace", Value::from(&*s.namespace)),
            ])
        };
        let list: Vec<Value> = services.map(|s| Value::from(service(s))).collect();
        if !list.is_empty() {
            self.fields.insert("services".to_owned(), list.into());
        }
        self
    }

    /// The service is outside of the mesh.
    pub(crate) fn external(mut self, external: bool) -> Self {
        if external {
            self.fields.insert("external".to_owned(), true.into());
        }
        self
    }

    /// The DestinationRule that shaped the cluster.
    pub(crate) fn rule(mut self, rule: Option<&ObjectRef>) -> Self {
        if let Some(rule) = rule {
            self.fields.insert(CONFIG.to_owned(), path(rule, "destination-rule").into());
        }
        self
    }

    /// The subset that the cluster is for; empty for none.
    pub(crate) fn subset(mut self, subset: &str) -> Self {
        if !subset.is_empty() {
            self.fields.insert("subset".to_owned(), subset.into());
        }
        self
    }

    /// TLS is not the mesh's own: its announced protocols must not be written over.
    pub(crate) fn keep_alpn(mut self, keep: bool) -> Self {
        if keep {
            self.fields.insert("alpn_override".to_owned(), "false".into());
        }
        self
    }

    /// The message; none if there is nothing to say.
    pub(crate) fn message(self) -> Option<Metadata> {
        (!self.fields.is_empty()).then(|| of(ISTIO, Struct::from(self.fields)))
    }
}

/// Metadata for one filter.
pub(crate) fn of(filter: &str, fields: Struct) -> Metadata {
    Metadata { filter_metadata: BTreeMap::from([(filter.to_owned(), fields)]), ..Metadata::default() }
}

//! The Secrets that give access to other clusters. What they hold is never shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::Deserialize;

/// The label by which they are known, with its value.
pub(super) const SELECTOR: &str = "istio/multiCluster=true";

/// The name under which health is told.
pub(super) const NAME: &str = "secrets istio/multiCluster=true";

/// Bytes that are not shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden(Arc<[u8]>);

impl Hidden {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for whoever has to read them.
    pub(super) fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A Secret as the API server sends it.
#[derive(Clone, Deserialize)]
pub(super) struct Document {
    metadata: ObjectMeta,
    data: Option<BTreeMap<String, ByteString>>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}", self.name_any())
    }
}

impl Resource for Document {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Secret::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Secret::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Secret::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Secret::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Namespace and name of a Secret.
pub(super) type Id = (Arc<str>, Arc<str>);

/// A Secret, read: a kubeconfig for each cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) secret: Id,
    pub(super) kubeconfigs: BTreeMap<Arc<str>, Hidden>,
}

impl Access {
    pub(super) fn read(document: Document) -> Self {
        let namespace = document.namespace().unwrap_or_default();
        let secret = (Arc::from(namespace), Arc::from(document.name_any()));
        let data = document.data.unwrap_or_default().into_iter();
        let kubeconfigs = data.map(|(cluster, bytes)| (Arc::from(cluster), Hidden::new(&bytes.0))).collect();
        Self { secret, kubeconfigs }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_secret_holds_is_not_shown() {
        let document = json!({"metadata": {"name": "remote", "namespace": "istio-system"}, "data": {"east": "c2VjcmV0"}});
        let document: Document = serde_json::from_value(document).expect("a Secret");
        let shown = format!("{document:?}");
        let access = Access::read(document);
        assert_eq!(access.kubeconfigs["east"].reveal(), b"secret");
        let all = format!("{shown} {access:?}");
        assert!(!all.contains("c2VjcmV0") && !all.contains("secret\"") && !all.contains("115"), "{all}");
    }
}

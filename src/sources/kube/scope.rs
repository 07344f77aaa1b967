//! What is asked of the API server: one list and one watch a scope, with what need not be sent filtered there.
//!
//! Source: `shared/spec/kubernetes.md` 2.4, section 8 "Reader versions"; Istio `pkg/kube/kclient/client.go`.

use std::fmt;
use std::sync::Arc;

use api::Kind;
use kube::api::{ApiResource, GroupVersionKind, ListParams, WatchParams};

/// Objects in a page of a list: what client-go asks for.
pub(crate) const PAGE: u32 = 500;

/// Objects of one kind, or a single one of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    /// The kind.
    pub(crate) kind: Kind,
    /// Namespace and name when one object is read and no other.
    pub(crate) only: Option<(Arc<str>, Arc<str>)>,
}

impl Scope {
    /// All objects of a kind.
    pub(crate) const fn all(kind: Kind) -> Self {
        Self { kind, only: None }
    }

    /// The fields by which the server selects.
    fn selector(&self) -> Option<String> {
        match (&self.only, self.kind) {
            (Some((_, name)), _) => Some(format!("metadata.name={name}")),
            (None, Kind::Pod) => Some("status.phase!=Failed".to_owned()),
            // Releases of Helm and tokens are most of a cluster's bytes in Secrets.
            (None, Kind::Secret) => {
                Some("type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token".to_owned())
            }
            (None, _) => None,
        }
    }

    /// The parameters of its lists.
    pub(crate) fn list(&self) -> ListParams {
        ListParams { field_selector: self.selector(), ..ListParams::default().limit(PAGE) }
    }

    /// The parameters of its watches.
    pub(crate) fn watch(&self) -> WatchParams {
        WatchParams { field_selector: self.selector(), ..WatchParams::default() }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.plural())?;
        match (&self.only, self.kind.group()) {
            (Some((namespace, name)), _) => write!(f, " {namespace}/{name}"),
            (None, "") => Ok(()),
            (None, group) => write!(f, ".{group}"),
        }
    }
}

/// The kind's place in the API, in the version that is read.
pub fn resource(kind: Kind) -> ApiResource {
    let version = kind.versions().first().copied().unwrap_or("v1");
    let kind_of = GroupVersionKind::gvk(kind.group(), version, kind.name());
    ApiResource::from_gvk_with_plural(&kind_of, kind.plural())
}

/// The name of the CustomResourceDefinition that brings a kind; none for the kinds of Kubernetes itself.
pub fn defined(kind: Kind) -> Option<String> {
    match kind.group() {
        "" | "discovery.k8s.io" | "networking.k8s.io" => None,
        group => Some(format!("{}.{group}", kind.plural())),
    }
}

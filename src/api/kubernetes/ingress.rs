//! Ingress and IngressClass (networking.k8s.io/v1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LoadBalancerStatus;

/// HTTP routes into the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// Name of the IngressClass; empty means none is named.
    pub ingress_class_name: String,
    /// Where requests go that no rule matches.
    pub default_backend: Option<IngressBackend>,
    /// Certificates.
    pub tls: Vec<IngressTls>,
    /// Rules.
    pub rules: Vec<IngressRule>,
    /// The document's `status`.
    pub status: IngressStatus,
}

/// What is known of an Ingress from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressStatus {
    /// Where its requests go in.
    pub load_balancer: LoadBalancerStatus,
}

/// A certificate for some hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// The hosts; empty means all.
    pub hosts: Vec<String>,
    /// Secret with key and certificate.
    pub secret_name: String,
}

/// Routes of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRule {
    /// The host; empty means all, `*.` wildcards are allowed.
    pub host: String,
    /// The routes.
    pub http: Option<HttpIngressRuleValue>,
}

/// Routes by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpIngressRuleValue {
    /// The routes.
    pub paths: Vec<HttpIngressPath>,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpIngressPath {
    /// The path.
    pub path: String,
    /// `Exact`, `Prefix` or `ImplementationSpecific`; empty means not given.
    pub path_type: String,
    /// Where to.
    pub backend: IngressBackend,
}

/// Where an Ingress leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackend {
    /// A Service of the own namespace.
    pub service: Option<IngressServiceBackend>,
    /// An object of another kind in its place.
    pub resource: Option<IngressResourceBackend>,
}

/// An object of the own namespace that is no Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressResourceBackend {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A Service's port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressServiceBackend {
    /// Name of the Service.
    pub name: String,
    /// The port.
    pub port: ServiceBackendPort,
}

/// A port by number or by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceBackendPort {
    /// The name; empty when by number.
    pub name: String,
    /// The number; 0 when by name.
    pub number: u32,
}

/// Who serves Ingresses of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressClass {
    /// The controller, such as `istio.io/ingress-controller`.
    pub controller: String,
}

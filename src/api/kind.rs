//! The kinds of objects that the product knows: their groups, versions, names and scopes.

use std::fmt;

/// What is fixed about a kind.
struct Facts {
    group: &'static str,
    versions: &'static [&'static str],
    name: &'static str,
    plural: &'static str,
    namespaced: bool,
    served: bool,
}

const NETWORKING: &[&str] = &["v1", "v1beta1", "v1alpha3"];
/// The first is read, which all releases of the Gateway API have.
const GRANTS: &[&str] = &["v1beta1", "v1", "v1alpha2"];
const GATEWAY_API: &[&str] = &["v1", "v1beta1", "v1alpha2", "v1alpha3"];

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident => $group:literal, $versions:expr, $name:literal, $plural:literal, $namespaced:literal, $served:literal;)*) => {
        /// A kind of object. The order of the variants is the order of [`Ord`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// Every kind, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            const fn facts(self) -> &'static Facts {
                match self {
                    $(Self::$variant => &Facts {
                        group: $group,
                        versions: $versions,
                        name: $name,
                        plural: $plural,
                        namespaced: $namespaced,
                        served: $served,
                    },)*
                }
            }
        }
    };
}

kinds! {
    /// core `Namespace`.
    Namespace => "", &["v1"], "Namespace", "namespaces", false, true;
    /// core `Node`.
    Node => "", &["v1"], "Node", "nodes", false, true;
    /// core `Service`.
    Service => "", &["v1"], "Service", "services", true, true;
    /// core `Pod`.
    Pod => "", &["v1"], "Pod", "pods", true, true;
    /// core `Secret`.
    Secret => "", &["v1"], "Secret", "secrets", true, true;
    /// core `ConfigMap`.
    ConfigMap => "", &["v1"], "ConfigMap", "configmaps", true, true;
    /// core `ServiceAccount`.
    ServiceAccount => "", &["v1"], "ServiceAccount", "serviceaccounts", true, true;
    /// discovery.k8s.io `EndpointSlice`.
    EndpointSlice => "discovery.k8s.io", &["v1"], "EndpointSlice", "endpointslices", true, true;
    /// networking.k8s.io `Ingress`.
    Ingress => "networking.k8s.io", &["v1"], "Ingress", "ingresses", true, true;
    /// networking.k8s.io `IngressClass`.
    IngressClass => "networking.k8s.io", &["v1"], "IngressClass", "ingressclasses", false, true;
    /// networking.istio.io `VirtualService`.
    VirtualService => "networking.istio.io", NETWORKING, "VirtualService", "virtualservices", true, true;
    /// networking.istio.io `DestinationRule`.
    DestinationRule => "networking.istio.io", NETWORKING, "DestinationRule", "destinationrules", true, true;
    /// networking.istio.io `Gateway`.
    Gateway => "networking.istio.io", NETWORKING, "Gateway", "gateways", true, true;
    /// networking.istio.io `ServiceEntry`.
    ServiceEntry => "networking.istio.io", NETWORKING, "ServiceEntry", "serviceentries", true, true;
    /// networking.istio.io `Sidecar`.
    Sidecar => "networking.istio.io", NETWORKING, "Sidecar", "sidecars", true, true;
    /// networking.istio.io `WorkloadEntry`.
    WorkloadEntry => "networking.istio.io", NETWORKING, "WorkloadEntry", "workloadentries", true, true;
    /// networking.istio.io `WorkloadGroup`.
    WorkloadGroup => "networking.istio.io", NETWORKING, "WorkloadGroup", "workloadgroups", true, true;
    /// networking.istio.io `EnvoyFilter`.
    EnvoyFilter => "networking.istio.io", &["v1alpha3"], "EnvoyFilter", "envoyfilters", true, true;
    /// networking.istio.io `ProxyConfig`.
    ProxyConfig => "networking.istio.io", &["v1beta1"], "ProxyConfig", "proxyconfigs", true, true;
    /// security.istio.io `PeerAuthentication`.
    PeerAuthentication => "security.istio.io", &["v1", "v1beta1"], "PeerAuthentication", "peerauthentications", true, true;
    /// security.istio.io `RequestAuthentication`.
    RequestAuthentication => "security.istio.io", &["v1", "v1beta1"], "RequestAuthentication", "requestauthentications", true, true;
    /// security.istio.io `AuthorizationPolicy`.
    AuthorizationPolicy => "security.istio.io", &["v1", "v1beta1"], "AuthorizationPolicy", "authorizationpolicies", true, true;
    /// telemetry.istio.io `Telemetry`.
    Telemetry => "telemetry.istio.io", &["v1", "v1alpha1"], "Telemetry", "telemetries", true, true;
    /// extensions.istio.io `WasmPlugin`.
    WasmPlugin => "extensions.istio.io", &["v1alpha1"], "WasmPlugin", "wasmplugins", true, true;
    /// extensions.istio.io `TrafficExtension`.
    TrafficExtension => "extensions.istio.io", &["v1alpha1"], "TrafficExtension", "trafficextensions", true, true;
    /// gateway.networking.k8s.io `GatewayClass`.
    GatewayClass => "gateway.networking.k8s.io", GATEWAY_API, "GatewayClass", "gatewayclasses", false, false;
    /// gateway.networking.k8s.io `Gateway`; [`Kind::Gateway`] is Istio's.
    KubernetesGateway => "gateway.networking.k8s.io", GATEWAY_API, "Gateway", "gateways", true, false;
    /// gateway.networking.k8s.io `ListenerSet`.
    ListenerSet => "gateway.networking.k8s.io", GATEWAY_API, "ListenerSet", "listenersets", true, false;
    /// gateway.networking.k8s.io `HTTPRoute`.
    HttpRoute => "gateway.networking.k8s.io", GATEWAY_API, "HTTPRoute", "httproutes", true, false;
    /// gateway.networking.k8s.io `GRPCRoute`.
    GrpcRoute => "gateway.networking.k8s.io", GATEWAY_API, "GRPCRoute", "grpcroutes", true, false;
    /// gateway.networking.k8s.io `TLSRoute`.
    TlsRoute => "gateway.networking.k8s.io", GATEWAY_API, "TLSRoute", "tlsroutes", true, false;
    /// gateway.networking.k8s.io `TCPRoute`.
    TcpRoute => "gateway.networking.k8s.io", GATEWAY_API, "TCPRoute", "tcproutes", true, false;
    /// gateway.networking.k8s.io `UDPRoute`.
    UdpRoute => "gateway.networking.k8s.io", GATEWAY_API, "UDPRoute", "udproutes", true, false;
    /// gateway.networking.k8s.io `ReferenceGrant`.
    ReferenceGrant => "gateway.networking.k8s.io", GRANTS, "ReferenceGrant", "referencegrants", true, true;
    /// gateway.networking.k8s.io `BackendTLSPolicy`.
    BackendTlsPolicy => "gateway.networking.k8s.io", GATEWAY_API, "BackendTLSPolicy", "backendtlspolicies", true, false;
    /// gateway.networking.x-k8s.io `XBackend`.
    XBackend => "gateway.networking.x-k8s.io", &["v1alpha1"], "XBackend", "xbackends", true, false;
    /// gateway.networking.x-k8s.io `XBackendTrafficPolicy`.
    XBackendTrafficPolicy => "gateway.networking.x-k8s.io", &["v1alpha1"], "XBackendTrafficPolicy", "xbackendtrafficpolicies", true, false;
    /// gateway.networking.x-k8s.io `XMesh`.
    XMesh => "gateway.networking.x-k8s.io", &["v1alpha1"], "XMesh", "xmeshes", false, false;
    /// inference.networking.k8s.io `InferencePool`.
    InferencePool => "inference.networking.k8s.io", &["v1"], "InferencePool", "inferencepools", true, false;
}

impl Kind {
    /// The kind of a document with these `apiVersion` and `kind`; `None` when the product knows no such kind or not in
    /// that version. All versions of a kind have the same fields, so that the version is not remembered.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::ALL.iter().copied().find(|candidate| {
            let facts = candidate.facts();
            facts.name == kind && facts.group == group && facts.versions.contains(&version)
        })
    }

    /// The kind of this name in a group, whatever the version.
    pub fn in_any_version(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|candidate| candidate.name() == kind && candidate.group() == group)
    }

    /// The API group; empty for the core group.
    pub const fn group(self) -> &'static str {
        self.facts().group
    }

    /// The versions that are read, the preferred one first.
    pub const fn versions(self) -> &'static [&'static str] {
        self.facts().versions
    }

    /// The word in a document's `kind` field.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The resource's name in the Kubernetes API, such as `virtualservices`.
    pub const fn plural(self) -> &'static str {
        self.facts().plural
    }

    /// Whether objects of the kind live in a namespace.
    pub const fn namespaced(self) -> bool {
        self.facts().namespaced
    }

    /// Whether the product acts on the kind. Kinds that are known but not served decode to their metadata only.
    pub const fn served(self) -> bool {
        self.facts().served
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_every_kind_is_found_again() {
        for kind in Kind::ALL {
            for version in kind.versions() {
                let api_version = match kind.group() {
                    "" => (*version).to_owned(),
                    group => format!("{group}/{version}"),
                };
                assert_eq!(Kind::of(&api_version, kind.name()), Some(*kind));
            }
        }
    }

    #[test]
    fn the_two_gateways_are_told_apart_by_their_group() {
        assert_eq!(Kind::of("networking.istio.io/v1beta1", "Gateway"), Some(Kind::Gateway));
        assert_eq!(Kind::of("gateway.networking.k8s.io/v1", "Gateway"), Some(Kind::KubernetesGateway));
        assert_eq!(Kind::of("v1", "Gateway"), None);
        assert_eq!(Kind::of("networking.istio.io/v2", "Gateway"), None);
    }
}

//! The resource types that are served, with their type URLs and the order in which a change pushes them.

use std::fmt;

/// A type of xDS resource. The order of the variants is the push order (spec/xds.md 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// `envoy.config.cluster.v3.Cluster`.
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`.
    Endpoints,
    /// `envoy.config.listener.v3.Listener`.
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration`.
    Route,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`.
    Secret,
    /// `envoy.config.core.v3.TypedExtensionConfig`.
    ExtensionConfig,
    /// `istio.networking.nds.v1.NameTable`: the DNS table that the node helper reads.
    NameTable,
    /// `istio.mesh.v1alpha1.ProxyConfig`: what peers trust, which the node helper reads.
    ProxyConfig,
}

impl ResourceType {
    /// How many types there are; [`ResourceType::index`] is below it.
    pub const COUNT: usize = 8;

    /// Every type, in push order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Cluster,
        Self::Endpoints,
        Self::Listener,
        Self::Route,
        Self::Secret,
        Self::ExtensionConfig,
        Self::NameTable,
        Self::ProxyConfig,
    ];

    /// The position in [`ResourceType::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The type URL of the resources and of the requests for them.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::ExtensionConfig => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            Self::NameTable => "type.googleapis.com/istio.networking.nds.v1.NameTable",
            Self::ProxyConfig => "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig",
        }
    }

    /// The type that a request's type URL names; `None` for a type that is not served from sets.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// The short name that metrics and `istioctl proxy-status` use: `CDS`, `EDS`, ...
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Cluster => "CDS",
            Self::Endpoints => "EDS",
            Self::Listener => "LDS",
            Self::Route => "RDS",
            Self::Secret => "SDS",
            Self::ExtensionConfig => "ECDS",
            Self::NameTable => "NDS",
            Self::ProxyConfig => "PCDS",
        }
    }

    /// Whether a subscription without names means everything (spec/xds.md 9.3).
    pub const fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener | Self::NameTable | Self::ProxyConfig)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short_name())
    }
}

#[cfg(test)]
mod tests {
    use super::ResourceType;

    #[test]
    fn index_and_url_name_the_same_type() {
        for (at, kind) in ResourceType::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), at);
            assert_eq!(ResourceType::from_type_url(kind.type_url()), Some(kind));
        }
        assert!(ResourceType::ALL.is_sorted());
        assert_eq!(ResourceType::from_type_url("type.googleapis.com/envoy.service.runtime.v3.Runtime"), None);
    }
}

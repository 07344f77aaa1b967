//! What becomes of connections to addresses that nothing is known of.

use api::istio::OutboundTrafficPolicyMode;
use api::mesh_config::OutboundMode;
use model::hostname;

use crate::context::Context;

/// The outbound traffic policy of a class: that of its Sidecar as a whole, else the mesh's mode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// To the address that the client asked for.
    Pass,
    /// The same; HTTP goes to the host that it names.
    PassByName,
    /// Nowhere.
    Refuse,
    /// To the cluster of an egress proxy.
    Proxy(String),
}

impl Unknown {
    /// The policy of a class.
    pub fn of(context: &Context<'_>) -> Self {
        let sidecar = context.scope.sidecar.as_ref();
        let Some(policy) = sidecar.and_then(|s| s.spec.outbound_traffic_policy.as_ref()) else {
            return match context.settings().mesh.outbound_traffic_policy.mode {
                OutboundMode::RegistryOnly => Self::Refuse,
                OutboundMode::AllowAny => Self::Pass,
                OutboundMode::AllowAnyDynamicDns => Self::PassByName,
            };
        };
        match (policy.mode, &policy.egress_proxy) {
            (OutboundTrafficPolicyMode::RegistryOnly, _) => Self::Refuse,
            (OutboundTrafficPolicyMode::AllowAny, None) => Self::Pass,
            (OutboundTrafficPolicyMode::AllowAny, Some(proxy)) => {
                let (namespace, domain) = (&context.view.namespace, &context.settings().domain);
                let host = hostname::resolve_short(&proxy.host, namespace, domain);
                // Without a port it is 0, which no cluster has.
                let port = proxy.port.as_ref().map_or(0, |p| p.number);
                Self::Proxy(format!("outbound|{port}|{}|{host}", proxy.subset))
            }
        }
    }

    /// The cluster that takes such connections.
    pub fn cluster(&self) -> &str {
        match self {
            Self::Pass | Self::PassByName => "PassthroughCluster",
            Self::Refuse => "BlackHoleCluster",
            Self::Proxy(cluster) => cluster,
        }
    }
}
